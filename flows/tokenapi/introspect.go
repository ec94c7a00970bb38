package tokenapi

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/credentials"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/pages"
)

// introspect answers POST /introspect: always 200, whatever is wrong with the token or with us; only active true is a yes.
// A token that cannot be judged now is not active either: callers know but the two, and the wrong one must not let in.
func (a *api) introspect(w http.ResponseWriter, r *http.Request, q request) {
	if q.token.IsZero() {
		refuse(w, http.StatusBadRequest, wordInvalidRequest, missing("token").Error())
		return
	}
	checker := a.checkers[q.provider]
	if checker == nil {
		inactive(w, "this identity_provider is not enabled")
		return
	}
	who, err := checker.Check(r.Context(), presented(r, q.token))
	if err != nil {
		a.unjudged(q, err)
		inactive(w, reason(err))
		return
	}
	claims, err := activeClaims(who)
	if err != nil {
		a.log.Error("claims cannot be shown", "provider", q.provider, "error", err)
		inactive(w, "token's claims cannot be used")
		return
	}
	write(w, http.StatusOK, claims)
}

func inactive(w http.ResponseWriter, why string) {
	write(w, http.StatusOK, struct {
		Active bool   `json:"active"`
		Error  string `json:"error"`
	}{false, why})
}

// reason says why a token is not active. An expired one is told by the sentence that callers know.
func reason(err error) string {
	var e *provider.Error
	if errors.As(err, &e) && e.Code == "token_expired" {
		return "token is expired"
	}
	if r := new(credentials.Refusal); errors.As(err, &r) {
		return r.Description
	}
	return "token cannot be checked at the moment"
}

// unjudged logs what the operator must know: that the reason does not lie with the token. The answer is 200, and says it to
// nobody who watches for failures.
func (a *api) unjudged(q request, err error) {
	if e := new(pages.Error); errors.As(err, &e) {
		a.log.Warn("a token could not be introspected", "provider", q.provider, "code", e.Code, "error", err)
	}
}

// activeClaims are all claims, each as the provider wrote it, and active, which no claim of that name takes the place of.
func activeClaims(who *identity.Identity) (map[string]json.RawMessage, error) {
	claims := make(map[string]json.RawMessage)
	if err := json.Unmarshal(who.Claims.Raw(), &claims); err != nil {
		return nil, err
	}
	if claims == nil {
		return nil, errors.New("tokenapi: claims are no object")
	}
	claims["active"] = json.RawMessage("true")
	return claims, nil
}
