package flows

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/internal/testnet"
)

const signInForm = app + "/oauth2/password"

// onlyPasswords is a world whose applications offer nothing else.
func onlyPasswords(p *plan) {
	passwords(p)
	p.logins = []string{"legacy"}
}

func typing(user, password string) map[string]string {
	return map[string]string{"username": user, "password": password}
}

// postForm sends a form as a program does, which has no page.
func (w *world) postForm(t testing.TB, address string, form url.Values, header ...string) (*http.Response, string) {
	t.Helper()
	r := must(http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(form.Encode())))(t)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res := must(w.net.Client().Do(r))(t)
	t.Cleanup(func() { _ = res.Body.Close() })
	return res, string(must(io.ReadAll(res.Body))(t))
}

func aliceForm() url.Values {
	return url.Values{"login": {"legacy"}, "rd": {"/x?y=1"}, "username": {"alice"}, "password": {"alice"}}
}

func TestTheFormSignsABrowserIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, onlyPasswords)
		b := w.net.Browser()
		page := b.Open(t, app+"/x?y=1")
		expect(t, page, 200)
		if page.URL.Path != "/oauth2/password" || page.URL.Query().Get("rd") != "/x?y=1" || page.URL.Query().Get("login") != "legacy" {
			t.Errorf("the form is at %s", page.URL)
		}
		page = page.Submit(t, typing("alice", "alice"))
		expect(t, page, 200, "alice sees app.test/x?y=1")
		if posted := page.Hops[0]; posted.Method != http.MethodPost || posted.Status != http.StatusSeeOther || posted.Location != "/x?y=1" {
			t.Errorf("P177: %d %s", posted.Status, posted.Location)
		}
		if who := must(w.keeper.Load(browserRequest(t, b)))(t).Who; who.Login != "legacy" || who.Subject != "8f2c-alice" {
			t.Errorf("%s by %s", who.Subject, who.Login)
		}
		if n := len(attempts(b, app)); n > 0 {
			t.Errorf("%d attempts are left", n)
		}
		if n := w.grants("password"); n != 1 {
			t.Errorf("%d grants", n)
		}
	})
}

func browserRequest(t testing.TB, b *testnet.Browser) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(context.Background(), http.MethodGet, app+"/", http.NoBody)
	r.AddCookie(&http.Cookie{Name: sessionID, Value: b.Jar.Get(app, sessionID)})
	return r
}

func TestAWrongPasswordLeadsBackToTheForm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, onlyPasswords)
		b := w.net.Browser()
		page := b.Open(t, app+"/x?y=1").Submit(t, typing("alice", "wr0ng-s3cret"))
		expect(t, page, 401, "is not right")
		if got := page.Header.Get("WWW-Authenticate"); got != `Bearer realm="app.test"` {
			t.Errorf("challenge %q", got)
		}
		form := page.Forms()[0]
		if form.Fields.Get("username") != "alice" || form.Fields.Get("password") != "" || strings.Contains(page.Body, "wr0ng-s3cret") {
			t.Errorf("the form holds %v", form.Fields)
		}
		if strings.Contains(w.log.String(), "wr0ng-s3cret") {
			t.Error("P175: the log has the password")
		}
		if b.Jar.Get(app, sessionID) != "" {
			t.Error("signed in")
		}
		expect(t, page.Submit(t, typing("alice", "alice")), 200, "alice sees app.test/x?y=1")
	})
}

func TestP072ASignInByPasswordEndsTheSessionBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, onlyPasswords)
		b := w.net.Browser()
		b.Open(t, app+"/").Submit(t, typing("alice", "alice"))
		before := browserRequest(t, b)
		expect(t, b.Open(t, signInForm+"?rd=/y").Submit(t, typing("bob", "bob")), 200, "bob sees app.test/y")
		if s, err := w.keeper.Load(before); s != nil || err != nil {
			t.Errorf("alice's cookie is still good: %v", err)
		}
	})
}

