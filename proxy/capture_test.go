package proxy

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// received is one request as E saw it.
type received struct {
	*http.Request
	body    string
	trailer http.Header
}

// lacks expects no header of that name, in any spelling that a CGI would read as it.
func (r received) lacks(t testing.TB, names ...string) {
	t.Helper()
	squash := func(s string) string { return strings.ToLower(strings.NewReplacer("-", "", "_", "").Replace(s)) }
	for got, values := range r.Header {
		for _, name := range names {
			if squash(got) == squash(name) {
				t.Errorf("E received %s: %q", got, values)
			}
		}
	}
}

// one expects exactly one header of that name, in any spelling, with this value.
func (r received) one(t testing.TB, name, value string) {
	t.Helper()
	if got := r.Header[http.CanonicalHeaderKey(name)]; len(got) != 1 || got[0] != value {
		t.Errorf("E received %s: %q, not %q", name, got, value)
	}
}

// capture is E.
type capture struct {
	url    *url.URL
	server *httptest.Server
	mu     sync.Mutex
	seen   []received
	wire   string       // what was read before the last take
	bytes  lockedBuffer // as they came, of all connections, since the last take
	answer func(w http.ResponseWriter, r *http.Request)
	stream func(w http.ResponseWriter, r *http.Request)
}

func newCapture(t testing.TB) *capture {
	t.Helper()
	e := &capture{answer: func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "E") }}
	e.server = httptest.NewUnstartedServer(http.HandlerFunc(e.serve))
	e.server.Listener = tee{e.server.Listener, &e.bytes}
	e.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	e.server.Start()
	t.Cleanup(e.server.Close)
	e.url, _ = url.Parse(e.server.URL)
	return e
}

func (e *capture) serve(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	stream := e.stream
	e.mu.Unlock()
	if stream != nil {
		stream(w, r)
		return
	}
	got := received{Request: r.Clone(r.Context())}
	if r.Header.Get("Upgrade") == "" {
		body, _ := io.ReadAll(r.Body)
		got.body, got.trailer = string(body), r.Trailer
	}
	e.mu.Lock()
	e.seen = append(e.seen, got)
	answer := e.answer
	e.mu.Unlock()
	answer(w, r)
}

// streams is answers for a handler that reads the body itself; E notes nothing then.
func (e *capture) streams(h func(w http.ResponseWriter, r *http.Request)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stream = h
	e.bytes.off.Store(true)
}

// answers sets what E answers from now on.
func (e *capture) answers(h func(w http.ResponseWriter, r *http.Request)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.answer = h
}

func (e *capture) take() []received {
	e.mu.Lock()
	defer e.mu.Unlock()
	seen := e.seen
	e.seen = nil
	e.wire = e.bytes.take()
	return seen
}

type tee struct {
	net.Listener
	to io.Writer
}

func (l tee) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return teeConn{c, l.to}, nil
}

type teeConn struct {
	net.Conn
	to io.Writer
}

func (c teeConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	_, _ = c.to.Write(p[:n])
	return n, err
}

type lockedBuffer struct {
	off atomic.Bool
	mu  sync.Mutex
	b   bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	if b.off.Load() {
		return len(p), nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) take() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.b.String()
	b.b.Reset()
	return s
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
