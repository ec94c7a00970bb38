package idp_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/demo/idp/idptest"
)

func TestCodeFlow(t *testing.T) {
	for _, alg := range []string{"RS256", "PS256", "ES256", "EdDSA"} {
		t.Run(alg, func(t *testing.T) {
			w := newWorld(t, func(c *idp.Config) { c.SigningAlgs = []string{alg} })
			r := w.tokens()
			if r.header.Get("Cache-Control") != "no-store" || r.text("token_type") != "Bearer" || r.json["expires_in"] != 300.0 {
				t.Errorf("answer: %v %s", r.header, r.body)
			}
			header, claims := w.verify(r.text("id_token"))
			if header.Algorithm != alg || header.ExtraHeaders[jose.HeaderType] != "JWT" {
				t.Errorf("header %+v", header)
			}
			for name, want := range map[string]any{
				"iss": "https://idp.test/realms/main", "sub": "8f2c-alice", "aud": "doorward", "azp": "doorward", "nonce": "N",
				"email": "alice@example.com", "email_verified": true, "preferred_username": "alice", "acr": "0",
			} {
				if claims[name] != want {
					t.Errorf("claim %s = %v, want %v", name, claims[name], want)
				}
			}
			header, claims = w.verify(r.text("access_token"))
			if header.ExtraHeaders[jose.HeaderType] != "at+jwt" || claims["client_id"] != "doorward" || claims["nonce"] != nil {
				t.Errorf("access token: %+v %v", header, claims)
			}
			info := w.get(w.URL(idp.UserInfo), r.text("access_token"))
			if info.status != 200 || info.text("sub") != "8f2c-alice" || info.text("name") != "Alice Example" {
				t.Errorf("userinfo: %d %s", info.status, info.body)
			}
		})
	}
}

func TestResponseModes(t *testing.T) {
	w := newWorld(t)
	w.login()
	for mode, prefix := range map[string]string{"query": callback + "?", "fragment": callback + "#"} {
		p := w.browser.Open(t, w.authorizeURL("response_mode", mode))
		if location := p.Header.Get("Location"); p.Status != 303 || !strings.HasPrefix(location, prefix) || !strings.Contains(location, "iss=https%3A%2F%2Fidp.test%2Frealms%2Fmain") {
			t.Errorf("%s: %d %s", mode, p.Status, location)
		}
	}
	p := w.browser.Open(t, w.authorizeURL("redirect_uri", callback+"?keep=1"))
	if got := answer(t, p); got.Get("keep") != "1" || got.Get("state") != "S" {
		t.Errorf("the query of the redirect URI was lost: %v", got)
	}
	w.net.ServeTLS(t, "app.test:443", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		_, _ = rw.Write([]byte(r.Method + " " + r.URL.RawQuery + " " + r.PostForm.Get("state") + " " + r.Header.Get("Origin")))
	}))
	w.browser.StopAt = nil
	p = w.browser.Open(t, w.authorizeURL("response_mode", "form_post"))
	if p.Body != "POST  S null" {
		t.Errorf("form_post arrived as %q", p.Body)
	}
}

func TestSingleSignOnAndPrompts(t *testing.T) {
	w := newWorld(t)
	if got := answer(t, w.browser.Open(t, w.authorizeURL("prompt", "none"))); got.Get("error") != "login_required" || got.Get("iss") != w.Issuer() || got.Get("state") != "S" {
		t.Errorf("prompt=none without session: %v", got)
	}
	w.login()
	if got := answer(t, w.browser.Open(t, w.authorizeURL("prompt", "none"))); got.Get("code") == "" {
		t.Errorf("prompt=none with session: %v", got)
	}
	for _, ask := range [][]string{{"prompt", "login"}, {"max_age", "0"}, {"prompt", "select_account"}, {"acr_values", "1"}} {
		if p := w.browser.Open(t, w.authorizeURL(ask...)); p.Status != 200 || len(p.Forms()) != 1 || p.Forms()[0].ID != "login" {
			t.Errorf("%v did not ask for the password: %d", ask, p.Status)
		}
	}
	_, claims := w.verify(w.tokens("acr_values", "1").text("id_token"))
	if claims["acr"] != "1" {
		t.Errorf("acr %v after step-up", claims["acr"])
	}
	if p := w.browser.Open(t, w.authorizeURL("prompt", "consent")); p.Forms()[0].ID != "consent" {
		t.Errorf("prompt=consent did not ask: %s", p.Text())
	}
	p := w.browser.Open(t, w.authorizeURL("prompt", "login", "login_hint", `al"ice`))
	if got := p.Forms()[0].Fields.Get("username"); got != `al"ice` {
		t.Errorf("login_hint became %q", got)
	}
	hint := w.tokens().text("id_token")
	p = w.browser.Open(t, w.authorizeURL("id_token_hint", hint, "prompt", "login")).SignIn(t, "bob", "bob")
	if answer(t, p).Get("code") == "" {
		t.Error("bob could not sign in")
	}
	if got := answer(t, w.browser.Open(t, w.authorizeURL("id_token_hint", hint, "prompt", "none"))); got.Get("error") != "login_required" {
		t.Errorf("hint of alice while bob is signed in: %v", got)
	}
}

