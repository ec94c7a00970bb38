package proxy

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/internal/telemetry"
	"github.com/doorward/doorward/internal/testnet"
	"github.com/doorward/doorward/proxy/policy"
)

// lab is the laboratory of the attack catalogue: G, a gateway on a real socket that raw
// requests are written to, in front of E, an upstream that notes every byte it reads.
type lab struct {
	*testing.T
	g       *Gateway
	e       *capture
	gateway *httptest.Server
	log     *lockedBuffer
}

const patience = 10 * time.Second

// newLab starts G and E; change may alter the configuration first.
func newLab(t *testing.T, change func(*Config, *Deps)) *lab {
	t.Helper()
	l := newLabOf(t, change)
	l.T = t
	return l
}

func newLabOf(t testing.TB, change func(*Config, *Deps)) *lab {
	t.Helper()
	l := &lab{e: newCapture(t), log: &lockedBuffer{}}
	open := origin.Origin{Scheme: "https", Host: "open.test"}
	origins, err := origin.NewSet(appTest, open)
	if err != nil {
		t.Fatal(err)
	}
	p, err := pages.New(pages.Config{Prefix: "/oauth2"})
	if err != nil {
		t.Fatal(err)
	}
	staff := []string{"staff"}
	app := []origin.Origin{appTest}
	to := []*url.URL{l.e.url}
	c := Config{
		Prefix: "/oauth2", OwnPaths: []string{"/old/callback"}, OwnCookie: ours,
		Routes: []Route{
			{Name: "root", Hosts: app, Path: "/", Upstreams: to, Logins: staff},
			{Name: "admin", Hosts: app, Path: "/admin", Upstreams: to, Logins: staff, Allow: []policy.Rule{{Groups: []string{"admin"}}}},
			{Name: "public", Hosts: app, Path: "/public", Upstreams: to, Public: true},
			{Name: "strip", Hosts: app, Path: "/strip", Upstreams: to, Public: true, StripPrefix: true},
			{Name: "session", Hosts: app, Path: "/session", Upstreams: to, Logins: staff, Credential: "session"},
			{Name: "id", Hosts: app, Path: "/id", Upstreams: to, Logins: staff, Credential: "id_token"},
			{Name: "pass", Hosts: app, Path: "/pass", Upstreams: to, Public: true, PassAuthorization: true},
			{Name: "set", Hosts: app, Path: "/set", Upstreams: to, Logins: staff, Headers: Headers{Profile: "none", Set: map[string]string{"X-App-User": "{user.email}", "X-App-Token": "{access_token}"}}},
			{Name: "fragment", Hosts: app, Path: "/fragment", Upstreams: to, Logins: staff, KeepFragment: true},
			{Name: "domain", Hosts: app, Path: "/domain", Upstreams: to, Logins: staff, Allow: []policy.Rule{{Emails: []string{"root@example.com"}}}},
			{Name: "open-q", Hosts: []origin.Origin{open}, Path: "/q", Upstreams: to, Public: true},
		},
	}
	log := slog.New(slog.NewJSONHandler(l.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	d := Deps{Origins: origins, Session: everybody(), Starters: map[string]Starter{}, Own: ownPages(), Pages: p, Log: log}
	for _, rt := range c.Routes {
		if !rt.Public {
			d.Starters[rt.Name] = door{}
		}
	}
	if change != nil {
		change(&c, &d)
	}
	g, err := New(c, d)
	if err != nil {
		t.Fatal(err)
	}
	l.g = g
	onPanic := func(w http.ResponseWriter, r *http.Request) { p.Error(w, r, errors.New("panic")) }
	access := telemetry.NewAccessLog(log)
	t.Cleanup(access.Close)
	l.gateway = httptest.NewUnstartedServer(access.Handler(g, onPanic))
	l.gateway.Config.MaxHeaderBytes = 64 << 10           // as package edge has it
	l.gateway.Config.DisableGeneralOptionsHandler = true // likewise
	l.gateway.Config.Protocols = new(http.Protocols)
	l.gateway.Config.Protocols.SetHTTP1(true)
	l.gateway.Config.Protocols.SetUnencryptedHTTP2(true)
	l.gateway.Config.ErrorLog = slog.NewLogLogger(log.Handler(), slog.LevelDebug)
	l.gateway.Start()
	t.Cleanup(l.gateway.Close)
	return l
}

// on is the same laboratory in a subtest.
func (l *lab) on(t *testing.T) *lab {
	t.Helper()
	l.e.take()
	copied := *l
	copied.T = t
	return &copied
}

func (l *lab) dial() net.Conn {
	l.Helper()
	c, err := net.Dial("tcp", l.gateway.Listener.Addr().String())
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c
}

// answer is a response with its body. Its status is 0 if there was none: the connection or
// the stream was closed without one.
type answer struct {
	*http.Response
	body     string
	cut      bool  // the body ended before its end
	informed []int // 1xx before it
}

// raw writes bytes and reads one answer.
func (l *lab) raw(request string) answer {
	l.Helper()
	method, _, _ := strings.Cut(request, " ")
	return l.read(bufio.NewReader(l.write(request)), method)
}

// write begins to write bytes; G may answer and close before it has read everything.
func (l *lab) write(request string) net.Conn {
	l.Helper()
	c := l.dial()
	go func() { _, _ = io.WriteString(c, request) }()
	return c
}

// all writes bytes and reads answers until G closes the connection or has no more.
func (l *lab) all(request string) (answers []answer) {
	l.Helper()
	c := l.dial()
	go func() {
		_, _ = io.WriteString(c, request)
		_ = c.(*net.TCPConn).CloseWrite()
	}()
	r := bufio.NewReader(c)
	for {
		a := l.read(r, "GET")
		if a.StatusCode == 0 {
			return answers
		}
		answers = append(answers, a)
	}
}

// read reads one answer to a request of that method. It steps over informational ones.
func (l *lab) read(r *bufio.Reader, method string) answer {
	l.Helper()
	req := &http.Request{Method: method}
	res, err := http.ReadResponse(r, req)
	var informed []int
	for err == nil && res.StatusCode < 200 && res.StatusCode != http.StatusSwitchingProtocols {
		informed = append(informed, res.StatusCode)
		res, err = http.ReadResponse(r, req)
	}
	if err != nil {
		return answer{Response: &http.Response{Status: "none: " + err.Error()}}
	}
	a := answer{Response: res, informed: informed}
	if res.StatusCode == http.StatusSwitchingProtocols {
		return a
	}
	body, err := io.ReadAll(res.Body)
	a.body, a.cut = string(body), err != nil
	return a
}

// send writes one request. Lines are headers ("Cookie: a=b"); Host is app.test unless said.
func (l *lab) send(method, target string, lines ...string) answer {
	l.Helper()
	return l.raw(request(method, target, lines...))
}

func request(method, target string, lines ...string) string {
	has := func(name string) bool {
		return slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(strings.ToLower(line), name+":") })
	}
	if !has("host") {
		lines = append([]string{"Host: app.test"}, lines...)
	}
	if !has("connection") {
		lines = append(lines, "Connection: close")
	}
	return method + " " + target + " HTTP/1.1\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n"
}

