package flows

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/internal/testnet"
	"github.com/doorward/doorward/sessions"
)

func TestP072TheOldSessionEndsThoughTheFormComesWithoutIt(t *testing.T) {
	for name, c := range map[string]func(*plan){"lax": func(*plan) {}, "strict": strict, "in cookies": func(p *plan) {
		p.sessions = func(c *sessions.Config) { c.InCookie = true }
	}, "one callback": oneCallback, "strict, one callback": func(p *plan) {
		oneCallback(p)
		strict(p)
	}} {
		t.Run(name, func(t *testing.T) {
			w, p := newPliant(t, c, frontLogin("id_token", formPost))
			p.person = "bob"
			b := w.net.Browser()
			settle := func(page *testnet.Page) *testnet.Page { return settled(t, b, page) }
			expect(t, settle(b.Open(t, app+"/x")), http.StatusOK, "bob sees")
			old := map[string]string{}
			for _, name := range b.Jar.Names(app) {
				old[name] = b.Jar.Get(app, name)
			}
			p.person = "alice"
			expect(t, settle(b.Open(t, app+"/oauth2/start?prompt=login&rd=/y")), http.StatusOK, "alice sees app.test/y")
			thief := w.net.Browser()
			for name, value := range old {
				thief.Jar.Put(app, &http.Cookie{Name: name, Value: value, Path: "/", Secure: true})
			}
			if page := thief.Fetch(t, "", http.MethodGet, app+"/z", nil); page.Status != http.StatusUnauthorized {
				t.Errorf("the old session still gets %d", page.Status)
			}
		})
	}
}

func TestR5ALoopOfFormsIsStopped(t *testing.T) {
	for _, mode := range []string{formPost} {
		w, p := newPliant(t, frontLogin("code id_token", mode))
		b := w.net.Browser()
		b.StopAt = func(*url.URL) bool { b.Jar.Clear(sessionID); return false }
		expect(t, b.Open(t, app+"/x"), http.StatusLoopDetected, codeLoop)
		if p.grants() != loopLimit-1 {
			t.Errorf("%d codes were redeemed", p.grants())
		}
	}
}

func TestAFormThatComesAfterTenMinutesBeginsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, p := newPliant(t, frontLogin("id_token", formPost))
		b := w.net.Browser()
		form := posted(t, b, app+"/x")
		time.Sleep(attemptLife + time.Second)
		expect(t, deliver(t, b, form), http.StatusOK, "alice sees app.test/x")
		if len(p.asked) != 2 {
			t.Errorf("R4: asked %d times", len(p.asked))
		}
	})
}