func TestConsentIsAskedOnceAndMayBeRefused(t *testing.T) {
	w := newWorld(t, func(c *idp.Config) { c.Clients[0].SkipConsent = false })
	p := w.browser.Open(t, w.authorizeURL()).Submit(t, map[string]string{"username": "alice", "password": "alice"})
	if got := answer(t, p.Press(t, "Cancel")); got.Get("error") != "access_denied" || got.Get("code") != "" {
		t.Errorf("refusal: %v", got)
	}
	if got := answer(t, w.browser.Open(t, w.authorizeURL("prompt", "none"))); got.Get("error") != "consent_required" {
		t.Errorf("prompt=none without consent: %v", got)
	}
	if got := answer(t, w.browser.Open(t, w.authorizeURL()).Press(t, "Allow")); got.Get("code") == "" {
		t.Errorf("consent: %v", got)
	}
	if got := answer(t, w.browser.Open(t, w.authorizeURL())); got.Get("code") == "" {
		t.Errorf("asked twice: %v", got)
	}
	if p := w.browser.Open(t, w.authorizeURL("scope", "openid profile email groups")); len(p.Forms()) != 1 || p.Forms()[0].ID != "consent" {
		t.Errorf("a new scope was not asked for: %s", p.Text())
	}
}

func TestWhatAScopeAllowsIsSaidOnce(t *testing.T) {
	w := newWorld(t, func(c *idp.Config) { c.Clients[0].SkipConsent = false })
	w.login()
	for scope, want := range map[string]string{
		"openid profile":        "see your name, user name and groups",
		"openid profile groups": "see your name and user name",
		"openid groups":         "see your groups",
	} {
		read := w.browser.Open(t, w.authorizeURL("scope", scope, "prompt", "consent")).Text()
		if !strings.Contains(read, want) || strings.Count(read, "groups") != strings.Count(scope, "groups")+strings.Count(want, "name, user name and groups") {
			t.Errorf("%s: %s", scope, read)
		}
	}
}

func TestLoginForm(t *testing.T) {
	w := newWorld(t)
	page := w.browser.Open(t, w.authorizeURL())
	again := page.Submit(t, map[string]string{"username": "alice", "password": "wrong"})
	if again.Status != 200 || !strings.Contains(again.Text(), "do not belong together") || again.Forms()[0].Fields.Get("username") != "alice" {
		t.Errorf("wrong password: %d %s", again.Status, again.Text())
	}
	if again.Forms()[0].Fields.Get("password") != "" {
		t.Error("the password came back in the page")
	}
	t.Run("unknown user looks the same", func(t *testing.T) {
		other := w.browser.Open(t, w.authorizeURL()).Submit(t, map[string]string{"username": "nobody", "password": "x"})
		if other.Text() != again.Text() {
			t.Errorf("%q\n%q", other.Text(), again.Text())
		}
	})
	t.Run("another browser cannot send it", func(t *testing.T) {
		form := again.Forms()[0].Fields
		form.Set("password", "alice")
		if p := w.net.Browser().Post(t, "", w.URL(idp.Login), form); p.Status != 400 {
			t.Errorf("status %d", p.Status)
		}
	})
	t.Run("another site cannot send it", func(t *testing.T) {
		if p := w.browser.Post(t, "https://evil.example", w.URL(idp.Login), again.Forms()[0].Fields); p.Status != 403 {
			t.Errorf("status %d", p.Status)
		}
	})
	done := again.SignIn(t, "alice", "alice")
	if answer(t, done).Get("code") == "" {
		t.Error("no code")
	}
	t.Run("it is sent once", func(t *testing.T) {
		if p := again.SignIn(t, "alice", "alice"); p.Status != 400 || !strings.Contains(p.Text(), "expired") {
			t.Errorf("status %d", p.Status)
		}
	})
	t.Run("the session changes with every sign-in", func(t *testing.T) {
		before := w.browser.Jar.Names(w.URL(idp.Authorize))
		name := before[slices.IndexFunc(before, func(n string) bool { return strings.HasPrefix(n, "idp-session-") })]
		old := w.browser.Jar.Get(w.URL(idp.Authorize), name)
		w.login("prompt", "login")
		if fresh := w.browser.Jar.Get(w.URL(idp.Authorize), name); fresh == old || fresh == "" {
			t.Error("the session cookie stayed")
		}
	})
	t.Run("pages are hardened", func(t *testing.T) {
		csp := page.Header.Get("Content-Security-Policy")
		if !strings.HasPrefix(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") || strings.Contains(csp, "unsafe") || page.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%v", page.Header)
		}
		for _, outside := range []string{"http://", "//cdn", "src="} {
			if strings.Contains(strings.ReplaceAll(page.Body, w.Issuer(), ""), outside) {
				t.Errorf("the page refers to %q", outside)
			}
		}
	})
}

