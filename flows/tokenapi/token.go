package tokenapi

import (
	"net/http"
	"strings"
	"time"

	"github.com/doorward/doorward/flows/credential"
	"github.com/doorward/doorward/internal/credentials"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/telemetry"
)

// unknownLife is the expires_in of a token whose end nobody knows. Callers of this API expect the member, and keep the token as
// long as it says; a minute has them ask here again, where it costs nothing.
const unknownLife = time.Minute

// token answers POST /token: a token of our own.
func (a *api) token(w http.ResponseWriter, r *http.Request, q request) {
	s, ok := a.source(w, q, false)
	if ok {
		a.hand(w, r, q, s, nil)
	}
}

// exchange answers POST /token/exchange: a token for whoever user_token is about. What the caller sends becomes a subject
// only after it was verified: issuer, audience, time and signature, or introspection (P139, P140).
func (a *api) exchange(w http.ResponseWriter, r *http.Request, q request) {
	s, ok := a.source(w, q, true)
	if !ok {
		return
	}
	if q.userToken.IsZero() {
		refuse(w, http.StatusBadRequest, wordInvalidRequest, missing("user_token").Error())
		return
	}
	checker := a.checkers[q.provider]
	if checker == nil {
		refuse(w, http.StatusBadRequest, wordInvalidRequest, "nobody's tokens are accepted for an exchange at this identity_provider")
		return
	}
	who, err := checker.Check(r.Context(), presented(r, q.userToken))
	if err != nil {
		fail(w, err)
		return
	}
	telemetry.From(w).Subject = who.Subject
	a.hand(w, r, q, s, who)
}

// presented is a token as the API takes it: without proof of possession. A token that is bound to a key is refused, as its
// key was not shown to us (RS-9).
func presented(r *http.Request, token secret.String) credentials.Presented {
	return credentials.Presented{Token: token.Reveal(), Scheme: "Bearer", Method: r.Method}
}

// source finds the credential that stands for a target. Only configured ones exist (P141).
func (a *api) source(w http.ResponseWriter, q request, person bool) (*credential.Source, bool) {
	if q.target == "" {
		refuse(w, http.StatusBadRequest, wordInvalidRequest, missing("target").Error())
		return nil, false
	}
	s := a.credentials.ByTarget(q.provider, q.target, person)
	if s == nil {
		kind := "client_credentials"
		if person {
			kind = "exchanging"
		}
		refuse(w, http.StatusBadRequest, wordInvalidRequest,
			"exactly one "+kind+" credential of this identity_provider must have this target as its audience, resource, scope or name; none is configured, or several are")
		return nil, false
	}
	return s, true
}

func (a *api) hand(w http.ResponseWriter, r *http.Request, q request, s *credential.Source, who *identity.Identity) {
	get := s.Token
	if q.skipCache {
		get = s.Fresh
	}
	c, err := get(r.Context(), who)
	if err != nil {
		fail(w, err)
		return
	}
	life := unknownLife
	if !c.Tokens.Expiry.IsZero() {
		life = max(c.Tokens.Expiry.Sub(a.now()), 0)
	}
	write(w, http.StatusOK, struct {
		AccessToken string `json:"access_token"`
		TokenType   string `json:"token_type"`
		ExpiresIn   int64  `json:"expires_in"`
	}{c.Tokens.AccessToken.Reveal(), tokenType(c.Tokens.TokenType), int64(life / time.Second)})
}

// tokenType writes Bearer as everybody compares it, whatever the provider's spelling.
func tokenType(s string) string {
	if s == "" || strings.EqualFold(s, "Bearer") {
		return "Bearer"
	}
	return s
}