func TestFrontChannelLoginsOverOneCallbackHost(t *testing.T) {
	for _, mode := range []string{formPost, fragment} {
		for _, host := range []string{app, wiki, loginHost} {
			t.Run(mode+" "+host, func(t *testing.T) {
				w, p := newPliant(t, oneCallback, frontLogin("code id_token token", mode))
				w.replica(t)
				b := on(w.net.Browser(), 0)
				b.StopAt = func(*url.URL) bool { b.Header.Set("X-Test-Replica", "1"); return false } // what follows goes to the other one
				page := settled(t, b, through(t, b, host+"/x?y=1"))
				expect(t, page, http.StatusOK, "alice sees "+strings.TrimPrefix(host, "https://")+"/x?y=1")
				noTokenInAddresses(t, page)
				if got := p.lastAsked(t).Get("redirect_uri"); got != loginHost+"/oauth2/callback" {
					t.Errorf("redirect_uri %q", got)
				}
				if got := p.granted[0].Get("redirect_uri"); got != loginHost+"/oauth2/callback" {
					t.Errorf("TOK-1: redirect_uri %q", got)
				}
			})
		}
	}
	t.Run("P089 the answer is parked for its own host and browser", func(t *testing.T) {
		w, p := newPliant(t, oneCallback, frontLogin("id_token", formPost))
		b := w.net.Browser()
		form := posted(t, b, app+"/x")
		hop := strings.TrimPrefix(b.Post(t, pliant+"/authorize", loginHost+"/oauth2/callback", form).Header.Get("Refresh"), "0;url=")
		if !strings.HasPrefix(hop, app+"/oauth2/callback?answer=") {
			t.Fatalf("%s", hop)
		}
		expect(t, w.net.Browser().Open(t, hop), http.StatusBadRequest, codeState)
		expect(t, b.Open(t, strings.Replace(hop, app, wiki, 1)), http.StatusBadRequest, codeState)
		expect(t, b.Open(t, strings.Replace(hop, app, loginHost, 1)), http.StatusBadRequest, codeState)
		t.Run("and comes to no other", func(t *testing.T) {
			expect(t, b.Post(t, pliant+"/authorize", callbackURL, form), http.StatusBadRequest, codeState)
			expect(t, b.Post(t, pliant+"/authorize", loginHost+"/oauth2/callback", changed(form, "state", foreignState(t))), http.StatusBadRequest, codeState)
		})
		unused(t, p, b)
		expect(t, b.Open(t, hop), http.StatusOK, "alice sees app.test/x")
	})
	t.Run("R4 one that comes late begins anew where it began", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w, _ := newPliant(t, oneCallback, frontLogin("id_token", formPost))
			b := w.net.Browser()
			form := posted(t, b, app+"/x")
			time.Sleep(attemptLife + time.Second)
			page := settled(t, b, b.Post(t, pliant+"/authorize", loginHost+"/oauth2/callback", form))
			expect(t, page, http.StatusOK, "alice sees app.test/x")
		})
	})
}

func TestAFormLoginBegunAtOneReplicaEndsAtAnother(t *testing.T) {
	w, _ := newPliant(t, frontLogin("code id_token", formPost))
	w.replica(t)
	b := on(w.net.Browser(), 0)
	form := posted(t, b, app+"/x")
	b.StopAt = func(*url.URL) bool { on(b, 0); return false }
	expect(t, deliver(t, on(b, 1), form), http.StatusOK, "alice sees app.test/x")
	if n := w.idp.Count(idp.Token); n != 0 {
		t.Error("the wrong provider was asked")
	}
}

func TestAFormPostLoginOverPlainHTTPSaysWhatIsWrong(t *testing.T) {
	const plainHost = "http://app.internal.test"
	w, p := newPliant(t, frontLogin("id_token", formPost), func(p *plan) { p.hosts = append(p.hosts, plainHost) })
	b := w.net.Browser()
	expect(t, b.Open(t, plainHost+"/x"), http.StatusBadGateway, codeMisconfigured, "form_post needs https")
	if len(p.asked) != 0 || len(b.Jar.Names(plainHost)) != 0 {
		t.Error("it began")
	}
}

func TestP074TheCookiesOfAFormPostLogin(t *testing.T) {
	w, _ := newPliant(t, frontLogin("id_token", formPost), besides(Login{Name: "code", Flow: "authorization_code", Provider: "corp"}))
	page := w.net.Browser().Open(t, app+"/oauth2/start?login=staff&rd=/x")
	seen := map[string]bool{}
	for _, hop := range page.Hops {
		for _, line := range hop.Header.Values("Set-Cookie") {
			c := must(http.ParseSetCookie(line))(t)
			want := http.SameSiteLaxMode
			if strings.HasPrefix(c.Name, "__Host-doorward-post.") {
				want = http.SameSiteNoneMode
			}
			if !c.Secure || !c.HttpOnly || c.SameSite != want || c.Path != "/" || c.Domain != "" || !w.flows.cookie.Owns(c.Name) {
				t.Errorf("%s", line)
			}
			seen[strings.SplitAfter(c.Name, ".")[0]] = true
		}
		if got := hop.Header.Get("Cache-Control"); hop.URL.Path == "/oauth2/callback" && (got != "no-store" || hop.Header.Get("Referrer-Policy") != "no-referrer") {
			t.Errorf("P112, P188: %v", hop.Header)
		}
	}
	if len(seen) != 3 { // session, attempts, and the two of a minute and of half a year
		t.Errorf("%v", seen)
	}
}