func TestAuthorizeWithoutATrustworthyRecipientStaysHere(t *testing.T) {
	w := newWorld(t)
	for name, ask := range map[string][]string{
		"unknown client":               {"client_id", "other"},
		"no client":                    {"client_id", ""},
		"no redirect_uri":              {"redirect_uri", ""},
		"redirect_uri of another host": {"redirect_uri", "https://evil.example/cb"},
		"redirect_uri with a suffix":   {"redirect_uri", callback + "/"},
		"redirect_uri with a query":    {"redirect_uri", callback + "?x=1"},
		"redirect_uri in capitals":     {"redirect_uri", "https://APP.test/cb"},
	} {
		if p := w.browser.Open(t, w.authorizeURL(ask...)); p.Status != 400 || p.Header.Get("Location") != "" {
			t.Errorf("%s: %d %s", name, p.Status, p.Header.Get("Location"))
		}
	}
	if p := w.browser.Open(t, w.authorizeURL()+"&redirect_uri="+url.QueryEscape("https://evil.example/")); p.Status != 400 {
		t.Errorf("two redirect URIs: %d", p.Status)
	}
	if p := w.browser.Open(t, w.authorizeURL("client_id", "<script>alert(1)</script>")); strings.Contains(p.Body, "<script>alert") {
		t.Error("the client id was reflected as markup")
	}
}

func TestAuthorizeErrorsGoToTheClient(t *testing.T) {
	w := newWorld(t)
	for want, asks := range map[string][][]string{
		"unsupported_response_type": {{"response_type", "none"}, {"response_type", "code code"}},
		"invalid_scope":             {{"scope", "openid admin"}},
		"request_not_supported":     {{"request", "x"}},
		"request_uri_not_supported": {{"request_uri", "x"}},
		"invalid_request": {
			{"response_type", ""},
			{"response_mode", "carrier-pigeon"},
			{"code_challenge", ""},
			{"code_challenge_method", ""},
			{"code_challenge_method", "plain"},
			{"code_challenge", verifier},
			{"code_challenge", strings.Repeat("a", 42) + "="},
			{"prompt", "none login"},
			{"prompt", "dance"},
			{"max_age", "-1"},
			{"max_age", "9999999999999999999"},
		},
	} {
		for _, ask := range asks {
			got := answer(t, w.browser.Open(t, w.authorizeURL(ask...)))
			if got.Get("error") != want || got.Get("state") != "S" || got.Get("iss") != w.Issuer() || got.Get("code") != "" {
				t.Errorf("%v: got %v, want %s", ask, got, want)
			}
		}
	}
	if got := answer(t, w.browser.Open(t, w.authorizeURL()+"&nonce=two")); got.Get("error") != "invalid_request" {
		t.Errorf("two nonces: %v", got)
	}
}

