package proxy

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/secret"
)

// headerClient is all that a machine gets, in every profile: an upstream must not take a service account for a person (SEC-7).
const (
	headerClient        = "X-Forwarded-Client"
	headerGroups        = "X-Forwarded-Groups"
	headerAuthorization = "Authorization"
)

// maxIdentityHeader bounds one header, in bytes: more is refused by every upstream in use,
// and a list that was cut would be another list. maxIdentityHeaders bounds all of them, with their names.
const (
	maxIdentityHeader  = 32 << 10
	maxIdentityHeaders = 64 << 10
)

var (
	errTooLarge = errors.New("an identity header would be larger than 32 KiB")
	errTooMuch  = errors.New("the identity headers would be larger than 64 KiB")
)

// headerPlan is a route's Headers and credential, compiled.
type headerPlan struct {
	profile    profile
	encoding   encoding
	credential string
	unverified bool
	set        []template
	names      []string // every name that set holds, canonical
	replaced   []string // those of them that are ordinary: the client's own go no further on this route
	own        []string // every other name that the route may set, as it would arrive
	prefixes   []string // likewise, of names that depend on claims
	assertion  string   // the header of the signed assertion; "" = there is none
	usesToken  bool     // the person's access token goes upstream, by whatever name
}

// injection is what one identity gets on one route. It is built once for both and shared by
// all requests; nobody writes to its slices.
type injection struct {
	fields []field
	size   int
	err    error // why nothing can be forwarded
}

type field struct {
	name   string
	values []string
	secret bool // a token
}

func newHeaderPlan(h Headers, credential string) (*headerPlan, error) {
	p := &headerPlan{credential: credential, unverified: h.UnverifiedEmail, usesToken: credential == credentialSession}
	var err error
	if p.profile, err = newProfile(h.Profile); err != nil {
		return nil, err
	}
	if p.encoding, err = newEncoding(h.Encoding, p.profile.encoding); err != nil {
		return nil, err
	}
	p.own, p.prefixes = p.profile.names(), p.profile.prefixes()
	if p.profile.name != profileNone {
		p.own = append(p.own, headerClient)
	}
	if h.Assertion != "" {
		p.assertion = p.profile.assertion
		p.own = append(p.own, p.assertion)
	}
	for _, name := range slices.Sorted(maps.Keys(h.Set)) {
		t, err := parseTemplate(name, h.Set[name])
		if err != nil {
			return nil, err
		}
		t.encoding = p.encoding
		switch {
		case slices.Contains(p.names, t.name):
			return nil, fmt.Errorf("headers.set.%s: the same header is set twice", name)
		case t.name == headerAuthorization && credential != credentialNone:
			return nil, fmt.Errorf("headers.set.%s: credential = %q sets it already", name, credential)
		case t.name == p.assertion:
			return nil, fmt.Errorf("headers.set.%s: the signed assertion is in it already", name)
		}
		p.set = append(p.set, t)
		p.names = append(p.names, t.name)
		if ordinary[t.name] {
			p.replaced = append(p.replaced, t.name)
		}
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
		in.addProfile(p, who)
		in.addCredential(p, who)
	}
	for _, t := range p.set {
		in.remove(t.name) // a value that is missing removes the header
		value, ok, err := t.value(who, p.unverified)
		switch {
		case err != nil:
			in.err = fmt.Errorf("%s: %w", t.name, err)
		case ok:
			in.add(field{name: t.name, values: []string{value}, secret: t.secret()})
		}
	}
	return in
}

func (in *injection) addProfile(p *headerPlan, who *identity.Identity) {
	if p.profile.name == profileNone {
		return
	}
	if who.Machine {
		client := who.Client
		if client == "" {
			client = who.Subject
		}
		in.addEncoded(headerClient, func() (string, error) { return p.encoding.value(client) })
		return
	}
	f := facts{who, p.unverified}
	for _, i := range p.profile.person {
		in.addEncoded(i.header, func() (string, error) {
			if i.many != nil {
				return p.encoding.list(i.many(f), p.profile.claims != nil && p.profile.claims.quoted)
			}
			return p.encoding.value(i.one(f))
		})
	}
	if p.profile.claims != nil {
		p.profile.claims.addTo(in, f, p.encoding)
	}
}

