package tokenapi_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/demo/idp/idptest"
	"github.com/doorward/doorward/flows/bearer"
	"github.com/doorward/doorward/flows/credential"
	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/flows/tokenapi"
	"github.com/doorward/doorward/internal/seal"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/telemetry"
	"github.com/doorward/doorward/internal/testnet"
	"github.com/doorward/doorward/sessions/store"
)

const (
	issuer = "http://127.0.0.1:9001"
	base   = "http://127.0.0.1:4182"
	self   = "doorward" // the audience of tokens that are for us
)

// world is the token API over real HTTP in memory, and its identity providers: corp, and entra-id, which is another
// registration at the same one whose tokens are introspected. Of mute, nobody's tokens are accepted.
type world struct {
	t      testing.TB
	net    *testnet.Network
	idp    *idp.Server
	log    *testnet.Output
	client *http.Client
}

// inBubble runs a test by the clock of a synctest bubble.
func inBubble(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, newWorld(t)) })
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, net: testnet.NewFor(t), log: &testnet.Output{}}
	config := idptest.Every()
	config.Issuer = issuer
	config.Clients[0].Scopes = append([]string{"data.write"}, "openid", "profile", "email", "groups")
	config.Clients[0].Audiences = []string{"data", "orders", "https://api.example/stock"}
	w.idp = idptest.Serve(t, w.net, config)
	log := slog.New(slog.NewJSONHandler(w.log, nil))
	memory := store.NewMemory(store.MemoryConfig{}, store.Deps{})
	t.Cleanup(func() { _ = memory.Close() })
	providers := map[string]*provider.Client{}
	for name, mode := range map[string]string{"corp": "jwt", "entra-id": "introspect", "mute": "jwt"} {
		p, err := provider.New(provider.Config{
			Name: name, Issuer: issuer, ClientID: "doorward", ClientSecret: secret.New(idptest.Secret), Discovery: true, AccessTokens: mode,
		}, provider.Deps{Dial: w.net.Dial})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.Close)
		providers[name] = p
	}
	ring, err := seal.New(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	credentials, err := credential.New([]credential.Config{
		{Name: "backup", Flow: "client_credentials", Provider: "corp", Scopes: []string{"data.write"}, Audience: []string{"data"}},
		{Name: "stock", Flow: "client_credentials", Provider: "corp", Audience: []string{"https://api.example/stock"}},
		{Name: "orders", Flow: "token_exchange", Provider: "corp", Audience: []string{"orders"}},
		{Name: "refused", Flow: "token_exchange", Provider: "corp", Audience: []string{"admin"}},
		{Name: "graph", Flow: "jwt_bearer", Dialect: "entra_obo", Provider: "corp", Scopes: []string{"api://orders/.default"}},
		{Name: "twice-a", Flow: "client_credentials", Provider: "corp", Audience: []string{"data"}, Scopes: []string{"twice"}},
		{Name: "twice-b", Flow: "client_credentials", Provider: "corp", Scopes: []string{"twice"}},
		{Name: "elsewhere", Flow: "client_credentials", Provider: "entra-id", Audience: []string{"data"}},
		{Name: "unheard", Flow: "token_exchange", Provider: "mute", Audience: []string{"orders"}},
	}, credential.Deps{Providers: providers, Ring: ring, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(credentials.Close)
	verifier, err := bearer.New(bearer.Deps{Providers: providers, Shared: memory, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	checkers := map[string]*bearer.Checker{}
	for _, name := range []string{"corp", "entra-id"} {
		if checkers[name], err = verifier.Checker(bearer.Config{Issuers: []string{name}, Audience: []string{self}}); err != nil {
			t.Fatal(err)
		}
	}
	api, err := tokenapi.New(tokenapi.Deps{Credentials: credentials, Checkers: checkers, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	access := telemetry.NewAccessLog(log)
	t.Cleanup(access.Close)
	w.net.Serve(t, "127.0.0.1:4182", access.Handler(api, func(http.ResponseWriter, *http.Request) { t.Error("a panic") }))
	w.client = w.net.Client()
	return w
}

func (w *world) alice(changes ...func(*idp.Mint)) string {
	m := idp.Mint{User: "alice", Scopes: []string{"openid", "profile"}, Audience: []string{self}}
	for _, change := range changes {
		change(&m)
	}
	return w.idp.MustMint(m)
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   map[string]any
	raw    string
}

func (a answer) text(name string) string { s, _ := a.body[name].(string); return s }

func (w *world) send(r *http.Request) answer {
	w.t.Helper()
	res, err := w.client.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	a := answer{status: res.StatusCode, header: res.Header, raw: string(raw)}
	if err := json.Unmarshal(raw, &a.body); err != nil {
		w.t.Fatalf("%s: %v", raw, err)
	}
	if cache := res.Header.Get("Cache-Control"); cache != "no-store" || res.Header.Get("Content-Type") != "application/json" {
		w.t.Errorf("Cache-Control %q, Content-Type %q", cache, res.Header.Get("Content-Type"))
	}
	return a
}

func (w *world) request(method, path, contentType, body string) *http.Request {
	w.t.Helper()
	r, err := http.NewRequest(method, base+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Content-Type", contentType)
	return r
}

func (w *world) postBody(path, contentType, body string) answer {
	w.t.Helper()
	return w.send(w.request(http.MethodPost, path, contentType, body))
}

// post sends JSON.
func (w *world) post(path string, body map[string]any) answer {
	w.t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.postBody(path, "application/json", string(b))
}

// form sends the same as a form.
func (w *world) form(path string, body map[string]string) answer {
	w.t.Helper()
	form := url.Values{}
	for name, value := range body {
		form.Set(name, value)
	}
	return w.postBody(path, "application/x-www-form-urlencoded", form.Encode())
}

// refuses wants an error answer of the shape that CONTRACT §5 fixes.
func (w *world) refuses(a answer, status int, word, says string) {
	w.t.Helper()
	if a.status != status || a.text("error") != word || !strings.Contains(a.text("error_description"), says) || a.text("access_token") != "" {
		w.t.Errorf("%d %s; want %d %s: …%s…", a.status, a.raw, status, word, says)
	}
}

// claims reads a JWT without believing it.
func claims(t testing.TB, token string) map[string]any {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("no JWT: %d parts", len(parts))
	}
	raw, err := decode(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var c map[string]any
	if err := json.Unmarshal(raw, &c); err != nil {
		t.Fatal(err)
	}
	return c
}
