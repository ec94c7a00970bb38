package proxy

import (
	"errors"
	"fmt"
	"log/slog"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
)

// Balance says which of a route's upstreams gets a request, over which connection, and how long it may take.
type Balance struct {
	Policy  string // "round_robin" (= "") or "least_connections"
	Weights []int  // by upstream, 1 … 1000; nil = all alike
	Sticky  bool   // a browser stays with one upstream as long as that is healthy

	Health *Health // asks each upstream regularly; nil = does not
	Eject  *Eject  // leaves one out that fails; nil = the default where there are several, and none where there is one

	// Retries are further attempts, at another upstream if there is one: at safe requests without a body, and at any that
	// no connection could be made for. 0 = 1 where there are several, -1 = none.
	Retries int

	Protocol   string // "" = by the scheme: HTTP/1.1 on http, h2 or HTTP/1.1 by ALPN on https; "h1", "h2", "h2c"
	RootCAs    []byte // PEM: the only authorities that vouch for https upstreams; nil = the system's
	Cert, Key  []byte // PEM: the client certificate; nil = none
	ServerName string // in the upstream's certificate; "" = the upstream's host

	Timeouts Timeouts
}

// Health is an active check.
type Health struct {
	Path     string        // asked by GET, below the path of the upstream; with a query if it has one
	Interval time.Duration // = 10 s
	Timeout  time.Duration // = 2 s, of a whole check
	Rise     int           // good answers (200 … 399) in a row until it counts as up; = 2
	Fall     int           // bad ones until it counts as down; = 3
}

// Eject is the passive check.
type Eject struct {
	Failures int           // connection failures, time-outs and 502, 503, 504 in a row; = 5, negative = it never happens
	For      time.Duration // = 30 s
}

const (
	maxUpstreams = 64 // of a route: as many as there are bits in a set
	maxWeight    = 1000
	maxRetries   = 5

	defaultFailures = 5
	defaultEject    = 30 * time.Second
)

// balancer says which of a route's upstreams gets a request, and knows how they are. A route with one upstream that nobody
// checks has none.
//
// One that is down, or left out for a while, gets requests only where all are. Then each gets its turn as if nothing was
// known: a check can be wrong, or all of them be about something that most requests don't need, and a refusal of ours
// would be the outage that they only suspect.
type balancer struct {
	route   string
	members []*member
	least   bool // connections decide, not turns
	sticky  *sticky
	eject   Eject
	retries int
	budget  budget
	health  *Health
	now     func() time.Time
	log     *slog.Logger

	turn atomic.Uint32 // of least: equals take turns
	mu   sync.Mutex    // over credit of the members: held for one addition each
}

// member is one upstream of a route, and how it is.
type member struct {
	upstream *upstream
	bit      members // of its own
	weight   int64
	tag      string // in the cookie of who stays with it

	credit   int64        // of its turns; see balancer.mu
	busy     atomic.Int64 // requests that it has now, streams and WebSockets among them
	down     atomic.Bool  // says the active check
	failures atomic.Int32 // in a row
	until    atomic.Int64 // left out until then, in nanoseconds of Unix time; 0 = it is not
}

// members is a set of them.
type members uint64

func (s members) holds(m *member) bool { return s&m.bit != 0 }

func newBalancer(rc Route, ups []upstream, c Config, d Deps) (*balancer, error) {
	b := rc.Balance
	if err := b.check(len(ups)); err != nil {
		return nil, err
	}
	several := len(ups) > 1
	eject := b.ejection(several)
	if !several && b.Health == nil && eject.Failures == 0 && b.Retries <= 0 {
		return nil, nil
	}
	rt := &balancer{route: rc.Name, least: b.Policy == "least_connections", eject: eject, retries: max(b.Retries, 0), now: d.Now, log: d.Log}
	if b.Retries == 0 && several {
		rt.retries = 1
	}
	var err error
	if rt.health, err = b.Health.filled(); err != nil {
		return nil, err
	}
	for i := range ups {
		m := &member{upstream: &ups[i], bit: 1 << i, weight: 1}
		if b.Weights != nil {
			m.weight = int64(b.Weights[i])
		}
		rt.members = append(rt.members, m)
	}
	if b.Sticky && several {
		rt.sticky, err = newSticky(rt, c, d)
	}
	return rt, err
}

