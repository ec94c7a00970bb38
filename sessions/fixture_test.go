package sessions

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/seal"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/testnet"
	"github.com/doorward/doorward/sessions/store"
)

const (
	app    = "https://app.test"
	wiki   = "https://wiki.test"
	local  = "http://localhost:4180"
	cookie = "__Host-doorward"
)

// gate is one replica of Doorward as far as sessions are concerned, behind three origins.
type gate struct {
	*Keeper
	net      *testnet.Network
	sessions *frailStore // nil in cookie mode
	shared   *frailStore
	provider *tokenService
	log      *testnet.Output
}

// plan is what tests change about a gate.
type plan struct {
	config   Config
	keys     [][]byte
	sessions store.Store
	shared   store.Store
	provider *tokenService
	origins  []string
	now      func() time.Time
	valid    func(*identity.Identity) bool
	waits    func(*identity.Identity) error
	ended    func(context.Context, *identity.Identity)

	refreshed func(ctx context.Context, old, now *identity.Identity)
}

func inCookies(p *plan) { p.config.InCookie = true }

// bothHomes runs a test once for each home of sessions, in a bubble in which time costs none.
func bothHomes(t *testing.T, test func(t *testing.T, home func(*plan))) {
	t.Helper()
	t.Run("in a store", func(t *testing.T) { bubble(t, func(t *testing.T) { test(t, func(*plan) {}) }) })
	t.Run("in cookies", func(t *testing.T) { bubble(t, func(t *testing.T) { test(t, inCookies) }) })
}

func newGate(t testing.TB, changes ...func(*plan)) *gate {
	t.Helper()
	p := plan{
		config:  Config{Idle: 8 * time.Hour, Lifetime: 24 * time.Hour, Cookie: Cookie{Name: "doorward"}},
		keys:    [][]byte{bytes.Repeat([]byte{7}, seal.KeySize)},
		origins: []string{app, wiki, local},
	}
	for _, change := range changes {
		change(&p)
	}
	g := &gate{net: testnet.NewFor(t), shared: frail(t, p.shared), provider: p.provider, log: &testnet.Output{}}
	if !p.config.InCookie {
		g.sessions = frail(t, p.sessions)
	}
	if g.provider == nil {
		g.provider = newTokenService()
	}
	d := Deps{Shared: g.shared, Ring: must(seal.New(p.keys...))(t), Origins: origins(t, p.origins...), Refresh: g.provider, Valid: p.valid, Waits: p.waits, Ended: p.ended, Refreshed: p.refreshed, Now: p.now, Log: slog.New(slog.NewJSONHandler(g.log, nil))}
	if g.sessions != nil {
		d.Sessions = g.sessions
	}
	g.Keeper = must(New(p.config, d))(t)
	t.Cleanup(g.Close)
	for _, o := range p.origins {
		if o := mustOrigin(t, o); o.Secure() {
			g.net.ServeTLS(t, o.Host+":443", g.handler())
		} else {
			g.net.Serve(t, o.Authority(), g.handler())
		}
	}
	return g
}

// handler answers with what its Keeper says, one path for each of its methods.
func (g *gate) handler() http.Handler {
	mux := http.NewServeMux()
	say := func(w http.ResponseWriter, s *Session, err error) {
		switch {
		case errors.Is(err, store.ErrUnavailable):
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		case errors.Is(err, ErrRefused), err == nil && s == nil:
			http.Error(w, "nobody", http.StatusUnauthorized)
		case err != nil:
			http.Error(w, err.Error(), http.StatusInternalServerError)
		default:
			fmt.Fprintf(w, "%s %s %s", s.Who.Subject, s.ID, token(s.Who))
		}
	}
	mux.HandleFunc("/login", func(w http.ResponseWriter, r *http.Request) {
		s, err := g.Start(w, r, g.provider.identity(r.FormValue("who")))
		say(w, s, err)
	})
	mux.HandleFunc("/logout", func(w http.ResponseWriter, r *http.Request) { s, err := g.End(w, r); say(w, s, err) })
	mux.HandleFunc("/session", func(w http.ResponseWriter, r *http.Request) { s, err := g.Load(r); say(w, s, err) })
	mux.HandleFunc("/refresh", func(w http.ResponseWriter, r *http.Request) { s, err := g.Refresh(w, r); say(w, s, err) })
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		who, ok, err := g.Authenticate(w, r)
		s := &Session{Who: who}
		if !ok {
			s = nil
		}
		say(w, s, err)
	})
	return mux
}

func token(who *identity.Identity) string {
	if who.Tokens == nil {
		return ""
	}
	return who.Tokens.AccessToken.Reveal()
}

// signedIn returns a browser that is signed in as alice, and the page it got.
func (g *gate) signedIn(t testing.TB, address string) *testnet.Browser {
	t.Helper()
	b := g.net.Browser()
	expect(t, b.Open(t, address+"/login?who=alice"), 200, "alice")
	if len(b.Jar.Refused) > 0 {
		t.Fatalf("the browser does not take %q", b.Jar.Refused)
	}
	return b
}

// expect checks a page and returns the words on it.
func expect(t testing.TB, p *testnet.Page, status int, word string) []string {
	t.Helper()
	if p.Status != status || !strings.Contains(p.Body, word) {
		t.Errorf("%s: %d %q, want %d %q", p.URL, p.Status, p.Body, status, word)
	}
	return append(strings.Split(strings.TrimSpace(p.Body), " "), "", "", "")
}