func TestP176NobodyIsSignedInByAnotherSitesPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, onlyPasswords)
		for name, header := range map[string][]string{
			"another site":                {"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Origin", "https://evil.test"},
			"a neighbour":                 {"Sec-Fetch-Site", "same-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Origin", wiki},
			"a script there":              {"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors", "Origin", "https://evil.test"},
			"an older browser":            {"Origin", "https://evil.test", "Accept", "text/html"},
			"an older browser, from null": {"Origin", "null", "Accept", "text/html"},
			"an older browser's script":   {"Origin", "https://evil.test"},
			"one that says nothing":       {"Accept", "text/html"},
		} {
			res, body := w.postForm(t, signInForm, aliceForm(), header...)
			if res.StatusCode != http.StatusForbidden || len(res.Header.Values("Set-Cookie")) > 0 {
				t.Errorf("%s: %d %v %s", name, res.StatusCode, res.Header, body)
			}
		}
		b := w.net.Browser()
		expect(t, b.Post(t, "https://evil.test/", signInForm, aliceForm()), 403)
		if n := w.grants("password"); n > 0 {
			t.Errorf("%d passwords were tried", n)
		}
		page := b.Open(t, signInForm)
		if csp := page.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "frame-ancestors 'none'") || page.Header.Get("X-Frame-Options") != "DENY" {
			t.Errorf("the form can be framed: %q", csp)
		}
	})
}

func TestP178NoPasswordInAnAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, onlyPasswords)
		for _, query := range []string{"?username=alice&password=alice", "?password=alice", "?username=alice", "?otp=123456", "?login=legacy&rd=/x&%70assword=alice"} {
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				if res := w.call(t, method, signInForm+query); res.StatusCode != http.StatusBadRequest {
					t.Errorf("%s %s: %d", method, query, res.StatusCode)
				}
			}
		}
		for _, method := range []string{http.MethodHead, http.MethodPut, http.MethodDelete, http.MethodOptions} {
			if res := w.call(t, method, signInForm); res.StatusCode != http.StatusMethodNotAllowed {
				t.Errorf("%s: %d", method, res.StatusCode)
			}
		}
		if n := w.grants("password"); n > 0 {
			t.Errorf("%d passwords were tried", n)
		}
	})
}

func TestP117ThePasswordFlowOffIsOff(t *testing.T) {
	for name, change := range map[string]func(*plan){
		"no such login": func(*plan) {},
		"without a form": func(p *plan) {
			onlyPasswords(p)
			add := p.flows
			p.flows = func(c *Config) { add(c); c.Logins[1].Form = false }
			p.logins = []string{"staff", "legacy"}
		},
		"no route names it": func(p *plan) { passwords(p); p.logins = []string{"staff"} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, change)
				mux := http.NewServeMux()
				w.flows.Mount(mux)
				for _, method := range []string{http.MethodGet, http.MethodPost} {
					r := httptest.NewRequestWithContext(t.Context(), method, signInForm, strings.NewReader(aliceForm().Encode()))
					r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
					rec := httptest.NewRecorder()
					mux.ServeHTTP(rec, r)
					if rec.Code != http.StatusNotFound {
						t.Errorf("%s: %d %s", method, rec.Code, rec.Body)
					}
				}
				if n := w.grants("password"); n > 0 {
					t.Errorf("%d passwords were tried", n)
				}
			})
		})
	}
}

