package sessions

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/seal"
	"github.com/doorward/doorward/sessions/store"
)

const (
	sessionKeys = "session/"
	maxAttempts = 8 // at a write that others overtake
)

// stored is the home of sessions in a store. The cookie is a ticket; the key in the store is a
// hash of it, and so is the session's id.
type stored struct {
	store  store.Store
	ring   *seal.Ring
	cache  *cache
	limits limits
	now    func() time.Time
}

func storeKey(id digest) string { return sessionKeys + id.String() }

func (h *stored) open(ctx context.Context, p presented) (*entry, error) {
	t, ok := parseTicket(p.parts[0])
	if !ok {
		return nil, nil
	}
	e, _, err := h.read(ctx, t, p.key)
	return e, err
}

func (h *stored) newest(ctx context.Context, p presented) (*entry, presented, error) {
	e, err := h.open(ctx, p)
	return e, p, err
}

// read returns the session and the version of its record.
func (h *stored) read(ctx context.Context, t ticket, id digest) (*entry, uint64, error) {
	as := h.cache.generation(id)
	items, err := h.store.Get(ctx, storeKey(id))
	if err != nil {
		return nil, 0, unavailable(err)
	}
	if items[0].Version == 0 {
		return nil, 0, nil
	}
	e := h.unseal(t, items[0].Value, id, as)
	if e == nil || !e.rec.alive(h.now()) {
		return nil, 0, nil
	}
	return e, items[0].Version, nil
}

func (h *stored) unseal(t ticket, blob []byte, id digest, as uint32) *entry {
	if len(blob) > maxRecord+2*seal.Overhead {
		return nil
	}
	plain, ok := t.open(h.ring, blob, storeKey(id))
	if !ok {
		return nil
	}
	rec, ok := decode(plain)
	if !ok || rec.id != id {
		return nil
	}
	h.limits.tighten(&rec)
	rec.vouch()
	return newEntry(rec, as, len(blob))
}

func (h *stored) begin(ctx context.Context, s *site, rec record) (*entry, presented, error) {
	t := newTicket()
	p := presented{site: s, n: 1, moved: true}
	p.parts[0] = t.value()
	p.key = s.digest(p.values())
	rec.id = p.key
	rec, err := rec.vouched()
	if err != nil {
		return nil, p, err
	}
	if err := h.write(ctx, t, 0, rec); err != nil {
		return nil, p, err
	}
	return newEntry(rec, h.cache.generation(rec.id), 0), p, nil
}

func (h *stored) amend(ctx context.Context, p presented, change func(*record)) (*entry, presented, error) {
	t, ok := parseTicket(p.parts[0])
	if !ok {
		return nil, p, nil
	}
	for range maxAttempts {
		e, version, err := h.read(ctx, t, p.key)
		if e == nil || err != nil {
			return nil, p, err
		}
		rec := e.rec
		change(&rec)
		if err = h.write(ctx, t, version, rec); err == nil {
			return newEntry(rec, e.as, 0), p, nil
		}
		if err != errOvertaken { //nolint:errorlint // our own, never wrapped
			return nil, p, err
		}
	}
	return nil, p, unavailable(errOvertaken)
}

var errOvertaken = fmt.Errorf("another write came first, %d times", maxAttempts)

// write seals a record into the store if its version there is still what it was.
func (h *stored) write(ctx context.Context, t ticket, version uint64, rec record) error {
	plain, err := rec.encode()
	if err != nil {
		return err
	}
	life := rec.timesOut().Sub(h.now())
	if life <= 0 {
		return nil
	}
	key := storeKey(rec.id)
	ok, err := h.store.Swap(ctx, key, version, t.seal(h.ring, plain, key), life)
	if err != nil {
		return unavailable(err)
	}
	if !ok {
		return errOvertaken
	}
	return nil
}

func (h *stored) end(ctx context.Context, p presented) (*entry, error) {
	t, ok := parseTicket(p.parts[0])
	if !ok {
		return nil, nil
	}
	blob, ok, err := h.store.Take(ctx, storeKey(p.key))
	h.cache.invalidate(p.key)
	h.cache.drop(p.key)
	if err != nil {
		return nil, unavailable(err)
	}
	if !ok {
		return nil, nil
	}
	e := h.unseal(t, blob, p.key, h.cache.generation(p.key))
	if e == nil || !e.rec.alive(h.now()) {
		return nil, nil
	}
	return e, nil
}

// idIn returns the session id in a key of a store, behind prefix.
func idIn(key, prefix string) (id digest, ok bool) {
	text, ok := strings.CutPrefix(key, prefix)
	if !ok || len(text) != hex.EncodedLen(len(id)) {
		return id, false
	}
	_, err := hex.Decode(id[:], []byte(text))
	return id, err == nil
}
