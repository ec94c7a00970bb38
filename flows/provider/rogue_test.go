package provider_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/testnet"
	"github.com/doorward/doorward/sessions/store"
)

// rogue is an identity provider over real HTTP each of whose answers a test can replace.
type rogue struct {
	t   testing.TB
	url string // the issuer
	key *ecdsa.PrivateKey
	net *testnet.Network // in memory, inside a synctest bubble, by the bubble's clock; nil = loopback sockets

	mu       sync.Mutex
	document map[string]any              // discovery
	keys     []any                       // of the JWKS
	answers  map[string]http.HandlerFunc // by path, instead of the usual
	requests map[string][]*http.Request  // by path, with their forms
	clock    time.Time                   // of everybody, but in a bubble
}

const clientID = "doorward"

func newRogue(t testing.TB) *rogue {
	r := blankRogue(t)
	server := httptest.NewServer(http.HandlerFunc(r.serve))
	t.Cleanup(server.Close)
	r.settle(server.URL)
	return r
}

// inBubble runs a test in a synctest bubble with a rogue in memory: pass lets the time of
// everybody pass, and waits for whatever goes on in the background. The bubble fails a test
// that leaves a goroutine behind.
func inBubble(t *testing.T, test func(t *testing.T, r *rogue)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := blankRogue(t)
		r.net = testnet.NewFor(t)
		r.net.Serve(t, "idp.localhost:80", http.HandlerFunc(r.serve))
		r.settle("http://idp.localhost")
		test(t, r)
	})
}

func blankRogue(t testing.TB) *rogue {
	return &rogue{
		t: t, answers: map[string]http.HandlerFunc{}, requests: map[string][]*http.Request{},
		clock: time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC), key: newKey(),
	}
}

func newKey() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }

// rsaKey is one for all tests, as making one is slow.
var rsaKey = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })

func (r *rogue) settle(at string) {
	r.url = at
	r.document = map[string]any{
		"issuer": at, "authorization_endpoint": at + "/authorize", "token_endpoint": at + "/token", "userinfo_endpoint": at + "/userinfo",
		"jwks_uri": at + "/keys", "end_session_endpoint": at + "/logout", "revocation_endpoint": at + "/revoke",
		"id_token_signing_alg_values_supported": []string{"ES256", "RS256", "none", "HS256"},
		"something_new":                         map[string]any{"x": 1},
	}
	r.keys = []any{jwk(&r.key.PublicKey, "k1", "ES256")}
}

func jwk(key any, kid, alg string) jose.JSONWebKey {
	return jose.JSONWebKey{Key: key, KeyID: kid, Algorithm: alg, Use: "sig"}
}

func (r *rogue) serve(w http.ResponseWriter, q *http.Request) {
	_ = q.ParseForm()
	r.mu.Lock()
	r.requests[q.URL.Path] = append(r.requests[q.URL.Path], q)
	answer, now := r.answers[q.URL.Path], r.clock
	if r.net != nil {
		now = time.Now()
	}
	var body any
	switch q.URL.Path {
	case "/.well-known/openid-configuration":
		body = maps.Clone(r.document)
	case "/keys":
		body = map[string]any{"keys": r.keys}
	}
	r.mu.Unlock()
	w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
	switch {
	case answer != nil:
		answer(w, q)
	case body != nil:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(body)
	default:
		http.NotFound(w, q)
	}
}

// on replaces the answer at a path; nil restores it.
func (r *rogue) on(path string, h http.HandlerFunc) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answers[path] = h
}

func (r *rogue) set(name string, value any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.document[name] = value
	if value == nil {
		delete(r.document, name)
	}
}

func (r *rogue) publish(keys ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys = keys
}

func (r *rogue) count(path string) int { return len(r.seen(path)) }

func (r *rogue) seen(path string) []*http.Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.requests[path]
}

