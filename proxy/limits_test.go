package proxy

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/pages"
)

// handClock is a Now that stands still until it is moved.
type handClock struct{ ahead atomic.Int64 }

func (c *handClock) now() time.Time {
	return time.Unix(1_700_000_000, 0).Add(time.Duration(c.ahead.Load()))
}
func (c *handClock) forward(d time.Duration) { c.ahead.Add(int64(d)) }

// limiting puts limits on every route.
func limiting(set Limits, changes ...func(*Config, *Deps)) func(*Config, *Deps) {
	return func(c *Config, d *Deps) {
		for i := range c.Routes {
			rt := &c.Routes[i]
			rt.Limits = set
			if rt.Public {
				rt.Limits.PerUser = Rate{}
			}
		}
		for _, change := range changes {
			change(c, d)
		}
	}
}

func TestARateIsABurstAndThenOneEachStep(t *testing.T) {
	var c handClock
	for _, r := range []Rate{{1, time.Second}, {3, time.Minute}, {7, time.Second}, {100, time.Minute}, {999_999, time.Second}} {
		m := newMeter(newRates(c.now), "app", "per_user", r, "")
		key := m.address(netip.MustParseAddr("192.0.2.1"))
		for i := range r.Requests {
			if wait := m.take(key); wait != 0 {
				t.Fatalf("%v: request %d of the burst waits for %s", r, i, wait)
			}
		}
		wait := m.take(key)
		if wait <= 0 || wait > r.Per/time.Duration(r.Requests) {
			t.Fatalf("%v: after the burst there is a wait of %s", r, wait)
		}
		if again := m.take(key); again != wait {
			t.Errorf("%v: being refused makes the wait %s of %s", r, again, wait)
		}
		c.forward(wait - 1)
		if m.take(key) == 0 {
			t.Errorf("%v: it passes too early", r)
		}
		c.forward(1)
		if m.take(key) != 0 || m.take(key) == 0 {
			t.Errorf("%v: not exactly one passes after the wait", r)
		}
		for _, away := range []time.Duration{r.Per, 10 * r.Per} { // who stays away for longer has saved up no more
			c.forward(away)
			for i := range r.Requests {
				if m.take(key) != 0 {
					t.Fatalf("%v: after %s, request %d of the burst is refused", r, away, i)
				}
			}
			if m.take(key) == 0 {
				t.Errorf("%v: after %s, more than the burst passes", r, away)
			}
		}
		c.forward(24 * time.Hour)
	}
}

func TestP060TheTableOfRatesIsBoundedAndTheOldestGoes(t *testing.T) {
	var c handClock
	table := newRates(c.now)
	m := newMeter(table, "app", "per_address", Rate{1, time.Hour}, "")
	first := m.address(netip.MustParseAddr("192.0.2.1"))
	if m.take(first) != 0 || m.take(first) == 0 {
		t.Fatal("it does not count")
	}
	var of [16]byte
	for i := range 3 * mostRates {
		of[0], of[4], of[5], of[6], of[7] = 0x20, byte(i>>24), byte(i>>16), byte(i>>8), byte(i)
		m.take(m.address(netip.AddrFrom16(of)))
		if i%1000 == 0 && i < 50_000 && m.take(first) == 0 {
			t.Fatalf("who keeps coming is forgotten after %d others", i)
		}
	}
	known := 0
	for i := range table.shards {
		s := &table.shards[i]
		if len(s.index) != len(s.all) {
			t.Fatalf("%d keys in %d places", len(s.index), len(s.all))
		}
		known += len(s.all)
		seen := 0
		for at := s.newest; at >= 0 && seen <= len(s.all); at = s.all[at].older {
			seen++
		}
		if seen != len(s.all) {
			t.Fatalf("%d of %d are in the ring", seen, len(s.all))
		}
	}
	if known > mostRates || known < mostRates*9/10 {
		t.Errorf("%d keys are kept", known)
	}
	if m.take(first) != 0 {
		t.Error("the oldest is still known")
	}
}