// ask sends a Cookie header to a handler without a browser's scruples.
func (g *gate) ask(t testing.TB, address, cookies string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody)
	if cookies != "" {
		r.Header.Set("Cookie", cookies)
	}
	w := httptest.NewRecorder()
	g.handler().ServeHTTP(w, r)
	return w
}

// header is the Cookie header that a browser would send.
func header(b *testnet.Browser, address string) string {
	var pairs []string
	for _, name := range b.Jar.Names(address) {
		pairs = append(pairs, name+"="+b.Jar.Get(address, name))
	}
	return strings.Join(pairs, "; ")
}

// tokenService is a provider that rotates refresh tokens and ends a session when one is
// used twice, as Keycloak does.
type tokenService struct {
	life   time.Duration // of access tokens
	delay  time.Duration // of an answer
	size   int           // of an access token
	sid    string
	change func(*identity.Identity)

	calls atomic.Int64
	mu    sync.Mutex
	n     int
	used  map[string]bool
	fail  error
}

func newTokenService() *tokenService {
	return &tokenService{life: 5 * time.Minute, used: map[string]bool{}}
}

func (s *tokenService) failWith(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = err
}

func (s *tokenService) identity(sub string) *identity.Identity {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	now := time.Now()
	return &identity.Identity{
		Issuer: "https://sso.test", Subject: sub, Provider: "corp", Login: "staff", SID: s.sid,
		Claims: identity.NewClaims([]byte(`{"sub":"` + sub + `"}`)),
		Tokens: &identity.Tokens{
			AccessToken: secret.New(fmt.Sprintf("at-%d%s", s.n, strings.Repeat("x", s.size))), RefreshToken: secret.New(fmt.Sprintf("rt-%d", s.n)), IDToken: secret.New("id-token"),
			TokenType: "Bearer", ReceivedAt: now, Expiry: now.Add(s.life),
		},
	}
}

func (s *tokenService) Refresh(ctx context.Context, who *identity.Identity) (*identity.Identity, error) {
	s.calls.Add(1)
	select {
	case <-time.After(s.delay):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	s.mu.Lock()
	fail, rt := s.fail, who.Tokens.RefreshToken.Reveal()
	if fail == nil && s.used[rt] {
		fail = fmt.Errorf("%w: invalid_grant: %s was used before", ErrRefused, rt)
	}
	if fail == nil {
		s.used[rt] = true
	}
	s.mu.Unlock()
	if fail != nil {
		return nil, fail
	}
	next := s.identity(who.Subject)
	if s.change != nil {
		s.change(next)
	}
	return next, nil
}

// frailStore is a store that can be made to fail, and counts its calls.
type frailStore struct {
	store.Store
	down, readOnly atomic.Bool
	noPut          atomic.Bool
	deaf           atomic.Bool // nobody hears of a change
	calls, writes  atomic.Int64
	beforeGet      func(keys []string) // called after the answer was fetched
}

func frail(t testing.TB, s store.Store) *frailStore {
	t.Helper()
	if s == nil {
		s = store.NewMemory(store.MemoryConfig{}, store.Deps{})
		t.Cleanup(func() { _ = s.Close() })
	}
	return &frailStore{Store: s}
}

func (s *frailStore) trouble(write bool) error {
	s.calls.Add(1)
	if write {
		s.writes.Add(1)
	}
	if s.down.Load() || write && s.readOnly.Load() {
		return fmt.Errorf("test: %w", store.ErrUnavailable)
	}
	return nil
}

func (s *frailStore) Get(ctx context.Context, keys ...string) ([]store.Item, error) {
	if err := s.trouble(false); err != nil {
		return nil, err
	}
	items, err := s.Store.Get(ctx, keys...)
	if s.beforeGet != nil {
		s.beforeGet(keys)
	}
	return items, err
}

func (s *frailStore) Put(ctx context.Context, key string, value []byte, ttl time.Duration, index ...string) error {
	if err := s.trouble(true); err != nil {
		return err
	}
	if s.noPut.Load() {
		return fmt.Errorf("test: %w", store.ErrUnavailable)
	}
	return s.Store.Put(ctx, key, value, ttl, index...)
}

func (s *frailStore) Swap(ctx context.Context, key string, old uint64, value []byte, ttl time.Duration) (bool, error) {
	if err := s.trouble(true); err != nil {
		return false, err
	}
	return s.Store.Swap(ctx, key, old, value, ttl)
}

func (s *frailStore) Take(ctx context.Context, key string) ([]byte, bool, error) {
	if err := s.trouble(true); err != nil {
		return nil, false, err
	}
	return s.Store.Take(ctx, key)
}

func (s *frailStore) Watch(ctx context.Context, prefix string, changed func(string)) error {
	return s.Store.Watch(ctx, prefix, func(key string) {
		if !s.deaf.Load() {
			changed(key)
		}
	})
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

func mustOrigin(t testing.TB, s string) origin.Origin {
	t.Helper()
	return must(origin.Parse(s))(t)
}

func origins(t testing.TB, all ...string) *origin.Set {
	t.Helper()
	list := make([]origin.Origin, 0, len(all))
	for _, s := range all {
		list = append(list, mustOrigin(t, s))
	}
	return must(origin.NewSet(list...))(t)
}
