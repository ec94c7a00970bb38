package sessions

import (
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"
)

const (
	cacheWeight  = 64 << 20 // bytes of decoded sessions
	entryWeight  = 2 << 10  // of an entry besides its record
	stripeNumber = 1 << 16
)

// entry is a decoded session in the cache.
type entry struct {
	rec     record
	session *Session
	as      uint32 // generation at which it was read
	weight  uint32
	tried   atomic.Int64 // when its activity was last written, or tried to be, in Unix milliseconds
}

func newEntry(rec record, as uint32, size int) *entry {
	e := &entry{rec: rec, session: rec.session(), as: as, weight: uint32(size) + entryWeight}
	e.tried.Store(rec.seen.UnixMilli())
	return e
}

// mayWriteActivity reports whether activity at now is to be written, to one caller per step.
func (e *entry) mayWriteActivity(now time.Time, step time.Duration) bool {
	last := e.tried.Load()
	return now.UnixMilli()-last >= step.Milliseconds() && e.tried.CompareAndSwap(last, now.UnixMilli())
}

// cache holds decoded sessions, as many as fit, under the hash of what their cookie says.
//
// What is in it counts only while nothing changed in its stripe since before it was read
// from where sessions live. So an invalidation is one addition, and cannot be overtaken by a
// read that overlaps it: the entry which that read makes is born dead. A change of one
// session in 65,536 others makes a session be read once more, and does no harm.
//
// The library behind it (otter) runs its maintenance in the calling goroutine and has no
// clock here; nothing of it outlives a test in a synctest bubble.
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

// generation must be read before the session is.
func (c *cache) generation(id digest) uint32 { return c.stripe(id).Load() }

func (c *cache) stripe(id digest) *atomic.Uint32 {
	return &c.generations[(int(id[0])<<8|int(id[1]))%stripeNumber]
}

// get returns what counts, nil if nothing does.
func (c *cache) get(key digest) *entry {
	if e := c.stale(key); e != nil && e.as == c.generation(e.rec.id) && !c.off.Load() {
		return e
	}
	return nil
}

// stale returns what is there, whether it still counts or not.
func (c *cache) stale(key digest) *entry {
	e, _ := c.decoded.GetIfPresent(key)
	return e
}

func (c *cache) put(key digest, e *entry) { c.decoded.Set(key, e) }

func (c *cache) drop(key digest) { c.decoded.Invalidate(key) }

// invalidate makes everybody read this session anew.
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
