package sessions

import (
	"strings"
	"testing"
	"time"
)

func TestACachedReadAsksNoStore(t *testing.T) {
	bothHomes(t, func(t *testing.T, home func(*plan)) {
		g := newGate(t, home)
		b := g.signedIn(t, app)
		expect(t, b.Open(t, app+"/"), 200, "alice")
		count := func() int64 {
			if g.sessions != nil {
				return g.shared.calls.Load() + g.sessions.calls.Load()
			}
			return g.shared.calls.Load()
		}
		before := count()
		for range 50 {
			expect(t, b.Open(t, app+"/"), 200, "alice")
		}
		if n := count() - before; n != 0 {
			t.Errorf("%d calls to stores", n)
		}
	})
}

// A fetch that overlaps a change must not leave the old value in the cache (performance.md).
func TestAFetchThatIsOvertakenIsNotCached(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGate(t)
		copied := header(g.signedIn(t, app), app)
		g.sessions.beforeGet = func(keys []string) {
			g.sessions.beforeGet = nil
			if n := must(g.sessions.Store.Delete(t.Context(), keys...))(t); n != 1 { // elsewhere, after the fetch
				t.Errorf("%d deleted", n)
			}
		}
		g.ask(t, app+"/", copied) // it may pass: it began before the end
		if w := g.ask(t, app+"/", copied); w.Code != 401 {
			t.Errorf("the old value was cached: %d", w.Code)
		}
	})
}

// A store may tell of a change late; what this replica did itself it knows.
func TestAnEndIsSeenAtOnceWhereItWasMade(t *testing.T) {
	bothHomes(t, func(t *testing.T, home func(*plan)) {
		g := newGate(t, home)
		b := g.signedIn(t, app)
		copied := header(b, app)
		expect(t, b.Open(t, app+"/"), 200, "alice")
		g.shared.deaf.Store(true)
		if g.sessions != nil {
			g.sessions.deaf.Store(true)
		}
		expect(t, b.Open(t, app+"/logout"), 200, "alice")
		if w := g.ask(t, app+"/", copied); w.Code != 401 {
			t.Errorf("%d", w.Code)
		}
	})
}

func TestAChangeElsewhereIsSeenAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGate(t)
		copied := header(g.signedIn(t, app), app)
		other := newGate(t, func(p *plan) { p.sessions, p.shared, p.provider = g.sessions.Store, g.shared.Store, g.provider })
		for _, replica := range []*gate{g, other} {
			if w := replica.ask(t, app+"/", copied); !strings.HasSuffix(w.Body.String(), "at-1") {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
		}
		g.ask(t, app+"/refresh", copied)
		if w := other.ask(t, app+"/", copied); !strings.HasSuffix(w.Body.String(), "at-2") {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}

// A lost watch must not keep a session alive beyond its limits.
func TestTheCacheObeysTheLimitsByItself(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := must(newCache(cacheWeight))(t)
		now := time.Now()
		e := newEntry(record{id: digest{1}, created: now, seen: now, ends: now.Add(time.Hour), idle: time.Minute, who: newTokenService().identity("alice")}, 0, 100)
		c.put(digest{2}, e)
		if got := c.get(digest{2}); got != e || !got.rec.alive(now.Add(59*time.Second)) || got.rec.alive(now.Add(time.Minute)) {
			t.Errorf("%v", got)
		}
		c.invalidate(digest{3})
		if c.get(digest{2}) != e {
			t.Error("a change of another session counts")
		}
		c.invalidate(digest{1})
		if c.get(digest{2}) != nil || c.stale(digest{2}) != e {
			t.Error("a change does not count")
		}
		c.put(digest{2}, newEntry(e.rec, c.generation(e.rec.id), 1))
		c.flush()
		if c.get(digest{2}) != nil {
			t.Error("it survives a flush")
		}
	})
}

func TestTheCacheIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := must(newCache(cacheWeight))(t)
		who := newTokenService().identity("alice")
		const each = 64 << 10
		for i := range 4 * cacheWeight / each {
			id := digest{byte(i), byte(i >> 8), byte(i >> 16)}
			c.put(id, newEntry(record{id: id, who: who}, 0, each))
		}
		c.decoded.CleanUp()
		if n := c.decoded.WeightedSize(); n > cacheWeight {
			t.Errorf("%d MB", n>>20)
		}
	})
}
