package flows

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/seal"
	"github.com/doorward/doorward/internal/secret"
)

// A waiting is one question that a person answers on another device: a device authorization
// (RFC 8628) or a CIBA authentication request. Between two requests nothing of it is in this
// process: no goroutine, no timer, no map. It is one sealed record in the shared store, so any replica
// goes on with it, and ten thousand of them are ten thousand small records.
//
//	w, err := f.beginDevice(ctx, l, ask)  // or beginCIBA: one request to the provider, then the record
//	w, err  = f.step(ctx, id)             // at each poll of whoever waits: at most one token request
//	who, won, err := f.take(ctx, id, person) // once it is ready: exactly one caller gets the identity
//	err = f.cancel(ctx, id)               // nobody waits any more
//
// What happens to a record, and by whom:
//
//	pending → ready             step: the person agreed, the tokens lie sealed in the record
//	pending → ready             push of the provider (notify.go)
//	pending → denied | expired  step, push, or our clock
//	pending → failed            an answer after which RFC 8628 §3.5 and CIBA §11 want nothing more to be sent
//	ready   → used              take
//	ready   → failed            take: the ID token doesn't hold
//
// Everything but pending and ready is final, and nothing is sent to the provider after it. Every
// change is a compare-and-swap. A ping changes only the pace: the next poll is let through.
//
// Who may go on with a waiting is its caller's business: a login's cookie holds a secret whose
// derivation is the record's holder (waiting_page.go), an approval's holder is who asked for it.
// Call w.heldBy before anything of a record is told to anybody.
type waiting struct {
	id      []byte
	key     string // in the shared store
	version uint64 // of the item that this was read from; 0 = not there
	waitRecord
}

// The states of a waiting. The words are those of CONTRACT §5, but for ready and used, which are
// answered as "approved".
const (
	waitPending = "pending"
	waitReady   = "ready"
	waitUsed    = "used"
	waitDenied  = "denied"
	waitExpired = "expired"
	waitFailed  = "failed"
)

const (
	purposeWaiting seal.Purpose = "login-waiting"

	// maxWaiting is how long a code may be good for, whatever the provider says (P156, RFC 10027 §6.1.2).
	maxWaiting = 10 * time.Minute

	// waitingGrace is how long a record outlives its code, so that a page that asks a little too late still
	// learns what became of it, and tokens that came in the last second are collected.
	waitingGrace = 2 * time.Minute

	maxSwaps = 8 // of one change, against others of the same record; each of them ends or is a ping
)

// errNoWaiting says that there is no such record (any more).
var errNoWaiting = errors.New("flows: nothing waits under this id")

// errLost says that a change lost against others too often.
var errLost = errors.New("flows: others are always faster at this record")

// waitRecord is what the shared store keeps. Names are short: there may be ten thousand.
type waitRecord struct {
	Version int    `json:"v"`
	Login   string `json:"l"`
	Issuer  string `json:"i"` // who is asked: no other is, whatever the configuration says meanwhile
	Kind    string `json:"k"` // "device" or "ciba"
	Status  string `json:"s"`
	Code    string `json:"c,omitempty"` // with failed: a code of docs/errors.md
	Why     string `json:"w,omitempty"` // with failed: in a sentence of ours

	Approves bool   `json:"ap,omitempty"` // a request, and signs nobody in
	Holder   []byte `json:"h"`            // what only the rightful caller can show, hashed
	Created  int64  `json:"t"`            // Unix milliseconds
	Ends     int64  `json:"e"`
	Pace     pace   `json:"p"`

	Handle   string `json:"d,omitempty"` // device_code or auth_req_id; "" = a decoy, that asks nobody (P167)
	Verifier string `json:"f,omitempty"` // of PKCE at the device endpoint

	Delivery string `json:"y,omitempty"` // "ping" or "push"; "" = poll
	Bearer   []byte `json:"b,omitempty"` // the notification token, hashed
	Pinged   bool   `json:"g,omitempty"`
	Pushed   bool   `json:"u,omitempty"` // the tokens came by push

	UserCode    string `json:"uc,omitempty"`
	URI         string `json:"vu,omitempty"`
	CompleteURI string `json:"vc,omitempty"`
	Message     string `json:"bm,omitempty"` // the binding message
	Hint        string `json:"hi,omitempty"` // what the person said who they are: for beginning again
	Subject     string `json:"su,omitempty"` // who it must be; "" = anybody
	Client      string `json:"a,omitempty"`  // address from which it was begun
	Place       string `json:"hk,omitempty"` // key of the person's place among those who are asked (ciba_place.go)

	Tokens *sealedTokens `json:"o,omitempty"` // with ready
}

const recordVersion = 1

// sealedTokens is a token response inside a sealed record. [secret.String] writes nothing but
// "[redacted]", so the contents are taken out here and nowhere else.
type sealedTokens struct {
	Access, Refresh, ID string    `json:",omitempty"`
	Type                string    `json:",omitempty"`
	Issued              string    `json:",omitempty"`
	Scope               string    `json:",omitempty"`
	Expiry              time.Time `json:",omitzero"`
	RefreshExpiry       time.Time `json:",omitzero"`
	Received            time.Time `json:",omitzero"`
}

