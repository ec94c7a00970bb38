package store

import (
	"context"
	"errors"
	"time"
)

// ErrUnavailable is wrapped by every error that means "the store cannot be asked just
// now". It is answered with 503, never with "not signed in" (R23).
var ErrUnavailable = errors.New("store unavailable")

// Item is what stands under a key. A missing key is the zero Item: Version 0.
type Item struct {
	Value   []byte
	Version uint64 // changes with every write; never 0 for a key that exists
}

// Store keeps bytes under keys for a limited time. It must be safe for concurrent use.
// Every ttl is positive and rounded up to at most one second; an entry is never seen
// after its ttl has passed. Values handed in and out are never modified by either side.
type Store interface {
	// Get returns one Item per key, in order. A missing key is not an error.
	Get(ctx context.Context, keys ...string) ([]Item, error)
	// Put writes without a look at what was there, and lists key under each index.
	Put(ctx context.Context, key string, value []byte, ttl time.Duration, index ...string) error
	// Swap writes only if the version is old (0 = the key must not exist) and reports
	// whether it did. It keeps the indexes of the key.
	Swap(ctx context.Context, key string, old uint64, value []byte, ttl time.Duration) (bool, error)
	// Take reads and deletes in one step: of several callers exactly one gets the value.
	Take(ctx context.Context, key string) ([]byte, bool, error)
	// Delete removes keys and reports how many existed.
	Delete(ctx context.Context, keys ...string) (int, error)
	// Add adds delta to the counter under key and returns the sum. The ttl is set when
	// the counter begins, and not prolonged.
	Add(ctx context.Context, key string, delta int64, ttl time.Duration) (int64, error)
	// List returns at most limit keys of an index in ascending order, beginning behind
	// after ("" = the first). Entries that have ended do not appear.
	List(ctx context.Context, index, after string, limit int) ([]string, error)
	// Watch calls changed for each later change (Put, Swap, Take, Delete, end of ttl where
	// the store notices) of a key with this prefix, until ctx ends. It returns at once.
	Watch(ctx context.Context, prefix string, changed func(key string)) error
	// Close releases files and connections; calls after it fail with ErrUnavailable.
	Close() error
}
