package personal

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/doorward/doorward/internal/seal"
	"github.com/doorward/doorward/sessions/store"
)

const (
	namesKeys                    = "personal/names/"
	namesSlots                   = 4
	namesLife                    = 20 * 365 * 24 * time.Hour
	namesSecretSize              = 32
	maxAttempts                  = 8 // at a write that others overtake
	purposeNames    seal.Purpose = "personal: names"
)

// names makes the names under which things of a person lie in the store, so that nobody who reads it learns who has tokens, or
// can find out by guessing.
//
// Its key lies in the store itself, sealed. [seal.Ring.Hash] would not do: its names change with the first key of the ring, and
// tokens live longer than keys; their owners could neither see nor revoke them any more.
type names struct {
	store store.Store
	ring  *seal.Ring

	mu  sync.Mutex
	key []byte
}

// of returns the name of a thing of a kind: a keyed hash of all parts, each with its length.
func (n *names) of(ctx context.Context, kind string, parts ...string) (d digest, err error) {
	key, err := n.load(ctx)
	if err != nil {
		return d, err
	}
	h := hmac.New(sha256.New, key)
	for _, part := range append([]string{kind}, parts...) {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		_, _ = h.Write(length[:])
		_, _ = h.Write([]byte(part))
	}
	copy(d[:], h.Sum(nil))
	return d, nil
}

// load returns the key, and makes it if there is none. The first use in a process seals it anew: so it lasts, and moves to the
// first key of the ring while the old one is still there.
func (n *names) load(ctx context.Context) ([]byte, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.key != nil {
		return n.key, nil
	}
	for range maxAttempts {
		slot, version, key, err := n.look(ctx)
		if err != nil {
			return nil, err
		}
		done, err := n.store.Swap(ctx, slot, version, n.ring.Seal(purposeNames, key, []byte(slot)), namesLife)
		if err != nil {
			return nil, unavailable(err)
		}
		if done {
			n.key = key
			return key, nil
		}
	}
	return nil, unavailable(errOvertaken)
}

// look finds the key, or makes one for the first slot that is free. There are several slots, so that a replica which was started
// with wrong keys takes one of its own and destroys nothing; if all are taken by keys that are gone, the last one goes.
func (n *names) look(ctx context.Context) (slot string, version uint64, key []byte, err error) {
	var slots []string
	for i := range namesSlots {
		slots = append(slots, namesKeys+strconv.Itoa(i))
	}
	items, err := n.store.Get(ctx, slots...)
	if err != nil {
		return "", 0, nil, unavailable(err)
	}
	free := namesSlots - 1
	for i, item := range slices.Backward(items) {
		if item.Version == 0 {
			free = i
		}
	}
	for i, item := range items {
		if key, err := n.ring.Open(purposeNames, item.Value, []byte(slots[i])); err == nil && len(key) == namesSecretSize {
			return slots[i], item.Version, key, nil
		}
	}
	key = make([]byte, namesSecretSize)
	_, _ = rand.Read(key) // never fails: it ends the process instead
	return slots[free], items[free].Version, key, nil
}
