package credential

import (
	"sync/atomic"

	"github.com/maypok86/otter/v2"

	"github.com/doorward/doorward/internal/identity"
)

const (
	defaultBytes = 64 << 20
	// entryWeight is what an entry costs beside the text of its token, in bytes: entry, credential, tokens, and its share
	// of the cache. It is measured by BenchmarkMemory.
	entryWeight  = 592
	stripeNumber = 1 << 16
)

// entry is a token in the cache.
type entry struct {
	credential *identity.Credential
	stripe     *atomic.Uint32 // of its owner; nil = it is everybody's
	as         uint32         // generation of the stripe before it was obtained
	weight     uint32
	failed     atomic.Uint32 // renewals in a row that have failed
	from       int64         // before that nobody gets it: the clock was put back; Unix nanoseconds, here and below
	end        int64         // from then on nobody gets it
	next       atomic.Int64  // renewal is due
	forced     int64         // when it was obtained because its predecessor was rejected
	row        uint8         // of how many such it is the last; 0 = its predecessor was not
	rejected   atomic.Bool
}

// usable reports whether it may be handed out.
func (e *entry) usable(now int64) bool {
	return e.from <= now && now < e.end && e.alive() && !e.rejected.Load()
}

// alive reports whether its owner was not told to be forgotten since before it was asked for.
func (e *entry) alive() bool { return e.stripe == nil || e.stripe.Load() == e.as }

// cache holds tokens, as many as fit, under the hash of everything that they depend on.
//
// As in package sessions, what an owner has counts only while their stripe is the same as before it was asked for: to
// forget is one addition, which no answer that is under way can overtake. The library behind it (otter) has no clock and no
// goroutine here.
type cache struct {
	kept        *otter.Cache[digest, *entry]
	generations []atomic.Uint32
}

func newCache(bytes uint64) (*cache, error) {
	kept, err := otter.New(&otter.Options[digest, *entry]{
		MaximumWeight: bytes,
		Weigher:       func(_ digest, e *entry) uint32 { return e.weight },
		Executor:      func(fn func()) { fn() },
	})
	return &cache{kept: kept, generations: make([]atomic.Uint32, stripeNumber)}, err
}

func (c *cache) get(key digest) *entry {
	e, _ := c.kept.GetIfPresent(key)
	return e
}

func (c *cache) put(key digest, e *entry) { c.kept.Set(key, e) }

// stripe is nil for what is everybody's.
func (c *cache) stripe(h *handle) *atomic.Uint32 {
	if !h.owned {
		return nil
	}
	return c.stripeOf(h.owner)
}

func (c *cache) stripeOf(owner digest) *atomic.Uint32 {
	return &c.generations[(int(owner[0])<<8|int(owner[1]))%stripeNumber]
}

// generation must be read before a token is asked for.
func (c *cache) generation(h *handle) uint32 {
	if s := c.stripe(h); s != nil {
		return s.Load()
	}
	return 0
}

// forget makes everything that an owner has count no more.
func (c *cache) forget(owner digest) { c.stripeOf(owner).Add(1) }
