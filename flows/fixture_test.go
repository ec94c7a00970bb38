package flows

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/demo/idp/idptest"
	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/internal/seal"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/telemetry"
	"github.com/doorward/doorward/internal/testnet"
	"github.com/doorward/doorward/sessions"
	"github.com/doorward/doorward/sessions/store"
)

const (
	app       = "https://app.test"
	wiki      = "https://wiki.test"
	corp      = "http://127.0.0.1:9001" // loopback, because a provider elsewhere must have TLS
	other     = "http://127.0.0.1:9002"
	sessionID = "__Host-doorward"
)

// world is two applications behind Doorward, and their identity provider, in memory.
type world struct {
	*gateway // the first replica

	net      *testnet.Network
	idp      *idp.Server
	kept     store.Store // sessions
	shared   *frailStore
	ring     *seal.Ring
	origins  *origin.Set
	log      *testnet.Output
	logger   *slog.Logger
	plan     plan
	replicas []*gateway
}

// gateway is one Doorward.
type gateway struct {
	flows     *Flows
	keeper    *sessions.Keeper
	providers map[string]*provider.Client
	handler   http.Handler
}

// plan is what tests change about a world.
type plan struct {
	flows     func(*Config)
	sessions  func(*sessions.Config)
	idp       func(*idp.Config)
	providers []string // besides corp
	logins    []string // that the applications offer; nil = all
	hosts     []string // besides app, wiki and login
	issuer    string   // of corp; "" = corp
	uses      bool     // the applications use the access token: one that has ended for good needs a login
	frail     bool     // sessions live in the store that can be made to fail
}

func newWorld(t testing.TB, changes ...func(*plan)) *world {
	t.Helper()
	p := plan{flows: func(*Config) {}, sessions: func(*sessions.Config) {}, idp: func(*idp.Config) {}, hosts: []string{app, wiki, "https://login.test"}}
	for _, change := range changes {
		change(&p)
	}
	w := &world{
		net: testnet.NewFor(t), log: &testnet.Output{}, kept: newStore(t), shared: &frailStore{Store: newStore(t)},
		ring: must(seal.New(bytes.Repeat([]byte{7}, 32)))(t), plan: p,
	}
	if p.frail {
		w.kept = w.shared
	}
	w.logger = slog.New(slog.NewJSONHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var hosts []origin.Origin
	for _, host := range p.hosts {
		hosts = append(hosts, mustOrigin(t, host))
	}
	w.origins = must(origin.NewSet(hosts...))(t)
	w.gateway = w.replica(t)
	for _, host := range hosts {
		if host.Secure() {
			w.net.ServeTLS(t, host.Host+":443", w)
		} else {
			w.net.Serve(t, host.Host+":80", w)
		}
	}
	w.idp = w.startProvider(t, corp, p.idp)
	return w
}

// ServeHTTP hands a request to the first replica, or to the one whose number it names.
func (w *world) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	n, _ := strconv.Atoi(r.Header.Get("X-Test-Replica"))
	w.replicas[n].handler.ServeHTTP(rw, r)
}

