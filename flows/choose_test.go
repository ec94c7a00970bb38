package flows

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/demo/idp/idptest"
	"github.com/doorward/doorward/internal/testnet"
)

// choice is a world with three logins, of which an implicit one must be named by a route.
func choice(t testing.TB, changes ...func(*plan)) (*world, *pliantProvider) {
	t.Helper()
	return newPliant(t, append([]func(*plan){
		besides(Login{Name: "spa", Flow: "implicit", Provider: "corp", Label: "Without code"}),
		besides(Login{Name: "both", Flow: "hybrid", Provider: "corp", Label: "Both ways", PassParams: []string{"login_hint", "kc_idp_hint"}}),
	}, changes...)...)
}

// offered returns the logins of a sign-in page in order.
func offered(page *testnet.Page) (names []string) {
	for _, part := range strings.Split(page.Body, "login=")[1:] {
		names = append(names, part[:strings.IndexAny(part, `&"`)])
	}
	return names
}

func TestTheLoginThatWasUsedLastIsOfferedFirst(t *testing.T) {
	w, _ := choice(t)
	b := w.net.Browser()
	page := b.Open(t, app+"/x")
	if got := strings.Join(offered(page), " "); got != "staff spa both" {
		t.Fatalf("at first: %s\n%s", got, page.Body)
	}
	expect(t, b.Open(t, app+"/oauth2/start?login=both&rd=/x"), http.StatusOK, "alice sees app.test/x")
	if got := b.Jar.Get(app, "__Host-doorward-login.last"); got != "both" {
		t.Errorf("the cookie says %q", got)
	}
	b.Jar.Clear(sessionID)
	if got := strings.Join(offered(b.Open(t, app+"/x")), " "); got != "both staff spa" {
		t.Errorf("then: %s", got)
	}
	t.Run("not where a route does not offer it", func(t *testing.T) {
		if got := strings.Join(offered(b.Open(t, app+"/oauth2/sign_in?login=staff&login=spa")), " "); got != "staff spa" {
			t.Errorf("%s", got)
		}
	})
	t.Run("it is of its own host", func(t *testing.T) {
		if got := strings.Join(offered(b.Open(t, wiki+"/x")), " "); got != "staff spa both" {
			t.Errorf("%s", got)
		}
	})
	t.Run("nonsense and two of them are nothing", func(t *testing.T) {
		for _, cookie := range []string{"__Host-doorward-login.last=nobody", "__Host-doorward-login.last=both; __Host-doorward-login.last=spa", "__Host-doorward-login.last=%3Cscript%3E"} {
			res := w.call(t, http.MethodGet, app+"/oauth2/sign_in", "Accept", "text/html", "Cookie", cookie)
			body := string(must(io.ReadAll(res.Body))(t))
			if res.StatusCode != http.StatusOK || len(res.Cookies()) != 0 || strings.Contains(body, "last time") {
				t.Errorf("%s: %d\n%s", cookie, res.StatusCode, body)
			}
		}
	})
	t.Run("where there is one login nothing is remembered", func(t *testing.T) {
		w := newWorld(t)
		if b := w.signedIn(t, app+"/x"); b.Jar.Get(app, "__Host-doorward-login.last") != "" {
			t.Error("remembered")
		}
	})
	t.Run("it is no attempt, and does not count as one", func(t *testing.T) {
		if left := attempts(b, app); len(left) != 0 {
			t.Errorf("%v", left)
		}
	})
}

func TestNoTargetIsTooLongForAChoice(t *testing.T) {
	w, _ := choice(t)
	page := w.net.Browser().Open(t, app+"/x?"+strings.Repeat("y", 5000))
	if got := strings.Join(offered(page), " "); got != "staff spa both" {
		t.Errorf("offered: %q\n%s", got, page.Body)
	}
}

func TestOneLoginOfARouteGoesStraightToTheProvider(t *testing.T) {
	w, p := choice(t, func(p *plan) { p.logins = []string{"spa"} })
	b := w.net.Browser()
	page := b.Open(t, app+"/x")
	expect(t, page, http.StatusOK, "alice sees app.test/x")
	if page.Hops[0].Status != http.StatusFound || len(p.asked) != 1 {
		t.Errorf("%s", page.Trail())
	}
	if res := w.call(t, http.MethodGet, app+"/x"); res.StatusCode != http.StatusUnauthorized || len(res.Cookies()) != 0 {
		t.Errorf("a program gets %d", res.StatusCode)
	}
}