func TestASecondFactorGoesAlong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, onlyPasswords, func(p *plan) {
			add := p.flows
			p.flows = func(c *Config) {
				add(c)
				c.Logins[1].OTP, c.Logins[1].Params, c.Logins[1].PassParams = "totp", map[string][]string{"audience": {"https://api.test"}}, []string{"login_hint", "ui_locales"}
			}
		}, providerIs(func(c *idp.Config) { c.Users[0].OTP = "123456" }))
		b := w.net.Browser()
		page := b.Open(t, app+"/oauth2/start?login=legacy&rd=/x&login_hint=al&ui_locales=de&acr_values=0")
		if got := page.Forms()[0].Fields.Get("username"); got != "al" {
			t.Errorf("login_hint fills in %q", got)
		}
		page = page.Submit(t, map[string]string{"username": "alice", "password": "alice", "otp": "000000"})
		expect(t, page, 401, "is not right")
		page = page.Submit(t, map[string]string{"username": "alice", "password": "alice", "otp": "123456"})
		expect(t, page, 200, "alice sees app.test/x")
		got := w.idp.Last(idp.Token).Form
		if got.Get("totp") != "123456" || got.Get("audience") != "https://api.test" || got.Get("ui_locales") != "de" || got.Has("otp") || got.Has("acr_values") {
			t.Errorf("%v", got)
		}
	})
}

func TestAProgramGetsJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, onlyPasswords)
		res, body := w.postForm(t, signInForm, aliceForm())
		if res.StatusCode != 200 || body != `{"location":"/x?y=1","status":"approved"}`+"\n" || len(res.Cookies()) == 0 {
			t.Errorf("%d %s %v", res.StatusCode, body, res.Header)
		}
		wrong := aliceForm()
		wrong.Set("password", "wrong")
		res, body = w.postForm(t, signInForm, wrong)
		problem := decode(t, body)
		if res.StatusCode != 401 || problem["code"] != codeWrongCredentials || res.Header.Get("WWW-Authenticate") == "" || problem["login_url"] == nil {
			t.Errorf("%d %s %v", res.StatusCode, body, res.Header)
		}
		if res := w.call(t, http.MethodGet, signInForm+"?rd=/x"); res.StatusCode != 401 {
			t.Errorf("the form for a program: %d", res.StatusCode)
		}
	})
}

func TestFailuresThatAreNotThePersonsAreSaidSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, onlyPasswords)
		b := w.net.Browser()
		w.sin(idp.Sin{Status: 503, Body: "{}"})
		page := b.Open(t, app+"/x").Submit(t, typing("alice", "alice"))
		expect(t, page, 503)
		if page.Header.Get("Retry-After") == "" || len(page.Forms()) == 0 {
			t.Errorf("%v", page.Header)
		}
		w.idp.Heal()
		w.sin(idp.OAuthError("unauthorized_client"))
		expect(t, page.Submit(t, typing("alice", "alice")), 502, "provider_misconfigured")
		w.idp.Heal()
		w.sin(idp.Sin{Error: "invalid_grant", Describe: "Account is not fully set up"})
		expect(t, page.Submit(t, typing("bob", "bob")), 403, "second factor")
		w.idp.Heal()
		w.shared.down.Store(true)
		expect(t, page.Submit(t, typing("alice", "alice")), 503, "store_unavailable")
		w.shared.down.Store(false)
		expect(t, page.Submit(t, typing("alice", "alice")), 200, "alice sees")
	})
}

func TestP170TheFormStopsGuessing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, onlyPasswords)
		b := w.net.Browser()
		page := b.Open(t, app+"/x")
		var last *testnet.Page
		for n := range 30 {
			b.Header.Set("X-Forwarded-For", fmt.Sprint("10.0.0.", n)) // of which nobody here believes a word
			last = page.Submit(t, typing("alice", fmt.Sprint("guess", n)))
		}
		expect(t, last, 429, "Too many sign-ins have failed")
		if last.Header.Get("Retry-After") == "" || len(last.Forms()) == 0 {
			t.Errorf("%v", last.Header)
		}
		if n := w.grants("password"); n > maxUserStrikes {
			t.Errorf("%d guesses were forwarded", n)
		}
		time.Sleep(strikeWindow + time.Second)
		expect(t, last.Submit(t, typing("alice", "alice")), 200, "alice sees")
	})
}

