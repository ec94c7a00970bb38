package credential

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strings"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/secret"
)

const (
	authorization = "Authorization"
	cookieHeader  = "Cookie"
	slot          = "{token}"
	basic         = "basic"
	basicUser     = "oauth2" // of a token that goes as the password of Basic; servers that take tokens so look at no name, or at this one
)

// place is where a token goes in a request, and in what words.
type place struct {
	header         string // canonical
	before, behind string // around the token
	basic          bool
	user           string // with basic: before the token
}

// newPlace makes the place of a Config that was checked.
func newPlace(c *Config) place {
	p := place{header: http.CanonicalHeaderKey(c.Header)}
	format := c.Format
	if p.header == "" {
		p.header = authorization
	}
	if c.Cookie != "" {
		p.header = cookieHeader
	}
	switch {
	case format == basic:
		p.basic, p.before = true, "Basic "
		if c.Flow != flowStatic {
			p.user = basicUser + ":"
		}
	case format == "" && p.header == authorization:
		p.before = "Bearer "
	case format != "":
		p.before, p.behind, _ = strings.Cut(format, slot)
	}
	if c.Cookie != "" {
		p.before = c.Cookie + "=" + p.before
	}
	return p
}

// credential builds what goes upstream, once for all requests. ok is false for a token that cannot stand there: it would
// end the header, or begin another cookie.
//
// Where the token stands in the value as it is, Tokens shares its bytes: a cached token is in memory once.
func (p place) credential(name string, t identity.Tokens) (c *identity.Credential, ok bool) {
	token := t.AccessToken.Reveal()
	value := p.before + token + p.behind
	if p.basic {
		value = p.before + base64.StdEncoding.EncodeToString([]byte(p.user+token))
	} else {
		t.AccessToken = secret.New(value[len(p.before) : len(p.before)+len(token)])
	}
	switch {
	case token == "", !isValue(value), p.basic && !isText(token), !p.basic && token != strings.TrimSpace(token):
		return nil, false
	case p.header == cookieHeader && !isCookieValue(value[strings.IndexByte(value, '=')+1:]):
		return nil, false
	}
	return &identity.Credential{Name: name, Tokens: &t, Header: p.header, Values: []string{value}}, true
}

// String is the place as people are told it, without a token.
func (p place) String() string { return p.header + ": " + p.before + "…" + p.behind }

// isValue tells whether s is a field value without bytes that receivers read differently (RFC 9110 §5.5).
func isValue(s string) bool {
	return s == strings.TrimSpace(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}

// isCookieValue is cookie-value of RFC 6265 §4.1.1 without quotes.
func isCookieValue(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`",;\`, r) })
}

// forbiddenHeaders frame a request, steer it, or say who sends it: a token there would be taken for something else.
func forbiddenHeaders() []string {
	return []string{
		"Connection", "Content-Length", "Content-Type", "Content-Encoding", "Expect", "Forwarded", "Host", "Http2-Settings", "Keep-Alive", "Origin", "Proxy",
		"Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "Referer", "Set-Cookie", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Via",
		"X-Http-Method", "X-Http-Method-Override", "X-Method-Override", "X-Original-Url", "X-Real-Ip", "X-Request-Id", "X-Rewrite-Url",
	}
}

func (k *checker) checkPlace() {
	header := http.CanonicalHeaderKey(k.Header)
	switch {
	case k.Header == "":
	case k.Cookie != "":
		k.wrong("header", "a credential goes either into a header or into a cookie")
	case header == cookieHeader:
		k.wrong("header", "cookies come beside those of the client: name one with cookie")
	case !isHeaderName(header) || slices.Contains(forbiddenHeaders(), header) || strings.HasPrefix(header, "X-Forwarded-"):
		k.wrong("header", "no token can go into %q", k.Header)
	}
	if k.Cookie != "" && !isCookieName(k.Cookie) {
		k.wrong("cookie", "%q is no name of a cookie", k.Cookie)
	}
	k.checkFormat()
	if k.Flow == flowStatic && !k.Token.IsZero() && len(k.errs) == 0 {
		if _, ok := newPlace(k.Config).credential(k.Name, identity.Tokens{AccessToken: k.Token}); !ok {
			k.wrong("token", "it holds bytes that cannot stand in a header or a cookie: spaces around it, line ends, or (but for Basic) what is not ASCII")
		}
	}
}

func (k *checker) checkFormat() {
	switch {
	case k.Format == "":
	case k.Format == basic:
		if k.Cookie != "" {
			k.wrong("format", "Basic goes into a header, not into a cookie")
		}
		if user, _, ok := strings.Cut(k.Token.Reveal(), ":"); k.Flow == flowStatic && (!ok || user == "") {
			k.wrong("token", `with format "basic" it is user:password`)
		}
	case strings.Count(k.Format, slot) != 1:
		k.wrong("format", `%q is neither "basic" nor a text with %s in it, once`, k.Format, slot)
	case !isValue(k.Format):
		k.wrong("format", "%q cannot stand in a header", k.Format)
	case k.Cookie != "" && !isCookieValue(strings.Replace(k.Format, slot, "", 1)):
		k.wrong("format", "%q cannot stand in a cookie", k.Format)
	}
}

// isHeaderName is the alphabet of names that upstreams agree about (S4).
func isHeaderName(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-'
	})
}

// isCookieName is token of RFC 9110 §5.6.2.
func isCookieName(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r) })
}

// weight is what a credential of this place takes in memory, in bytes.
func (p place) weight(c *identity.Credential) uint32 {
	n := entryWeight + len(c.Values[0]) + len(c.Tokens.Scope)
	if p.basic { // the token stands beside the value
		n += len(c.Tokens.AccessToken.Reveal())
	}
	return uint32(n)
}