func TestDiscovery(t *testing.T) {
	t.Run("DIS-1 path issuer and RFC 8414", func(t *testing.T) {
		w := newWorld(t)
		for _, address := range []string{
			"https://idp.test/realms/main/.well-known/openid-configuration",
			"https://idp.test/.well-known/oauth-authorization-server/realms/main",
		} {
			if r := w.get(address, ""); r.status != 200 || r.text("issuer") != w.Issuer() || r.text("token_endpoint") != w.URL(idp.Token) {
				t.Errorf("%s: %d %s", address, r.status, r.body)
			}
		}
		if r := w.get("https://idp.test/.well-known/openid-configuration", ""); r.status != 404 {
			t.Errorf("without the path: %d", r.status)
		}
	})
	t.Run("DIS-1 trailing slash", func(t *testing.T) {
		w := newWorld(t, func(c *idp.Config) { c.Issuer = "https://idp.test/" })
		if r := w.get("https://idp.test/.well-known/openid-configuration", ""); r.text("issuer") != "https://idp.test/" {
			t.Errorf("%d %s", r.status, r.body)
		}
		if _, claims := w.verify(w.tokens().text("id_token")); claims["iss"] != "https://idp.test/" {
			t.Errorf("iss %v", claims["iss"])
		}
	})
	t.Run("DIS-3 random paths", func(t *testing.T) {
		w := newWorld(t, func(c *idp.Config) { c.Paths = idp.RandomPaths() })
		r := w.get(w.URL(idp.Discovery), "")
		if r.text("token_endpoint") == "" || strings.Contains(r.text("token_endpoint"), "protocol") {
			t.Errorf("token endpoint %q", r.text("token_endpoint"))
		}
		w.tokens()
	})
}

func TestKeysRotateAndAreWithdrawn(t *testing.T) {
	w := newWorld(t)
	old := w.Keys()[0]
	before := w.tokens().text("id_token")
	if err := w.WithdrawKey(old.ID); err == nil {
		t.Error("the only key was withdrawn")
	}
	if err := w.RotateKeys(); err != nil {
		t.Fatal(err)
	}
	header, _ := w.verify(w.tokens().text("id_token"))
	if header.KeyID == old.ID {
		t.Error("the old key still signs")
	}
	w.verify(before)
	if err := w.WithdrawKey(old.ID); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(w.get(w.URL(idp.JWKS), "").body, old.ID) {
		t.Error("the withdrawn key is published")
	}
	if strings.Contains(w.get(w.URL(idp.JWKS), "").body, `"d":`) {
		t.Error("a private key is published")
	}
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	for name, change := range map[string]func(*idp.Config){
		"issuer":             func(c *idp.Config) { c.Issuer = "idp.test" },
		"issuer with query":  func(c *idp.Config) { c.Issuer = "https://idp.test/?x" },
		"two clients":        func(c *idp.Config) { c.Clients = append(c.Clients, c.Clients[0]) },
		"two users":          func(c *idp.Config) { c.Users = append(c.Users, c.Users[0]) },
		"algorithm":          func(c *idp.Config) { c.SigningAlgs = []string{"HS256"} },
		"method":             func(c *idp.Config) { c.Clients[0].AuthMethod = "magic" },
		"short secret":       func(c *idp.Config) { c.Clients[0].AuthMethod, c.Clients[0].Secret = "client_secret_jwt", "short" },
		"no keys":            func(c *idp.Config) { c.Clients[0].AuthMethod = "private_key_jwt" },
		"redirect URI":       func(c *idp.Config) { c.Clients[0].RedirectURIs = []string{"/cb"} },
		"foreign key":        func(c *idp.Config) { c.Keys = []idp.Key{{ID: "x", Alg: "RS256"}} },
		"response type":      func(c *idp.Config) { c.Clients[0].ResponseTypes = []string{"token code"} },
		"delivery mode":      func(c *idp.Config) { c.Clients[0].CIBADelivery = "pigeon" },
		"ping to nowhere":    func(c *idp.Config) { c.Clients[0].CIBADelivery = "ping" },
		"signed by secret":   func(c *idp.Config) { c.Clients[0].CIBASigningAlg = "HS256" },
		"signed without key": func(c *idp.Config) { c.Clients[0].CIBASigningAlg = "ES256" },
		"binding message":    func(c *idp.Config) { c.BindingMessage = "(" },
		"path":               func(c *idp.Config) { c.Paths = idp.Paths{Token: "token"} },
	} {
		config := idptest.Standard(callback)
		config.Issuer = "https://idp.test"
		change(&config)
		if _, err := idp.New(config); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}
