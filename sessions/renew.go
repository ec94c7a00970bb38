package sessions

import (
	"net/http"

	"github.com/doorward/doorward/internal/identity"
)

// Renew is Refresh for whoever only wants to know who the session is of now. Within a minute after a refresh it does
// nothing, and the identity is the one of before. ok is false if there is no session, or not any more.
func (k *Keeper) Renew(w http.ResponseWriter, r *http.Request) (who *identity.Identity, ok bool, err error) {
	s, err := k.Refresh(w, r)
	if s == nil || err != nil {
		return nil, false, err
	}
	return s.Who, true, nil
}
