package proxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/doorward/doorward/internal/approval"
	"github.com/doorward/doorward/internal/identity"
)

// reader is an upstream that keeps its connections. While it is rude it answers /x only; of everything else it
// reads the whole request and closes. It notes what it has read.
type reader struct {
	net.Listener
	rude  atomic.Bool
	mu    sync.Mutex
	seen  []string
	conns []net.Conn
}

func newReader(t *testing.T, l net.Listener) *reader {
	u := &reader{Listener: l}
	var conns sync.WaitGroup
	t.Cleanup(func() {
		_ = l.Close()
		conns.Wait()
	})
	conns.Go(func() {
		defer u.hangUp()
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			u.mu.Lock()
			u.conns = append(u.conns, c)
			u.mu.Unlock()
			conns.Go(func() { u.serve(c) })
		}
	})
	return u
}

func (u *reader) hangUp() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, c := range u.conns {
		_ = c.Close()
	}
}

func (u *reader) serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	b := bufio.NewReader(c)
	for {
		r, err := http.ReadRequest(b)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		u.mu.Lock()
		u.seen = append(u.seen, r.Method+" "+r.RequestURI)
		u.mu.Unlock()
		if u.rude.Load() && r.URL.Path != "/x" {
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	}
}

func (u *reader) take() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	seen := u.seen
	u.seen = nil
	return seen
}

func TestAnApprovedRequestArrivesOnceAlsoIfTheUpstreamReadsItAndCloses(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u := newReader(t, listener)
	l := payLabFor(t, &url.URL{Scheme: "http", Host: listener.Addr().String()})
	for what, c := range map[string]struct {
		phones               *phones
		method, target, body string
		lines                []string
	}{
		"a form":                             {l.pay, "POST", "/payments", payForm, []string{formType}},
		"a form with a key of idempotency":   {l.pay, "POST", "/payments", payForm, []string{formType, "Idempotency-Key: 1"}},
		"no body and a key of idempotency":   {l.upload, "POST", "/upload", "", []string{"X-Kind: a", "Idempotency-Key: 1"}},
		"no body and the key in its old way": {l.upload, "POST", "/upload", "", []string{"X-Kind: b", "X-Idempotency-Key: 1"}},
		"DELETE":                             {l.reading, "DELETE", "/read?id=1", "", []string{"Idempotency-Key: 1"}},
		"GET":                                {l.reading, "GET", "/read?id=1", "", nil},
		"HEAD":                               {l.reading, "HEAD", "/read?id=1", "", nil},
		"GET with a body":                    {l.reading, "GET", "/read?id=2", "x=1", []string{formType}},
	} {
		t.Run(what, func(t *testing.T) {
			l := *l
			l.lab = l.on(t)
			lines := append([]string{as("alice")}, c.lines...)
			agreed := func() (name string) {
				asked := l.say(c.method, c.target, c.body, lines...)
				name = strings.TrimSuffix(strings.TrimPrefix(asked.Header.Get("Www-Authenticate"), `Approval id="`), `"`)
				c.phones.answer(approval.Approved)
				return name
			}
			u.rude.Store(false)
			if a := l.say(c.method, c.target, c.body, append(lines, approved(agreed()))...); a.StatusCode != http.StatusOK {
				t.Fatalf("answer %s: %s", a.Status, a.body)
			}
			for range 3 { // now there are connections that were used before, of all ways
				l.send("GET", "/x", as("alice"))
				l.say("PUT", "/x", "x", as("alice"))
			}
			u.take()
			u.rude.Store(true)
			name := agreed()
			a := l.say(c.method, c.target, c.body, append(lines, approved(name))...)
			if a.StatusCode != http.StatusBadGateway {
				t.Errorf("answer %s: %s", a.Status, a.body)
			}
			if got := u.take(); !slices.Equal(got, []string{c.method + " " + c.target}) {
				t.Errorf("the upstream has read %q", got)
			}
			if a := l.say(c.method, c.target, c.body, append(lines, approved(name))...); a.StatusCode != http.StatusConflict {
				t.Errorf("again: %s", a.Status)
			}
			if got := u.take(); len(got) != 0 {
				t.Errorf("the upstream has read %q", got)
			}
		})
	}
}

// An upstream of HTTP/2 may reset a stream that it has acted on, and net/http then sends the request again.
func TestAnApprovedRequestTakesNoWayOnWhichItIsRepeated(t *testing.T) {
	var mu sync.Mutex
	var seen []string
	u := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		seen = append(seen, r.Proto)
		mu.Unlock()
		panic(http.ErrAbortHandler)
	}))
	u.EnableHTTP2 = true
	u.StartTLS()
	t.Cleanup(u.Close)
	way := testSettings().once()
	way.TLSClientConfig = &tls.Config{RootCAs: u.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}
	l := payLabFor(t, must(url.Parse(u.URL)))
	only := roundTrip(func(*http.Request) (*http.Response, error) {
		t.Error("it went the ordinary way")
		return nil, io.EOF
	})
	for _, made := range l.g.proxy.lanes.made {
		made.transport, made.once = only, way
	}
	for _, method := range []string{"GET", "DELETE"} {
		name := l.begin(method, "/read?id=1", "", as("alice"), "Idempotency-Key: 1")
		l.reading.answer(approval.Approved)
		if a := l.say(method, "/read?id=1", "", as("alice"), "Idempotency-Key: 1", approved(name)); a.StatusCode != http.StatusBadGateway {
			t.Errorf("%s: %s", a.Status, a.body)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if !slices.Equal(seen, []string{"HTTP/1.1", "HTTP/1.1"}) {
		t.Errorf("the upstream has seen %q", seen)
	}
}

func TestATokenThatFitsInNoHeaderDoesNotUseAnApprovalUp(t *testing.T) {
	l := payLabFor(t)
	token := "a\nb"
	for rt := range l.g.approvals.routes {
		rt.source = source(func(context.Context, *identity.Identity) (*identity.Credential, error) {
			return bearerCredential(token), nil
		})
	}
	name := l.begin("DELETE", "/read?id=1", "", as("alice"))
	l.reading.answer(approval.Approved)
	l.refused(l.say("DELETE", "/read?id=1", "", as("alice"), approved(name)), http.StatusBadGateway)
	token = "another"
	l.passed(l.say("DELETE", "/read?id=1", "", as("alice"), approved(name))).one(t, "Authorization", "Bearer another")
}
