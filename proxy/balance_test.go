package proxy

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/telemetry"
)

// clock is a time that a test sets.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

func newTestBalancer(t testing.TB, b Balance, ups int) (*balancer, *clock) {
	t.Helper()
	at := &clock{time.Unix(1_000_000, 0)}
	list := make([]upstream, ups)
	for i := range list {
		list[i] = upstream{scheme: "http", host: string(rune('a' + i)), display: string(rune('a' + i))}
	}
	origins, err := origin.NewSet(appTest)
	if err != nil {
		t.Fatal(err)
	}
	got, err := newBalancer(Route{Name: "app", Balance: b}, list, Config{OwnCookie: ours, CookieName: cookieNameOf}, Deps{Now: at.Now, Log: slog.New(slog.DiscardHandler), Origins: origins})
	if err != nil {
		t.Fatal(err)
	}
	return got, at
}

func cookieNameOf(_ origin.Origin, suffix string) string { return "__Host-doorward" + suffix }

func (b *balancer) turns(n int) (s string) {
	for range n {
		s += b.pick(0).upstream.display
	}
	return s
}

func TestUpstreamsTakeTurnsByWeight(t *testing.T) {
	for _, c := range []struct {
		weights []int
		want    string
	}{
		{nil, "abcabcabc"},
		{[]int{3, 1, 1}, "abacaabaca"},
		{[]int{1, 1, 1000}, strings.Repeat("c", 8)},
	} {
		b, _ := newTestBalancer(t, Balance{Weights: c.weights}, 3)
		if got := b.turns(len(c.want)); got != c.want {
			t.Errorf("%v: %s, not %s", c.weights, got, c.want)
		}
	}
}

func TestTheTurnsOfOneThatIsDownGoToAllOthers(t *testing.T) {
	b, _ := newTestBalancer(t, Balance{}, 3)
	b.members[1].down.Store(true)
	if got := b.turns(6); strings.Count(got, "a") != 3 || strings.Count(got, "c") != 3 {
		t.Errorf("turns %s", got)
	}
	b.members[1].down.Store(false)
	if got := b.turns(9); strings.Count(got, "b") != 3 {
		t.Errorf("turns %s after it is back", got)
	}
}

func TestWhereAllAreDownEachIsTriedAnyway(t *testing.T) {
	b, _ := newTestBalancer(t, Balance{}, 3)
	for _, m := range b.members {
		m.down.Store(true)
	}
	if got := b.turns(6); got != "abcabc" {
		t.Errorf("turns %s", got)
	}
	if m := b.pick(b.members[0].bit); m != nil {
		t.Error("and a second attempt is made at one that is down")
	}
}

func TestTheLeastBusyUpstreamComesNext(t *testing.T) {
	b, _ := newTestBalancer(t, Balance{Policy: "least_connections", Weights: []int{2, 1}}, 2)
	for range 30 {
		b.pick(0).busy.Add(1)
	}
	if a, c := b.members[0].busy.Load(), b.members[1].busy.Load(); a != 20 || c != 10 {
		t.Errorf("%d and %d requests, with weights of 2 and 1", a, c)
	}
	b.members[0].busy.Store(100)
	if got := b.turns(3); got != "bbb" {
		t.Errorf("turns %s", got)
	}
	b, _ = newTestBalancer(t, Balance{Policy: "least_connections"}, 3)
	if got := b.turns(6); strings.Count(got, "a") != 2 || strings.Count(got, "b") != 2 {
		t.Errorf("equals get %s", got)
	}
}

func TestOneThatFailsInARowIsLeftOutForAWhile(t *testing.T) {
	b, at := newTestBalancer(t, Balance{}, 2)
	bad := b.members[0]
	for range defaultFailures - 1 {
		b.failed(bad, "x")
	}
	b.worked(bad)
	for range defaultFailures - 1 {
		b.failed(bad, "x")
	}
	if got := b.turns(4); strings.Count(got, "a") != 2 {
		t.Fatalf("turns %s before enough failures in a row", got)
	}
	b.failed(bad, "x")
	if got := b.turns(4); got != "bbbb" || !b.state(bad).Ejected {
		t.Fatalf("turns %s", got)
	}
	at.now = at.now.Add(defaultEject - time.Nanosecond)
	if got := b.turns(2); got != "bb" {
		t.Errorf("turns %s too early", got)
	}
	at.now = at.now.Add(time.Nanosecond)
	if got := b.turns(4); strings.Count(got, "a") != 2 {
		t.Errorf("turns %s after its time", got)
	}
	b.failed(bad, "x") // the first one after it
	if got := b.turns(2); got != "bb" {
		t.Errorf("turns %s after a failure at once", got)
	}
	at.now = at.now.Add(defaultEject)
	b.worked(bad)
	if s := b.state(bad); !s.Up || bad.until.Load() != 0 || bad.failures.Load() != 0 {
		t.Errorf("after an answer: %+v", s)
	}
	b, _ = newTestBalancer(t, Balance{Eject: &Eject{Failures: -1}}, 2)
	for range 100 {
		b.failed(b.members[0], "x")
	}
	if got := b.turns(2); got == "bb" {
		t.Error("it is left out although the route says never")
	}
}

