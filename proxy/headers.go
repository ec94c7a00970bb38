package proxy

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/secret"
)

// Names that the profile "oauth2-proxy" sets. A machine gets the last one only: an
// upstream must not take a service account for a person (SEC-7).
const (
	headerUser              = "X-Forwarded-User"
	headerEmail             = "X-Forwarded-Email"
	headerGroups            = "X-Forwarded-Groups"
	headerPreferredUsername = "X-Forwarded-Preferred-Username"
	headerClient            = "X-Forwarded-Client"
	headerAuthorization     = "Authorization"

	profileOAuth2Proxy = "oauth2-proxy"
	profileNone        = "none"
)

// maxIdentityHeader bounds one header, in bytes: more is refused by every upstream in use,
// and a list that was cut would be another list.
const maxIdentityHeader = 32 << 10

var errTooLarge = errors.New("an identity header would be larger than 32 KiB")

// headerPlan is a route's Headers and credential, compiled.
type headerPlan struct {
	profile    string
	credential string
	unverified bool
	set        []template
	names      []string // every name that set holds, canonical
	usesToken  bool     // the person's access token goes upstream, by whatever name
}

// injection is what one identity gets on one route. It is built once for both and shared by
// all requests; nobody writes to its slices.
type injection struct {
	fields []field
	err    error // why nothing can be forwarded
}

type field struct {
	name   string
	values []string
}

func newHeaderPlan(h Headers, credential string) (*headerPlan, error) {
	p := &headerPlan{profile: h.Profile, credential: credential, unverified: h.UnverifiedEmail, usesToken: credential == credentialSession}
	switch h.Profile {
	case "":
		p.profile = profileOAuth2Proxy
	case profileOAuth2Proxy, profileNone:
	default:
		return nil, fmt.Errorf("headers.profile: %q is not one of %q, %q", h.Profile, profileOAuth2Proxy, profileNone)
	}
	for _, name := range slices.Sorted(maps.Keys(h.Set)) {
		t, err := parseTemplate(name, h.Set[name])
		if err != nil {
			return nil, err
		}
		if slices.Contains(p.names, t.name) {
			return nil, fmt.Errorf("headers.set.%s: the same header is set twice", name)
		}
		if t.name == headerAuthorization && credential != credentialNone {
			return nil, fmt.Errorf("headers.set.%s: credential = %q sets it already", name, credential)
		}
		p.set = append(p.set, t)
		p.names = append(p.names, t.name)
		p.usesToken = p.usesToken || t.uses("access_token")
	}
	return p, nil
}

// injection returns what who gets on this route; it is built at their first request. The
// key is the route, so that no other route's headers can be found under it.
func (rt *route) injection(who *identity.Identity) *injection {
	if who == nil {
		return rt.anonymous
	}
	return who.Memo(rt, func() any { return rt.headers.build(who) }).(*injection)
}

// build makes the fields in the order in which they apply: profile, credential, set.
func (p *headerPlan) build(who *identity.Identity) *injection {
	in := &injection{}
	if who != nil {
		if p.profile == profileOAuth2Proxy {
			in.addProfile(who, p.unverified)
		}
		in.addCredential(who, p.credential)
	}
	for _, t := range p.set {
		in.remove(t.name) // a value that is missing removes the header
		if value, ok := t.value(who, p.unverified); ok {
			in.add(t.name, value)
		}
	}
	return in
}

func (in *injection) addProfile(who *identity.Identity, unverified bool) {
	if who.Machine {
		client := who.Client
		if client == "" {
			client = who.Subject
		}
		in.add(headerClient, encodeValue(client))
		return
	}
	in.add(headerUser, encodeValue(who.Subject))
	if who.EmailVerified || unverified {
		in.add(headerEmail, encodeValue(who.Email))
	}
	in.add(headerGroups, encodeList(who.Groups))
	in.add(headerPreferredUsername, encodeValue(who.Username))
}

// addCredential prebuilds Authorization where the token belongs to the identity itself.
func (in *injection) addCredential(who *identity.Identity, credential string) {
	if who.Tokens == nil {
		return // credential has refused already
	}
	switch credential {
	case credentialSession:
		in.addBearer(who.Tokens.AccessToken)
	case credentialIDToken:
		in.addBearer(who.Tokens.IDToken)
	}
}

func (in *injection) addBearer(token secret.String) {
	value, err := bearer(token)
	if err != nil {
		in.err = err
		return
	}
	in.add(headerAuthorization, value)
}

func (in *injection) add(name, value string) {
	switch {
	case value == "":
	case len(value) > maxIdentityHeader:
		in.err = fmt.Errorf("%s: %w", name, errTooLarge)
	default:
		in.fields = append(in.fields, field{name, []string{value}})
	}
}

func (in *injection) remove(name string) {
	in.fields = slices.DeleteFunc(in.fields, func(f field) bool { return f.name == name })
}

// bearer writes a token as RFC 6750 §2.1 wants it. One that could end the header line, or
// that is missing, goes nowhere.
func bearer(token secret.String) (string, error) {
	t := token.Reveal()
	if t == "" || !visible(t) {
		return "", errors.New("the token is empty, or holds characters that no header can carry")
	}
	return "Bearer " + t, nil
}

// visible reports whether s is printable ASCII without spaces.
func visible(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// encodeList joins values with commas. A comma inside a value is encoded, so that "a,admin"
// does not become two groups (P032). It stops like encodeValue.
func encodeList(values []string) string {
	var b strings.Builder
	for _, v := range values {
		if v == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(encodeValue(v))
		if b.Len() > maxIdentityHeader {
			break
		}
	}
	return b.String()
}

// encodeValue percent-encodes what a header cannot carry or what its reader would take for
// syntax: "%", comma, control and non-ASCII characters (P031), and spaces at either end,
// which HTTP drops, so that " admin" would arrive as "admin". It stops beyond maxIdentityHeader,
// which injection.add refuses.
func encodeValue(s string) string {
	if plainValue(s) {
		return s
	}
	var b strings.Builder
	first, last := len(s)-len(strings.TrimLeft(s, " ")), len(strings.TrimRight(s, " "))
	for i := 0; i < len(s) && b.Len() <= maxIdentityHeader; i++ {
		c := s[i]
		if c < ' ' || c >= 0x7f || c == '%' || c == ',' || i < first || i >= last {
			b.Write([]byte{'%', upperHex[c>>4], upperHex[c&15]})
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func plainValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '%' || c == ',' {
			return false
		}
	}
	return s == strings.Trim(s, " ")
}

// settable refuses names that a route must not set: those that frame the message, those
// that net/http owns, and the forwarding headers that the gateway itself answers for.
func settable(name string) error {
	if !headerName(name) {
		return fmt.Errorf("headers.set.%s: a header name is made of letters, digits and -", name)
	}
	switch http.CanonicalHeaderKey(name) {
	case "Connection", "Proxy-Connection", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Content-Length", "Host", "Expect",
		"Cookie", "Proxy-Authorization", "Proxy-Authenticate", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port",
		"X-Real-Ip", "X-Request-Id", "Forwarded":
		return fmt.Errorf("headers.set.%s: this header is not the route's to set", name)
	}
	return nil
}
