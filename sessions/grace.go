package sessions

import (
	"sync"
	"sync/atomic"
	"time"
)

const maxGrace = 2000 // cookies remembered at a time; each may have 19 kB

// grace remembers for a while which cookie replaced which at a refresh.
type grace struct {
	mu   sync.Mutex
	next map[digest]successor
	some atomic.Bool // false spares the lock
}

type successor struct {
	presented
	until time.Time
}

func (g *grace) remember(from digest, to presented, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.next == nil {
		g.next = make(map[digest]successor)
	}
	if len(g.next) >= maxGrace {
		g.prune(now)
	}
	g.next[from] = successor{to, now.Add(graceLife)}
	g.some.Store(true)
}

// prune makes room: what is over goes, and if nothing is, anything. The note in the shared
// store still leads on from there.
func (g *grace) prune(now time.Time) {
	for key, s := range g.next {
		if !now.Before(s.until) {
			delete(g.next, key)
		}
	}
	for key := range g.next {
		if len(g.next) < maxGrace {
			return
		}
		delete(g.next, key)
	}
}

// follow returns what p leads to now.
func (g *grace) follow(p presented, now time.Time) presented {
	if !g.some.Load() {
		return p
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for range 8 { // refreshes within one grace life; a circle cannot be, but must not hang
		s, ok := g.next[p.key]
		if !ok || !now.Before(s.until) {
			break
		}
		p = s.presented
	}
	return p
}