// addCredential prebuilds Authorization where the token belongs to the identity itself, and what a profile has beside it.
func (in *injection) addCredential(p *headerPlan, who *identity.Identity) {
	if who.Tokens == nil {
		return // credential has refused already
	}
	switch p.credential {
	case credentialSession:
		in.addBearer(who.Tokens.AccessToken)
		if p.profile.token != "" && in.err == nil {
			in.add(field{name: p.profile.token, values: []string{who.Tokens.AccessToken.Reveal()}, secret: true})
		}
		if p.profile.tokenEnds != "" && !who.Tokens.Expiry.IsZero() {
			in.add(field{name: p.profile.tokenEnds, values: []string{strconv.FormatInt(who.Tokens.Expiry.Unix(), 10)}})
		}
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
	in.add(field{name: headerAuthorization, values: []string{value}, secret: true})
}

// addEncoded adds a header about somebody. One that cannot be written is no missing header: nothing is forwarded then,
// because an upstream might take them for somebody who may do more (S7).
func (in *injection) addEncoded(name string, encode func() (string, error)) {
	value, err := encode()
	if err != nil {
		in.err = fmt.Errorf("%s: %w", name, err)
		return
	}
	in.add(field{name: name, values: []string{value}})
}

func (in *injection) add(f field) {
	value := f.values[0]
	if value == "" {
		return
	}
	in.size += len(f.name) + len(value)
	switch {
	case len(value) > maxIdentityHeader:
		in.err = fmt.Errorf("%s: %w", f.name, errTooLarge)
	case in.size > maxIdentityHeaders:
		in.err = fmt.Errorf("%s: %w", f.name, errTooMuch)
	default:
		in.fields = append(in.fields, f)
	}
}

// remove takes a header away in every spelling that an upstream might read like it.
func (in *injection) remove(name string) {
	key := folded(name)
	in.fields = slices.DeleteFunc(in.fields, func(f field) bool { return folded(f.name) == key })
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

// ordinary are headers of every client that say nothing of who is calling. A route may write its own in their place, but they
// are not deleted at the door, as names of identity headers are: the gateway itself looks at them, on all routes. Without Origin
// nobody could tell a foreign page's POST from a program's.
var ordinary = set([]string{
	"Accept", "Accept-Charset", "Accept-Encoding", "Accept-Language", "Baggage", "Cache-Control", "Dnt", "From", "Hx-Current-Url", "Hx-Request", "Origin", "Pragma",
	"Priority", "Purpose", "Referer", "Save-Data", "Service-Worker", "Traceparent", "Tracestate", "User-Agent", "X-Moz", "X-Purpose", "X-Requested-With",
})

// settable refuses names that a route must not set: those that frame the message, those
// that net/http owns, the forwarding headers that the gateway itself answers for, what a browser says about its request (Fetch
// Metadata, preflights, WebSockets), and what an approval is bound to.
func settable(name string) error {
	if !headerName(name) {
		return fmt.Errorf("headers.set.%s: a header name is made of letters, digits and -", name)
	}
	canonical := http.CanonicalHeaderKey(name)
	refused := bound(canonical) || strings.HasPrefix(canonical, "Sec-") || strings.HasPrefix(canonical, "Access-Control-")
	switch canonical {
	case "Connection", "Proxy-Connection", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Content-Length", "Host", "Expect",
		"Cookie", "Proxy-Authorization", "Proxy-Authenticate", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port",
		"X-Real-Ip", "X-Request-Id", "Forwarded", headerAssertion, headerDPoP:
		refused = true
	}
	if refused {
		return fmt.Errorf("headers.set.%s: this header is not the route's to set", name)
	}
	return nil
}
