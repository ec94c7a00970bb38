package identity

import (
	"sync"
	"time"
)

// Identity is one authenticated caller. It is never modified after it was built and is
// shared by concurrent requests; hand it around by pointer.
type Identity struct {
	Issuer  string // exactly as the provider writes it; with Subject the only key
	Subject string

	Provider string // the [provider.NAME] that vouches for it
	Login    string // the [login.NAME] that made the session; "" for a bearer token

	Machine bool   // a service account: there is no end-user behind Subject
	Client  string // the OAuth client it was issued to (azp or client_id), "" if unknown

	Email         string // as claimed
	EmailVerified bool   // only a verified address may take part in a decision
	Username      string // preferred_username
	Name          string // full name, for pages
	Groups        []string
	Scopes        []string

	ACR      string
	AMR      []string
	AuthTime time.Time // when the person proved themselves to the provider; zero if not said
	SID      string    // the provider's own session id (sid claim), "" if not said

	// Session names the session of Doorward that vouches for this identity; "" where none does: a bearer token, a key.
	// Tokens that are obtained for the identity belong to it, and end with it.
	Session string
	Ends    time.Time // when what proves the identity ends at the latest: session, token, key; zero = not known

	Claims *Claims // all claims; never nil for an identity built by a provider
	Tokens *Tokens // what came with the proof; nil where a caller brought none

	memo sync.Map
}

// Key names an identity among all issuers. Two identities are the same caller exactly
// if their keys are equal.
type Key struct{ Issuer, Subject string }

// Key returns the identity's key.
func (i *Identity) Key() Key { return Key{i.Issuer, i.Subject} }

// Memo returns the value that build made for this identity and key at the first call
// and keeps it as long as the identity lives: header values are built once a session,
// not once a request. build may run more than once under a race; one result wins.
// key must be comparable and should be a pointer, which costs no allocation.
func (i *Identity) Memo(key any, build func() any) any {
	if v, ok := i.memo.Load(key); ok {
		return v
	}
	v, _ := i.memo.LoadOrStore(key, build())
	return v
}