func TestWhatALoginPassesOnReachesTheProvider(t *testing.T) {
	w, p := choice(t)
	b := w.net.Browser()
	query := "login_hint=alice%40corp.test&kc_idp_hint=google&client_id=evil&scope=admin&acr_values=0&domain_hint=x&rd=%2Fx"
	expect(t, b.Open(t, app+"/oauth2/start?login=both&"+query), http.StatusOK, "alice sees app.test/x")
	asked := p.lastAsked(t)
	if asked.Get("login_hint") != "alice@corp.test" || asked.Get("kc_idp_hint") != "google" {
		t.Errorf("%v", asked)
	}
	if asked.Get("client_id") != "doorward" || asked.Has("acr_values") || asked.Has("domain_hint") || strings.Contains(asked.Get("scope"), "admin") {
		t.Errorf("AUT-9, P070: %v", asked)
	}
	t.Run("not by a login that does not list it", func(t *testing.T) {
		b.Open(t, app+"/oauth2/start?login=staff&"+query)
		if asked := p.lastAsked(t); asked.Has("login_hint") || asked.Has("kc_idp_hint") {
			t.Errorf("%v", asked)
		}
	})
	t.Run("through the sign-in page", func(t *testing.T) {
		b := w.net.Browser()
		page := b.Open(t, app+"/oauth2/start?"+query)
		if strings.Join(offered(page), " ") != "staff spa both" || strings.Count(page.Body, "kc_idp_hint") != 1 || strings.Contains(page.Body, "evil") {
			t.Fatalf("%s\n%s", page.Trail(), page.Body)
		}
		page = b.Visit(t, page.URL.String(), app+"/oauth2/start?kc_idp_hint=google&login=both&login_hint=alice%40corp.test&rd=%2Fx")
		expect(t, page, http.StatusOK, "alice sees app.test/x")
	})
	t.Run("also when the login begins anew without a click", func(t *testing.T) {
		failed := false
		p.answer = func(_, a url.Values) {
			if !failed {
				a.Set("error", "login_required")
			}
			failed = true
		}
		defer func() { p.answer = nil }()
		expect(t, w.net.Browser().Open(t, app+"/oauth2/start?login=both&"+query), http.StatusOK, "alice sees app.test/x")
		if got := p.lastAsked(t).Get("kc_idp_hint"); got != "google" {
			t.Errorf("kc_idp_hint %q", got)
		}
	})
	t.Run("once each, and not much of it", func(t *testing.T) {
		for _, bad := range []string{"login_hint=a&login_hint=b", "login_hint=", "login_hint=" + strings.Repeat("a", maxPassValue+1), "login_hint=a%0d%0ab", "login_hint=%ff", "login_hint=%e2%80%a8x%00"} {
			for _, path := range []string{"/oauth2/start?login=both&", "/oauth2/sign_in?", "/oauth2/start?"} {
				expect(t, w.net.Browser().Open(t, app+path+bad), http.StatusBadRequest, codeBadRequest)
			}
		}
	})
	t.Run("as much as there may be, and a long target", func(t *testing.T) {
		names := strings.Fields("a b c d e f g h")
		w, p := newPliant(t, func(p *plan) { p.flows = func(c *Config) { c.Logins[0].PassParams = names } })
		query := url.Values{"rd": {"/x?" + strings.Repeat("y", maxCookieBack-10)}}
		for _, name := range names {
			query.Set(name, strings.Repeat("\"", maxPassValue))
		}
		b := w.net.Browser()
		expect(t, b.Open(t, app+"/oauth2/start?"+query.Encode()), http.StatusOK, "alice sees app.test/x")
		if len(b.Jar.Refused) != 0 || p.lastAsked(t).Get("h") != strings.Repeat("\"", maxPassValue) {
			t.Errorf("refused: %v", b.Jar.Refused)
		}
	})
	t.Run("prompt stays what it was", func(t *testing.T) {
		expect(t, b.Open(t, app+"/oauth2/start?login=both&prompt=none"), http.StatusBadRequest, codeBadRequest)
		b.Open(t, app+"/oauth2/start?login=both&prompt=select_account")
		if got := p.lastAsked(t).Get("prompt"); got != "select_account" {
			t.Errorf("R12: prompt %q", got)
		}
	})
}

