package idp_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/demo/idp/idptest"
	"github.com/doorward/doorward/internal/testnet"
)

const (
	callback = "https://app.test/cb"
	verifier = "0123456789-abcdefghijklmnopqrstuvwxyz._~ABCDEF"
)

func challenge() string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// world is a provider in memory with a browser and a client of the standard registration.
type world struct {
	*idp.Server
	t       *testing.T
	net     *testnet.Network
	browser *testnet.Browser
	http    *http.Client
}

func newWorld(t *testing.T, change ...func(*idp.Config)) *world {
	t.Helper()
	config := idptest.Standard(callback, callback+"?keep=1")
	config.Issuer = "https://idp.test/realms/main"
	config.Clients[0].PostLogoutRedirectURIs = []string{"https://app.test/bye"}
	for _, f := range change {
		f(&config)
	}
	n := testnet.NewFor(t)
	w := &world{Server: idptest.Serve(t, n, config), t: t, net: n, browser: n.Browser(), http: n.Client()}
	w.browser.StopAt = func(next *url.URL) bool { return next.Host == "app.test" }
	return w
}

// authorizeURL is a good authorization request; a change with "" removes a parameter.
func (w *world) authorizeURL(changes ...string) string {
	q := url.Values{
		"response_type": {"code"}, "client_id": {"doorward"}, "redirect_uri": {callback}, "scope": {"openid profile email"},
		"state": {"S"}, "nonce": {"N"}, "code_challenge": {challenge()}, "code_challenge_method": {"S256"},
	}
	for i := 0; i < len(changes); i += 2 {
		if q.Set(changes[i], changes[i+1]); changes[i+1] == "" {
			q.Del(changes[i])
		}
	}
	return w.URL(idp.Authorize) + "?" + q.Encode()
}

// answer returns the parameters that a page redirects to the client with.
func answer(t *testing.T, p *testnet.Page) url.Values {
	t.Helper()
	location := p.Hops[len(p.Hops)-1].Location
	u, err := url.Parse(location)
	if err != nil || u.Host != "app.test" {
		t.Fatalf("no redirect to the client: status %d, location %q\n%s", p.Status, location, p.Text())
	}
	if _, fragment, ok := strings.Cut(location, "#"); ok {
		values, err := url.ParseQuery(fragment)
		if err != nil || u.RawQuery != "" {
			t.Fatalf("%v: %s", err, location)
		}
		return values
	}
	return u.Query()
}

// login signs alice in and returns the code.
func (w *world) login(changes ...string) string {
	w.t.Helper()
	p := w.browser.Open(w.t, w.authorizeURL(changes...))
	if p.Status == http.StatusOK {
		p = p.SignIn(w.t, "alice", "alice")
	}
	got := answer(w.t, p)
	if got.Get("code") == "" {
		w.t.Fatalf("no code: %v", got)
	}
	return got.Get("code")
}

type reply struct {
	status int
	header http.Header
	body   string
	json   map[string]any
}

func (r reply) text(name string) string { s, _ := r.json[name].(string); return s }

// post sends a form to an endpoint with the credentials of the standard client, unless edited.
func (w *world) post(endpoint string, form url.Values, edit ...func(*http.Request)) reply {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.URL(endpoint), strings.NewReader(form.Encode()))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth("doorward", url.QueryEscape(idptest.Secret))
	for _, f := range edit {
		f(req)
	}
	return w.do(req)
}

func (w *world) do(req *http.Request) reply {
	w.t.Helper()
	res, err := w.http.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	r := reply{status: res.StatusCode, header: res.Header, body: string(body)}
	_ = json.Unmarshal(body, &r.json)
	return r
}

func (w *world) get(address, bearer string) reply {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, address, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	return w.do(req)
}

func codeForm(code string) url.Values {
	return url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier}}
}

func refreshForm(token string) url.Values {
	return url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}
}

// tokens signs alice in and redeems the code.
func (w *world) tokens(changes ...string) reply {
	w.t.Helper()
	r := w.post(idp.Token, codeForm(w.login(changes...)))
	if r.status != 200 {
		w.t.Fatalf("token endpoint: %d %s", r.status, r.body)
	}
	return r
}

// verify checks a JWT with a JOSE library against the published keys and returns header and claims.
func (w *world) verify(token string) (jose.Header, map[string]any) {
	w.t.Helper()
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{"RS256", "PS256", "ES256", "EdDSA"})
	if err != nil {
		w.t.Fatalf("%v: %s", err, token)
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(w.get(w.URL(idp.JWKS), "").body), &set); err != nil {
		w.t.Fatal(err)
	}
	keys := set.Key(parsed.Headers[0].KeyID)
	if len(keys) != 1 {
		w.t.Fatalf("%d published keys with kid %q", len(keys), parsed.Headers[0].KeyID)
	}
	claims := map[string]any{}
	if err := parsed.Claims(keys[0].Key, &claims); err != nil {
		w.t.Fatal(err)
	}
	return parsed.Headers[0], claims
}

func (w *world) wantError(r reply, status int, code string) {
	w.t.Helper()
	if r.status != status || r.text("error") != code {
		w.t.Errorf("got %d %s, want %d %s", r.status, r.body, status, code)
	}
	if r.header.Get("Cache-Control") != "no-store" {
		w.t.Errorf("an error may be cached: %v", r.header)
	}
}
