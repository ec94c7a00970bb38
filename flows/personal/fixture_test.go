package personal

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/internal/identity"
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
	git  = "https://git.test"
	wiki = "https://wiki.test"
)

// world is one replica: personal tokens and sessions behind a few origins, over real HTTP.
type world struct {
	*Tokens
	t     testing.TB
	net   *testnet.Network
	store *frailStore
	log   *testnet.Output

	mu      sync.Mutex
	people  map[string]*identity.Identity // by name
	invalid atomic.Bool
}

type plan struct {
	store   store.Store
	keys    [][]byte
	longest time.Duration
	origins []string
	cookie  sessions.Cookie
}

func key(n byte) []byte { return bytes.Repeat([]byte{n}, seal.KeySize) }

func bubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

func newWorld(t testing.TB, changes ...func(*plan)) *world {
	t.Helper()
	p := plan{keys: [][]byte{key(7)}, longest: 90 * 24 * time.Hour, origins: []string{git, wiki}, cookie: sessions.Cookie{Name: "doorward"}}
	for _, change := range changes {
		change(&p)
	}
	if p.store == nil {
		p.store = newMemory(t)
	}
	w := &world{t: t, net: testnet.NewFor(t), store: &frailStore{Store: p.store}, log: &testnet.Output{}, people: map[string]*identity.Identity{}}
	log := slog.New(slog.NewJSONHandler(w.log, nil))
	ring, set := must(seal.New(p.keys...))(t), mustOrigins(t, p.origins...)
	keeper := must(sessions.New(sessions.Config{Idle: 8 * time.Hour, Lifetime: 24 * time.Hour, Cookie: p.cookie},
		sessions.Deps{Sessions: w.store, Shared: w.store, Ring: ring, Origins: set, Log: log}))(t)
	t.Cleanup(keeper.Close)
	shown := must(pages.New(pages.Config{Prefix: "/oauth2"}))(t)
	w.Tokens = must(New(Config{Prefix: "/oauth2", MaxLifetime: p.longest}, Deps{
		Store: w.store, Ring: ring, Sessions: keeper, Origins: set, Pages: shown, Log: log,
		Valid: func(*identity.Identity) bool { return !w.invalid.Load() },
	}))(t)
	t.Cleanup(w.Close)
	for _, name := range []string{"alice", "bob"} {
		w.people[name] = &identity.Identity{
			Issuer: "https://sso.test", Subject: name, Provider: "corp", Login: "staff", Client: "doorward", Email: name + "@example.com", EmailVerified: true,
			Username: name, Name: strings.ToUpper(name[:1]) + name[1:], Groups: []string{"staff"}, Scopes: []string{"openid", "orders.read"},
			ACR: "2", AMR: []string{"pwd", "otp"}, AuthTime: time.Now().Truncate(time.Second), SID: "sid-1",
			Claims: identity.NewClaims([]byte(`{"sub":"` + name + `","department":"r&d","n":12345678901234567890}`)),
			Tokens: &identity.Tokens{AccessToken: secret.New("provider-token"), TokenType: "Bearer"},
		}
	}
	mux := http.NewServeMux()
	w.Mount(mux)
	mux.HandleFunc("/login", func(rw http.ResponseWriter, r *http.Request) {
		if _, err := keeper.Start(rw, r, w.person(r.FormValue("who"))); err != nil {
			t.Error(err)
		}
	})
	mux.HandleFunc("/logout", func(rw http.ResponseWriter, r *http.Request) {
		if _, err := keeper.End(rw, r); err != nil {
			t.Error(err)
		}
	})
	mux.HandleFunc("/", w.route)
	access := telemetry.NewAccessLog(log)
	handler := access.Handler(mux, func(http.ResponseWriter, *http.Request) { t.Error("a handler panicked") })
	for _, o := range set.All() {
		w.net.ServeTLS(t, o.Host+":443", handler)
	}
	return w
}

// route stands for a route that accepts tokens: it answers with who is calling.
func (w *world) route(rw http.ResponseWriter, r *http.Request) {
	who, ok, err := w.Authenticate(rw, r)
	var e *pages.Error
	switch {
	case errors.As(err, &e):
		w.deps.Pages.Error(rw, r, err)
	case errors.Is(err, store.ErrUnavailable):
		http.Error(rw, "unavailable", http.StatusServiceUnavailable)
	case err != nil:
		http.Error(rw, err.Error(), http.StatusInternalServerError)
	case !ok:
		http.Error(rw, "nobody", http.StatusUnauthorized)
	default:
		fmt.Fprint(rw, who.Subject)
	}
}

func (w *world) person(name string) *identity.Identity {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.people[name]
}

// change replaces what the provider says of somebody.
func (w *world) change(name string, change func(*identity.Identity)) *identity.Identity {
	w.mu.Lock()
	defer w.mu.Unlock()
	old := w.people[name]
	next := &identity.Identity{
		Issuer: old.Issuer, Subject: old.Subject, Provider: old.Provider, Login: old.Login, Client: old.Client, Email: old.Email, EmailVerified: old.EmailVerified,
		Username: old.Username, Name: old.Name, Groups: old.Groups, Scopes: old.Scopes, Claims: old.Claims,
	}
	change(next)
	w.people[name] = next
	return next
}

func (w *world) signedIn(name, address string) *testnet.Browser {
	w.t.Helper()
	b := w.net.Browser()
	if p := b.Open(w.t, address+"/login?who="+name); p.Status != http.StatusOK {
		w.t.Fatalf("login: %d %s", p.Status, p.Body)
	}
	return b
}