func TestRetriesHaveABudget(t *testing.T) {
	var b budget
	at := time.Unix(1_000_000, 0)
	spent := func(requests int) (n int) {
		for range requests {
			b.request(at)
		}
		for b.spend(at) {
			n++
		}
		return n
	}
	if n := spent(5); n != budgetLeast {
		t.Errorf("%d of few", n)
	}
	if n := spent(995); n != 200-budgetLeast {
		t.Errorf("%d more, of 1000", n)
	}
	at = at.Add(5 * time.Second)
	if n := spent(100); n != 20 {
		t.Errorf("%d of 100 five seconds later", n)
	}
	at = at.Add(10 * time.Second)
	if n := spent(0); n != budgetLeast {
		t.Errorf("%d when all of that is long ago", n)
	}
}

func TestOneUpstreamCostsNothingMore(t *testing.T) {
	if b, _ := newTestBalancer(t, Balance{}, 1); b != nil {
		t.Error("there is a balancer for one upstream")
	}
	if b, _ := newTestBalancer(t, Balance{Retries: 1}, 1); b == nil || b.retries != 1 {
		t.Error("the retries that are asked for are lost")
	}
	for name, c := range map[string]Balance{"turns": {}, "weights": {Weights: []int{3, 1, 1}}, "least": {Policy: "least_connections"}} {
		b, _ := newTestBalancer(t, c, 3)
		if n := testing.AllocsPerRun(100, func() {
			m := b.pick(0)
			m.busy.Add(1)
			b.worked(m)
			m.busy.Add(-1)
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkPick(b *testing.B) {
	for name, c := range map[string]Balance{"turns": {}, "least": {Policy: "least_connections"}} {
		balancer, _ := newTestBalancer(b, c, 4)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					balancer.pick(0)
				}
			})
		})
	}
}

func TestWhatCannotBeMeantIsRefused(t *testing.T) {
	to := func(all ...string) (ups []*url.URL) {
		for _, s := range all {
			u, _ := url.Parse(s)
			ups = append(ups, u)
		}
		return ups
	}
	two := to("http://127.0.0.1:1", "http://127.0.0.1:2")
	for name, c := range map[string]struct {
		ups  []*url.URL
		b    Balance
		says string
	}{
		"policy":        {two, Balance{Policy: "random"}, "balance.policy: "},
		"weights":       {two, Balance{Weights: []int{1}}, "balance.weights: there are 1 for 2"},
		"weight":        {two, Balance{Weights: []int{1, 0}}, "balance.weights[1]: "},
		"heavy":         {two, Balance{Weights: []int{1001, 1}}, "balance.weights[0]: "},
		"retries":       {two, Balance{Retries: 6}, "retries: "},
		"no path":       {two, Balance{Health: &Health{}}, "health.path: it is missing"},
		"path":          {two, Balance{Health: &Health{Path: "/a/../b"}}, "health.path: "},
		"protocol":      {two, Balance{Protocol: "h3"}, "protocol: "},
		"h2":            {two, Balance{Protocol: "h2"}, `without TLS it is "h2c"`},
		"h2c":           {to("https://a.test"), Balance{Protocol: "h2c"}, `with TLS it is "h2"`},
		"no TLS":        {two, Balance{ServerName: "a.test"}, "upstream_tls: no upstream is https"},
		"no CA":         {to("https://a.test"), Balance{RootCAs: []byte("x")}, "upstream_tls.ca_file: "},
		"no key":        {to("https://a.test"), Balance{Cert: []byte("x")}, "cert and key belong together"},
		"secret key":    {to("https://a.test"), Balance{Cert: []byte("hush"), Key: []byte("hush")}, "upstream_tls.cert: "},
		"header":        {two, Balance{Timeouts: Timeouts{Header: -1}}, "timeouts.header: "},
		"idle":          {two, Balance{Timeouts: Timeouts{Idle: -1}}, "timeouts.idle: "},
		"too many":      {slices.Repeat(two, 33), Balance{}, "upstream: 66 are too many"},
		"eject.for":     {two, Balance{Eject: &Eject{For: -1}}, "eject.for: "},
		"health.timing": {two, Balance{Health: &Health{Path: "/", Interval: -1}}, "health.interval: "},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, nil)
			config := Config{Prefix: "/oauth2", OwnCookie: ours, Routes: []Route{{Name: "app", Public: true, Upstreams: c.ups, Balance: c.b}}}
			_, err := New(config, Deps{Origins: l.g.origins, Session: everybody(), Own: ownPages(), Pages: l.g.pages, Log: slog.New(slog.DiscardHandler)})
			if err == nil || !strings.Contains(err.Error(), "route.app: ") || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "hush") {
				t.Errorf("error %v", err)
			}
		})
	}
}