func TestS14NoTwoCallersShareAKey(t *testing.T) {
	table := newRates(time.Now)
	a, b := newMeter(table, "ab", "per_user", Rate{1, time.Second}, ""), newMeter(table, "a", "bper_user", Rate{1, time.Second}, "")
	seen := map[rateKey]string{}
	for name, key := range map[string]rateKey{
		"person":           a.person(&identity.Identity{Issuer: "https://i", Subject: "s"}),
		"other issuer":     a.person(&identity.Identity{Issuer: "https://is", Subject: ""}),
		"machine":          a.person(&identity.Identity{Issuer: "https://i", Subject: "s", Machine: true, Client: "s"}),
		"machine, no name": a.person(&identity.Identity{Issuer: "https://i", Subject: "t", Machine: true}),
		"another":          a.person(&identity.Identity{Issuer: "https://i", Subject: "u", Machine: true}),
		"other route":      b.person(&identity.Identity{Issuer: "https://i", Subject: "s"}),
		"v4":               a.address(netip.MustParseAddr("10.0.0.1")),
		"v6":               a.address(netip.MustParseAddr("::")),
		"none":             a.address(netip.Addr{}),
		"other v4":         a.address(netip.MustParseAddr("10.0.0.2")),
		"long":             a.person(&identity.Identity{Issuer: strings.Repeat("i", 1000), Subject: "s"}),
	} {
		if other, taken := seen[key]; taken {
			t.Errorf("%q is %q", name, other)
		}
		seen[key] = name
	}
	if a.address(netip.MustParseAddr("2001:db8::1")) != a.address(netip.MustParseAddr("2001:db8::ffff:0:1")) || a.address(netip.MustParseAddr("2001:db8::1")) == a.address(netip.MustParseAddr("2001:db8:0:1::1")) {
		t.Error("IPv6 is not counted by /64")
	}
	if a.address(netip.MustParseAddr("::ffff:10.0.0.1")) != a.address(netip.MustParseAddr("10.0.0.1")) {
		t.Error("one address written in two ways is two")
	}
}

func TestP170AForgedForwardedForDoesNotMoveTheCounter(t *testing.T) {
	var c handClock
	l := newLab(t, limiting(Limits{PerAddress: Rate{3, time.Minute}}, func(_ *Config, d *Deps) { d.Now = c.now }))
	n := 0
	l.both(t, "GET", "/public/x", nil, func(l *lab, a answer) {
		l.passed(a) // one of three
		send := l.send
		if a.ProtoMajor == 2 {
			send = l.send2
		}
		for range 5 {
			n++
			a = send("GET", "/public/x", fmt.Sprintf("X-Forwarded-For: 198.51.100.%d", n), fmt.Sprintf("Forwarded: for=198.51.100.%d", n), fmt.Sprintf("X-Real-IP: 198.51.100.%d", n))
		}
		if a.StatusCode != 429 || a.code() != codeTooMany || a.Header.Get("Retry-After") != "20" || a.Header.Get("RateLimit") != `"per_address";r=0;t=20` || a.Header.Get("RateLimit-Policy") != `"per_address";q=3;w=60` {
			l.Errorf("answer %s %v", a.Status, a.Header)
		}
		if got := len(l.e.take()); got != 2 {
			l.Errorf("%d more have passed", got)
		}
		// Who is not signed in is counted, too, before anything is looked up; another route counts for itself.
		for range 3 {
			l.refused(send("GET", "/x"), 401)
		}
		l.refused(send("GET", "/x", as("broken")), 429)
		c.forward(time.Minute)
	})
}

func TestEachAddressBehindATrustedProxyHasItsOwnRate(t *testing.T) {
	l := newLab(t, limiting(Limits{PerAddress: Rate{1, time.Hour}}, trusting("127.0.0.0/8")))
	for _, from := range []string{"198.51.100.1", "198.51.100.2", "2001:db8::1", "2001:db8:0:1::1"} {
		l.passed(l.send("GET", "/public/x", "X-Forwarded-For: 203.0.113.9, "+from))
		l.refused(l.send("GET", "/public/x", "X-Forwarded-For: 203.0.113.10, "+from), 429)
	}
	l.refused(l.send("GET", "/public/x", "X-Forwarded-For: 2001:db8::2"), 429)
}

