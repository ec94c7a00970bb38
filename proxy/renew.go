package proxy

import (
	"errors"
	"net/http"

	"github.com/doorward/doorward/internal/credentials"
	"github.com/doorward/doorward/internal/identity"
)

// Renewer gets the tokens of the session that a request came with anew, ahead of their end. An Authenticator of sessions
// that can implements it. ok is false if there is no session any more.
type Renewer interface {
	Renew(w http.ResponseWriter, r *http.Request) (who *identity.Identity, ok bool, err error)
}

// renewed is the decision for a request whose person's token the provider does not take for an exchange, though it has
// not ended: it may have been revoked, or belong to a session there that was. If a refresh brings another, that may do
// (TX-3). It is tried once, and the rules are asked again, since a refresh brings new claims. ok is false if nothing has
// changed.
func (rt *route) renewed(w http.ResponseWriter, req *CanonicalRequest, d Decision, err error) (again Decision, ok bool) {
	var why *credentials.Refusal
	renewer, can := rt.callers.session.(Renewer)
	if !can || !errors.As(err, &why) || why.Word != credentials.InvalidToken || d.claim != noClaim || d.Who == nil || d.Who.Tokens == nil {
		return d, false
	}
	who, ok, err := renewer.Renew(w, req.in)
	if err != nil || !ok || who == nil || who.Tokens == nil || who.Key() != d.Who.Key() || who.Login != d.Who.Login || who.Tokens.AccessToken.Equal(d.Who.Tokens.AccessToken) {
		return d, false
	}
	if !rt.lets(rt.judge(req, who)) {
		return d, false
	}
	d.Who = who
	return d, true
}
