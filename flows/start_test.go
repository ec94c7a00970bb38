package flows

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/sessions"
)

func twoLogins(p *plan) {
	p.providers = []string{"partner"}
	p.flows = func(c *Config) {
		c.Logins = append(c.Logins, Login{Name: "guests", Flow: "authorization_code", Provider: "partner", Label: `Guests <b>&"`})
	}
}

func TestP186OnlyNavigationsBeginALogin(t *testing.T) {
	w := newWorld(t)
	for name, header := range map[string][]string{
		"image":         {"Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image", "Accept", "image/*"},
		"frame":         {"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe", "Accept", "text/html"},
		"script":        {"Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty", "Accept", "text/html"},
		"prefetch":      {"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Sec-Purpose", "prefetch", "Accept", "text/html"},
		"P185 XHR":      {"X-Requested-With", "XMLHttpRequest", "Accept", "text/html"},
		"P185 JSON":     {"Accept", "application/json"},
		"AUT-7 nothing": nil,
	} {
		t.Run(name, func(t *testing.T) {
			for _, path := range []string{"/oauth2/start?rd=%2Fx", "/oauth2/sign_in?rd=%2Fx"} {
				res := w.call(t, http.MethodGet, app+path, header...)
				if res.StatusCode != http.StatusUnauthorized || len(res.Cookies()) != 0 || res.Header.Get("Location") != "" {
					t.Errorf("%s: %d %v", path, res.StatusCode, res.Header)
				}
			}
		})
	}
	t.Run("AUT-7 HEAD begins none", func(t *testing.T) {
		res := w.call(t, http.MethodHead, app+"/x?y", navigation("none")...)
		if res.StatusCode != http.StatusFound || res.Header.Get("Location") != app+"/oauth2/start?rd=%2Fx%3Fy" || len(res.Cookies()) != 0 {
			t.Errorf("%d %v", res.StatusCode, res.Header)
		}
		if res := w.call(t, http.MethodHead, app+"/oauth2/start", navigation("none")...); res.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("%d", res.StatusCode)
		}
	})
	t.Run("AUT-7 after a POST it is 303", func(t *testing.T) {
		res := w.call(t, http.MethodPost, app+"/form", navigation("same-origin")...)
		if res.StatusCode != http.StatusSeeOther {
			t.Errorf("%d", res.StatusCode)
		}
	})
}

func TestTheLoginURLOfAProgramWorksInABrowser(t *testing.T) {
	w := newWorld(t)
	b := w.net.Browser()
	body := decode(t, b.Fetch(t, "", http.MethodGet, app+"/api/things?x=1&y=2", nil).Body)
	page := b.Open(t, body["login_url"].(string)).SignIn(t, "alice", "alice")
	expect(t, page, http.StatusOK, "alice sees app.test/api/things?x=1&y=2")
}

func TestAUT9NothingOfTheQueryReachesTheProvider(t *testing.T) {
	w := newWorld(t)
	b := w.net.Browser()
	b.Open(t, app+"/oauth2/start?rd=/x&client_id=evil&redirect_uri=https://evil.test&scope=admin&state=s&nonce=n&iss=https://evil.test&target_link_uri=https://evil.test&login_hint=a&acr_values=0&response_type=token")
	asked := w.idp.Last(idp.Authorize).Query
	for name, values := range asked {
		if text := strings.Join(values, " "); strings.Contains(text, "evil") || name == "login_hint" || name == "acr_values" {
			t.Errorf("P070: %s = %q", name, values)
		}
	}
	if asked.Get("response_type") != "code" || asked.Get("scope") != "openid profile email groups" {
		t.Errorf("%v", asked)
	}
}

func TestStartRefuses(t *testing.T) {
	w := newWorld(t)
	b := w.net.Browser()
	for _, query := range []string{"login=nobody", "login=staff&login=staff", "rd=/a&rd=/b", "rd=%zz", "prompt=none", "prompt=login&prompt=login", "prompt=%3Cscript%3E"} {
		expect(t, b.Open(t, app+"/oauth2/start?"+query), http.StatusBadRequest, codeBadRequest)
	}
	if len(b.Jar.Names(app)) != 0 {
		t.Error("cookies were set")
	}
	t.Run("P062 a foreign target is home", func(t *testing.T) {
		for _, rd := range []string{"//evil.test", `/\evil.test`, "https://evil.test/", "/\t/evil.test", "javascript:alert(1)"} {
			b := w.net.Browser()
			page := b.Open(t, app+"/oauth2/start?rd="+url.QueryEscape(rd)).SignIn(t, "alice", "alice")
			expect(t, page, http.StatusOK, "alice sees app.test/")
			if page.URL.String() != app+"/" {
				t.Errorf("%q ends on %s", rd, page.URL)
			}
		}
	})
	t.Run("another host of ours is fine, and another site may lead to start", func(t *testing.T) {
		b := w.net.Browser()
		page := b.Visit(t, "https://elsewhere.test/", app+"/oauth2/start?rd="+url.QueryEscape(wiki+"/page")).Submit(t, map[string]string{"username": "alice", "password": "alice"})
		if page.URL.String() != wiki+"/page" && !strings.Contains(page.Trail(), wiki+"/page") {
			t.Errorf("%s", page.Trail())
		}
	})
}