// team is a laboratory with several upstreams behind the routes root and public.
type team struct {
	*lab
	es []*capture
}

func newTeam(t *testing.T, n int, b Balance, change func(*Config, *Deps)) *team {
	t.Helper()
	m := &team{}
	for i := range n {
		e := newCapture(t)
		e.answers(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, string(rune('a'+i))) })
		m.es = append(m.es, e)
	}
	m.lab = newLab(t, func(c *Config, d *Deps) {
		c.CookieName = cookieNameOf
		for i := range c.Routes {
			c.Routes[i].Upstreams, c.Routes[i].Balance = nil, b
			for _, e := range m.es {
				c.Routes[i].Upstreams = append(c.Routes[i].Upstreams, e.url)
			}
		}
		if change != nil {
			change(c, d)
		}
	})
	return m
}

// from says who answered n requests.
func (m *team) from(n int, lines ...string) (s string) {
	m.Helper()
	for range n {
		a := m.send("GET", "/public/x", lines...)
		if a.StatusCode != http.StatusOK {
			m.Fatalf("answer %s %s", a.Status, a.body)
		}
		s += a.body
	}
	return s
}

func (m *team) seen() (s string) {
	for i, e := range m.es {
		s += strings.Repeat(string(rune('a'+i)), len(e.take()))
	}
	return s
}

func TestSeveralUpstreamsShareTheRequests(t *testing.T) {
	m := newTeam(t, 3, Balance{Weights: []int{2, 1, 1}}, nil)
	if got := m.from(8); strings.Count(got, "a") != 4 || strings.Count(got, "b") != 2 {
		t.Errorf("answers of %s", got)
	}
	busy := int64(0)
	for _, s := range m.g.Upstreams() {
		busy += s.Requests
		if !s.Up {
			t.Errorf("%+v", s)
		}
	}
	if busy != 0 {
		t.Errorf("%d requests are counted when there are none", busy)
	}
}

func TestARequestGoesToAnotherUpstreamWhereNothingCanHappenTwice(t *testing.T) {
	for name, broken := range map[string]func(m *team){
		"gone": func(m *team) { m.es[0].server.Listener.Close(); m.es[0].server.CloseClientConnections() },
		"503":  func(m *team) { m.es[0].answers(status(503)) },
		"502":  func(m *team) { m.es[0].answers(status(502)) },
		"hangs up": func(m *team) {
			m.es[0].answers(func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newTeam(t, 2, Balance{}, nil)
			broken(m)
			for range 4 { // each would meet the broken one every other time
				if got := m.from(1, "Connection: keep-alive", "Connection: close"); got != "b" {
					t.Errorf("answer of %s", got)
				}
			}
			m.seen()
			failed := 0
			for range 4 {
				a := m.raw(request("POST", "/public/x", "Content-Length: 3") + "abc")
				if a.StatusCode >= 502 {
					failed++
				}
			}
			if sent := m.seen(); name == "gone" && (failed > 0 || sent != "bbbb") || name != "gone" && (failed == 0 || len(sent) > 4) {
				t.Errorf("POST: %d of 4 failed, E and F saw %s", failed, sent)
			}
		})
	}
}