func TestTheFormIsReadStrictly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, onlyPasswords)
		twice := aliceForm()
		twice.Add("password", "alice")
		unknown := aliceForm()
		unknown.Set("login", "staff")
		large := aliceForm()
		large.Set("x", strings.Repeat("x", maxForm))
		for name, c := range map[string]struct {
			form   url.Values
			media  string
			status int
		}{
			"a field twice":    {twice, "application/x-www-form-urlencoded", 400},
			"another login":    {unknown, "application/x-www-form-urlencoded", 400},
			"too large":        {large, "application/x-www-form-urlencoded", 413},
			"JSON":             {aliceForm(), "application/json", 400},
			"of no type":       {aliceForm(), "", 400},
			"of several parts": {aliceForm(), "multipart/form-data; boundary=x", 400},
		} {
			if res, body := w.postForm(t, signInForm, c.form, "Content-Type", c.media); res.StatusCode != c.status {
				t.Errorf("%s: %d %s", name, res.StatusCode, body)
			}
		}
		r := must(http.NewRequestWithContext(t.Context(), http.MethodPost, signInForm, strings.NewReader("username=alice&password=%zz-s3cret")))(t)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		res := must(w.net.Client().Do(r))(t)
		defer func() { _ = res.Body.Close() }()
		if body := string(must(io.ReadAll(res.Body))(t)); res.StatusCode != 400 || strings.Contains(body+w.log.String(), "s3cret") {
			t.Errorf("%d %s", res.StatusCode, body)
		}
		for _, name := range []string{"username", "password"} {
			ticket := aliceForm()
			ticket.Set(name, "dw1.x")
			if res, body := w.postForm(t, signInForm, ticket); res.StatusCode != 401 {
				t.Errorf("a ticket for a %s: %d %s", name, res.StatusCode, body)
			}
		}
		if n := w.grants("password"); n > 0 {
			t.Errorf("%d passwords were tried", n)
		}
	})
}

func TestAFormLeadsOnlyWhereALoginMay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, onlyPasswords)
		for _, rd := range []string{"https://evil.test/", "//evil.test", "javascript:alert(1)", "/oauth2/sign_out", "/a/../b"} {
			form := aliceForm()
			form.Set("rd", rd)
			if res, body := w.postForm(t, signInForm, form); res.StatusCode != 200 || decode(t, body)["location"] != "/" {
				t.Errorf("%s: %d %s", rd, res.StatusCode, body)
			}
		}
	})
}

func TestAPasswordLoginThatCannotWorkIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		login Login
		want  string
	}{
		"a reserved parameter":        {Login{Params: map[string][]string{"password": {"x"}}}, "params"},
		"a parameter twice":           {Login{Params: map[string][]string{"x": {"1", "2"}}}, "params"},
		"scopes without openid":       {Login{Scopes: []string{"email"}}, "openid"},
		"a code without a form":       {Login{OTP: "totp"}, "otp"},
		"a code by a reserved name":   {Login{Form: true, OTP: "username"}, "otp"},
		"a password from an address":  {Login{Form: true, PassParams: []string{"password"}}, "pass_params"},
		"a code by a name of another": {Login{Form: true, OTP: "x", Params: map[string][]string{"x": {"1"}}}, "otp"},
	} {
		if _, err := newPassword(corp, c.login); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzReadForm(f *testing.F) {
	for _, body := range []string{"", "username=a&password=b", "a=1&a=2", "%zz", "a;b", "=", "&&&", "login=legacy&rd=%2Fx"} {
		f.Add("application/x-www-form-urlencoded", body)
	}
	f.Add("application/x-www-form-urlencoded; charset=x", "a=b")
	f.Add("text/plain", "a=b")
	f.Fuzz(func(t *testing.T, media, body string) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, signInForm, strings.NewReader(body))
		r.Header["Content-Type"] = []string{media}
		form, err := readForm(httptest.NewRecorder(), r, maxForm)
		for name, values := range form {
			if len(values) != 1 || err != nil {
				t.Errorf("%q: %q is %q, %v", body, name, values, err)
			}
		}
	})
}
