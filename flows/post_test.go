package flows

import (
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/internal/testnet"
)

// settled follows Refresh headers until there are none.
func settled(t testing.TB, b *testnet.Browser, page *testnet.Page) *testnet.Page {
	t.Helper()
	for n := 0; page.Header.Get("Refresh") != "" && n < 5; n++ {
		next := refreshed(t, b, page)
		next.Hops = append(page.Hops, next.Hops...)
		page = next
	}
	return page
}

// changed returns form with one value set.
func changed(form url.Values, name, value string) url.Values {
	f := maps.Clone(form)
	f[name] = []string{value}
	return f
}

// unused checks that nobody was signed in, and no code used.
func unused(t testing.TB, p *pliantProvider, b *testnet.Browser) {
	t.Helper()
	if b.Jar.Get(app, sessionID) != "" || p.grants() != 0 {
		t.Errorf("session %q, %d token requests", b.Jar.Get(app, sessionID), p.grants())
	}
}

func TestP117OffMeansOff(t *testing.T) {
	t.Run("a callback without front-channel logins takes no POST", func(t *testing.T) {
		w := newWorld(t)
		good := w.answered(t, w.net.Browser(), app+"/x")
		form := must(url.Parse(good))(t).Query()
		b := w.net.Browser()
		page := b.Post(t, corp+"/authorize", callbackURL, form)
		w.refused(t, b, page, http.StatusMethodNotAllowed)
		if got := page.Header.Get("Allow"); got != http.MethodGet {
			t.Errorf("Allow: %q", got)
		}
	})
	t.Run("with them it takes POST for them, and no other method", func(t *testing.T) {
		w, _ := newPliant(t, frontLogin("id_token", formPost))
		for _, method := range []string{http.MethodHead, http.MethodPut, http.MethodOptions, http.MethodDelete} { // P108
			if res := w.call(t, method, callbackURL); res.StatusCode != http.StatusMethodNotAllowed {
				t.Errorf("%s: %d", method, res.StatusCode)
			}
		}
	})
	t.Run("the answer to a code login beside them does not come by POST", func(t *testing.T) {
		w, p := newPliant(t, frontLogin("id_token", formPost), besides(Login{Name: "code", Flow: "authorization_code", Provider: "corp"}))
		b := w.net.Browser()
		b.StopAt = func(next *url.URL) bool { return next.Path == "/oauth2/callback" }
		good := b.Open(t, app+"/oauth2/start?login=code&rd=/x").Header.Get("Location")
		b.StopAt = nil
		expect(t, deliver(t, b, must(url.Parse(good))(t).Query()), http.StatusBadRequest, codeFailed)
		unused(t, p, b)
		expect(t, b.Open(t, good), http.StatusOK, "alice sees app.test/x")
	})
	t.Run("what no route names nobody can begin", func(t *testing.T) {
		w, p := newPliant(t, besides(Login{Name: "spa", Flow: "implicit", Provider: "corp"}), func(p *plan) { p.logins = []string{"staff"} })
		b := w.net.Browser()
		expect(t, b.Open(t, app+"/oauth2/start?login=spa&rd=/x"), http.StatusBadRequest, codeBadRequest)
		if page := b.Open(t, app+"/oauth2/sign_in?login=spa"); strings.Contains(page.Body, "login=spa") {
			t.Error("the sign-in page offers it")
		}
		if len(p.asked) != 0 {
			t.Error("it began")
		}
	})
}

// besides adds a login.
func besides(l Login) func(*plan) {
	return func(p *plan) {
		before := p.flows
		p.flows = func(c *Config) { before(c); c.Logins = append(c.Logins, l) }
	}
}

