package personal

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/origin"
)

const (
	entryWeight  = 2 << 10 // of an entry besides its records
	stripeNumber = 1 << 16
)

// entry is a decoded token in the cache.
type entry struct {
	who      *identity.Identity
	hosts    []origin.Origin
	readOnly bool
	ends     time.Time

	owner    digest // of the record that who is made of
	as, asOf uint32 // generations of the token and of its owner at which they were read
	weight   uint32
	touched  *atomic.Int64 // when "last used" was last written, or tried to be, in Unix milliseconds
}

// at reports whether the token counts at a host.
func (e *entry) at(o origin.Origin) bool { return slices.Contains(e.hosts, o) }

// cache holds decoded tokens, as many as fit, by their id. As in package sessions, what is in it counts only while nothing changed
// in its stripes since before it was read from the store: an invalidation is one addition, and cannot be overtaken by a read that
// overlaps it.
type cache struct {
	decoded     *otter.Cache[digest, *entry]
	generations []atomic.Uint32
	off         atomic.Bool
}

func newCache(weight uint64) (*cache, error) {
	decoded, err := otter.New(&otter.Options[digest, *entry]{
		MaximumWeight: weight,
		Weigher:       func(_ digest, e *entry) uint32 { return e.weight },
		Executor:      func(fn func()) { fn() },
	})
	return &cache{decoded: decoded, generations: make([]atomic.Uint32, stripeNumber)}, err
}

// generation must be read before the record is.
func (c *cache) generation(id digest) uint32 { return c.stripe(id).Load() }

func (c *cache) stripe(id digest) *atomic.Uint32 {
	return &c.generations[(int(id[0])<<8|int(id[1]))%stripeNumber]
}

// get returns what counts, nil if nothing does.
func (c *cache) get(id digest) *entry {
	if e := c.stale(id); e != nil && e.as == c.generation(id) && e.asOf == c.generation(e.owner) && !c.off.Load() {
		return e
	}
	return nil
}

// stale returns what is there, whether it still counts or not.
func (c *cache) stale(id digest) *entry {
	e, _ := c.decoded.GetIfPresent(id)
	return e
}

func (c *cache) put(id digest, e *entry) { c.decoded.Set(id, e) }

// invalidate makes everybody read the record of this digest anew, whether of a token or of an owner.
func (c *cache) invalidate(id digest) { c.stripe(id).Add(1) }

// flush makes everybody read everything anew.
func (c *cache) flush() {
	for i := range c.generations {
		c.generations[i].Add(1)
	}
	c.decoded.InvalidateAll()
}

// close ends the use of the cache: from now on nobody tells it about changes.
func (c *cache) close() {
	c.off.Store(true)
	c.decoded.InvalidateAll()
}
