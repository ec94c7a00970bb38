package proxy

import (
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// strangers tells the operator who asks about requests without being trusted. It is their own proxy, as a rule, which they have
// forgotten to name; but anybody may ask, so it is said once a minute of each, and of no more than maxStrangers at a time.
type strangers struct {
	now func() time.Time
	log *slog.Logger

	mu   sync.Mutex
	told map[netip.Addr]time.Time // when it was said of a peer
}

const (
	maxStrangers  = 100
	strangerAgain = time.Minute
)

func newStrangers(now func() time.Time, log *slog.Logger) *strangers {
	return &strangers{now: now, log: log, told: make(map[netip.Addr]time.Time)}
}

func (s *strangers) warn(r *http.Request) {
	peer, ok := peerAddress(r.RemoteAddr)
	if !s.due(peer) {
		return
	}
	write := "listen on an address instead of a socket, and name that of the proxy in listen.trusted_proxies"
	if ok {
		write = `if this is your proxy, write listen.trusted_proxies = ["` + netip.PrefixFrom(peer, peer.BitLen()).String() + `"]`
	}
	s.log.WarnContext(r.Context(), "a proxy that is not trusted asks about requests", "peer", r.RemoteAddr, "what_to_do", write)
}

// due reports whether it is to be said of a peer now.
func (s *strangers) due(peer netip.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if last, known := s.told[peer]; known && now.Sub(last) < strangerAgain {
		return false
	}
	if len(s.told) >= maxStrangers {
		for other, last := range s.told {
			if now.Sub(last) >= strangerAgain {
				delete(s.told, other)
			}
		}
		if len(s.told) >= maxStrangers {
			return false
		}
	}
	s.told[peer] = now
	return true
}