func TestP089SomebodyElsesFormSignsNobodyIn(t *testing.T) {
	w, p := newPliant(t, frontLogin("code id_token", formPost))
	trap := posted(t, w.net.Browser(), app+"/x")
	t.Run("a browser without cookies", func(t *testing.T) {
		victim := w.net.Browser()
		expect(t, victim.Post(t, "https://evil.test/", callbackURL, trap), http.StatusBadRequest, codeState)
		unused(t, p, victim)
	})
	t.Run("a browser with an attempt of its own keeps it", func(t *testing.T) {
		victim := w.net.Browser()
		own := posted(t, victim, app+"/y")
		expect(t, victim.Post(t, "https://evil.test/", callbackURL, trap), http.StatusBadRequest, codeState)
		unused(t, p, victim)
		expect(t, deliver(t, victim, own), http.StatusOK, "alice sees app.test/y")
	})
	t.Run("a browser that is signed in stays who it is", func(t *testing.T) {
		p.person = "bob"
		victim := w.net.Browser()
		victim.Open(t, app+"/y")
		session, grants := victim.Jar.Get(app, sessionID), p.grants()
		expect(t, victim.Post(t, "https://evil.test/", callbackURL, trap), http.StatusOK, "bob sees app.test/x")
		if victim.Jar.Get(app, sessionID) != session || p.grants() != grants {
			t.Error("the session changed, or the code was sent")
		}
		p.person = "alice"
	})
	t.Run("nothing was stored for them", func(t *testing.T) {
		if w.shared.puts.Load() > 2*3 { // the three logins above that ended: parked, and forgotten
			t.Errorf("%d writes", w.shared.puts.Load())
		}
	})
}

func TestP090AFormWithAWrongState(t *testing.T) {
	w, p := newPliant(t, frontLogin("id_token", formPost))
	b := w.net.Browser()
	form := posted(t, b, app+"/x")
	state := form.Get("state")
	for name, bad := range map[string]string{
		"empty": "", "nonsense": "xyz", "shortened": state[:len(state)-4], "of another gateway": foreignState(t), "too long": strings.Repeat("A", 8000),
		"P076 the attempt's cookie": b.Jar.Get(app, attempts(b, app)[0]),
	} {
		t.Run(name, func(t *testing.T) {
			expect(t, deliver(t, b, changed(form, "state", bad)), http.StatusBadRequest, codeState)
			unused(t, p, b)
		})
	}
	expect(t, deliver(t, b, form), http.StatusOK, "alice sees app.test/x")
}

func TestP091AFormThatIsPostedAgain(t *testing.T) {
	w, p := newPliant(t, frontLogin("code id_token", formPost))
	b := w.net.Browser()
	form := posted(t, b, app+"/x?y")
	name := attempts(b, app)[0]
	copied := &http.Cookie{Name: name, Value: b.Jar.Get(app, name), Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteNoneMode}
	page := deliver(t, b, form)
	expect(t, page, http.StatusOK, "alice sees app.test/x?y")
	hop := page.Hops[0].Location
	t.Run("in the same browser (the back button) it leads home", func(t *testing.T) {
		expect(t, deliver(t, b, form), http.StatusOK, "alice sees app.test/x?y")
	})
	t.Run("so does the handle", func(t *testing.T) {
		expect(t, b.Open(t, hop), http.StatusOK, "alice sees app.test/x?y")
	})
	t.Run("which nothing but the state is left of", func(t *testing.T) {
		r := must(http.NewRequest(http.MethodGet, hop, http.NoBody))(t)
		left := must(w.flows.collect(r, mustOrigin(t, app), "corp", r.URL.Query().Get("answer")))(t)
		if len(left.Values) != 1 || left.Get("state") != form.Get("state") {
			t.Errorf("%d parameters are left", len(left.Values))
		}
	})
	t.Run("with a copy of the attempt's cookie, signed out, it is refused", func(t *testing.T) {
		thief := w.net.Browser()
		thief.Jar.Put(app, copied)
		expect(t, deliver(t, thief, form), http.StatusBadRequest, codeState)
		thief.Jar.Put(app, copied)
		expect(t, thief.Open(t, hop), http.StatusBadRequest)
		if thief.Jar.Get(app, sessionID) != "" {
			t.Error("a session was made")
		}
	})
	if p.grants() != 1 {
		t.Errorf("the code was sent %d times", p.grants())
	}
}