// replica makes one more Doorward of the same configuration, on the same stores and keys.
func (w *world) replica(t testing.TB) *gateway {
	t.Helper()
	g := &gateway{providers: map[string]*provider.Client{}}
	site := must(pages.New(pages.Config{Prefix: "/oauth2"}))(t)
	c := Config{
		Prefix: "/oauth2",
		Logins: []Login{{Name: "staff", Flow: "authorization_code", Provider: "corp", Label: "Staff"}},
		Cookie: sessions.Cookie{Name: "doorward", SameSite: http.SameSiteLaxMode},
	}
	w.addProvider(t, g, "corp", cmp.Or(w.plan.issuer, corp))
	for i, name := range w.plan.providers {
		w.addProvider(t, g, name, fmt.Sprintf("http://127.0.0.1:%d", 9002+i))
	}
	w.plan.flows(&c)
	sc := sessions.Config{Idle: 8 * time.Hour, Lifetime: 24 * time.Hour}
	w.plan.sessions(&sc)
	sc.Cookie = c.Cookie
	revoker := NewRevoker(g.providers, w.logger)
	t.Cleanup(revoker.Wait)
	g.keeper = must(sessions.New(sc, sessions.Deps{
		Sessions: w.kept, Shared: w.shared, Ring: w.ring, Origins: w.origins, Log: w.logger,
		Refresh: Refresher(g.providers), Valid: Knows(c.Logins, g.providers, c.Users...), Ended: revoker.Revoke,
	}))(t)
	t.Cleanup(g.keeper.Close)
	g.flows = must(New(c, Deps{
		Providers: g.providers, Sessions: g.keeper, Revoker: revoker, Shared: w.shared, Ring: w.ring, Origins: w.origins, Pages: site, Log: w.logger,
	}))(t)
	w.serve(t, g, site)
	w.replicas = append(w.replicas, g)
	return g
}

func (w *world) addProvider(t testing.TB, g *gateway, name, issuer string) {
	t.Helper()
	g.providers[name] = must(provider.New(provider.Config{
		Name: name, Issuer: issuer, ClientID: "doorward", ClientSecret: secret.New(idptest.Secret),
		Scopes: []string{"openid", "profile", "email", "groups"}, Discovery: true,
	}, provider.Deps{Dial: w.net.Dial, Log: w.logger}))(t)
}

// startProvider runs an identity provider at issuer that knows all redirect URIs.
func (w *world) startProvider(t testing.TB, issuer string, change func(*idp.Config)) *idp.Server {
	t.Helper()
	var uris, goodbyes []string
	for name := range w.providers {
		uris, goodbyes = append(uris, w.flows.RedirectURIs(name)...), w.flows.PostLogoutURIs(name)
	}
	c := idptest.Standard(uris...)
	c.Issuer, c.Clients[0].PostLogoutRedirectURIs = issuer, goodbyes
	if change != nil {
		change(&c)
	}
	return idptest.Serve(t, w.net, c)
}

// serve puts applications behind g and does for them what package proxy does: own endpoints,
// then identify, then challenge or serve.
func (w *world) serve(t testing.TB, g *gateway, site *pages.Pages) {
	t.Helper()
	logins := w.plan.logins
	if logins == nil {
		for _, l := range g.flows.logins {
			logins = append(logins, l.name)
		}
	}
	starter := must(g.flows.Starter(logins))(t)
	mux := http.NewServeMux()
	g.flows.Mount(mux)
	mux.Handle("/", site.Handle(func(rw http.ResponseWriter, r *http.Request) error {
		who, ok, err := g.keeper.Authenticate(rw, r)
		if ok && w.plan.uses && !who.Tokens.Valid(time.Now(), 0) && who.Tokens.RefreshToken.IsZero() {
			ok = false
		}
		switch {
		case err != nil:
			return &pages.Error{Code: codeStore, Err: err}
		case !ok && pages.KindOf(r) != pages.Program:
			return starter.Start(rw, r, r.URL.RequestURI())
		case !ok:
			return &pages.Error{Code: codeLoginRequired, LoginURL: starter.LoginURL(r, r.URL.RequestURI())}
		}
		_, err = fmt.Fprintf(rw, "%s sees %s%s", who.Username, r.Host, r.URL.RequestURI())
		return err
	}))
	access := telemetry.NewAccessLog(w.logger)
	t.Cleanup(access.Close)
	known := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		telemetry.From(rw).Client = r.Header.Get("X-Test-Client")
		mux.ServeHTTP(rw, r)
	})
	g.handler = access.Handler(known, func(http.ResponseWriter, *http.Request) { t.Error("a handler panicked") })
}