func TestUseAnotherAccountWorksWithEveryRedirectLogin(t *testing.T) {
	for _, login := range []string{"staff", "spa", "both"} {
		w, p := choice(t)
		b := w.net.Browser()
		expect(t, b.Open(t, app+"/oauth2/start?login="+login+"&rd=/x"), http.StatusOK, "alice sees")
		p.person = "bob"
		expect(t, b.Open(t, app+"/oauth2/start?login="+login+"&prompt=select_account&rd=/x"), http.StatusOK, "bob sees app.test/x")
	}
}

func TestALoginForHTTPBasicIsNoChoiceOfABrowser(t *testing.T) {
	w, _ := choice(t)
	w.flows.byName["spa"].basicOnly = true
	b := w.net.Browser()
	if got := strings.Join(offered(b.Open(t, app+"/x")), " "); got != "staff both" {
		t.Errorf("%s", got)
	}
	s := must(w.flows.Starter([]string{"spa"}))(t)
	r := must(http.NewRequest(http.MethodGet, app+"/x", http.NoBody))(t)
	if got := s.LoginURL(r, "/x"); got != "" {
		t.Errorf("a page that is of no use: %s", got)
	}
	for _, path := range []string{"/oauth2/start?login=spa", "/oauth2/sign_in?login=spa"} {
		page := b.Open(t, app+path)
		if page.Status != http.StatusUnauthorized || len(attempts(b, app)) != 0 {
			t.Errorf("%s: %d", path, page.Status)
		}
	}
}

func TestASignInPageForOneNamedLoginIsThatLogin(t *testing.T) {
	w, p := choice(t)
	b := w.net.Browser()
	expect(t, b.Open(t, app+"/oauth2/sign_in?login=both&login_hint=alice&prompt=login&rd=/x"), http.StatusOK, "alice sees app.test/x")
	if asked := p.lastAsked(t); asked.Get("login_hint") != "alice" || asked.Get("prompt") != "login" {
		t.Errorf("%v", asked)
	}
	b = w.net.Browser()
	for _, query := range []string{"", "?login=nobody", "?login=both&login=both", "?login=staff&login=both"} {
		if page := b.Open(t, app+"/oauth2/sign_in"+query); len(offered(page)) < 2 || len(attempts(b, app)) != 0 {
			t.Errorf("%q: %d options", query, len(offered(page)))
		}
	}
	t.Run("a prompt that start would refuse is in none of its links", func(t *testing.T) {
		if page := b.Open(t, app+"/oauth2/sign_in?prompt=none"); page.Status != http.StatusOK || strings.Contains(page.Body, "prompt") {
			t.Errorf("%d\n%s", page.Status, page.Body)
		}
	})
	t.Run("where there is one login, the page without a name is still a page: it is where people arrive who have signed out", func(t *testing.T) {
		w := newWorld(t)
		if page := w.net.Browser().Open(t, app+"/oauth2/sign_in"); len(offered(page)) != 1 || page.URL.Path != "/oauth2/sign_in" {
			t.Errorf("%s\n%s", page.Trail(), page.Body)
		}
	})
}

func TestLoginsOfOtherKindsBeginOnTheirOwnPages(t *testing.T) {
	f := sealing(t, 7)
	for want, l := range map[string]*login{
		"/oauth2/device?login=tv&rd=%2Fx%3Fy":                   {name: "tv", device: &device{}},
		"/oauth2/ciba?login=phone&login_hint=alice&rd=%2Fx%3Fy": {name: "phone", ciba: &ciba{}, pass: []string{"login_hint"}},
		"/oauth2/password?login=legacy&rd=%2Fx%3Fy":             {name: "legacy", password: &password{}},
	} {
		f.logins = append(f.logins, l)
		if got := f.loginPage(l, beginning{back: "/x?y", prompt: "login", passed: url.Values{"login_hint": {"alice"}}}); got != want {
			t.Errorf("%s, want %s", got, want)
		}
		if l.about() == "" {
			t.Errorf("%s: nothing is said about what it takes", l.name)
		}
	}
}

// everyKind is a world in which a route offers logins of all kinds.
func everyKind(t testing.TB, logins ...string) *world {
	t.Helper()
	return newWorld(t, func(p *plan) {
		p.flows = func(c *Config) {
			c.Logins = append(c.Logins,
				Login{Name: "tv", Flow: "device", Provider: "corp", Label: "Television"},
				Login{Name: "phone", Flow: "ciba", Provider: "corp", Label: "Telephone", Hint: "login_hint", Delivery: "poll", BindingMessage: "auto", PassParams: []string{"login_hint"}},
				Login{Name: "legacy", Flow: "password", Provider: "corp", Label: "Old way", Form: true},
			)
		}
		p.logins = logins
		p.idp = func(c *idp.Config) { *c = every(*c) }
	})
}

