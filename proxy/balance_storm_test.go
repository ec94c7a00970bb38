package proxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/internal/identity"
)

// What becomes of the balancer when everything goes wrong at once.

func TestTheBudgetHoldsForACrowdInOneInstant(t *testing.T) {
	at := time.Unix(1_000_000, 0)
	for range 300 {
		var b budget
		var spent atomic.Int32
		var crowd sync.WaitGroup
		begin := make(chan struct{})
		for range 40 {
			crowd.Go(func() {
				<-begin
				if b.spend(at) {
					spent.Add(1)
				}
			})
		}
		close(begin)
		crowd.Wait()
		if n := spent.Load(); n != budgetLeast {
			t.Fatalf("%d repeats, and %d are allowed", n, budgetLeast)
		}
	}
}

func TestARequestThatBeganLongAgoDoesNotEmptyTheBudget(t *testing.T) {
	var b budget
	at := time.Unix(1_000_000, 0)
	for b.spend(at) {
	}
	b.request(at.Add(-budgetSeconds * time.Second)) // it waited for a place
	if b.spend(at) {
		t.Error("what was spent is forgotten")
	}
}

func TestOneThatWorksWhenAllAreLeftOutIsBackAtOnce(t *testing.T) {
	m := newTeam(t, 3, Balance{Eject: &Eject{Failures: 1, For: time.Hour}, Retries: -1}, nil)
	for _, e := range m.es {
		e.answers(status(503))
	}
	for range 3 {
		m.send("GET", "/public/x")
	}
	m.es[1].answers(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "b") })
	for range 3 { // each gets its turn
		m.send("GET", "/public/x")
	}
	if got := m.from(6); got != "bbbbbb" {
		t.Errorf("answers of %s", got)
	}
}

func TestABrowserStaysWithItsUpstreamWhereAllAreOut(t *testing.T) {
	m := newTeam(t, 3, Balance{Sticky: true}, nil)
	first := m.send("GET", "/public/x")
	pair, _, _ := strings.Cut(first.Header.Get("Set-Cookie"), ";")
	for _, rt := range m.g.balanced {
		for _, e := range rt.balance.members {
			e.down.Store(true)
		}
	}
	if got := m.from(6, "Cookie: "+pair); got != strings.Repeat(first.body, 6) {
		t.Errorf("answers of %s, not %s", got, first.body)
	}
}

func TestTheSecondTryOfATokenKnowsUpstreamsThatDifferByTheirPathAlone(t *testing.T) {
	var asked []string
	tokens := 0
	l := newLab(t, func(c *Config, d *Deps) {
		c.Routes[0].Upstreams = []*url.URL{must(url.Parse("http://e.test/a")), must(url.Parse("http://e.test/b"))}
		c.Routes[0].Credential = "orders"
		d.Sources = map[string]Source{"orders": source(func(context.Context, *identity.Identity) (*identity.Credential, error) {
			tokens++
			return bearerCredential(fmt.Sprint("token", tokens)), nil
		})}
		d.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			asked = append(asked, r.URL.Path)
			res := &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody}
			switch len(asked) {
			case 1:
				res.StatusCode = http.StatusServiceUnavailable
			case 2:
				res.StatusCode = http.StatusUnauthorized
				res.Header.Set("Www-Authenticate", `Bearer error="invalid_token"`)
			}
			return res, nil
		})
	})
	if a := l.send("GET", "/x", as("alice")); a.StatusCode != http.StatusOK || strings.Join(asked, " ") != "/a/x /b/x /b/x" {
		t.Errorf("answer %s after %s", a.Status, asked)
	}
}

