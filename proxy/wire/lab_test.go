package wire

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// What is waited for comes within this time, or never.
const patience = 10 * time.Second

const headerLimit = 16 << 10

func TestMain(m *testing.M) {
	log.SetOutput(io.Discard) // http.Transport tells of bytes that nobody asked for
	os.Exit(m.Run())
}

// dialer is the way of both subjects to an upstream.
type dialer func(ctx context.Context, network, address string) (net.Conn, error)

func dialTCP(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, network, address)
}

// subject is one of the two RoundTrippers that must behave alike.
type subject interface {
	http.RoundTripper
	CloseIdleConnections()
}

func newStandard(dial dialer) *http.Transport {
	return &http.Transport{
		DialContext:            dial,
		ResponseHeaderTimeout:  2 * time.Minute,
		IdleConnTimeout:        90 * time.Second,
		MaxIdleConnsPerHost:    64,
		DisableCompression:     true,
		MaxResponseHeaderBytes: headerLimit,
	}
}

var limits = Config{
	DialTimeout:            5 * time.Second,
	ResponseHeaderTimeout:  2 * time.Minute,
	IdleTimeout:            90 * time.Second,
	IdlePerHost:            64,
	MaxResponseHeaderBytes: headerLimit,
}

// newWire has a fallback that must not be needed.
func newWire(t testing.TB, dial dialer) *Transport {
	t.Helper()
	return newWireOr(t, dial, roundTrip(func(r *http.Request) (*http.Response, error) {
		t.Errorf("%s %s went to the fallback", r.Method, r.URL)
		return nil, errors.New("no fallback")
	}))
}

func newWireOr(t testing.TB, dial dialer, fallback http.RoundTripper) *Transport {
	t.Helper()
	w, err := New(limits, Deps{Fallback: fallback, Dial: dial})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

type roundTrip func(r *http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// both runs a test on http.Transport, which says what is right, and on wire.
func both(t *testing.T, dial dialer, test func(t *testing.T, s subject)) {
	t.Helper()
	for name, s := range map[string]subject{"http.Transport": newStandard(dial), "wire": newWire(t, dial)} {
		t.Run(name, func(t *testing.T) {
			defer s.CloseIdleConnections()
			test(t, s)
		})
	}
}

// upstream is a server that does to each connection what its script says.
type upstream struct {
	listener net.Listener
	script   func(p *peer)
	gone     chan struct{} // one for each connection whose script has ended

	mu    sync.Mutex
	conns int
	heads []string // the requests as they came, but for the order of fields of different names
	open  map[net.Conn]struct{}
}

func newUpstream(t testing.TB, script func(p *peer)) *upstream {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u := &upstream{listener: listener, script: script, gone: make(chan struct{}, 1<<16), open: map[net.Conn]struct{}{}}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			p := u.accept(c)
			all.Go(func() {
				u.script(p)
				u.leave(c)
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		u.mu.Lock()
		for c := range u.open {
			_ = c.Close()
		}
		u.mu.Unlock()
		all.Wait()
	})
	return u
}

func (u *upstream) url(path string) string { return "http://" + u.listener.Addr().String() + path }

func (u *upstream) accept(c net.Conn) *peer {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.conns++
	u.open[c] = struct{}{}
	return &peer{Conn: c, upstream: u, reader: bufio.NewReader(c), number: u.conns}
}

func (u *upstream) leave(c net.Conn) {
	_ = c.Close()
	u.mu.Lock()
	delete(u.open, c)
	u.mu.Unlock()
	u.gone <- struct{}{}
}

func (u *upstream) seen() (conns int, heads []string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.conns, u.heads
}

func (u *upstream) awaitGone(t testing.TB) {
	t.Helper()
	await(t, u.gone, "a connection to end")
}

func await(t testing.TB, done <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatalf("waited in vain for %s", what)
	}
}

// peer is the upstream's end of a connection.
type peer struct {
	net.Conn
	upstream *upstream
	reader   *bufio.Reader
	number   int // of the connection, from 1
}

// request waits for one without a body. "" means that the client has left.
func (p *peer) request() string {
	var head strings.Builder
	for !strings.HasSuffix(head.String(), "\r\n\r\n") {
		line, err := p.reader.ReadString('\n')
		if err != nil {
			return ""
		}
		head.WriteString(line)
	}
	p.upstream.mu.Lock()
	defer p.upstream.mu.Unlock()
	p.upstream.heads = append(p.upstream.heads, sorted(head.String()))
	return head.String()
}

// sorted is a head with its fields in the order of their names.
func sorted(head string) string {
	lines := strings.SplitAfter(strings.TrimSuffix(head, "\r\n"), "\r\n")
	name := func(line string) string { name, _, _ := strings.Cut(line, ":"); return name }
	slices.SortStableFunc(lines[1:], func(a, b string) int { return strings.Compare(name(a), name(b)) })
	return strings.Join(lines, "") + "\r\n"
}

func (p *peer) say(s string) { _, _ = io.WriteString(p, s) }

// always answers each request of a connection the same, and waits for the next.
func always(answer string) func(*peer) {
	return func(p *peer) {
		for p.request() != "" {
			p.say(answer)
		}
	}
}

// once answers the first request of each connection, and hangs up.
func once(answer string) func(*peer) {
	return func(p *peer) {
		if p.request() != "" {
			p.say(answer)
		}
	}
}

// slowly is always, byte by byte.
func slowly(answer string) func(*peer) {
	return func(p *peer) {
		for p.request() != "" {
			for i := range len(answer) {
				p.say(answer[i : i+1])
			}
		}
	}
}

// outcome is what a caller learns of an answer.
type outcome struct {
	Interim []string
	Err     string // class
	Status  string
	Proto   string
	Length  int64
	Close   bool
	Coding  []string
	Header  http.Header
	Body    string
	BodyErr string
	Trailer http.Header
}

func (o outcome) String() string {
	type plain outcome
	return fmt.Sprintf("%+v", plain(o))
}

// brief cuts what a test shows.
func brief(s string) string {
	if len(s) > 1500 {
		return fmt.Sprintf("%s… (%d)", s[:1500], len(s))
	}
	return s
}

func get(ctx context.Context, s http.RoundTripper, method, url string) (o outcome) {
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		o.Interim = append(o.Interim, fmt.Sprint(code, h))
		return nil
	}})
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		panic(err)
	}
	return take(s, req, o)
}

func take(s http.RoundTripper, req *http.Request, before outcome) (o outcome) {
	res, err := s.RoundTrip(req)
	o = before
	if err != nil {
		o.Err = errClass(err)
		return o
	}
	body, err := io.ReadAll(res.Body)
	o.Status, o.Proto, o.Length, o.Close, o.Coding, o.Header = res.Status, res.Proto, res.ContentLength, res.Close, res.TransferEncoding, res.Header
	o.Body, o.BodyErr, o.Trailer = string(body), errClass(err), res.Trailer
	_ = res.Body.Close()
	return o
}

// errClass is what proxy tells errors apart by.
func errClass(err error) string {
	var timeout net.Error
	switch {
	case err == nil:
		return ""
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	}
	return "broken"
}
