package proxy

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/doorward/doorward/internal/credentials"
	"github.com/doorward/doorward/internal/identity"
)

// obtain asks a source for what goes upstream; without an error it is something that can.
func obtain(ctx context.Context, s Source, who *identity.Identity) (*identity.Credential, error) {
	c, err := s.Token(ctx, who)
	switch {
	case err != nil:
		return nil, err
	case c == nil || len(c.Values) != 1 || c.Values[0] == "" || c.Header == "" || !fitsHeader(c.Values[0]):
		return nil, errors.New("the credential is empty, or holds characters that no header can carry")
	}
	return c, nil
}

// carry puts a credential into a request. What a client sent in its place is gone. The slices of h stay as they are: another
// request may share them.
func carry(h http.Header, c *identity.Credential) {
	if c.Header != "Cookie" {
		h[c.Header] = c.Values
		return
	}
	name := cookieName(c.Values[0])
	h["Cookie"] = slices.Clone(h["Cookie"])
	stripCookies(h, func(other string) bool { return other == name })
	if len(h["Cookie"]) == 0 {
		h["Cookie"] = c.Values
		return
	}
	h["Cookie"] = []string{strings.Join(h["Cookie"], "; ") + "; " + c.Values[0]} // one line, in every version of HTTP
}

// fitsHeader reports whether a value ends no header line.
func fitsHeader(value string) bool {
	return strings.IndexByte(value, '\n') < 0 && strings.IndexByte(value, '\r') < 0 && strings.IndexByte(value, 0) < 0
}

// secondTry is the way upstream of requests that carry a Source's credential. If the upstream answers that the token is not
// valid, the source learns so, and the request is sent once more with a new one: a key that was changed, a token that
// was revoked, a restart of the upstream's cache do not reach the caller (P143). An upstream that has said 401 has done nothing,
// so that any method may be repeated; but a body has been read by then, and one consent is good for one request.
type secondTry struct {
	visit *visit
	way   http.RoundTripper
	never bool // the request is not sent again, whatever comes
}

func (s *secondTry) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := s.way.RoundTrip(r)
	if err != nil || res.StatusCode != http.StatusUnauthorized || !saysInvalidToken(res.Header["Www-Authenticate"]) {
		return res, err
	}
	v, ctx := s.visit, r.Context()
	source := v.route.source
	source.Rejected(ctx, v.who, v.pass)
	if s.never || r.Body != nil && r.Body != http.NoBody {
		return res, nil
	}
	another, err := obtain(ctx, source, v.who)
	if err != nil || !replaces(another, v.pass) {
		return res, nil // there is no other: the upstream's word stands
	}
	_ = res.Body.Close()
	v.refused, v.pass = v.pass, another
	return s.way.RoundTrip(again(r, another))
}

// replaces reports whether a credential can be sent in the place of another: it takes the same place, and is not the same one.
func replaces(c, old *identity.Credential) bool {
	return c.Header == old.Header && c.Values[0] != old.Values[0]
}

// again is a request with another credential, nil = none. The transport may still hold the first one, so nothing of that changes.
func again(r *http.Request, c *identity.Credential) *http.Request {
	second := *r
	second.Header = maps.Clone(r.Header)
	if c != nil {
		carry(second.Header, c)
	}
	return &second
}

// saysInvalidToken reads challenges (RFC 6750 §3.1): one of them has error="invalid_token".
func saysInvalidToken(lines []string) bool {
	for _, line := range lines {
		for line != "" {
			var element string
			element, line = cutDirective(line)
			name, value, _ := strings.Cut(element, "=")
			if i := strings.LastIndexAny(strings.TrimRight(name, " \t"), " \t"); i >= 0 {
				name = name[i+1:] // the name of the scheme stands before the first parameter
			}
			if strings.EqualFold(strings.Trim(name, " \t"), "error") && strings.Trim(value, "\" \t") == credentials.InvalidToken {
				return true
			}
		}
	}
	return false
}