func TestP091OfParallelFormsOneGoesOn(t *testing.T) {
	w, p := newPliant(t, frontLogin("code id_token token", formPost))
	b := w.net.Browser()
	form := posted(t, b, app+"/x")
	cookie := attempts(b, app)[0] + "=" + b.Jar.Get(app, attempts(b, app)[0])
	var done sync.WaitGroup
	var mu sync.Mutex
	sessionsMade := 0
	for range 8 {
		done.Go(func() {
			res := w.post(t, callbackURL, form, "Cookie", cookie, "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document")
			again := w.call(t, http.MethodGet, res.Header.Get("Location"), "Cookie", cookie, "Accept", "text/html")
			mu.Lock()
			defer mu.Unlock()
			for _, c := range again.Cookies() {
				if c.Name == sessionID {
					sessionsMade++
				}
			}
		})
	}
	done.Wait()
	if sessionsMade != 1 || p.grants() != 1 {
		t.Errorf("%d sessions, %d token requests", sessionsMade, p.grants())
	}
}

// post is call with a form.
func (w *world) post(t testing.TB, address string, form url.Values, header ...string) *http.Response {
	t.Helper()
	return w.postBody(t, address, form.Encode(), append([]string{"Content-Type", formMedia}, header...)...)
}

func (w *world) postBody(t testing.TB, address, body string, header ...string) *http.Response {
	t.Helper()
	r := must(http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(body)))(t)
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	res := must(w.net.Client().Do(r))(t)
	t.Cleanup(func() { _ = res.Body.Close() })
	return res
}

func TestAHandleIsWorthNothingElsewhere(t *testing.T) {
	w, p := newPliant(t, frontLogin("code id_token", formPost))
	b := w.net.Browser()
	form := posted(t, b, app+"/x")
	b.StopAt = func(next *url.URL) bool { return next.Query().Has("answer") }
	hop := deliver(t, b, form).Header.Get("Location")
	b.StopAt = nil
	if u := must(url.Parse(hop))(t); len(u.Query()) != 1 || len(u.Query().Get("answer")) != 22 {
		t.Fatalf("the address has more than a handle: %s", hop)
	}
	if strings.Contains(hop, form.Get("code")) {
		t.Fatal("P116: the code is in the address")
	}
	t.Run("in another browser", func(t *testing.T) {
		thief := w.net.Browser()
		expect(t, thief.Open(t, hop), http.StatusBadRequest, codeState)
		unused(t, p, thief)
	})
	t.Run("at another host", func(t *testing.T) {
		expect(t, b.Open(t, strings.Replace(hop, app, wiki, 1)), http.StatusBadRequest, codeState)
	})
	t.Run("another one", func(t *testing.T) {
		for _, bad := range []string{"", "x", strings.Repeat("A", 22), strings.Repeat("A", 9000), "%00"} {
			expect(t, b.Open(t, callbackURL+"?answer="+bad), http.StatusBadRequest, codeState)
		}
		expect(t, b.Open(t, hop+"&answer=x"), http.StatusBadRequest, codeBadRequest)
	})
	unused(t, p, b)
	expect(t, b.Open(t, hop), http.StatusOK, "alice sees app.test/x")
	if strings.Contains(w.log.String(), must(url.Parse(hop))(t).Query().Get("answer")) {
		t.Error("P189: the handle is in the log")
	}
}

func TestAParkedAnswerEndsAfterThirtySeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, p := newPliant(t, frontLogin("code id_token", formPost))
		b := w.net.Browser()
		form := posted(t, b, app+"/x")
		b.StopAt = func(next *url.URL) bool { return next.Query().Has("answer") }
		hop := deliver(t, b, form).Header.Get("Location")
		b.StopAt = nil
		time.Sleep(31 * time.Second)
		expect(t, b.Open(t, hop), http.StatusBadRequest, codeState)
		unused(t, p, b)
		expect(t, deliver(t, b, form), http.StatusOK, "alice sees app.test/x")
	})
}