func TestEachPersonAndEachMachineHasTheirOwnRate(t *testing.T) {
	var c handClock
	l := newLab(t, limiting(Limits{PerUser: Rate{2, time.Minute}}, func(_ *Config, d *Deps) { d.Now = c.now }))
	l.both(t, "GET", "/x", []string{as("alice")}, func(l *lab, a answer) {
		l.passed(a)
		send := l.send
		if a.ProtoMajor == 2 {
			send = l.send2
		}
		l.passed(send("GET", "/x", as("alice")))
		a = send("GET", "/x", append([]string{as("alice")}, navigation...)...)
		l.refused(a, 429)
		if a.Header.Get("Retry-After") != "30" || !strings.Contains(a.body, "<html") || !strings.Contains(a.Header.Get("RateLimit"), `"per_user"`) {
			l.Errorf("answer %v", a.Header)
		}
		l.passed(send("GET", "/x", as("root")))
		l.passed(send("GET", "/x", as("machine"))) // of the same subject as alice
		l.passed(send("GET", "/session/x", as("alice")))
		for range 3 {
			l.refused(send("GET", "/admin/x", as("alice")), 403) // whom the policy refuses uses up nothing
		}
		c.forward(30 * time.Second)
		l.passed(send("GET", "/x", as("alice")))
		l.refused(send("GET", "/x", as("alice")), 429)
		c.forward(time.Minute)
	})
}

// pollUntil polls.
func pollUntil(t testing.TB, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(what)
		}
	}
}

func TestAStreamTakesItsPlaceUntilItEnds(t *testing.T) {
	l := newLab(t, limiting(Limits{Concurrent: 1}))
	l.e.answers(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/public/stream" {
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: 1\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	for name, begin := range map[string]func(l *lab) (end func()){
		"h1": func(l *lab) func() {
			c := l.write(request("GET", "/public/stream", "Connection: keep-alive"))
			if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || !strings.Contains(line, "200") {
				l.Fatalf("%q, %v", line, err)
			}
			return func() { _ = c.Close() }
		},
		"h2": func(l *lab) func() {
			h := l.h2()
			h.headers(1, true, ":method: GET", ":scheme: https", ":authority: app.test", ":path: /public/stream")
			h.readData(1)
			return func() { _ = h.framer.WriteRSTStream(1, 8) }
		},
		"WebSocket": func(l *lab) func() {
			l.e.streams(echoSocket)
			l.Cleanup(func() { l.e.streams(nil) })
			c := l.write(request("GET", "/public/stream", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "Origin: https://app.test"))
			if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || !strings.Contains(line, "101") {
				l.Fatalf("%q, %v", line, err)
			}
			return func() { _ = c.Close() }
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := l.on(t)
			end := begin(l)
			l.e.take()
			l.both(t, "GET", "/public/x", navigation, func(l *lab, a answer) {
				l.refused(a, 503)
				if a.Header.Get("Retry-After") == "" || !strings.Contains(a.body, codeOverloaded) {
					l.Errorf("answer %v %s", a.Header, a.body)
				}
			})
			if a := l.send("GET", "/x", as("alice")); a.StatusCode == 503 {
				t.Error("another route has no place either")
			}
			end()
			l.e.streams(nil)
			pollUntil(t, "the place is not free again", func() bool { return l.send("GET", "/public/x").StatusCode == 200 })
		})
	}
}

func TestABodyThatSaysItIsTooLongIsNotRead(t *testing.T) {
	l := newLab(t, limiting(Limits{MaxBody: 10}))
	for _, lines := range [][]string{nil, {"Expect: 100-continue"}} {
		a := l.send("POST", "/public/x", append(lines, "Content-Length: 1000000000", "Connection: keep-alive")...) // and sends nothing
		l.refused(a, 413)
		if a.code() != codeBodyTooLarge || !a.Close || len(a.informed) != 0 {
			t.Errorf("answer %s, %v first", a.Status, a.informed)
		}
	}
	if got := l.passed(l.raw(strings.Replace(request("POST", "/public/x", "Content-Length: 10"), "\r\n\r\n", "\r\n\r\n0123456789", 1))); got.body != "0123456789" {
		t.Errorf("E received %q", got.body)
	}
	h := l.h2()
	h.headers(1, false, ":method: POST", ":scheme: https", ":authority: app.test", ":path: /public/x", "content-length: 11")
	l.refused(h.read(1), 413)
}

