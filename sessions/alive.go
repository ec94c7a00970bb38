package sessions

import (
	"net/http"

	"github.com/doorward/doorward/internal/identity"
)

// Alive reports whether who still has the session that r came with. It is for what lasts
// longer than a request, a WebSocket or an event stream: it is no activity, refreshes
// nothing and writes nothing. An error means that the store cannot be asked.
func (k *Keeper) Alive(r *http.Request, who *identity.Identity) (bool, error) {
	s, err := k.Load(r)
	if err != nil {
		return false, err
	}
	return s != nil && s.Who.Key() == who.Key(), nil
}
