package sessions

import (
	"net/http"

	"github.com/doorward/doorward/internal/identity"
)

// Alive reports whether who still has the session that r came with. It is for what lasts
// longer than a request, a WebSocket or an event stream: it is no activity, refreshes
// nothing and writes nothing. An error means that the store cannot be asked.
func (k *Keeper) Alive(r *http.Request, who *identity.Identity) (bool, error) {
	now, err := k.Current(r, who)
	return now != nil, err
}

// Current is Alive for who wants to know also what the last refresh has made of who; nil = they have no session any more.
func (k *Keeper) Current(r *http.Request, who *identity.Identity) (*identity.Identity, error) {
	s, err := k.Load(r)
	if s == nil || err != nil || s.Who.Key() != who.Key() {
		return nil, err
	}
	return s.Who, nil
}
