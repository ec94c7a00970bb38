package credential

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/demo/idp/idptest"
	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/credentials"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/internal/seal"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/testnet"
	"github.com/doorward/doorward/sessions/store"
)

const corp = "http://idp.localhost"

// world is an identity provider in memory and what replicas share.
type world struct {
	t      testing.TB
	net    *testnet.Network
	idp    *idp.Server
	client *provider.Client
	shared store.Store
	ring   *seal.Ring
	log    *testnet.Output
	people int
}

// inBubble runs a test in a synctest bubble: time passes by sleeping, and nothing may be left running.
func inBubble(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, newWorld(t, nil)) })
}

func newWorld(t testing.TB, change func(*idp.Config)) *world {
	t.Helper()
	w := &world{t: t, net: testnet.NewFor(t), log: new(testnet.Output), ring: must(seal.New(bytes.Repeat([]byte{7}, 32)))(t)}
	memory := store.NewMemory(store.MemoryConfig{}, store.Deps{})
	t.Cleanup(func() { _ = memory.Close() })
	w.shared = memory
	c := idptest.Every("https://app.test/oauth2/callback")
	c.Issuer = corp
	if change != nil {
		change(&c)
	}
	w.idp = idptest.Serve(t, w.net, c)
	w.client = w.provider("corp", corp)
	return w
}

func (w *world) provider(name, issuer string) *provider.Client {
	w.t.Helper()
	c := must(provider.New(provider.Config{
		Name: name, Issuer: issuer, ClientID: "doorward", ClientSecret: secret.New(idptest.Secret), Discovery: true,
	}, provider.Deps{Dial: w.net.Dial, Log: w.logger()}))(w.t)
	w.t.Cleanup(c.Close)
	return c
}

func (w *world) logger() *slog.Logger {
	return slog.New(slog.NewJSONHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// alone makes a set that shares with nobody.
func (w *world) alone(c ...Config) *Set { return w.set(func(d *Deps) { d.Shared = nil }, c...) }

// replica makes one more set on the shared store.
func (w *world) replica(c ...Config) *Set { return w.set(func(*Deps) {}, c...) }

func (w *world) set(change func(*Deps), c ...Config) *Set {
	w.t.Helper()
	d := Deps{Providers: map[string]*provider.Client{"corp": w.client}, Shared: w.shared, Ring: w.ring, Issuer: "https://app.test", Log: w.logger()}
	change(&d)
	s := must(New(c, d))(w.t)
	w.t.Cleanup(s.Close)
	return s
}

// person is somebody who has signed in: a session of their own, with an access token of the provider.
func (w *world) person(user string) *identity.Identity {
	w.t.Helper()
	w.people++
	subject := map[string]string{"alice": "8f2c-alice", "bob": "77aa-bob"}[user]
	token := must(w.idp.Mint(idp.Mint{User: user}))(w.t)
	return &identity.Identity{
		Issuer: corp, Subject: subject, Provider: "corp", Login: "staff", Session: fmt.Sprint("session ", w.people), Username: user,
		Ends: time.Now().Add(24 * time.Hour),
		Tokens: &identity.Tokens{
			AccessToken: secret.New(token), TokenType: "Bearer", ReceivedAt: time.Now(), Expiry: jwtEnd(secret.New(token)),
		},
	}
}

// granted counts requests to the token endpoint.
func (w *world) granted() int { return w.idp.Count(idp.Token) }

var (
	backup = Config{Name: "backup", Flow: "client_credentials", Provider: "corp", Audience: []string{"data"}}
	orders = Config{Name: "orders", Flow: "token_exchange", Provider: "corp", Audience: []string{"orders"}}
)

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// token asks a source and wants an answer.
func token(t testing.TB, s *Source, who *identity.Identity) *identity.Credential {
	t.Helper()
	return must(s.Token(t.Context(), who))(t)
}

func raw(c *identity.Credential) string { return c.Tokens.AccessToken.Reveal() }

// wantPage wants a *pages.Error of a code.
func wantPage(t testing.TB, err error, code string) *pages.Error {
	t.Helper()
	var e *pages.Error
	if !errors.As(err, &e) || e.Code != code {
		t.Fatalf("%v, want %s", err, code)
	}
	return e
}

func wantRefusal(t testing.TB, err error, word string) *credentials.Refusal {
	t.Helper()
	e, ok := err.(*credentials.Refusal)
	if !ok || e.Word != word {
		t.Fatalf("%v, want %s", err, word)
	}
	return e
}

// stub is a provider in this process, for what is about numbers and time and not about the wire.
type stub struct {
	client
	name  string
	asked atomic.Int64
	life  time.Duration
	size  int
	ask   func(ctx context.Context, n int64, subject string) (*provider.Response, error)
}

func (s *stub) Name() string     { return s.name }
func (s *stub) Issuer() string   { return corp }
func (s *stub) ClientID() string { return "doorward" }

func (s *stub) answer(ctx context.Context, subject string) (*provider.Response, error) {
	n := s.asked.Add(1)
	if s.ask != nil {
		return s.ask(ctx, n, subject)
	}
	return s.response(fmt.Sprintf("%s #%d", subject, n)), nil
}

func (s *stub) response(text string) *provider.Response {
	text = strings.ReplaceAll(text, " ", "_")
	now := time.Now()
	r := &provider.Response{Tokens: identity.Tokens{
		AccessToken: secret.New(text + strings.Repeat("x", max(0, s.size-len(text)))), TokenType: "Bearer", IssuedTokenType: provider.TypeAccessToken, ReceivedAt: now,
	}}
	if s.life > 0 {
		r.Expiry = now.Add(s.life)
	}
	return r
}

func (s *stub) ClientCredentials(ctx context.Context, _ provider.ClientCredentialsRequest) (*provider.Response, error) {
	return s.answer(ctx, "own")
}

func (s *stub) Password(ctx context.Context, _ provider.PasswordRequest) (*provider.Response, error) {
	return s.answer(ctx, "robot")
}

func (s *stub) Exchange(ctx context.Context, r provider.ExchangeRequest) (*provider.Response, error) {
	return s.answer(ctx, "for "+r.Subject.Reveal())
}

func (s *stub) JWTBearer(ctx context.Context, r provider.JWTBearerRequest) (*provider.Response, error) {
	return s.answer(ctx, "by "+r.Assertion.Reveal())
}

// over makes a set over a stub.
func over(t testing.TB, s *stub, change func(*Deps), c ...Config) *Set {
	t.Helper()
	s.name = "corp"
	d := Deps{Ring: must(seal.New(bytes.Repeat([]byte{7}, 32)))(t), Issuer: "https://app.test"}
	if change != nil {
		change(&d)
	}
	set := must(build(c, d.withDefaults(), map[string]client{"corp": s}))(t)
	t.Cleanup(set.Close)
	return set
}

// somebody is a person with a session and a token that lasts.
func somebody(name string) *identity.Identity {
	now := time.Now()
	return &identity.Identity{
		Issuer: corp, Subject: name, Provider: "corp", Login: "staff", Session: "session of " + name, Ends: now.Add(24 * time.Hour),
		Tokens: &identity.Tokens{AccessToken: secret.New("token-of-" + name), ReceivedAt: now, Expiry: now.Add(12 * time.Hour)},
	}
}