// The first check is believed alone: see prober.note.
func TestAnUpstreamThatIsIllFromTheStartIsFoundAtOnce(t *testing.T) {
	var ill atomic.Bool
	ill.Store(true)
	l := newLab(t, func(c *Config, d *Deps) {
		c.Routes[2].Balance.Health = &Health{Path: "/healthz"}
		d.Transport = roundTrip(func(*http.Request) (*http.Response, error) {
			res := &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody}
			if ill.Load() {
				res.StatusCode = http.StatusInternalServerError
			}
			return res, nil
		})
	})
	m := l.g.watch.probers[0].member
	synctest.Test(t, func(t *testing.T) {
		l.g.Start()
		synctest.Wait()
		if !m.down.Load() {
			t.Error("it is up")
		}
		ill.Store(false)
		time.Sleep(healthInterval)
		synctest.Wait()
		if !m.down.Load() {
			t.Error("it is up after one good answer")
		}
		time.Sleep(healthInterval)
		synctest.Wait()
		ill.Store(true)
		time.Sleep(2 * healthInterval)
		synctest.Wait()
		if m.down.Load() {
			t.Error("later, one bad answer is enough")
		}
		l.g.Close()
	})
}

// TestNothingHappensTwiceAndNobodyIsCountedForEver breaks what can be broken, from both sides.
func TestNothingHappensTwiceAndNobodyIsCountedForEver(t *testing.T) {
	m := newTeam(t, 3, Balance{Policy: "least_connections", Retries: 5, Sticky: true, Eject: &Eject{Failures: -1}, Timeouts: Timeouts{Idle: patience, Total: patience}}, nil)
	var mu sync.Mutex
	posts := make(map[string]int)
	for i, e := range m.es {
		var n atomic.Int32
		e.streams(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Upgrade") != "" {
				echoSocket(w, r)
				return
			}
			if r.Method == http.MethodPost {
				mu.Lock()
				posts[r.URL.Path]++
				mu.Unlock()
			}
			switch (int(n.Add(1)) + i) % 6 {
			case 0:
				panic(http.ErrAbortHandler)
			case 1:
				w.WriteHeader(http.StatusServiceUnavailable)
			case 2:
				_, _ = io.WriteString(w, "half")
				_ = http.NewResponseController(w).Flush()
				panic(http.ErrAbortHandler)
			case 3:
				w.WriteHeader(http.StatusEarlyHints)
				panic(http.ErrAbortHandler)
			case 4:
				_, _ = io.Copy(io.Discard, r.Body)
				w.WriteHeader(http.StatusBadGateway)
			}
		})
	}
	var clients sync.WaitGroup
	for c := range 8 {
		clients.Go(func() {
			for i := range 20 {
				path := fmt.Sprintf("/public/%d-%d", c, i)
				switch i % 5 {
				case 0:
					m.send("GET", path)
				case 1:
					m.raw(request("POST", path, "Content-Length: 5") + "hello")
				case 2: // leaves in the middle of what it sends
					_, _ = io.WriteString(m.dial(), request("POST", path, "Transfer-Encoding: chunked")+"5\r\nhel")
				case 3: // leaves before the answer
					_, _ = io.WriteString(m.dial(), request("GET", path))
				case 4:
					conn := m.dial()
					_, _ = io.WriteString(conn, socketRequest(path, "Origin: https://app.test"))
					if a := m.read(bufio.NewReader(conn), "GET"); a.StatusCode == http.StatusSwitchingProtocols {
						_, _ = io.WriteString(conn, "x")
					}
					_ = conn.Close()
				}
			}
		})
	}
	clients.Wait()
	m.gateway.CloseClientConnections() // of those who have left, too
	busy := func() (n int64) {
		for _, s := range m.g.Upstreams() {
			n += s.Requests
		}
		return n
	}
	for end := time.Now().Add(patience); busy() != 0; runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("%d requests are counted when there are none: %+v", busy(), m.g.Upstreams())
		}
	}
	mu.Lock()
	defer mu.Unlock()
	for path, n := range posts {
		if n != 1 {
			t.Errorf("POST %s arrived %d times", path, n)
		}
	}
	if len(posts) == 0 {
		t.Error("nothing has arrived")
	}
}
