package provider_test

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorward/doorward/flows/provider"
)

func TestDIS4TheProviderComesLater(t *testing.T) {
	r := newRogue(t)
	r.on(wellKnown, answerJSON(503, ""))
	c := r.client()
	for i := range 50 { // a crowd of visitors costs the provider no crowd of requests
		e := wants(t, c.Ready(t.Context()), provider.Unavailable, "server_error")
		if e.RetryAfter < time.Second || e.RetryAfter > 40*time.Second {
			t.Fatalf("attempt %d: retry after %v", i, e.RetryAfter)
		}
	}
	if n := r.count(wellKnown); n != 1 {
		t.Errorf("asked %d times within the back-off", n)
	}
	for range 20 { // the back-off grows, and ends at half a minute
		r.pass(37 * time.Second)
		_ = c.Ready(t.Context())
	}
	if n := r.count(wellKnown); n != 21 {
		t.Errorf("asked %d times in 20 × 37 s", n)
	}
	r.on(wellKnown, nil)
	r.pass(37 * time.Second)
	if err := c.Ready(t.Context()); err != nil {
		t.Fatalf("it does not recover by itself: %v", err)
	}
}

func TestP214AClockThatWasWrong(t *testing.T) {
	r := newRogue(t)
	r.pass(48 * time.Hour)
	c := r.client()
	if err := c.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.pass(-48 * time.Hour)
	if err := c.Ready(t.Context()); err != nil || r.count(wellKnown) != 2 {
		t.Errorf("a copy of the day after tomorrow is kept for three days: %v, %d requests", err, r.count(wellKnown))
	}
}

func TestRetryAfterOfTheProviderIsHeeded(t *testing.T) {
	r := newRogue(t)
	r.on(wellKnown, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "45")
		w.WriteHeader(503)
	})
	c := r.client()
	if e := wants(t, c.Ready(t.Context()), provider.Unavailable, "server_error"); e.RetryAfter != 45*time.Second {
		t.Errorf("retry after %v", e.RetryAfter)
	}
	r.pass(40 * time.Second)
	_ = c.Ready(t.Context())
	if r.count(wellKnown) != 1 {
		t.Error("asked before the time that the provider named")
	}
}

func TestOneFetchForAllWhoWaitAndNobodyHoldsUpTheOthers(t *testing.T) {
	r := newRogue(t)
	release, arrived := make(chan struct{}), make(chan struct{})
	r.on(wellKnown, func(w http.ResponseWriter, q *http.Request) {
		close(arrived)
		<-release
		r.on(wellKnown, nil)
		r.serve(w, q)
	})
	c := r.client()
	first, cancel := context.WithCancel(t.Context())
	gone := make(chan error)
	go func() { gone <- c.Ready(first) }()
	<-arrived
	var wg sync.WaitGroup
	var good atomic.Int64
	for range 50 {
		wg.Go(func() {
			if c.Ready(t.Context()) == nil {
				good.Add(1)
			}
		})
	}
	cancel() // whoever came first goes; the fetch goes on for the others
	wants(t, <-gone, provider.Unavailable, "canceled")
	close(release)
	wg.Wait()
	if good.Load() != 50 || len(r.seen(wellKnown)) != 2 { // 2: serve counts the replaced answer and the real one
		t.Errorf("%d of 50 were served, %d requests", good.Load(), len(r.seen(wellKnown)))
	}
}

func TestDIS5AWorkingDocumentIsNeverDropped(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rogue) {
		c := r.client()
		if err := c.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.on(wellKnown, answerJSON(200, `{"issuer":"https://evil.example"}`))
		for range 10 {
			r.pass(25 * time.Hour)
			if err := c.Ready(t.Context()); err != nil {
				t.Fatalf("dropped: %v", err)
			}
		}
		r.pass(0)
		if n := r.count(wellKnown); n != 11 {
			t.Errorf("asked %d times in ten days", n)
		}
		r.on(wellKnown, nil)
		r.set("end_session_endpoint", r.url+"/new-logout")
		r.pass(25 * time.Hour)
		_ = c.Ready(t.Context()) // only begins the fetch: during an outage nobody waits
		r.pass(0)
		if u, err := c.EndSessionURL(t.Context(), provider.EndSession{}); err != nil || !strings.HasPrefix(u, r.url+"/new-logout") {
			t.Errorf("the new document is not used: %s %v", u, err)
		}
	})
}

func TestDIS5ETagAndCacheControl(t *testing.T) {
	r := newRogue(t)
	conditional := 0
	r.on(wellKnown, func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("ETag", `"v1"`)
		w.Header().Set("Cache-Control", "public, max-age=600")
		if q.Header.Get("If-None-Match") == `"v1"` {
			conditional++
			w.WriteHeader(http.StatusNotModified)
			return
		}
		body := r.document
		answerJSON(200, string(must(json.Marshal(body))))(w, q)
	})
	c := r.client()
	for range 3 {
		if err := c.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	r.pass(9 * time.Minute)
	_ = c.Ready(t.Context())
	if n := r.count(wellKnown); n != 1 {
		t.Errorf("asked %d times within max-age", n)
	}
	r.pass(2 * time.Minute)
	if err := c.Ready(t.Context()); err != nil || conditional != 1 || r.count(wellKnown) != 2 {
		t.Errorf("%v, %d conditional of %d", err, conditional, r.count(wellKnown))
	}
}

