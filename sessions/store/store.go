package store

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// ErrUnavailable is wrapped by every error that means "the store cannot be asked just
// now": it is closed, full or broken, or the context has ended. It is answered with 503,
// never with "not signed in" (R23).
var ErrUnavailable = errors.New("store unavailable")

// MaxKey is how many bytes a key or an index may have. None may be empty.
const MaxKey = 8 << 10

// Item is what stands under a key. A missing key is the zero Item: Version 0.
type Item struct {
	Value   []byte
	Version uint64 // changes with every write; never 0 for a key that exists
}

// Store keeps bytes under keys for a limited time. It must be safe for concurrent use.
// Every ttl is positive and rounded up to at most one second; an entry is never seen
// after its ttl has passed. Values handed in and out are never modified by either side.
//
// An error that doesn't wrap [ErrUnavailable] is the caller's fault: a key or an index
// that is empty or longer than [MaxKey], a ttl that isn't positive, Add to what is no
// counter. After an error of a write it is unknown whether the write happened.
type Store interface {
	// Get returns one Item per key, in order. A missing key is not an error.
	Get(ctx context.Context, keys ...string) ([]Item, error)
	// Put writes without a look at what was there, and lists key under each index, and
	// under no other any more.
	Put(ctx context.Context, key string, value []byte, ttl time.Duration, index ...string) error
	// Swap writes only if the version is old (0 = the key must not exist) and reports
	// whether it did. It keeps the indexes of the key.
	Swap(ctx context.Context, key string, old uint64, value []byte, ttl time.Duration) (bool, error)
	// Take reads and deletes in one step: of several callers exactly one gets the value.
	Take(ctx context.Context, key string) ([]byte, bool, error)
	// Delete removes keys and reports how many existed.
	Delete(ctx context.Context, keys ...string) (int, error)
	// Add adds delta to the counter under key and returns the sum. The ttl is set when
	// the counter begins, and not prolonged. Get shows a counter as decimal digits.
	Add(ctx context.Context, key string, delta int64, ttl time.Duration) (int64, error)
	// List returns at most limit keys of an index in ascending order, beginning behind
	// after ("" = the first). Entries that have ended do not appear.
	List(ctx context.Context, index, after string, limit int) ([]string, error)
	// Watch calls changed for each later change (Put, Swap, Add, Take, Delete, end of ttl
	// where the store notices) of a key with this prefix, until ctx ends. It returns at once.
	// changed is called after the change can be seen, from any goroutine, often before the
	// call that made the change returns; it may use the store, and should be quick.
	Watch(ctx context.Context, prefix string, changed func(key string)) error
	// Close releases files and connections; calls after it fail with ErrUnavailable.
	Close() error
}

// Deps is what a store needs from outside. The zero value is ready for use.
type Deps struct {
	Now func() time.Time // nil: time.Now
	Log *slog.Logger     // nil: nothing is logged
}

func (d Deps) withDefaults() Deps {
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	return d
}
