package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/doorward/doorward/internal/credentials"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/pages"
)

// callers are those who can say who is calling on a route; nil for what it doesn't accept.
type callers struct {
	accept     accept
	session    Authenticator
	tokens     Authenticator
	basic      Authenticator
	keys       Authenticator
	bearer     Bearer
	places     *places // beside Authorization; nil = there are none
	possession possession
}

func newCallers(rc Route, c Config, d Deps) (cs callers, err error) {
	if cs.accept, err = newAccept(rc.Accept); err != nil || rc.Public {
		return cs, err
	}
	if a := cs.accept; rc.PassAuthorization && (a.basic || a.bearer) {
		return cs, errors.New("accept: \"basic\" or \"bearer\", and pass_authorization: what was tried here goes no further; a checked token goes upstream by credential = \"session\"")
	}
	if cs.accept.session {
		cs.session = d.Session
	}
	if cs.accept.token = cs.accept.token && d.Tokens != nil; cs.accept.token {
		cs.tokens = d.Tokens
	}
	if cs.accept.basic {
		if cs.basic = d.Basic[rc.Name]; cs.basic == nil {
			return cs, errors.New("accept: \"basic\": there is nobody who tries passwords for this route")
		}
	}
	if cs.accept.bearer {
		if cs.bearer = d.Bearers[rc.Name]; cs.bearer == nil {
			return cs, errors.New("accept: \"bearer\": there is nobody who judges tokens for this route")
		}
	}
	if cs.accept.key {
		if cs.keys = d.Keys[rc.Name]; cs.keys == nil {
			return cs, errors.New("accept: \"key\": there are no keys for this route")
		}
	}
	if cs.accept == (accept{}) {
		return cs, fmt.Errorf("accept: %q: there are no tickets here", rc.Accept)
	}
	cs.possession = possession{c.TrustedProxies, c.CertificateHeader}
	cs.places, err = newPlaces(rc, cs.accept)
	return cs, err
}

// caller is what became of the question who is calling.
type caller struct {
	who    *identity.Identity // nil: nobody
	claim  claim              // what the request said of them
	scheme string             // of a provider's token, or of a key
	place  string             // that holds a broken claim; "" = the header Authorization
}

// identify asks the one who is competent for a request, and nobody else: there is no way from an
// Authorization that failed to the cookie.
func (c *callers) identify(w http.ResponseWriter, req *CanonicalRequest) (caller, error) {
	found := caller{claim: c.accept.claim(req.in.Header[headerAuthorization])}
	token := ""
	if c.places != nil {
		before := found.claim
		if found.claim, token = c.places.claim(req.in, before); found.claim == brokenClaim && before == noClaim {
			found.place = c.places.broken(req.in)
		}
	}
	var by Authenticator
	switch found.claim {
	case bearerTicket, basicTicket:
		by = c.tokens
	case password:
		by = c.basic
	case apiKey:
		by, found.scheme = c.keys, schemeKey
	case noClaim:
		by = c.session
	case bearerToken, bearerCookie:
		return c.check(req, found, token)
	case ambiguousClaim:
		if !c.accept.bearer { // then one of the two is a key
			found.scheme = schemeKey
		}
	case brokenClaim:
	}
	if by == nil {
		return found, nil
	}
	who, ok, err := by.Authenticate(w, req.in)
	if ok && err == nil {
		found.who = who
	}
	return found, err
}

// unknown is the answer to somebody whom the one who was asked does not know, or cannot judge.
func (rt *route) unknown(w http.ResponseWriter, req *CanonicalRequest, c caller, err error) Decision {
	var refusal *credentials.Refusal
	var e *pages.Error
	switch {
	case errors.As(err, &refusal):
		return rt.refused(w, req, refusal)
	case err == nil && c.claim == noClaim:
		return Decision{Outcome: Login} // a navigation may begin one
	case err == nil && (rt.callers.accept.bearer || c.claim == apiKey || c.claim == ambiguousClaim):
		return rt.refused(w, req, refusalOf(c))
	case err == nil && c.madeToken(req): // no sign-in would mend it
		return rt.refused(w, req, &credentials.Refusal{Word: credentials.InvalidToken, Description: "The token in Authorization does not count here, or not any more"})
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

// madeToken reports whether Authorization brings one of the tokens of ours that somebody made for a program, and not the
// ticket of a session.
func (c caller) madeToken(req *CanonicalRequest) bool {
	if c.claim != bearerTicket && c.claim != basicTicket {
		return false
	}
	line := req.in.Header[headerAuthorization][0]
	if token, ok := credentials.Bearer(line); ok {
		return !strings.HasPrefix(token, credentials.TicketPrefix)
	}
	var buf [256]byte
	_, password, _, _ := credentials.Basic(line, buf[:])
	return !bytes.HasPrefix(password, []byte(credentials.TicketPrefix))
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