func TestTheSignInPage(t *testing.T) {
	w := newWorld(t, twoLogins)
	w.startProvider(t, other, nil)
	b := w.net.Browser()
	page := b.Open(t, app+"/x?y=1&z")
	expect(t, page, http.StatusOK, "Staff")
	if page.URL.Path != "/oauth2/sign_in" || page.URL.RawQuery != "rd=%2Fx%3Fy%3D1%26z" {
		t.Errorf("ended on %s", page.URL)
	}
	if strings.Contains(page.Body, "<b>&") {
		t.Error("P187: the label is not escaped")
	}
	if len(attempts(b, app)) != 0 {
		t.Error("an attempt was made")
	}
	chosen := b.Visit(t, page.URL.String(), app+"/oauth2/start?login=guests&rd=%2Fx%3Fy%3D1%26z")
	if chosen.URL.Host != "127.0.0.1:9002" {
		t.Fatalf("%s", chosen.Trail())
	}
	expect(t, chosen.SignIn(t, "bob", "bob"), http.StatusOK, "bob sees app.test/x?y=1&z")
	t.Run("P187 rd is not reflected", func(t *testing.T) {
		page := b.Open(t, app+"/oauth2/sign_in?rd="+url.QueryEscape(`"><script>alert(1)</script>`)+"&login=%3Cscript%3E")
		expect(t, page, http.StatusOK, "Staff")
		if strings.Contains(page.Body, "<script>alert") {
			t.Errorf("%s", page.Body)
		}
	})
	t.Run("a route's choice", func(t *testing.T) {
		page := b.Open(t, app+"/oauth2/sign_in?rd=%2Fx&login=staff")
		if page.URL.Host != "127.0.0.1:9001" { // one is no choice
			t.Errorf("%s", page.Trail())
		}
		if s := must(w.flows.Starter([]string{"guests"}))(t); !strings.HasSuffix(s.LoginURL(must(http.NewRequest(http.MethodGet, app+"/", http.NoBody))(t), "/x"), "/oauth2/start?login=guests&rd=%2Fx") {
			t.Error("the login URL doesn't name the login")
		}
	})
}

func TestP209ProviderDownAtLogin(t *testing.T) {
	w := newWorld(t)
	w.idp.Misbehave(idp.Catalogue()["unavailable"].On(idp.Discovery).Always())
	b := w.net.Browser()
	page := b.Open(t, app+"/x")
	expect(t, page, http.StatusServiceUnavailable, codeProviderDown)
	if page.Header.Get("Retry-After") == "" || len(b.Jar.Names(app)) != 0 {
		t.Errorf("Retry-After %q, cookies %v", page.Header.Get("Retry-After"), b.Jar.Names(app))
	}
}

func TestFragmentsComeThroughTheLogin(t *testing.T) {
	w := newWorld(t)
	b := w.net.Browser()
	page := b.Open(t, app+"/oauth2/start?rd=%2Fx%3Fy%3D1"+url.QueryEscape("#/deep/link?a=b")).SignIn(t, "alice", "alice")
	expect(t, page, http.StatusOK, "alice sees app.test/x?y=1")
	if page.URL.Fragment != "/deep/link?a=b" {
		t.Errorf("R7: ended on %s", page.URL)
	}
}

