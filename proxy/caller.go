package proxy

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/pages"
)

// callers are those who can say who is calling on a route; nil for what it doesn't accept.
type callers struct {
	accept  accept
	session Authenticator
	tokens  Authenticator
	basic   Authenticator
}

func newCallers(rc Route, d Deps) (c callers, err error) {
	if c.accept, err = newAccept(rc.Accept); err != nil || rc.Public {
		return c, err
	}
	if c.accept.basic && rc.PassAuthorization {
		return c, errors.New("accept: \"basic\" and pass_authorization: a password that was tried here goes no further")
	}
	if c.accept.session {
		c.session = d.Session
	}
	if c.accept.token = c.accept.token && d.Tokens != nil; c.accept.token {
		c.tokens = d.Tokens
	}
	if c.accept.basic {
		if c.basic = d.Basic[rc.Name]; c.basic == nil {
			return c, errors.New("accept: \"basic\": there is nobody who tries passwords for this route")
		}
	}
	if c.accept == (accept{}) {
		return c, fmt.Errorf("accept: %q: there are no tickets here", rc.Accept)
	}
	return c, nil
}

// caller is what became of the question who is calling.
type caller struct {
	who   *identity.Identity // nil: nobody
	by    Authenticator      // who vouches
	claim claim              // what their Authorization was
}

// identify asks the one who is competent for a request, and nobody else: there is no way from an
// Authorization that failed to the cookie.
func (c *callers) identify(w http.ResponseWriter, r *http.Request) (caller, error) {
	found := caller{claim: c.accept.claim(r.Header[headerAuthorization])}
	switch found.claim {
	case bearerTicket, basicTicket:
		found.by = c.tokens
	case password:
		found.by = c.basic
	case noClaim:
		found.by = c.session
	case brokenClaim:
	}
	if found.by == nil {
		return found, nil
	}
	who, ok, err := found.by.Authenticate(w, r)
	if ok && err == nil {
		found.who = who
	}
	return found, err
}

// unknown is the answer to somebody whom the one who was asked does not know, or cannot judge.
func (rt *route) unknown(req *CanonicalRequest, c caller, err error) Decision {
	var e *pages.Error
	switch {
	case err == nil && c.claim == noClaim:
		return Decision{Outcome: Login} // a navigation may begin one
	case err == nil:
		return Decision{Outcome: Login, Err: rt.unauthorized(req, refusedClaim(c.claim))}
	case !errors.As(err, &e): // broken is not "not signed in" (P208)
		return Decision{Outcome: Unavailable, Err: &pages.Error{Code: codeStoreUnavailable, RetryAfter: retryAfter, Err: err}}
	}
	switch e.Code {
	case codeWrongCredentials:
		again := *e
		again.Challenge = rt.challenges(req)
		return Decision{Outcome: Login, Err: &again}
	case codeTooMany, codeLoginDenied:
		return Decision{Outcome: Deny, Err: err}
	}
	return Decision{Outcome: Unavailable, Err: err}
}

func refusedClaim(c claim) string {
	switch c {
	case bearerTicket, basicTicket:
		return "The ticket in Authorization does not count here, or not any more."
	case brokenClaim:
		return "The header Authorization cannot be read, or is there more than once."
	}
	return "Whoever Authorization names does not count here."
}