func status(code int) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func TestWhatMayHaveHappenedIsNotRepeated(t *testing.T) {
	m := newTeam(t, 2, Balance{Retries: 5}, nil)
	for _, e := range m.es {
		e.answers(status(503))
	}
	for method, times := range map[string]int{"GET": 2, "HEAD": 2, "OPTIONS": 2, "PUT": 1, "DELETE": 1, "POST": 1, "PROPFIND": 1} {
		t.Run(method, func(t *testing.T) {
			m.seen()
			lines := []string{}
			if method == "PUT" || method == "POST" {
				lines = append(lines, "Content-Length: 0")
			}
			a := m.send(method, "/public/x", lines...)
			if sent := m.seen(); a.StatusCode != 503 || len(sent) != times {
				t.Errorf("answer %s after %s", a.Status, sent)
			}
		})
	}
	t.Run("GET with a body", func(t *testing.T) {
		m.seen()
		m.raw(request("GET", "/public/x", "Content-Length: 3") + "abc")
		if sent := m.seen(); len(sent) != 1 {
			t.Errorf("%s saw it", sent)
		}
	})
	t.Run("a WebSocket", func(t *testing.T) {
		m.seen()
		m.raw(socketRequest("/public/x"))
		if sent := m.seen(); len(sent) != 1 {
			t.Errorf("%s saw it", sent)
		}
	})
	t.Run("retries = 0", func(t *testing.T) {
		m := newTeam(t, 2, Balance{Retries: -1}, nil)
		m.es[0].answers(status(503))
		m.es[1].answers(status(503))
		m.send("GET", "/public/x")
		if sent := m.seen(); len(sent) != 1 {
			t.Errorf("%s saw it", sent)
		}
	})
}

func TestWhatWasNeverSentGoesElsewhereWhateverItIs(t *testing.T) {
	for _, protocol := range []string{"", "h1", "h2c"} {
		m := newTeam(t, 2, Balance{Protocol: protocol, Eject: &Eject{Failures: -1}}, nil)
		if protocol == "h2c" {
			e := plural(t, func(w http.ResponseWriter, r *http.Request) {
				m.es[1].serve(w, r)
			}, h2c)
			e.Start()
			u := must(url.Parse(e.URL))
			gone := m.es[0].url
			m.lab = newLab(t, func(c *Config, d *Deps) {
				for i := range c.Routes {
					c.Routes[i].Upstreams, c.Routes[i].Balance = []*url.URL{gone, u}, Balance{Protocol: protocol, Eject: &Eject{Failures: -1}}
				}
			})
		}
		_ = m.es[0].server.Listener.Close()
		m.es[0].server.CloseClientConnections()
		large := strings.Repeat("x", 100_000)
		for _, method := range []string{"DELETE", "POST"} { // no more than the budget allows
			for range 4 {
				if a := m.send(method, "/public/x", "Content-Length: 0"); a.body != "b" {
					t.Errorf("%q, %s: answer %s %s", protocol, method, a.Status, a.body)
				}
				m.seen()
				if a := m.raw(request(method, "/public/x", "Content-Length: 100000") + large); a.body != "b" {
					t.Errorf("%q, %s with a body: answer %s %s", protocol, method, a.Status, a.body)
				}
				if got := m.es[1].take(); len(got) != 1 || got[0].body != large {
					t.Errorf("%q, %s: %d requests arrived", protocol, method, len(got))
				}
			}
		}
	}
	t.Run("but not what was approved", func(t *testing.T) {
		b, _ := newTestBalancer(t, Balance{}, 2)
		v := &visit{req: &CanonicalRequest{Method: "POST", in: &http.Request{}, record: &telemetry.Record{}}, route: &route{now: time.Now}}
		if a := b.begin(v, nil, true); a.left != 0 {
			t.Errorf("%d attempts are left", a.left)
		}
	})
	hangsUp := io.EOF
	dial := &net.OpError{Op: "dial", Err: errors.New("refused")}
	for _, c := range []struct {
		safe bool
		err  error
		may  bool
	}{{true, hangsUp, true}, {true, nil, true}, {false, hangsUp, false}, {false, nil, false}, {false, dial, true}, {true, errTimeoutOf(t), false}} {
		a := &attempts{visit: &visit{}, safe: c.safe}
		if got := a.mayRepeat(c.err); got != c.may {
			t.Errorf("safe: %v, after %v: %v", c.safe, c.err, got)
		}
		a.visit.body = &body{ReadCloser: http.NoBody}
		_, _ = a.visit.body.Read(nil)
		if got := a.mayRepeat(c.err); got && c.err == dial {
			t.Error("a body of which something may be lost is sent again")
		}
	}
}

func errTimeoutOf(t *testing.T) error {
	t.Helper()
	return &net.OpError{Op: "read", Err: timeoutOnly{}}
}

type timeoutOnly struct{}

func (timeoutOnly) Error() string   { return "i/o timeout" }
func (timeoutOnly) Timeout() bool   { return true }
func (timeoutOnly) Temporary() bool { return true }

