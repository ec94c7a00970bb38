package proxy

import (
	"sync"
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
type budget struct {
	mu      sync.Mutex // over what is sent again, and the beginning of a second; counting a request needs it once a second
	seconds [budgetSeconds]second
}

// second counts what happened in one second, given as Unix time. A request that is counted in the instant in which it begins may
// be lost, which is no harm.
type second struct {
	of       atomic.Int64
	requests atomic.Int32
	repeats  int32
}

// request counts a request. It may have begun long before now: then it is one of the second that has its place by now.
func (b *budget) request(now time.Time) {
	s, unix := b.place(now)
	if s.of.Load() < unix {
		b.mu.Lock()
		s.renew(unix)
		b.mu.Unlock()
	}
	s.requests.Add(1)
}

func (b *budget) place(now time.Time) (s *second, unix int64) {
	unix = now.Unix()
	return &b.seconds[uint64(unix)%budgetSeconds], unix
}

func (s *second) renew(unix int64) {
	if s.of.Load() < unix {
		s.repeats = 0
		s.requests.Store(0)
		s.of.Store(unix)
	}
}

// spend reports whether one may be sent again, and counts that.
func (b *budget) spend(now time.Time) bool {
	current, unix := b.place(now)
	b.mu.Lock()
	defer b.mu.Unlock()
	current.renew(unix)
	var requests, repeats int32
	for i := range b.seconds {
		if s := &b.seconds[i]; s.of.Load() > unix-budgetSeconds {
			requests += s.requests.Load()
			repeats += s.repeats
		}
	}
	if repeats >= max(requests/budgetShare, budgetLeast) {
		return false
	}
	current.repeats++
	return true
}