func TestNewRefuses(t *testing.T) {
	w := newWorld(t)
	good := func() Config {
		return Config{Prefix: "/oauth2", Logins: []Login{{Name: "staff", Flow: "authorization_code", Provider: "corp"}}, Cookie: sessions.Cookie{Name: "doorward"}}
	}
	if _, err := New(good(), w.flows.deps); err != nil {
		t.Fatal(err)
	}
	elsewhere := must(origin.Parse("elsewhere.test"))(t)
	for name, c := range map[string]struct {
		change func(*Config)
		words  string
	}{
		"two of one name":     {func(c *Config) { c.Logins = append(c.Logins, c.Logins[0]) }, "two of this name"},
		"no name":             {func(c *Config) { c.Logins[0].Name = "" }, "without a name"},
		"no such provider":    {func(c *Config) { c.Logins[0].Provider = "x" }, `no provider "x"`},
		"no such flow":        {func(c *Config) { c.Logins[0].Flow = "magic" }, `no flow "magic"`},
		"AUT-9 own parameter": {func(c *Config) { c.Logins[0].Params = map[string][]string{"redirect_uri": {"x"}} }, "redirect_uri is set by Doorward"},
		"two values":          {func(c *Config) { c.Logins[0].Params = map[string][]string{"prompt": {"a", "b"}} }, "exactly one value"},
		"max_age":             {func(c *Config) { c.Logins[0].Params = map[string][]string{"max_age": {"-1"}} }, "no number of seconds"},
		"prefix":              {func(c *Config) { c.Prefix = "/" }, "prefix"},
		"prefix with a dot":   {func(c *Config) { c.Prefix = "/a/../b" }, "prefix"},
		"callback path":       {func(c *Config) { c.Callbacks = map[string]Callback{"corp": {Path: "cb"}} }, "callback"},
		"callback taken":      {func(c *Config) { c.Callbacks = map[string]Callback{"corp": {Path: "/oauth2/sign_out"}} }, "already"},
		"callback static":     {func(c *Config) { c.Callbacks = map[string]Callback{"corp": {Path: "/oauth2/static/x"}} }, "already"},
		"callback_host":       {func(c *Config) { c.Callbacks = map[string]Callback{"corp": {Host: elsewhere}} }, "callback_host"},
	} {
		t.Run(name, func(t *testing.T) {
			config := good()
			c.change(&config)
			if _, err := New(config, w.flows.deps); err == nil || !strings.Contains(err.Error(), c.words) {
				t.Errorf("%v", err)
			}
		})
	}
	for name, logins := range map[string][]string{"nothing": nil, "unknown": {"x"}, "twice": {"staff", "staff"}} {
		t.Run("a route that offers "+name, func(t *testing.T) {
			if _, err := w.flows.Starter(logins); err == nil {
				t.Error("accepted")
			}
		})
	}
}

func TestAnOldRegistrationKeepsWorking(t *testing.T) {
	w := newWorld(t, func(p *plan) {
		p.flows = func(c *Config) { c.Callbacks = map[string]Callback{"corp": {Path: "/old/oidc/cb"}} }
	})
	if got := w.flows.RedirectURIs("corp"); got[0] != app+"/old/oidc/cb" {
		t.Errorf("%q", got)
	}
	if got := w.flows.CallbackPaths(); len(got) != 1 || got[0] != "/old/oidc/cb" {
		t.Errorf("%q", got)
	}
	if got := w.flows.PostLogoutURIs("corp"); got[1] != wiki+"/oauth2/logout/callback" {
		t.Errorf("%q", got)
	}
	if w.flows.RedirectURIs("nobody") != nil || w.flows.PostLogoutURIs("nobody") != nil {
		t.Error("URIs for a provider without logins")
	}
	w.signedIn(t, app+"/x")
}

func TestP189NothingSecretIsLogged(t *testing.T) {
	w := newWorld(t)
	b := w.net.Browser()
	page := b.Open(t, app+"/x").SignIn(t, "alice", "alice")
	var secrets []string
	for _, hop := range page.Hops {
		for _, name := range []string{"code", "state"} {
			secrets = append(secrets, hop.URL.Query()[name]...)
		}
	}
	form, answer := w.idp.Last(idp.Token).Form, b.Jar.Get(app, sessionID)
	secrets = append(secrets, form.Get("code_verifier"), answer, "s3cret", "eyJ")
	b.Post(t, "", signOut, nil)
	w.flows.Wait()
	w.idp.Misbehave(idp.Catalogue()["wrong_nonce"])
	b.Open(t, app+"/x").SignIn(t, "alice", "alice")
	log := w.log.String()
	if !strings.Contains(log, "signed in") {
		t.Error("nothing was logged")
	}
	for _, s := range secrets {
		if s != "" && strings.Contains(log, s) {
			t.Errorf("logged: %s", s)
		}
	}
}

func TestWhatIsNoFileOfOursGetsAPageOfOurs(t *testing.T) {
	w := newWorld(t)
	for path, status := range map[string]int{
		"/oauth2/static/mark.svg": 200, "/oauth2/static": 404, "/oauth2/static/": 404, "/oauth2/static/none.svg": 404,
		"/oauth2/%73tatic/none.svg": 404, "/oauth2/static/x/mark.svg": 404, "/oauth2/static/%2fmark.svg": 404,
	} {
		res := w.call(t, http.MethodGet, app+path)
		if res.StatusCode != status || status == 404 && res.Header.Get("Doorward-Reference") == "" {
			t.Errorf("%s: %d %v", path, res.StatusCode, res.Header)
		}
	}
}