func as(who string) string { return "Cookie: __Host-doorward=" + who }

// refused expects one of the statuses, and that E saw nothing.
func (l *lab) refused(a answer, statuses ...int) {
	l.Helper()
	if !slices.Contains(statuses, a.StatusCode) {
		l.Errorf("answer %s, not %v: %.300s", a.Status, statuses, a.body)
	}
	l.untouched()
}

// untouched expects that E saw nothing.
func (l *lab) untouched() {
	l.Helper()
	l.e.take()
	if l.e.wire != "" {
		l.Errorf("E read %q", l.e.wire)
	}
}

// both makes the same request over HTTP/1.1 and over HTTP/2.
func (l *lab) both(t *testing.T, method, target string, lines []string, check func(l *lab, a answer)) {
	t.Helper()
	t.Run("h1", func(t *testing.T) {
		l := l.on(t)
		check(l, l.send(method, target, lines...))
	})
	t.Run("h2", func(t *testing.T) {
		l := l.on(t)
		check(l, l.send2(method, target, lines...))
	})
}

// code is the error code of an answer of ours to a program.
func (a answer) code() string {
	var problem struct{ Code string }
	_ = json.Unmarshal([]byte(a.body), &problem)
	return problem.Code
}

// passed expects 200 from E, and returns what E saw: exactly one request.
func (l *lab) passed(a answer) received {
	l.Helper()
	got := l.e.take()
	if a.StatusCode != http.StatusOK || len(got) != 1 {
		l.Fatalf("answer %s after %d requests to E: %.300s", a.Status, len(got), a.body)
	}
	return got[0]
}

func trusting(prefixes ...string) func(*Config, *Deps) {
	return func(c *Config, _ *Deps) {
		for _, p := range prefixes {
			c.TrustedProxies = append(c.TrustedProxies, netip.MustParsePrefix(p))
		}
	}
}

func TestTheLaboratoryWorks(t *testing.T) {
	l := newLab(t, nil)
	got := l.passed(l.send("GET", "/x?y=1", as("alice")))
	if got.RequestURI != "/x?y=1" || got.Host != "app.test" {
		t.Errorf("E saw %s %s", got.Host, got.RequestURI)
	}
	if !strings.Contains(l.e.wire, "GET /x?y=1 HTTP/1.1\r\nHost: app.test\r\n") {
		t.Errorf("E read %q", l.e.wire)
	}
	got.one(t, "X-Forwarded-User", "alice")
	l.refused(l.send("GET", "/x"), http.StatusUnauthorized)
	if s := fmt.Sprint(l.passed(l.send("GET", "/public/x")).Header); strings.Contains(s, "alice") {
		t.Error(s)
	}
}

// overMemory serves h inside a bubble and connects to it; what h was made with may be outside.
func overMemory(t *testing.T, h http.Handler) net.Conn {
	t.Helper()
	listener := testnet.Listen()
	server := &http.Server{Handler: h}
	go func() { _ = server.Serve(listener) }()
	conn, err := listener.Dial(t.Context(), "tcp", "app.test:443")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		_ = server.Close()
	})
	return conn
}