func sealTokens(t *identity.Tokens) *sealedTokens {
	return &sealedTokens{
		Access: t.AccessToken.Reveal(), Refresh: t.RefreshToken.Reveal(), ID: t.IDToken.Reveal(), Type: t.TokenType,
		Issued: t.IssuedTokenType, Scope: t.Scope, Expiry: t.Expiry, RefreshExpiry: t.RefreshExpiry, Received: t.ReceivedAt,
	}
}

func (t *sealedTokens) tokens() identity.Tokens {
	return identity.Tokens{
		AccessToken: secret.New(t.Access), RefreshToken: secret.New(t.Refresh), IDToken: secret.New(t.ID), TokenType: t.Type,
		IssuedTokenType: t.Issued, Scope: t.Scope, Expiry: t.Expiry, RefreshExpiry: t.RefreshExpiry, ReceivedAt: t.Received,
	}
}

// newWaiting begins a record that isn't stored yet.
func newWaiting(now time.Time, id []byte, l *login, holder string, life, interval time.Duration) *waiting {
	return &waiting{id: id, key: sharedKey("waiting", id), waitRecord: waitRecord{
		Version: recordVersion, Login: l.name, Issuer: l.client.Issuer(), Kind: l.waits(), Status: waitPending, Holder: digest(holder),
		Created: now.UnixMilli(), Ends: now.Add(min(life, maxWaiting)).UnixMilli(), Pace: newPace(now, interval),
	}}
}

func (w *waiting) created() time.Time { return time.UnixMilli(w.Created) }
func (w *waiting) ends() time.Time    { return time.UnixMilli(w.Ends) }

// over reports whether nothing will change any more, but for the end of the record.
func (w *waiting) over() bool { return w.Status != waitPending && w.Status != waitReady }

// life is how much longer the record is kept.
func (w *waiting) life(now time.Time) time.Duration {
	return max(w.ends().Sub(now), 0) + waitingGrace
}

// heldBy reports whether proof is what the record was begun with.
func (w *waiting) heldBy(proof string) bool {
	return subtle.ConstantTimeCompare(w.Holder, digest(proof)) == 1
}

// digest is what the store keeps of something that must be shown to us again.
func digest(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}

// loadWaiting reads a record. What cannot be opened is none: another key, or another record's bytes.
func (f *Flows) loadWaiting(ctx context.Context, id []byte) (*waiting, error) {
	w := &waiting{id: id, key: sharedKey("waiting", id)}
	items, err := f.deps.Shared.Get(ctx, w.key)
	if err != nil {
		return nil, f.storeError(err)
	}
	if items[0].Version == 0 || !f.openWaiting(w, items[0].Value) {
		return nil, errNoWaiting
	}
	w.version = items[0].Version
	return w, nil
}

func (f *Flows) openWaiting(w *waiting, blob []byte) bool {
	plain, err := f.deps.Ring.Open(purposeWaiting, blob, []byte(w.key))
	if err != nil || json.Unmarshal(plain, &w.waitRecord) != nil || w.waitRecord.Version != recordVersion {
		return false
	}
	l := f.byName[w.Login]
	return l != nil && l.waits() == w.Kind && l.client.Issuer() == w.Issuer // else the configuration has changed
}

// waits names the kind of waiting that a login has, "" if none.
func (l *login) waits() string {
	switch {
	case l.device != nil:
		return kindDevice
	case l.ciba != nil:
		return kindCIBA
	}
	return ""
}

const (
	kindDevice = "device"
	kindCIBA   = "ciba"
)

// swap writes w if nobody has changed the record since it was read, and reports whether it did.
func (f *Flows) swap(ctx context.Context, w *waiting) (bool, error) {
	var plain bytes.Buffer
	e := json.NewEncoder(&plain)
	e.SetEscapeHTML(false)
	if err := e.Encode(w.waitRecord); err != nil {
		return false, fmt.Errorf("flows: %w", err)
	}
	blob := f.deps.Ring.Seal(purposeWaiting, bytes.TrimSpace(plain.Bytes()), []byte(w.key))
	done, err := f.deps.Shared.Swap(ctx, w.key, w.version, blob, w.life(f.deps.Now()))
	if err != nil {
		return false, f.storeError(err)
	}
	return done, nil
}

// change applies edit to the record as it is now, again if somebody else was faster, and returns
// what stands there then. edit says false if there is nothing to change. changed tells whether it was this call
// that changed the record: of several that end a waiting, one.
func (f *Flows) change(ctx context.Context, w *waiting, edit func(*waiting) bool) (now *waiting, changed bool, err error) {
	for range maxSwaps {
		next := *w
		if !edit(&next) {
			return w, false, nil
		}
		done, err := f.swap(ctx, &next)
		if err != nil {
			return w, false, err
		}
		if done {
			next.version = 0 // not known; whoever goes on reads again
			return &next, true, nil
		}
		if w, err = f.loadWaiting(ctx, w.id); err != nil {
			return nil, false, err
		}
	}
	return w, false, nil
}

// cancel forgets a waiting that nobody will ask about any more. The provider isn't told: neither
// specification has a request for that.
func (f *Flows) cancel(ctx context.Context, id []byte) error {
	if _, err := f.deps.Shared.Delete(ctx, sharedKey("waiting", id)); err != nil {
		return f.storeError(err)
	}
	return nil
}
