package proxy

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/pages"
)

// counters are what all routes of a gateway count by. Addresses, of which one machine may have millions, and people, who
// were asked who they are, have each a table of their own: a flood of the former makes nobody of the latter forgotten.
type counters struct{ addresses, people *rates }

func newCounters(now func() time.Time) *counters { return &counters{newRates(now), newRates(now)} }

// meter measures one Rate by the generic cell rate algorithm: of each key it knows the one moment at which
// its allowance will be whole again. A request moves that on by a step, and is refused where it would lie farther
// ahead than the whole allowance; it needs no timer, and a refused one uses up nothing.
type meter struct {
	kept      *rates
	prefix    []byte // of what keys are made of: the route and the kind
	step      int64  // ns; what one request takes
	tolerance int64  // ns; what all but one may have taken in advance

	label, policy string // of the header fields
	says          string
	rate          Rate
}

func newMeter(kept *rates, route, name string, r Rate, says string) *meter {
	step := int64(r.Per) / int64(r.Requests)
	m := &meter{kept: kept, step: step, tolerance: step * int64(r.Requests-1), label: strconv.Quote(name), says: says, rate: r}
	m.prefix = appendPart(appendPart(nil, route), name)
	m.policy = fmt.Sprintf("%s;q=%d;w=%d", m.label, r.Requests, (r.Per+time.Second-1)/time.Second)
	return m
}

// appendPart makes tuples of texts that no other tuple makes (S14).
func appendPart(b []byte, part string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(part))), part...)
}

// address is the key of a caller's address: in IPv6 of its network, because everybody has all the addresses of one. Who
// has none (a unix socket without X-Forwarded-For) shares one with all who have none.
func (m *meter) address(a netip.Addr) rateKey {
	var room [160]byte
	b := append(room[:0], m.prefix...)
	a = a.Unmap()
	of := a.As16()
	if a.Is6() {
		clear(of[8:])
	}
	return m.kept.key(append(append(b, byte(a.BitLen())), of[:]...))
}

// person is the key of who is calling: (iss, sub), or the client that a machine is.
func (m *meter) person(who *identity.Identity) rateKey {
	var room [320]byte
	b := appendPart(append(room[:0], m.prefix...), who.Issuer)
	if who.Machine && who.Client != "" {
		return m.kept.key(appendPart(append(b, 1), who.Client))
	}
	return m.kept.key(appendPart(append(b, 0), who.Subject))
}

// take counts a request, and returns 0; or how long it is until there is room for one.
func (m *meter) take(key rateKey) time.Duration {
	now := m.kept.time()
	s := &m.kept.shards[key%rateShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	due := s.find(key)
	ahead := max(*due, now) - now
	if ahead > m.tolerance {
		return time.Duration(ahead - m.tolerance)
	}
	*due = now + ahead + m.step
	return 0
}

// refuse says also to programs how to do better (draft-ietf-httpapi-ratelimit-headers).
func (m *meter) refuse(w http.ResponseWriter, wait time.Duration) error {
	h := w.Header()
	h["Ratelimit-Policy"] = []string{m.policy}
	h["Ratelimit"] = []string{fmt.Sprintf("%s;r=0;t=%d", m.label, (wait+time.Second-1)/time.Second)}
	return &pages.Error{Code: codeTooMany, Detail: m.says, RetryAfter: wait}
}

const (
	rateShards  = 64
	mostRates   = 100_000 // keys in a table; about 6 MB
	mostInShard = mostRates / rateShards
)

// rates is a bounded table of who has used up how much. When it is full, who was not seen for the longest time goes, and
// begins anew if they come back: whoever stayed away for the time of a Rate would do so anyhow.
type rates struct {
	seed   maphash.Seed
	begun  time.Time
	now    func() time.Time // nil = the clock of the machine
	shards [rateShards]rateShard
}

// rateKey is a keyed hash over all that the count depends on. Two callers share one by an accident that nobody can bring
// about, in a full table in one of four billion cases, and would share an allowance then, no more.
type rateKey uint64

type rateShard struct {
	mu             sync.Mutex
	index          map[rateKey]int32 // into all
	all            []rateEntry
	newest, oldest int32
}

type rateEntry struct {
	key          rateKey
	due          int64 // ns since rates.begun
	older, newer int32 // a ring from the newest to the oldest; at its ends it means nothing
}

func newRates(now func() time.Time) *rates {
	r := &rates{seed: maphash.MakeSeed(), begun: time.Now(), now: now}
	if now != nil {
		r.begun = now()
	}
	return r
}

// time is monotonic where the clock is: setting it back gives nobody more, and setting it forward no less.
func (r *rates) time() int64 {
	if r.now == nil {
		return int64(time.Since(r.begun)) // half the price of Now
	}
	return int64(r.now().Sub(r.begun))
}

func (r *rates) key(tuple []byte) rateKey { return rateKey(maphash.Bytes(r.seed, tuple)) }

// find returns the moment of a key, which is now the newest. It holds until the lock is given back.
func (s *rateShard) find(key rateKey) *int64 {
	i, known := s.index[key]
	if known {
		s.unlink(i)
	} else {
		i = s.vacant()
		s.all[i] = rateEntry{key: key}
		s.index[key] = i
	}
	s.link(i)
	return &s.all[i].due
}

// vacant is the place of a new key.
func (s *rateShard) vacant() int32 {
	if s.index == nil {
		s.index, s.newest, s.oldest = make(map[rateKey]int32), -1, -1
	}
	if len(s.all) < mostInShard {
		s.all = append(s.all, rateEntry{})
		return int32(len(s.all) - 1)
	}
	i := s.oldest
	s.unlink(i)
	delete(s.index, s.all[i].key)
	return i
}

func (s *rateShard) unlink(i int32) {
	e := &s.all[i]
	if i == s.newest {
		s.newest = e.older
	} else {
		s.all[e.newer].older = e.older
	}
	if i == s.oldest {
		s.oldest = e.newer
	} else {
		s.all[e.older].newer = e.newer
	}
}

func (s *rateShard) link(i int32) {
	e := &s.all[i]
	e.older, e.newer = s.newest, -1
	if s.newest >= 0 {
		s.all[s.newest].newer = i
	} else {
		s.oldest = i
	}
	s.newest = i
}
