package proxy

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/doorward/doorward/internal/credentials"
)

const defaultKeyHeader = "X-Api-Key"

// places are where on a route something may stand that proves who is calling, beside Authorization and our own cookie.
// What stands there goes no further.
type places struct {
	key    string // header of API keys, canonical; "" = none
	header string // of bare tokens; "" = none
	cookie string // of bare tokens; "" = none
}

// newPlaces returns nil where a route has none.
func newPlaces(rc Route, a accept) (*places, error) {
	p := &places{}
	if a.key {
		if p.key = http.CanonicalHeaderKey(rc.KeyHeader); p.key == "" {
			p.key = defaultKeyHeader
		}
		if err := readable("key_header", p.key); err != nil {
			return nil, err
		}
	}
	if a.bearer {
		if p.header = http.CanonicalHeaderKey(rc.Bearer.Header); p.header != "" {
			if err := readable("bearer header", p.header); err != nil {
				return nil, err
			}
		}
		if p.cookie = rc.Bearer.Cookie; p.cookie != "" && !isToken(p.cookie) {
			return nil, fmt.Errorf("bearer cookie: %q is not the name of a cookie", p.cookie)
		}
	}
	switch {
	case *p == places{}:
		return nil, nil
	case p.key != "" && p.key == p.header:
		return nil, fmt.Errorf("bearer header: %s is the header of the keys", p.header)
	}
	return p, nil
}

// readable refuses names under which nothing of a client's can be found.
func readable(what, name string) error {
	if err := settable(name); err != nil || name == headerAuthorization || name == headerDPoP {
		return fmt.Errorf("%s: %s cannot hold it", what, name)
	}
	return nil
}

// headers are those that hold a secret of the caller's.
func (p *places) headers() (names []string) {
	if p == nil {
		return nil
	}
	for _, name := range []string{p.key, p.header} {
		if name != "" {
			names = append(names, name)
		}
	}
	return names
}

// claim adds to what Authorization is what stands in the other places, and returns the token of these. Of two nobody can
// say which one was meant (RFC 6750 §2).
func (p *places) claim(r *http.Request, authorization claim) (c claim, token string) {
	c = authorization
	if authorization == ambiguousClaim {
		return c, ""
	}
	found := func(as claim, value string) {
		if c != noClaim {
			c = ambiguousClaim
			return
		}
		c, token = as, value
		if as != apiKey && (!credentials.IsToken(value) || credentials.IsTicket(value)) {
			c = brokenClaim
		}
	}
	if p.key != "" {
		for _, value := range r.Header[p.key] {
			found(apiKey, value)
		}
	}
	if p.header != "" {
		for _, value := range r.Header[p.header] {
			found(bearerToken, strings.Trim(value, " \t"))
		}
	}
	if p.cookie != "" {
		for _, line := range r.Header["Cookie"] {
			for pair := range strings.SplitSeq(line, ";") {
				if cookieName(pair) == p.cookie {
					_, value, _ := strings.Cut(strings.Trim(pair, " \t"), "=")
					found(bearerCookie, value)
				}
			}
		}
	}
	return c, token
}

// broken names the place, beside Authorization, of a token that cannot be one.
func (p *places) broken(r *http.Request) string {
	if p.header != "" && len(r.Header[p.header]) > 0 {
		return "header " + p.header
	}
	return "cookie " + p.cookie
}

// placed is a Source that can say where what it yields goes: the name of a header, or "Cookie" and the name of the cookie. A
// client's own value never passes there, also not where the source is skipped.
type placed interface {
	Place() (header, cookie string)
}

// setWithheld notes what of a client's request the route keeps back.
func (rt *route) setWithheld(own func(name string) bool) error {
	rt.secretHeaders = append(rt.callers.places.headers(), headerDPoP)
	rt.withheld = slices.Clone(rt.secretHeaders)
	if rt.passAuthorization { // the upstream judges tokens itself, and wants the proofs that belong to them
		rt.withheld = rt.callers.places.headers()
	}
	rt.withheld = append(rt.withheld, rt.headers.replaced...)
	rt.withheldCookie = own
	var cookies []string
	if p := rt.callers.places; p != nil && p.cookie != "" {
		if own(p.cookie) {
			return errors.New("bearer cookie: this cookie is one of ours")
		}
		cookies = append(cookies, p.cookie)
	}
	if s, ok := rt.source.(placed); ok {
		header, cookie := s.Place()
		switch header = http.CanonicalHeaderKey(header); {
		case header == "Cookie":
			if own(cookie) {
				return fmt.Errorf("credential: %q is one of our own cookies", cookie)
			}
			cookies = append(cookies, cookie)
		case header != headerAuthorization:
			if err := settable(header); err != nil {
				return fmt.Errorf("credential: %w", err)
			}
			rt.sourceHeader = header
			rt.withheld = append(rt.withheld, header)
		}
	}
	if cookies != nil {
		rt.withheldCookie = func(name string) bool { return own(name) || slices.Contains(cookies, name) }
	}
	return nil
}
