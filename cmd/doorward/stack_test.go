package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/edge"
	"github.com/doorward/doorward/internal/config"
	"github.com/doorward/doorward/internal/testnet"
)

const clientSecret = "stack-secret-4f1c0e9d7a5b"

// stack is everything around one gateway: a provider, an application, a configuration
// file, and the log of the process. The gateway is the real one, by its own serve.
type stack struct {
	t        *testing.T
	dir      string
	origin   string // outside URL of the gateway
	idp      *idp.Server
	provider *httptest.Server
	app      *application
	log      *testnet.Output
	toml     string

	stop   func() error
	admin  string
	change []func(*idp.Config) // what the provider does otherwise
}

// application records what reaches it.
type application struct {
	*httptest.Server
	mu   sync.Mutex
	seen []*http.Request
}

func newApplication(t *testing.T) *application {
	a := &application{}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		a.seen = append(a.seen, r.Clone(context.Background()))
		a.mu.Unlock()
		if r.URL.Path == "/held" {
			<-r.Context().Done()
		}
		if r.URL.Path == "/events" {
			w.Header().Set("Content-Type", "text/event-stream")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
			return
		}
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, "<p>app at %s</p>", r.URL.RequestURI())
	}))
	t.Cleanup(a.Close)
	return a
}

func (a *application) requests() []*http.Request {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.seen)
}

func (a *application) last(t *testing.T) *http.Request {
	t.Helper()
	all := a.requests()
	if len(all) == 0 {
		t.Fatal("nothing reached the application")
	}
	return all[len(all)-1]
}

// newStack makes a stack; its gateway is not running yet. extra is TOML that follows the
// five lines which protect the application.
func newStack(t *testing.T, extra string, change ...func(*idp.Config)) *stack {
	t.Helper()
	s := &stack{change: change, t: t, dir: t.TempDir(), log: &testnet.Output{}, app: newApplication(t)}
	port := free(t)
	s.origin = fmt.Sprintf("http://localhost:%d", port)
	s.startProvider("")
	s.toml = fmt.Sprintf(`state_dir = %q
[listen]
http = "127.0.0.1:%d"
admin = "127.0.0.1:0"
[telemetry]
log = { format = "json", level = "debug" }
[provider.corp]
issuer = %q
client_id = "doorward"
client_secret = %q
scopes = ["openid", "profile", "email", "groups"]
[[route]]
name = "app"
host = %q
upstream = [%q]
credential = "session"
%s`, filepath.Join(s.dir, "state"), port, s.provider.URL, clientSecret, s.origin, s.app.URL, extra)
	return s
}

func (s *stack) startProvider(address string) {
	s.t.Helper()
	s.provider = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.idp.ServeHTTP(w, r) }))
	if address != "" {
		_ = s.provider.Listener.Close()
		l, err := net.Listen("tcp", address)
		if err != nil {
			s.t.Fatal(err)
		}
		s.provider.Listener = l
	}
	if s.idp == nil {
		conf := idp.Config{
			Issuer:        "http://" + s.provider.Listener.Addr().String(),
			RotateRefresh: true,
			Clients: []idp.Client{{
				ID: "doorward", Secret: clientSecret, SkipConsent: true,
				RedirectURIs:           []string{s.origin + "/oauth2/callback"},
				PostLogoutRedirectURIs: []string{s.origin + "/oauth2/logout/callback"},
				Grants:                 []string{"authorization_code", "refresh_token", "password", idp.GrantDevice, idp.GrantCIBA, "client_credentials", idp.GrantTokenExchange, idp.GrantJWTBearer},
				ResponseTypes:          []string{"code", "id_token", "id_token token", "code id_token", "code token", "code id_token token"},
			}},
			DevicePollInterval: time.Second, CIBAPollInterval: time.Second,
			Users: []idp.User{
				{Username: "alice", Password: "wonderland-9", Email: "alice@example.com", EmailVerified: true, Name: "Alice Example", Groups: []string{"staff"}},
				{Username: "bob", Password: "builder-9", Email: "bob@example.com", EmailVerified: true},
			},
		}
		for _, change := range s.change {
			change(&conf)
		}
		var err error
		if s.idp, err = idp.New(conf); err != nil {
			s.t.Fatal(err)
		}
	}
	s.provider.Start()
	s.t.Cleanup(s.provider.Close)
}