func newStore(t testing.TB) store.Store {
	t.Helper()
	s := store.NewMemory(store.MemoryConfig{}, store.Deps{})
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// signedIn returns a browser in which alice has opened address.
func (w *world) signedIn(t testing.TB, address string) *testnet.Browser {
	t.Helper()
	b := w.net.Browser()
	page := b.Open(t, address).SignIn(t, "alice", "alice")
	if !strings.HasPrefix(page.Body, "alice sees ") {
		t.Fatalf("no sign-in:\n%s%s", page.Trail(), page.Body)
	}
	return b
}

// answered begins a login at address, signs alice in at the provider, and returns the callback URL that the
// browser was sent to and has not opened.
func (w *world) answered(t testing.TB, b *testnet.Browser, address string) string {
	t.Helper()
	b.StopAt = func(next *url.URL) bool { return next.Query().Has("state") && next.Hostname() != "127.0.0.1" }
	defer func() { b.StopAt = nil }()
	page := b.Open(t, address)
	if len(page.Forms()) > 0 {
		page = page.SignIn(t, "alice", "alice")
	}
	to := page.Header.Get("Location")
	if !strings.Contains(to, "code=") {
		t.Fatalf("no callback:\n%s%s", page.Trail(), page.Body)
	}
	return to
}

// with returns address with a query parameter set, or without it if there are no values.
func with(t testing.TB, address, name string, values ...string) string {
	t.Helper()
	u := must(url.Parse(address))(t)
	q := u.Query()
	q[name] = values
	u.RawQuery = q.Encode()
	return u.String()
}

// expect checks what a page is: a status, and words in it.
func expect(t testing.TB, p *testnet.Page, status int, words ...string) {
	t.Helper()
	if p.Status != status {
		t.Errorf("status %d, want %d\n%s%s", p.Status, status, p.Trail(), p.Text())
	}
	for _, word := range words {
		if !strings.Contains(p.Body, word) && !strings.Contains(p.Text(), word) {
			t.Errorf("the page doesn't say %q\n%s%s", word, p.Trail(), p.Text())
		}
	}
}

// attempts returns the names of the login cookies that a browser keeps for address.
func attempts(b *testnet.Browser, address string) (names []string) {
	for _, name := range b.Jar.Names(address) {
		if strings.HasPrefix(name, "__Host-doorward-post.") ||
			strings.HasPrefix(name, "__Host-doorward-login.") && !strings.HasSuffix(name, ".loop") && !strings.HasSuffix(name, ".last") {
			names = append(names, name)
		}
	}
	return names
}

// call makes one request that no browser makes: without cookies, redirects followed or Sec-Fetch headers.
func (w *world) call(t testing.TB, method, address string, header ...string) *http.Response {
	t.Helper()
	r := must(http.NewRequestWithContext(t.Context(), method, address, http.NoBody))(t)
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	res := must(w.net.Client().Do(r))(t)
	t.Cleanup(func() { _ = res.Body.Close() })
	return res
}

func decode(t testing.TB, text string) (v map[string]any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}

// frailStore is a store that can be made to fail.
type frailStore struct {
	store.Store
	down atomic.Bool
	puts atomic.Int64
	adds atomic.Int64
}

func (s *frailStore) trouble() error {
	if s.down.Load() {
		return fmt.Errorf("test: %w", store.ErrUnavailable)
	}
	return nil
}

func (s *frailStore) Add(ctx context.Context, key string, delta int64, ttl time.Duration) (int64, error) {
	if err := s.trouble(); err != nil {
		return 0, err
	}
	s.adds.Add(1)
	return s.Store.Add(ctx, key, delta, ttl)
}

func (s *frailStore) Put(ctx context.Context, key string, value []byte, ttl time.Duration, index ...string) error {
	if err := s.trouble(); err != nil {
		return err
	}
	s.puts.Add(1)
	return s.Store.Put(ctx, key, value, ttl, index...)
}

func (s *frailStore) Get(ctx context.Context, keys ...string) ([]store.Item, error) {
	if err := s.trouble(); err != nil {
		return nil, err
	}
	return s.Store.Get(ctx, keys...)
}
