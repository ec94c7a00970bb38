package bearer_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/demo/idp/idptest"
	"github.com/doorward/doorward/flows/bearer"
	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/credentials"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/internal/seal"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/testnet"
	"github.com/doorward/doorward/sessions/store"
)

const (
	api     = "https://api.example/orders" // the audience of most tests
	another = "https://api.example/admin"
	target  = "https://api.example/orders/7"
)

// world is some identity providers over real HTTP in memory, and a Verifier that knows them all: corp and partner, whose
// JWTs are verified by signature, and vault, cellar and signed, which are asked.
type world struct {
	t         testing.TB
	net       *testnet.Network
	idps      map[string]*idp.Server
	providers map[string]*provider.Client
	shared    *frail
	ring      *seal.Ring
	log       *testnet.Output
	v         *bearer.Verifier
}

// issuers are loopback addresses, because a provider elsewhere must have TLS.
var issuers = map[string]string{
	"corp": "http://127.0.0.1:9001", "partner": "http://127.0.0.1:9002",
	"vault": "http://127.0.0.1:9003", "cellar": "http://127.0.0.1:9004", "signed": "http://127.0.0.1:9005",
}

// inBubble runs a test by the clock of a synctest bubble.
func inBubble(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, newWorld(t)) })
}

func newWorld(t testing.TB) *world {
	t.Helper()
	memory := store.NewMemory(store.MemoryConfig{}, store.Deps{})
	t.Cleanup(func() { _ = memory.Close() })
	w := &world{
		t: t, net: testnet.NewFor(t), idps: map[string]*idp.Server{}, providers: map[string]*provider.Client{},
		shared: &frail{Store: memory}, log: &testnet.Output{},
	}
	for name, issuer := range issuers {
		config := idptest.Standard()
		config.Issuer = issuer
		config.Clients[0].Audience = []string{api}
		config.AccessTokenLifetime = time.Hour
		w.idps[name] = idptest.Serve(t, w.net, config)
		conf := provider.Config{Name: name, Issuer: issuer, ClientID: "doorward", ClientSecret: secret.New(idptest.Secret), Discovery: true}
		if name != "corp" && name != "partner" {
			conf.AccessTokens = "introspect"
		}
		conf.SignedIntrospection = name == "signed"
		p, err := provider.New(conf, provider.Deps{Dial: w.net.Dial})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.Close)
		w.providers[name] = p
	}
	var err error
	if w.ring, err = seal.New(bytes.Repeat([]byte{7}, 32)); err != nil {
		t.Fatal(err)
	}
	w.v = w.verifier(0)
	return w
}

func (w *world) verifier(bytes uint64) *bearer.Verifier {
	w.t.Helper()
	log := slog.New(slog.NewJSONHandler(w.log, nil))
	v, err := bearer.New(bearer.Deps{Providers: w.providers, Shared: w.shared, Ring: w.ring, Log: log, MaxBytes: bytes})
	if err != nil {
		w.t.Fatal(err)
	}
	return v
}

func (w *world) checker(issuers ...string) *bearer.Checker {
	w.t.Helper()
	return w.checkerFor([]string{api}, issuers...)
}

func (w *world) checkerFor(audience []string, issuers ...string) *bearer.Checker {
	w.t.Helper()
	c, err := w.v.Checker(bearer.Config{Issuers: issuers, Audience: audience})
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// alice is a token of hers, changed.
func (w *world) alice(at string, changes ...func(*idp.Mint)) string {
	m := idp.Mint{User: "alice", Scopes: []string{"openid", "orders.read"}}
	for _, change := range changes {
		change(&m)
	}
	return w.idps[at].MustMint(m)
}

func opaque(m *idp.Mint) { m.Opaque = true }

// counts is how many requests every provider has got.
func (w *world) counts() (n int) {
	for _, p := range w.idps {
		n += len(p.Requests())
	}
	return n
}

func (w *world) asked(at string) int { return len(w.idps[at].Requests(idp.Introspect)) }

// down makes every request to a provider fail until it is healed.
func (w *world) down(at string) {
	for _, endpoint := range []string{idp.Discovery, idp.JWKS, idp.Introspect} {
		w.idps[at].Misbehave(idp.Dropped().On(endpoint).Always())
	}
}

func plain(token string) credentials.Presented {
	return credentials.Presented{Token: token, Scheme: "Bearer", Method: "GET", URL: target}
}

func accepts(t testing.TB, c *bearer.Checker, p credentials.Presented) *identity.Identity {
	t.Helper()
	who, err := c.Check(t.Context(), p)
	if err != nil {
		t.Fatalf("refused: %v", err)
	}
	return who
}

// refuses wants a Refusal of this word that says this, and says nothing of the token.
func refuses(t testing.TB, c *bearer.Checker, p credentials.Presented, word, says string) *credentials.Refusal {
	t.Helper()
	who, err := c.Check(t.Context(), p)
	var r *credentials.Refusal
	if who != nil || !errors.As(err, &r) || r.Word != word || !strings.Contains(r.Description, says) {
		t.Fatalf("%v, %v; want %s: …%s…", who, err, word, says)
	}
	if len(p.Token) > 20 && strings.Contains(r.Challenge("api.example"), p.Token) {
		t.Errorf("the challenge holds the token: %s", r.Challenge("api.example"))
	}
	return r
}

// fails wants an answer that is neither yes nor no.
func fails(t testing.TB, c *bearer.Checker, p credentials.Presented, code string) {
	t.Helper()
	who, err := c.Check(t.Context(), p)
	var e *pages.Error
	if who != nil || !errors.As(err, &e) || e.Code != code || e.RetryAfter <= 0 {
		t.Fatalf("%v, %v; want %s", who, err, code)
	}
}

// frail is a store that can be made to fail.
type frail struct {
	store.Store
	broken atomic.Bool
}

func (f *frail) Swap(ctx context.Context, key string, old uint64, value []byte, ttl time.Duration) (bool, error) {
	if f.broken.Load() {
		return false, fmt.Errorf("no disk: %w", store.ErrUnavailable)
	}
	return f.Store.Swap(ctx, key, old, value, ttl)
}

// key is a DPoP key of a client.
type key struct{ *ecdsa.PrivateKey }

func newKey(t testing.TB) key {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key{k}
}

func (k key) thumbprint(t testing.TB) string {
	t.Helper()
	sum, err := (&jose.JSONWebKey{Key: k.Public()}).Thumbprint(crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(sum)
}

func (k key) bind(t testing.TB) func(*idp.Mint) {
	return func(m *idp.Mint) { m.JKT = k.thumbprint(t) }
}

// proof is one for a request with this token; changes alter its claims, nil removes one.
func (k key) proof(t testing.TB, token string, changes map[string]any) string {
	t.Helper()
	sum := sha256.Sum256([]byte(token))
	claims := map[string]any{
		"jti": rand.Text(), "htm": "GET", "htu": target, "iat": time.Now().Unix(),
		"ath": base64.RawURLEncoding.EncodeToString(sum[:]),
	}
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	options := (&jose.SignerOptions{EmbedJWK: true}).WithType("dpop+jwt")
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: k.PrivateKey}, options)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// dpop is how a client presents a bound token.
func dpop(token string, proofs ...string) credentials.Presented {
	return credentials.Presented{Token: token, Scheme: "DPoP", Proofs: proofs, Method: "GET", URL: target}
}