func TestABodyOfNoSaidLengthBreaksOffWhereItIsTooLong(t *testing.T) {
	l := newLab(t, limiting(Limits{MaxBody: 10}))
	var whole sync.Map // target → body that E took for a whole one
	l.e.streams(func(w http.ResponseWriter, r *http.Request) {
		if body, err := io.ReadAll(r.Body); err == nil {
			whole.Store(r.URL.Path, string(body))
		}
		_, _ = io.WriteString(w, "E")
	})
	post := map[string]func(target, body string) answer{
		"h1": func(target, body string) answer {
			return l.raw("POST " + target + " HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n" + fmt.Sprintf("%x\r\n%s\r\n", len(body), body) + "0\r\n\r\n")
		},
		"h2": func(target, body string) answer {
			h := l.h2()
			h.headers(1, false, ":method: POST", ":scheme: https", ":authority: app.test", ":path: "+target)
			h.data(1, true, body)
			return h.read(1)
		},
	}
	for name, post := range post {
		if a := post("/public/fits-"+name, "0123456789"); a.StatusCode != 200 {
			t.Errorf("%s: answer %s", name, a.Status)
		}
		if a := post("/public/over-"+name, "01234567890"); a.StatusCode != 413 || a.code() != codeBodyTooLarge {
			t.Errorf("%s: answer %s %s", name, a.Status, a.body)
		}
	}
	l.e.server.Close() // waits for what E is at
	for name := range post {
		if body, _ := whole.Load("/public/fits-" + name); body != "0123456789" {
			t.Errorf("%s: E read %q", name, body)
		}
		if body, ok := whole.Load("/public/over-" + name); ok {
			t.Errorf("%s: E takes %q for a whole body", name, body)
		}
	}
}

// What reads on after the refusal, as the transport does that sends a request again, must not find an end.
func TestABodyThatWasTooLongNeverEndsProperly(t *testing.T) {
	for _, body := range []string{"01234567890", "01234567890123456789"} {
		refusal := &pages.Error{Code: codeBodyTooLarge}
		m := &measured{ReadCloser: io.NopCloser(strings.NewReader(body)), left: 10, refusal: refusal}
		got, err := io.ReadAll(m)
		if string(got) != "0123456789" || !errors.Is(err, refusal) {
			t.Errorf("read %q, %v", got, err)
		}
		for range 3 {
			if n, err := m.Read(make([]byte, 100)); n != 0 || !errors.Is(err, refusal) {
				t.Errorf("and then %d bytes, %v", n, err)
			}
		}
	}
}

func TestWhatLimitsNothingIsNothing(t *testing.T) {
	l, err := newLimits(Route{}, newCounters(time.Now))
	if l != nil || err != nil {
		t.Errorf("%v, %v", l, err)
	}
	for says, rc := range map[string]Route{
		"limits.per_user: a public route":   {Public: true, Limits: Limits{PerUser: Rate{1, time.Second}}},
		"limits.per_user: from 1 to":        {Limits: Limits{PerUser: Rate{0, time.Second}}},
		"limits.per_address: from 1 to":     {Limits: Limits{PerAddress: Rate{mostRequests + 1, time.Second}}},
		"limits.per_address: the time must": {Limits: Limits{PerAddress: Rate{1, time.Millisecond}}},
		"limits: less":                      {Limits: Limits{MaxBody: -1}},
	} {
		if _, err := newLimits(rc, newCounters(time.Now)); err == nil || !strings.HasPrefix(err.Error(), says) {
			t.Errorf("%v, want %s", err, says)
		}
	}
}

func entering(t testing.TB) func() {
	t.Helper()
	l, err := newLimits(Route{Name: "app", Limits: Limits{MaxBody: 1 << 20, Concurrent: 100, PerUser: Rate{mostRequests, time.Second}, PerAddress: Rate{mostRequests, time.Second}}}, newCounters(nil))
	if err != nil {
		t.Fatal(err)
	}
	l.perUser.tolerance, l.perAddress.tolerance = 1<<60, 1<<60 // it is faster than any Rate
	w, who := &nowhere{http.Header{}}, someone("8f2c51d0-4a7e-4b7c-9a55-0e6d3b1c2f90", nil)
	req := &CanonicalRequest{Client: netip.MustParseAddr("2001:db8::1"), in: typical()}
	return func() {
		s, err := l.enter(w, req)
		if err == nil {
			err = l.admit(w, who)
		}
		s.leave()
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestLimitsAllocateNothing(t *testing.T) {
	if n := testing.AllocsPerRun(1000, entering(t)); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkLimits(b *testing.B) {
	enter := entering(b)
	b.ReportAllocs()
	for b.Loop() {
		enter()
	}
}