func (r *rogue) now() time.Time {
	if r.net != nil {
		return time.Now()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.clock
}

func (r *rogue) pass(d time.Duration) {
	if r.net != nil {
		time.Sleep(d)
		synctest.Wait()
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.clock = r.clock.Add(d)
}

// client is a Client of this provider; changes may alter its configuration.
func (r *rogue) client(changes ...func(*provider.Config, *provider.Deps)) *provider.Client {
	r.t.Helper()
	conf := provider.Config{
		Name: "corp", Issuer: r.url, ClientID: clientID, ClientSecret: secret.New("s3cret: +%/ü-and-at-least-32-bytes-long"),
		Scopes: []string{"openid"}, Discovery: true,
	}
	deps := provider.Deps{Now: r.now}
	if r.net != nil {
		deps.Dial = r.net.Dial
	}
	for _, change := range changes {
		change(&conf, &deps)
	}
	c, err := provider.New(conf, deps)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(c.Close)
	return c
}

func conf(change func(*provider.Config)) func(*provider.Config, *provider.Deps) {
	return func(c *provider.Config, _ *provider.Deps) { change(c) }
}

// claims of a good ID token, changed: a nil value removes.
func (r *rogue) claims(changes map[string]any) map[string]any {
	now := r.now().Unix()
	c := map[string]any{"iss": r.url, "sub": "alice", "aud": clientID, "exp": now + 300, "iat": now, "nonce": "N", "acr": "1", "amr": []string{"pwd"}, "auth_time": now - 5, "sid": "S1"}
	for name, value := range changes {
		c[name] = value
		if value == nil {
			delete(c, name)
		}
	}
	return c
}

// sign makes a compact JWS from any header and payload, right or wrong.
func (r *rogue) sign(header map[string]any, payload []byte) string {
	head := map[string]any{"alg": "ES256", "kid": "k1", "typ": "JWT"}
	for name, value := range header {
		head[name] = value
		if value == nil {
			delete(head, name)
		}
	}
	input := b64(must(json.Marshal(head))) + "." + b64(payload)
	sum := crypto.SHA256.New()
	sum.Write([]byte(input))
	x, y, err := ecdsa.Sign(rand.Reader, r.key, sum.Sum(nil))
	if err != nil {
		r.t.Fatal(err)
	}
	return input + "." + b64(append(x.FillBytes(make([]byte, 32)), y.FillBytes(make([]byte, 32))...))
}

func (r *rogue) idToken(changes map[string]any) string {
	return r.sign(nil, must(json.Marshal(r.claims(changes))))
}

func response(idToken string) *provider.Response {
	return &provider.Response{Tokens: tokensOf(idToken, "access-1")}
}

func tokensOf(idToken, access string) identity.Tokens {
	return identity.Tokens{AccessToken: secret.New(access), IDToken: secret.New(idToken), TokenType: "Bearer"}
}

var ordinary = provider.Expect{Login: "staff", Nonce: "N"}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func answerJSON(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

// wants fails the test unless err is a *provider.Error of this kind and code.
func wants(t testing.TB, err error, kind provider.Kind, code string) *provider.Error {
	t.Helper()
	var e *provider.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want %v %s", err, kind, code)
	}
	if e.Kind != kind || e.Code != code {
		t.Fatalf("got %v %q (%v), want %v %q", e.Kind, e.Code, err, kind, code)
	}
	return e
}

// shelves is as much of a store as a Client uses.
type shelves struct {
	store.Store
	mu    sync.Mutex
	items map[string][]byte
	down  bool
}

func (s *shelves) Get(_ context.Context, keys ...string) ([]store.Item, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return nil, store.ErrUnavailable
	}
	out := make([]store.Item, len(keys))
	for i, k := range keys {
		if v, ok := s.items[k]; ok {
			out[i] = store.Item{Value: v, Version: 1}
		}
	}
	return out, nil
}

func (s *shelves) Put(_ context.Context, key string, value []byte, _ time.Duration, _ ...string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return store.ErrUnavailable
	}
	if s.items == nil {
		s.items = map[string][]byte{}
	}
	s.items[key] = value
	return nil
}

// lines collects a log.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *lines) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func queryOf(t testing.TB, raw string) url.Values {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query()
}

func long(n int) string { return strings.Repeat("x", n) }

func containsCanary(s string) bool { return strings.Contains(s, "canary") }
