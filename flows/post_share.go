package flows

import (
	"cmp"
	"net/netip"
	"sync"
	"time"
)

// maxShare is how many bytes of answers one address may park within parkedLife: some hundred sign-ins. The
// store takes sixteen times as much from all together (maxParked), so that no one address keeps
// everybody else from signing in (S18).
const maxShare = 4 << 20

// shares counts what addresses have parked. It is of one replica; the store's own bound is of all.
type shares struct {
	period time.Duration // that is counted; 0 = parkedLife
	most   int           // bytes; 0 = maxShare

	mu    sync.Mutex
	began time.Time // of the period that is counted
	used  map[netip.Prefix]int
}

// take reports whether an address may park n bytes more. A caller without an address, as over a Unix socket,
// has a proxy that counts.
func (s *shares) take(now time.Time, from netip.Prefix, n int) bool {
	if !from.IsValid() {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.began) >= cmp.Or(s.period, parkedLife) || now.Before(s.began) || len(s.used) >= maxAddresses {
		s.began, s.used = now, make(map[netip.Prefix]int)
	}
	s.used[from] += n
	return s.used[from] <= cmp.Or(s.most, maxShare)
}