// ejection is the passive check with its defaults. Who has one upstream only has nobody else to send a request to.
func (b Balance) ejection(several bool) Eject {
	e := Eject{}
	switch {
	case b.Eject != nil:
		e = *b.Eject
	case several:
		e = Eject{Failures: defaultFailures}
	default:
		return e
	}
	if e.Failures == 0 {
		e.Failures = defaultFailures
	}
	if e.For == 0 {
		e.For = defaultEject
	}
	e.Failures = max(e.Failures, 0)
	return e
}

func (b Balance) check(ups int) error {
	switch {
	case ups > maxUpstreams:
		return fmt.Errorf("upstream: %d are too many; at most %d", ups, maxUpstreams)
	case b.Policy != "" && b.Policy != "round_robin" && b.Policy != "least_connections":
		return fmt.Errorf("balance.policy: %q is neither \"round_robin\" nor \"least_connections\"", b.Policy)
	case b.Weights != nil && len(b.Weights) != ups:
		return fmt.Errorf("balance.weights: there are %d for %d upstreams; one for each is needed, in their order", len(b.Weights), ups)
	case b.Retries > maxRetries || b.Retries < -1:
		return fmt.Errorf("retries: %d is not between 0 and %d", b.Retries, maxRetries)
	case b.Eject != nil && b.Eject.For < 0:
		return errors.New("eject.for: it must be positive")
	}
	for i, w := range b.Weights {
		if w < 1 || w > maxWeight {
			return fmt.Errorf("balance.weights[%d]: a whole number from 1 to %d is wanted here; take an upstream out of the list to send it nothing", i, maxWeight)
		}
	}
	return nil
}

// pick returns the upstream of a new request, or, where some were tried in vain, another one; nil = there is none left that
// one would send a request to once more.
func (b *balancer) pick(tried members) *member {
	usable := b.usable() &^ tried
	if usable == 0 && tried == 0 {
		usable = b.all() // better than nothing
	}
	switch bits.OnesCount64(uint64(usable)) {
	case 0:
		return nil
	case 1:
		return b.members[bits.TrailingZeros64(uint64(usable))]
	}
	if b.least {
		return b.leastBusy(usable)
	}
	return b.nextTurn(usable)
}

func (b *balancer) all() members { return members(1)<<len(b.members) - 1 }

func (b *balancer) usable() (usable members) {
	for _, m := range b.members {
		if b.isUsable(m) {
			usable |= m.bit
		}
	}
	return usable
}

func (b *balancer) isUsable(m *member) bool {
	if m.down.Load() {
		return false
	}
	until := m.until.Load()
	return until == 0 || b.now().UnixNano() >= until
}

// nextTurn is the smooth weighted round robin: whoever has waited longest for its weight comes next, so that weights of 3
// and 1 are a, a, b, a and not three in a row, and one that is left out leaves its turns to all others.
func (b *balancer) nextTurn(among members) (next *member) {
	b.mu.Lock()
	defer b.mu.Unlock()
	total := int64(0)
	for _, m := range b.members {
		if !among.holds(m) {
			continue
		}
		m.credit += m.weight
		total += m.weight
		if next == nil || m.credit > next.credit {
			next = m
		}
	}
	next.credit -= total
	return next
}

// leastBusy is whoever would have the fewest requests for its weight with one more.
func (b *balancer) leastBusy(among members) (least *member) {
	first := int(b.turn.Add(1) % uint32(len(b.members)))
	var load int64
	for i := range b.members {
		m := b.members[(first+i)%len(b.members)]
		if !among.holds(m) {
			continue
		}
		if busy := m.busy.Load() + 1; least == nil || busy*least.weight < load*m.weight {
			least, load = m, busy
		}
	}
	return least
}