// mint makes a token as a script of the page does.
func (w *world) mint(b *testnet.Browser, address string, form url.Values) shown {
	w.t.Helper()
	p := b.Fetch(w.t, "", http.MethodPost, address+"/oauth2/tokens", form)
	if p.Status != http.StatusCreated {
		w.t.Fatalf("minting: %d %s", p.Status, p.Body)
	}
	return decoded[shown](w.t, p.Body)
}

func (w *world) list(b *testnet.Browser, address string) []shown {
	w.t.Helper()
	p := b.Fetch(w.t, "", http.MethodGet, address+"/oauth2/tokens", nil)
	if p.Status != http.StatusOK {
		w.t.Fatalf("list: %d %s", p.Status, p.Body)
	}
	return decoded[struct{ Tokens []shown }](w.t, p.Body).Tokens
}

// call is what a tool does.
func (w *world) call(method, address string, headers ...string) (int, string, http.Header) {
	w.t.Helper()
	r := must(http.NewRequestWithContext(w.t.Context(), method, address, http.NoBody))(w.t)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	res := must(w.net.Transport().RoundTrip(r))(w.t)
	defer res.Body.Close()
	return res.StatusCode, strings.TrimSpace(string(must(io.ReadAll(res.Body))(w.t))), res.Header
}

// expect checks what a token is worth at an address.
func (w *world) expect(tok, address string, status int, body string) {
	w.t.Helper()
	if got, text, _ := w.call(http.MethodGet, address+"/", "Authorization", "Bearer "+tok); got != status || text != body {
		w.t.Errorf("%s: %d %q, want %d %q", address, got, text, status, body)
	}
}

// who is the identity that a token stands for, nil if it stands for none.
func (w *world) who(tok, address string) *identity.Identity {
	w.t.Helper()
	who, _, err := w.Authenticate(nil, w.request(tok, address))
	if err != nil {
		w.t.Fatal(err)
	}
	return who
}

func (w *world) request(tok, address string) *http.Request {
	r := must(http.NewRequestWithContext(w.t.Context(), http.MethodGet, address+"/", http.NoBody))(w.t)
	r.Header.Set("Authorization", "Bearer "+tok)
	return r
}

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

func named(name string, more ...string) url.Values {
	v := url.Values{"name": {name}}
	for i := 0; i < len(more); i += 2 {
		v.Add(more[i], more[i+1])
	}
	return v
}

func decoded[T any](t testing.TB, text string) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}

// frailStore can be made to fail, counts its reads, and lets a test act between a read and its end, or before a write.
type frailStore struct {
	store.Store
	down   atomic.Bool
	gets   atomic.Int64
	after  atomic.Pointer[func(keys []string)]
	before atomic.Pointer[func(key string)]
	noLive atomic.Bool // what requests are judged by cannot be written

	steps atomic.Int64 // calls until failures begin; 0 = they don't
	late  atomic.Bool  // the calls that fail have done their work all the same
	once  atomic.Bool  // only one call fails
}

var errDown = fmt.Errorf("test: %w", store.ErrUnavailable)

// fails reports whether this call fails, and whether it does so before its work.
func (s *frailStore) fails() (fails, before bool) {
	if s.down.Load() {
		return true, true
	}
	n := s.steps.Load()
	if n == 0 {
		return false, false
	}
	if n > 1 {
		s.steps.Store(n - 1)
		return false, false
	}
	if s.once.Load() {
		s.steps.Store(0)
	}
	return true, !s.late.Load()
}

// frail does a call, or fails.
func frail[T any](s *frailStore, call func() (T, error)) (none T, err error) {
	fails, before := s.fails()
	if fails && before {
		return none, errDown
	}
	v, err := call()
	if fails {
		return none, errDown
	}
	return v, err
}

func (s *frailStore) Get(ctx context.Context, keys ...string) ([]store.Item, error) {
	s.gets.Add(1)
	items, err := frail(s, func() ([]store.Item, error) { return s.Store.Get(ctx, keys...) })
	if f := s.after.Load(); f != nil && err == nil {
		(*f)(keys)
	}
	return items, err
}

func (s *frailStore) Put(ctx context.Context, key string, value []byte, ttl time.Duration, index ...string) error {
	if f := s.before.Load(); f != nil {
		(*f)(key)
	}
	if s.noLive.Load() && strings.HasPrefix(key, tokenKeys) {
		return errDown
	}
	_, err := frail(s, func() (struct{}, error) { return struct{}{}, s.Store.Put(ctx, key, value, ttl, index...) })
	return err
}

func (s *frailStore) Swap(ctx context.Context, key string, old uint64, value []byte, ttl time.Duration) (bool, error) {
	return frail(s, func() (bool, error) { return s.Store.Swap(ctx, key, old, value, ttl) })
}

func (s *frailStore) Delete(ctx context.Context, keys ...string) (int, error) {
	return frail(s, func() (int, error) { return s.Store.Delete(ctx, keys...) })
}

func (s *frailStore) Add(ctx context.Context, key string, delta int64, ttl time.Duration) (int64, error) {
	return frail(s, func() (int64, error) { return s.Store.Add(ctx, key, delta, ttl) })
}

func (s *frailStore) List(ctx context.Context, index, after string, limit int) ([]string, error) {
	return frail(s, func() ([]string, error) { return s.Store.List(ctx, index, after, limit) })
}

func newMemory(t testing.TB) store.Store {
	m := store.NewMemory(store.MemoryConfig{}, store.Deps{})
	t.Cleanup(func() { _ = m.Close() })
	return m
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

func mustOrigins(t testing.TB, all ...string) *origin.Set {
	t.Helper()
	var list []origin.Origin
	for _, s := range all {
		list = append(list, must(origin.Parse(s))(t))
	}
	return must(origin.NewSet(list...))(t)
}
