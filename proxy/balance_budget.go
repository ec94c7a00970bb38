package proxy

import (
	"sync/atomic"
	"time"
)

const (
	budgetSeconds = 10
	budgetShare   = 5  // one of so many requests may be sent again
	budgetLeast   = 10 // in that time, however few requests there are
)

// budget bounds how many requests are sent again: when everything fails, a gateway that repeats each request doubles the
// load of what is already failing.
type budget struct{ seconds [budgetSeconds]second }

// second counts what happened in one second, given as Unix time. Whoever comes first in a new one empties it; what another
// adds in that instant may be lost, which is no harm.
type second struct {
	of                atomic.Int64
	requests, repeats atomic.Int32
}

func (b *budget) second(now time.Time) *second {
	unix := now.Unix()
	s := &b.seconds[uint64(unix)%budgetSeconds]
	if old := s.of.Load(); old < unix && s.of.CompareAndSwap(old, unix) { // a request may have begun long before now
		s.requests.Store(0)
		s.repeats.Store(0)
	}
	return s
}

// request counts a request.
func (b *budget) request(now time.Time) { b.second(now).requests.Add(1) }

// spend reports whether one may be sent again, and counts that. It counts first and then looks: of a thousand requests that
// fail in one instant, none may pass because none of the others is counted yet.
func (b *budget) spend(now time.Time) bool {
	current := b.second(now)
	current.repeats.Add(1)
	since := now.Unix() - budgetSeconds
	var requests, repeats int32
	for i := range b.seconds {
		if s := &b.seconds[i]; s.of.Load() > since {
			requests += s.requests.Load()
			repeats += s.repeats.Load()
		}
	}
	if repeats > max(requests/budgetShare, budgetLeast) {
		current.repeats.Add(-1)
		return false
	}
	return true
}
