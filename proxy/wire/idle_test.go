package wire

import (
	"context"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// When a connection is used again, and when never.

func expect(t *testing.T, o outcome, body string) {
	t.Helper()
	if o.Err+o.BodyErr != "" || o.Body != body {
		t.Errorf("%v, not %q", o, body)
	}
}

func TestWhatWasSaidWhileIdleAnswersNobody(t *testing.T) {
	for name, unasked := range map[string]string{
		"an answer":    "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison",
		"a byte":       "H",
		"408 and gone": "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			speak, spoken := make(chan struct{}), make(chan struct{})
			u := newUpstream(t, twice(func(p *peer) {
				p.request()
				p.say(abc)
				<-speak
				p.say(unasked)
				close(spoken)
				p.request()
			}))
			w := newWire(t, dialTCP)
			defer w.CloseIdleConnections()
			expect(t, get(t.Context(), w, "GET", u.url("/")), "abc")
			close(speak)
			await(t, spoken, "the upstream")
			expect(t, get(t.Context(), w, "GET", u.url("/")), "abc")
			if conns, heads := u.seen(); conns != 2 || len(heads) != 2 {
				t.Errorf("%d connections, %q", conns, heads)
			}
			u.awaitGone(t)
		})
	}
}

// It may be at work on it: a second try would make that worse.
func TestWhatTakesTooLongIsNotTriedAgain(t *testing.T) {
	u := newUpstream(t, func(p *peer) {
		p.request()
		p.say(abc)
		p.request()
		p.request() // until the client leaves
	})
	w := newWire(t, dialTCP)
	w.config.ResponseHeaderTimeout = 200 * time.Millisecond
	expect(t, get(t.Context(), w, "GET", u.url("/")), "abc")
	if o := get(t.Context(), w, "GET", u.url("/")); o.Err != "timeout" {
		t.Errorf("%v", o)
	}
	if conns, heads := u.seen(); conns != 1 || len(heads) != 2 {
		t.Errorf("%d connections, %q", conns, heads)
	}
	u.awaitGone(t)
}

func TestOnlySocketsThatCanBeAskedAreUsedAgain(t *testing.T) {
	u := newUpstream(t, always(abc))
	w := newWire(t, func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dialTCP(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return struct{ *net.TCPConn }{c.(*net.TCPConn)}, nil // what it holds back is unknown
	})
	for range 3 {
		expect(t, get(t.Context(), w, "GET", u.url("/")), "abc")
	}
	for range 3 {
		u.awaitGone(t)
	}
}

func TestUnixSocketsAreUsedAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.sock")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	var conns atomic.Int32
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte(r.Host + r.RequestURI)) }),
		ConnState: func(_ net.Conn, s http.ConnState) {
			if s == http.StateNew {
				conns.Add(1)
			}
		},
	}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(listener) })
	w := newWire(t, func(ctx context.Context, _, address string) (net.Conn, error) {
		if address != "app.test:80" {
			t.Errorf("dialed %q", address)
		}
		return dialTCP(ctx, "unix", path)
	})
	for range 3 {
		expect(t, get(t.Context(), w, "GET", "http://app.test/x?y"), "app.test/x?y")
	}
	_ = server.Close()
	serving.Wait()
	if conns.Load() != 1 {
		t.Errorf("%d connections", conns.Load())
	}
}

func TestHostsHaveConnectionsOfTheirOwn(t *testing.T) {
	one, other := newUpstream(t, always(abc)), newUpstream(t, always("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother"))
	w := newWire(t, dialTCP)
	defer w.CloseIdleConnections()
	for range 3 {
		expect(t, get(t.Context(), w, "GET", one.url("/")), "abc")
		expect(t, get(t.Context(), w, "GET", other.url("/")), "other")
	}
	for _, u := range []*upstream{one, other} {
		if conns, _ := u.seen(); conns != 1 {
			t.Errorf("%d connections", conns)
		}
	}
}

// open sends n requests at once, so that each has a connection, and then reads the answers.
func open(t *testing.T, w *Transport, u *upstream, n int) {
	t.Helper()
	answers := make([]*http.Response, n)
	for i := range answers {
		req, _ := http.NewRequestWithContext(t.Context(), "GET", u.url("/"), nil)
		var err error
		if answers[i], err = w.RoundTrip(req); err != nil {
			t.Fatal(err)
		}
	}
	for _, res := range answers {
		for err := error(nil); err == nil; {
			_, err = res.Body.Read(make([]byte, 9))
		}
	}
}

func TestSoManyConnectionsAreKeptAndNoMore(t *testing.T) {
	u := newUpstream(t, always(abc))
	w := newWire(t, dialTCP)
	w.idle.perHost = 2
	open(t, w, u, 5)
	for range 3 {
		u.awaitGone(t)
	}
	open(t, w, u, 2)
	if conns, _ := u.seen(); conns != 5 {
		t.Errorf("%d connections", conns)
	}
	w.CloseIdleConnections()
	for range 2 {
		u.awaitGone(t)
	}
}

func TestCloseIdleConnectionsAlsoMeansThoseInUse(t *testing.T) {
	u := newUpstream(t, always(abc))
	closed := false
	w := newWireOr(t, dialTCP, closer{func() { closed = true }})
	req, _ := http.NewRequestWithContext(t.Context(), "GET", u.url("/"), nil)
	res, err := w.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	w.CloseIdleConnections()
	for err == nil {
		_, err = res.Body.Read(make([]byte, 9))
	}
	u.awaitGone(t)
	if !closed {
		t.Error("the fallback keeps its own")
	}
	open(t, w, u, 1)
	open(t, w, u, 1)
	if conns, _ := u.seen(); conns != 2 {
		t.Errorf("%d connections: nothing is kept any more", conns)
	}
	w.CloseIdleConnections()
}

type closer struct{ close func() }

func (closer) RoundTrip(*http.Request) (*http.Response, error) { panic("not asked") }
func (c closer) CloseIdleConnections()                         { c.close() }

// The upstream is outside of the bubble: time passes in it when nothing else happens.
func TestUnusedConnectionsAreClosedInTime(t *testing.T) {
	u := newUpstream(t, always(abc))
	w := newWire(t, dialTCP)
	idle := func() int {
		w.idle.mu.Lock()
		defer w.idle.mu.Unlock()
		return len(w.idle.hosts[u.listener.Addr().String()])
	}
	synctest.Test(t, func(t *testing.T) {
		open(t, w, u, 3)
		time.Sleep(50 * time.Second)
		open(t, w, u, 1) // the youngest
		if conns, _ := u.seen(); conns != 3 {
			t.Errorf("%d connections", conns)
		}
		time.Sleep(limits.IdleTimeout - 50*time.Second - time.Nanosecond)
		synctest.Wait()
		if n := idle(); n != 3 {
			t.Errorf("%d are left too early", n)
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if n := idle(); n != 1 {
			t.Errorf("%d are left", n)
		}
		time.Sleep(50 * time.Second)
		synctest.Wait()
		if n := idle(); n != 0 || len(w.idle.hosts) != 0 || w.idle.timer != nil {
			t.Errorf("%d are left, and %d hosts", n, len(w.idle.hosts))
		}
	})
	for range 3 {
		u.awaitGone(t)
	}
}