func TestP058AProviderThatHangs(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rogue) {
		r.on(wellKnown, hang)
		c := r.client()
		start := time.Now()
		wants(t, c.Ready(t.Context()), provider.Unavailable, "timeout")
		if d := time.Since(start); d != 10*time.Second {
			t.Errorf("gave up after %v", d)
		}
		start = time.Now()
		if err := c.Ready(t.Context()); err == nil || time.Since(start) != 0 {
			t.Errorf("within the back-off nobody waits: %v after %v", err, time.Since(start))
		}
		r.pass(time.Minute)
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start = time.Now()
		if err := c.Ready(short); err == nil || time.Since(start) != time.Second {
			t.Errorf("a visitor's own deadline is not heeded: %v after %v", err, time.Since(start))
		}
		r.pass(time.Minute)
	})
}

// hang answers when the other side has gone.
func hang(_ http.ResponseWriter, q *http.Request) { <-q.Context().Done() }

func TestP209DuringAnOutageNobodyWaits(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rogue) {
		c := r.client()
		if err := c.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.on(wellKnown, hang)
		r.pass(25 * time.Hour)
		waited := time.Duration(0)
		for range 600 { // ten minutes of visitors, one a second
			start := time.Now()
			if err := c.Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
			waited += time.Since(start)
			time.Sleep(time.Second)
		}
		if waited > 2*time.Second {
			t.Errorf("visitors waited %v together; only the first one may, and little", waited)
		}
		if n := r.count(wellKnown); n > 30 {
			t.Errorf("the provider was asked %d times", n)
		}
		r.pass(time.Minute)
	})
}

func TestACrowdAtARefreshThatHangsWaitsLittle(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rogue) {
		c := r.client()
		if _, err := c.Identify(t.Context(), response(r.idToken(nil)), ordinary); err != nil {
			t.Fatal(err)
		}
		r.on("/keys", hang)
		r.pass(2 * time.Hour)
		start := time.Now()
		token := r.idToken(nil)
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if _, err := c.Identify(t.Context(), response(token), ordinary); err != nil {
					t.Errorf("JWK-6: %v", err)
				}
			})
		}
		wg.Wait()
		if d := time.Since(start); d > 2*time.Second || r.count("/keys") != 2 {
			t.Errorf("they waited %v, %d fetches", d, r.count("/keys"))
		}
		r.pass(time.Minute)
	})
}

func TestDIS4TheBackOffGrowsAndIsJittered(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rogue) {
		r.on(wellKnown, answerJSON(503, ""))
		c := r.client()
		for i, want := range []time.Duration{1, 2, 4, 8, 16, 30, 30, 30} {
			want *= time.Second
			e := wants(t, c.Ready(t.Context()), provider.Unavailable, "server_error")
			if d := e.RetryAfter; d < want*8/10 && d != time.Second || d > want*12/10 {
				t.Errorf("failure %d: again in %v, want %v give or take a fifth", i+1, d, want)
			}
			if n := r.count(wellKnown); n != i+1 {
				t.Errorf("failure %d: %d requests", i+1, n)
			}
			r.pass(want*12/10 + time.Millisecond)
		}
		r.on(wellKnown, nil)
		if err := c.Ready(t.Context()); err != nil {
			t.Fatalf("it does not recover by itself: %v", err)
		}
		r.on(wellKnown, answerJSON(503, ""))
		r.pass(25 * time.Hour)
		_ = c.Ready(t.Context())
		r.pass(2 * time.Second)
		_ = c.Ready(t.Context())
		r.pass(0)
		if n := r.count(wellKnown); n != 11 {
			t.Errorf("%d requests: after a success the back-off begins anew", n)
		}
	})
}

// TestCloseLeavesNothingBehind: no connection, and (the bubble sees to that) no goroutine.
func TestCloseLeavesNothingBehind(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rogue) {
		var open atomic.Int64
		c := r.client(func(_ *provider.Config, d *provider.Deps) {
			d.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
				conn, err := r.net.Dial(ctx, network, address)
				open.Add(1)
				return counted{conn, &open, new(sync.Once)}, err
			}
		})
		for range 3 {
			if _, err := c.Identify(t.Context(), response(r.idToken(nil)), ordinary); err != nil {
				t.Fatal(err)
			}
			r.pass(0)
			if open.Load() == 0 {
				t.Error("connections are not kept")
			}
			c.Close() // it works afterwards all the same: a reload may close one in use
			r.pass(0)
			if n := open.Load(); n != 0 {
				t.Errorf("%d connections after Close", n)
			}
			r.pass(2 * time.Hour)
		}
	})
}

type counted struct {
	net.Conn
	open *atomic.Int64
	once *sync.Once
}

func (c counted) Close() error {
	c.once.Do(func() { c.open.Add(-1) })
	return c.Conn.Close()
}
