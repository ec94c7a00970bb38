package telemetry

import (
	"maps"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Listeners that serve requests.
const (
	listenerHTTP = iota
	listenerEgress
	listenerExtAuthz
	listeners
)

var listenerNames = [listeners]string{"http", "egress", "ext_authz"}

// Labels of requests: closed sets, each with a last member for what is none of the others.
var (
	outcomes = [...]string{"", "allow", "login", "deny", "unavailable", "held", "own", "other"}
	classes  = [...]string{"none", "1xx", "2xx", "3xx", "4xx", "5xx"}

	requestBuckets  = [...]float64{.005, .025, .1, .5, 2.5, 10}
	upstreamBuckets = [...]float64{.005, .025, .1, .5, 2.5, 10}
)

const (
	maxCodes     = 128 // error codes; docs/errors.md has half as many
	maxUpstreams = 64  // of one route
	otherCode    = "other"
	restUpstream = "other" // those beyond maxUpstreams
	otherRoute   = "other" // of a configuration that was replaced while the request ran
)

func outcomeIndex(s string) int {
	switch s {
	case "allow":
		return 1
	case "":
		return 0
	case "login":
		return 2
	case "deny":
		return 3
	case "unavailable":
		return 4
	case "held":
		return 5
	case "own":
		return 6
	}
	return len(outcomes) - 1
}

func classIndex(status int) int {
	if c := status / 100; c >= 1 && c <= 5 {
		return c
	}
	return 0
}

// requestMetrics counts requests. What a request costs here is two look-ups in maps that never
// change and some additions: vectors of package prometheus cost a lock and a hash over all labels.
type requestMetrics struct {
	routes atomic.Pointer[map[string]*routeMetrics]
	codes  names

	setting sync.Mutex
}

// routeMetrics are those of one route.
type routeMetrics struct {
	name  string
	plain [len(outcomes)][len(classes)]atomic.Uint64 // answers without a code of ours
	coded growing[codedKey, atomic.Uint64]
	took  histogram

	upstreams growing[string, upstreamMetrics]
}

type codedKey struct{ outcome, class, code uint8 }

type upstreamMetrics struct {
	took                 histogram
	unreachable, timeout atomic.Uint64
}

func newRequestMetrics() *requestMetrics {
	r := &requestMetrics{}
	r.routes.Store(&map[string]*routeMetrics{"": {name: "none"}, otherRoute: {name: otherRoute}, "own": {name: "own"}})
	return r
}

// setRoutes says which routes there are, and which upstreams some of them have. The upstreams that such a route has no more
// are forgotten: else those that a configuration exchanges again and again (addresses of containers) would leave no room.
func (r *requestMetrics) setRoutes(list []string, upstreams []UpstreamHealth) {
	r.setting.Lock()
	defer r.setting.Unlock()
	old := *r.routes.Load()
	next := map[string]*routeMetrics{"": old[""], otherRoute: old[otherRoute], "own": old["own"]}
	for _, name := range list {
		switch {
		case next[name] != nil:
		case old[name] != nil:
			next[name] = old[name]
		default:
			next[name] = &routeMetrics{name: name}
		}
	}
	stay := make(map[string]map[string]bool)
	for _, u := range upstreams {
		if stay[u.Route] == nil {
			stay[u.Route] = map[string]bool{restUpstream: true}
		}
		stay[u.Route][u.Upstream] = true
	}
	for name, of := range stay {
		if rt := next[name]; rt != nil {
			rt.upstreams.keep(of)
		}
	}
	r.routes.Store(&next)
}

// observe counts a request that has ended. It allocates nothing.
func (r *requestMetrics) observe(rec *Record, took time.Duration) {
	routes := *r.routes.Load()
	rt := routes[rec.Route]
	if rt == nil {
		rt = routes[otherRoute]
	}
	outcome, class := outcomeIndex(rec.Outcome), classIndex(rec.Status)
	if rec.Code == "" {
		rt.plain[outcome][class].Add(1)
	} else if c := rt.coded.get(codedKey{uint8(outcome), uint8(class), r.codes.index(rec.Code)}, len(outcomes)*len(classes)*maxCodes); c != nil {
		c.Add(1)
	}
	if rec.Status != http.StatusSwitchingProtocols { // how long a WebSocket stays is nobody's latency
		rt.took.observe(took, &requestBuckets)
	}
	if rec.sent.IsZero() || rec.Upstream == "" {
		return
	}
	up := rt.upstreams.get(rec.Upstream, maxUpstreams)
	if up == nil {
		up = rt.upstreams.get(restUpstream, maxUpstreams+1)
	}
	switch {
	case rec.waited > 0:
		up.took.observe(rec.waited, &upstreamBuckets)
	case rec.Code == "upstream_timeout":
		up.timeout.Add(1)
	case rec.Code == "upstream_unreachable":
		up.unreachable.Add(1)
	}
}

// histogram counts durations, without a lock: a scrape may see one that is not in the sum yet.
type histogram struct {
	counts [len(requestBuckets) + 1]atomic.Uint64
	micros atomic.Int64
}

func (h *histogram) observe(d time.Duration, buckets *[len(requestBuckets)]float64) {
	i, s := 0, d.Seconds()
	for i < len(buckets) && s > buckets[i] {
		i++
	}
	h.counts[i].Add(1)
	h.micros.Add(d.Microseconds())
}

// growing is a map that is read by everybody without a lock, and grows a few times only.
type growing[K comparable, V any] struct {
	m  atomic.Pointer[map[K]*V]
	mu sync.Mutex
}

// get returns the value of a key, which it makes if need be; nil if there are too many.
func (g *growing[K, V]) get(key K, most int) *V {
	if m := g.m.Load(); m != nil {
		if v := (*m)[key]; v != nil {
			return v
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	next := make(map[K]*V)
	if m := g.m.Load(); m != nil {
		if v := (*m)[key]; v != nil || len(*m) >= most {
			return v
		}
		maps.Copy(next, *m)
	}
	v := new(V)
	next[key] = v
	g.m.Store(&next)
	return v
}

// keep forgets the values of all other keys.
func (g *growing[K, V]) keep(stay map[K]bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	next := maps.Clone(g.all())
	maps.DeleteFunc(next, func(k K, _ *V) bool { return !stay[k] })
	g.m.Store(&next)
}

func (g *growing[K, V]) all() map[K]*V {
	if m := g.m.Load(); m != nil {
		return *m
	}
	return nil
}

// names numbers error codes. They are constants of this program, none comes from outside; that there
// is a bound holds also if that is wrong one day.
type names struct {
	list growing[string, uint8]
	next uint8
}

func (n *names) index(name string) uint8 {
	if m := n.list.m.Load(); m != nil {
		if v := (*m)[name]; v != nil {
			return *v
		}
	}
	n.list.mu.Lock()
	defer n.list.mu.Unlock()
	all := map[string]*uint8{}
	if m := n.list.m.Load(); m != nil {
		if v := (*m)[name]; v != nil {
			return *v
		}
		maps.Copy(all, *m)
	}
	if n.next >= maxCodes-1 {
		return maxCodes - 1
	}
	i := n.next
	n.next++
	all[name] = &i
	n.list.m.Store(&all)
	return i
}

// byIndex returns the names by their numbers.
func (n *names) byIndex() (all [maxCodes]string) {
	for i := range all {
		all[i] = otherCode
	}
	for name, i := range n.list.all() {
		all[*i] = name
	}
	return all
}