func TestOneThatFailsGetsNoRequestsForAWhile(t *testing.T) {
	m := newTeam(t, 2, Balance{Eject: &Eject{Failures: 2}}, nil)
	m.es[0].answers(status(502))
	m.from(4)
	m.seen()
	if m.from(6); m.seen() != "bbbbbb" {
		t.Error("the broken one still gets requests")
	}
	states := m.g.Upstreams()
	if i := slices.IndexFunc(states, func(s UpstreamState) bool { return s.Route == "public" }); !states[i].Ejected || states[i].Up || states[i+1].Ejected || !states[i+1].Up {
		t.Errorf("states %+v", states[i:i+2])
	}
	if log := m.log.String(); strings.Count(log, "upstream is left out") != 1 || !strings.Contains(log, m.es[0].url.Host) {
		t.Errorf("the log says %s", log)
	}
}

func TestABrowserStaysWithItsUpstream(t *testing.T) {
	m := newTeam(t, 3, Balance{Sticky: true}, nil)
	first := m.send("GET", "/public/x")
	cookies := first.Header["Set-Cookie"]
	if len(cookies) != 1 || !strings.Contains(cookies[0], "; Path=/; HttpOnly; SameSite=Lax; Secure") || !strings.HasPrefix(cookies[0], "__Host-doorward-at.") || !strings.Contains(first.Header.Get("Cache-Control"), "private") {
		t.Fatalf("answer %v", first.Header)
	}
	pair, _, _ := strings.Cut(cookies[0], ";")
	for _, e := range m.es {
		if strings.Contains(pair, e.url.Host) || strings.Contains(pair, e.url.Port()) {
			t.Errorf("the cookie tells the address: %s", pair)
		}
	}
	if got := m.from(6, "Cookie: theme=dark; "+pair); got != strings.Repeat(first.body, 6) {
		t.Errorf("answers of %s, not %s", got, first.body)
	}
	at := m.es[first.body[0]-'a']
	for _, r := range at.take() {
		if c := r.Header.Get("Cookie"); c != "" && c != "theme=dark" {
			t.Errorf("E received Cookie: %s", c)
		}
	}
	t.Run("a cookie that nobody gave is none", func(t *testing.T) {
		name, _, _ := strings.Cut(pair, "=")
		a := m.send("GET", "/public/x", "Cookie: "+name+"=x")
		if len(a.Header["Set-Cookie"]) != 1 {
			t.Errorf("answer %v", a.Header)
		}
	})
	t.Run("no upstream sets it", func(t *testing.T) {
		m.es[0].answers(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Set-Cookie", pair+"x")
			_, _ = io.WriteString(w, "a")
		})
		for range 3 {
			if a := m.send("GET", "/public/x"); strings.Contains(strings.Join(a.Header["Set-Cookie"], ""), pair+"x") {
				t.Errorf("answer %v", a.Header)
			}
		}
	})
	t.Run("it moves where its own fails, and stays there", func(t *testing.T) {
		at.answers(status(502))
		a := m.send("GET", "/public/x", "Cookie: "+pair)
		if a.body == first.body || a.StatusCode != 200 || len(a.Header["Set-Cookie"]) != 1 {
			t.Fatalf("answer %s of %s, %v", a.Status, a.body, a.Header)
		}
		moved, _, _ := strings.Cut(a.Header["Set-Cookie"][0], ";")
		at.answers(status(200))
		if got := m.from(3, "Cookie: "+moved); got != strings.Repeat(a.body, 3) {
			t.Errorf("answers of %s", got)
		}
	})
}

func TestStickyCookiesAreTheSameAtEveryReplicaAndForNoOtherKey(t *testing.T) {
	tag := func(key string, route string) string {
		origins, _ := origin.NewSet(appTest)
		b, err := newBalancer(Route{Name: route, Balance: Balance{Sticky: true}}, []upstream{{scheme: "http", host: "10.0.0.1:80"}, {scheme: "http", host: "10.0.0.2:80"}},
			Config{OwnCookie: ours, CookieName: cookieNameOf}, Deps{Now: time.Now, Log: slog.New(slog.DiscardHandler), Origins: origins, StickyKey: []byte(key)})
		if err != nil {
			t.Fatal(err)
		}
		return b.members[0].tag
	}
	one, replica := tag("k", "a"), tag("k", "a")
	if one != replica || one == tag("l", "a") || one == tag("k", "b") {
		t.Error("the tag does not depend on the key, the route and the upstream alone")
	}
}