func (s *stack) path() string { return filepath.Join(s.dir, "doorward.toml") }

func (s *stack) options() config.Options { return config.Options{Path: s.path(), Environ: []string{}} }

func (s *stack) write(toml string) {
	s.t.Helper()
	if err := os.WriteFile(s.path(), []byte(toml), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// start runs the gateway until stop or the end of the test.
func (s *stack) start() *stack {
	s.t.Helper()
	s.write(s.toml)
	ctx, cancel := context.WithCancel(context.Background())
	up, done := make(chan struct{}), make(chan error, 1)
	go func() {
		done <- serve(ctx, s.options(), s.log, func(server *edge.Server) {
			s.admin = "http://" + server.Address("admin").String()
			close(up)
		})
	}()
	select {
	case <-up:
	case err := <-done:
		cancel()
		s.t.Fatalf("serve: %v\n%s", err, s.log)
	}
	s.stop = sync.OnceValue(func() error { cancel(); return <-done })
	s.t.Cleanup(func() {
		if err := s.stop(); err != nil {
			s.t.Errorf("serve ended with %v", err)
		}
	})
	return s
}

func (s *stack) browser() *testnet.Browser {
	tr := &http.Transport{DisableKeepAlives: true}
	return testnet.NewBrowser(tr)
}

// signedIn opens path as a person who then signs in.
func (s *stack) signedIn(b *testnet.Browser, path, user, password string) *testnet.Page {
	s.t.Helper()
	return b.Open(s.t, s.origin+path).SignIn(s.t, user, password)
}

// lines returns the log's records with this message.
func (s *stack) lines(msg string) (found []map[string]any) {
	for line := range strings.Lines(s.log.String()) {
		var m map[string]any
		if json.Unmarshal([]byte(line), &m) == nil && m["msg"] == msg {
			found = append(found, m)
		}
	}
	return found
}

// free returns a port that nobody listens on. It lies below those that the system gives to
// whoever asks for any, so that no other listener gets it meanwhile.
func free(t *testing.T) int {
	t.Helper()
	for range 100 {
		port := 20000 + rand.IntN(10000)
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			_ = l.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return 0
}

func TestAPersonSignsInLandsOnThePageTheyAskedForAndTheAppSeesWhoTheyAre(t *testing.T) {
	s := newStack(t, "").start()
	b := s.browser()
	b.Header.Set("X-Forwarded-User", "root")
	page := s.signedIn(b, "/reports/2026?q=a%20b&x=1", "alice", "wonderland-9")
	if page.Status != 200 || page.URL.String() != s.origin+"/reports/2026?q=a%20b&x=1" {
		t.Fatalf("landed on %s with %d\n%s\n%s", page.URL, page.Status, page.Trail(), s.log)
	}
	got := s.app.last(t).Header
	want := map[string]string{
		"X-Forwarded-User": "alice", "X-Forwarded-Email": "alice@example.com",
		"X-Forwarded-Groups": "staff", "X-Forwarded-Preferred-Username": "alice",
		"X-Forwarded-Host": strings.TrimPrefix(s.origin, "http://"), "X-Forwarded-Proto": "http",
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if v := got.Values(name); len(v) != 1 || v[0] != want[name] {
			t.Errorf("%s: the app saw %q, want %q", name, v, want[name])
		}
	}
	if a := got.Get("Authorization"); !strings.HasPrefix(a, "Bearer ey") {
		t.Errorf("the access token did not reach the app: %.20q", a)
	}
	if c := got.Get("Cookie"); strings.Contains(c, "doorward") {
		t.Errorf("P028: our cookies reached the app: %.60q", c)
	}
}

func TestASecondPersonIsRefusedByGroupAndToldWhoTheyAre(t *testing.T) {
	s := newStack(t, "allow = [{ groups = [\"staff\"] }]\n").start()
	page := s.signedIn(s.browser(), "/x", "bob", "builder-9")
	if page.Status != 403 || !strings.Contains(page.Text(), "bob") {
		t.Fatalf("%d\n%s", page.Status, page.Text())
	}
	if n := len(s.app.requests()); n != 0 {
		t.Errorf("%d requests reached the app", n)
	}
}

func TestProgramsGet401AndNoLoginIsBegun(t *testing.T) {
	s := newStack(t, "").start()
	b := s.browser()
	page := b.Fetch(t, "", http.MethodGet, s.origin+"/api/x", nil)
	var problem struct{ Code, LoginURL string }
	_ = json.Unmarshal([]byte(strings.ReplaceAll(page.Body, "login_url", "LoginURL")), &problem)
	if page.Status != 401 || page.Header.Get("Content-Type") != "application/problem+json" || problem.Code != "login_required" || !strings.HasPrefix(problem.LoginURL, s.origin+"/oauth2/start?rd=") {
		t.Errorf("%d %v %s", page.Status, page.Header, page.Body)
	}
	if len(page.Header.Values("Set-Cookie")) != 0 || s.idp.Count(idp.Authorize) != 0 {
		t.Error("a login was begun")
	}
}

func TestSignOutEndsTheSessionHereAndAtTheProvider(t *testing.T) {
	s := newStack(t, "").start()
	b := s.browser()
	s.signedIn(b, "/", "alice", "wonderland-9")
	page := b.Open(t, s.origin+"/oauth2/sign_out")
	if page.Status != 200 || !strings.HasPrefix(page.URL.String(), s.origin+"/oauth2/") {
		t.Errorf("signed-out page: %d %s\n%s", page.Status, page.URL, page.Trail())
	}
	before := len(s.app.requests())
	page = b.Open(t, s.origin+"/after")
	if len(s.app.requests()) != before || !strings.HasPrefix(page.URL.String(), s.provider.URL) {
		t.Errorf("after the sign-out: %s\n%s", page.URL, page.Trail())
	}
	if s.idp.Count(idp.EndSession) == 0 {
		t.Error("the provider was not told")
	}
}

func TestASessionSurvivesARestartWithTheDefaultStore(t *testing.T) {
	s := newStack(t, "").start()
	b := s.browser()
	s.signedIn(b, "/", "alice", "wonderland-9")
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	s.start()
	if page := b.Open(t, s.origin+"/again"); page.Status != 200 || len(page.Hops) != 1 {
		t.Errorf("%d\n%s", page.Status, page.Trail())
	}
}

func TestP209TheGatewayStartsWithoutItsProviderAnswers503AndRecovers(t *testing.T) {
	s := newStack(t, "")
	address := s.provider.Listener.Addr().String()
	s.provider.Close()
	s.start()
	b := s.browser()
	page := b.Open(t, s.origin+"/x")
	if page.Status != 503 || page.Header.Get("Retry-After") == "" {
		t.Errorf("provider down: %d %v", page.Status, page.Header)
	}
	if res, err := http.Get(s.admin + "/readyz"); err != nil || res.StatusCode != 503 {
		t.Errorf("readyz: %v %v", res, err)
	}
	s.startProvider(address)
	deadlineLoop(t, func() bool {
		page = b.Open(t, s.origin+"/x?later=1")
		return page.Status == 200
	})
	if page = page.SignIn(t, "alice", "wonderland-9"); page.Status != 200 || page.URL.RequestURI() != "/x?later=1" {
		t.Errorf("recovered: %d %s", page.Status, page.URL)
	}
	if res, err := http.Get(s.admin + "/readyz"); err != nil || res.StatusCode != 200 {
		t.Errorf("readyz after recovery: %v %v", res, err)
	}
}