// every lets the client of c do all that the provider can.
func every(c idp.Config) idp.Config {
	all := idptest.Every().Clients[0]
	c.Clients[0].Grants, c.Clients[0].ResponseTypes, c.Clients[0].CIBADelivery = all.Grants, all.ResponseTypes, "poll"
	return c
}

func TestLoginsOfAllKindsAreOfferedWithWhatTheyTake(t *testing.T) {
	w := everyKind(t)
	b := w.net.Browser()
	page := b.Open(t, app+"/x?y")
	expect(t, page, http.StatusOK, "Staff", "Television", "with a code on another device", "Telephone", "approve on your phone", "Old way", "user name and password")
	if len(b.Jar.Names(app)) != 0 {
		t.Errorf("P186: cookies of a page that begins nothing: %v", b.Jar.Names(app))
	}
	for login, path := range map[string]string{"tv": "/oauth2/device", "phone": "/oauth2/ciba", "legacy": "/oauth2/password"} {
		t.Run(login, func(t *testing.T) {
			b := w.net.Browser()
			page := b.Visit(t, page.URL.String(), app+"/oauth2/start?login="+login+"&rd=%2Fx%3Fy")
			expect(t, page, http.StatusOK)
			if first := page.Hops[0]; first.Status != http.StatusFound || first.Location != path+"?login="+login+"&rd=%2Fx%3Fy" {
				t.Errorf("%d %s", first.Status, first.Location)
			}
			if n := w.idp.Count(idp.Token); n != 0 {
				t.Errorf("P184: a GET has asked for tokens %d times", n)
			}
			res := w.call(t, http.MethodGet, app+"/oauth2/start?login="+login)
			if res.StatusCode != http.StatusUnauthorized || len(res.Cookies()) != 0 {
				t.Errorf("a program gets %d", res.StatusCode)
			}
		})
	}
	t.Run("a hint goes along to the page", func(t *testing.T) {
		page := w.net.Browser().Open(t, app+"/oauth2/start?login=phone&login_hint=alice&evil=1&rd=/x")
		if got := page.Hops[0].Location; got != "/oauth2/ciba?login=phone&login_hint=alice&rd=%2Fx" {
			t.Errorf("%s", got)
		}
		expect(t, page, http.StatusOK, "alice")
	})
}

func TestTheOnlyLoginOfARouteBeginsOnItsPage(t *testing.T) {
	for login, path := range map[string]string{"tv": "/oauth2/device", "phone": "/oauth2/ciba", "legacy": "/oauth2/password"} {
		w := everyKind(t, login)
		res := w.call(t, http.MethodGet, app+"/x?y", navigation("none")...)
		if res.StatusCode != http.StatusFound || res.Header.Get("Location") != path+"?login="+login+"&rd=%2Fx%3Fy" || len(res.Cookies()) != 0 {
			t.Errorf("%s: %d %v", login, res.StatusCode, res.Header)
		}
		if res := w.call(t, http.MethodPost, app+"/x", navigation("same-origin")...); res.StatusCode != http.StatusSeeOther {
			t.Errorf("%s: after a POST %d", login, res.StatusCode)
		}
		if res := w.call(t, http.MethodGet, app+"/x"); res.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: a program gets %d", login, res.StatusCode)
		}
		t.Run("P117 and what no route names has no page: "+login, func(t *testing.T) {
			for other, otherPath := range map[string]string{"tv": "/oauth2/device", "phone": "/oauth2/ciba", "legacy": "/oauth2/password"} {
				if other == login {
					continue
				}
				if page := w.net.Browser().Open(t, app+otherPath+"?login="+other); page.Status < 400 {
					t.Errorf("%s: %d", other, page.Status)
				}
			}
		})
	}
}

func TestAPasswordLoginIsRememberedAsTheLast(t *testing.T) {
	w := everyKind(t)
	b := w.net.Browser()
	page := b.Open(t, app+"/oauth2/start?login=legacy&rd=/x").Submit(t, map[string]string{"username": "alice", "password": "alice"})
	expect(t, page, http.StatusOK, "alice sees app.test/x")
	b.Jar.Clear(sessionID)
	if got := strings.Join(offered(b.Open(t, app+"/x")), " "); got != "legacy staff tv phone" {
		t.Errorf("%s", got)
	}
}
