package flows

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/internal/seal"
	"github.com/doorward/doorward/internal/testnet"
	"github.com/doorward/doorward/sessions"
)

// sealing returns flows that can seal, and nothing else.
func sealing(t testing.TB, key byte) *Flows {
	t.Helper()
	f, _ := judging(t)
	f.cookie = sessions.Cookie{Name: "doorward"}
	f.binding = f.cookie
	f.deps.Ring = must(seal.New(bytes.Repeat([]byte{key}, 32)))(t)
	f.deps.Now = time.Now
	return f
}

func newAttempt(t testing.TB, back string) *attempt {
	t.Helper()
	return &attempt{
		id: random(idSize), secret: random(secretSize), created: time.Now(), provider: "corp", login: "staff", back: back, here: mustOrigin(t, app),
	}
}

// foreignState is a state of a gateway with another key.
func foreignState(t testing.TB) string {
	t.Helper()
	return sealing(t, 9).sealState(newAttempt(t, "/x"))
}

func TestStateSaysWhatItWasTold(t *testing.T) {
	f := sealing(t, 7)
	for name, back := range map[string]string{"short": "/x?y", "at the limit": "/" + strings.Repeat("a&", 127)} {
		t.Run(name, func(t *testing.T) {
			a := newAttempt(t, back)
			a.restarts = 1
			parameter := f.sealState(a)
			if len(parameter) > 640 {
				t.Errorf("%d characters", len(parameter))
			}
			s, ok := f.openState(parameter)
			if !ok || s.Back != back || s.Provider != "corp" || s.Login != "staff" || s.Restarts != 1 || !bytes.Equal(s.ID, a.id) || s.Created != a.created.Unix() {
				t.Errorf("%v %+v", ok, s)
			}
			if o, ok := f.origin(s); !ok || o != a.here {
				t.Errorf("origin %v %v", o, ok)
			}
		})
	}
	if s, _ := f.openState(f.sealState(newAttempt(t, "/"+strings.Repeat("a", 300)))); s.Back != "" {
		t.Error("a long target makes a long URL")
	}
	if _, ok := f.openState(foreignState(t)); ok {
		t.Error("a foreign state opens")
	}
}

func TestP087NothingRepeats(t *testing.T) {
	f := sealing(t, 7)
	seen := map[string]bool{}
	for range 1000 {
		a := newAttempt(t, "/")
		for _, v := range []string{string(a.id), a.nonce(), a.verifier().Reveal(), a.challenge(), f.sealState(a)} {
			if seen[v] {
				t.Fatal("seen before")
			}
			seen[v] = true
		}
		if n := len(a.nonce()); n != 43 {
			t.Fatalf("nonce of %d characters", n)
		}
		if n := len(a.verifier().Reveal()); n != 43 {
			t.Fatalf("verifier of %d characters", n)
		}
	}
}

// tabs opens n pages in one browser before anyone signs in.
func tabs(t *testing.T, b *testnet.Browser, n int) (pages []*testnet.Page) {
	t.Helper()
	for i := range n {
		pages = append(pages, b.Open(t, fmt.Sprintf("%s/tab/%d?n=%d", app, i, i)))
	}
	return pages
}

func TestAUT5TenTabsEachEndOnTheirOwnPage(t *testing.T) {
	for name, order := range map[string][]int{
		"in order": {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, "backwards": {9, 8, 7, 6, 5, 4, 3, 2, 1, 0}, "mixed": {4, 0, 9, 2, 7, 1, 8, 3, 6, 5},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			b := w.net.Browser()
			opened := tabs(t, b, 10)
			if n := len(attempts(b, app)); n != 10 {
				t.Fatalf("%d attempts", n)
			}
			for _, i := range order {
				page := opened[i].SignIn(t, "alice", "alice")
				expect(t, page, http.StatusOK, fmt.Sprintf("alice sees app.test/tab/%d?n=%d", i, i))
			}
			if n := attempts(b, app); len(n) != 0 {
				t.Errorf("left behind: %v", n)
			}
		})
	}
}

func TestR4TenTabsRestoredTogether(t *testing.T) {
	w := newWorld(t)
	// Restored tabs ask at once: none of the requests carries what the answer to another one set.
	b := w.net.Browser()
	var opened []*testnet.Page
	jars := testnet.NewJar()
	for i := range 10 {
		b.Jar = testnet.NewJar()
		b.StopAt = func(next *url.URL) bool { return next.Hostname() == "127.0.0.1" }
		page := b.Open(t, fmt.Sprintf("%s/tab/%d", app, i))
		jars.Set(page.URL, page.Header.Values("Set-Cookie"))
		opened = append(opened, page)
	}
	b.Jar, b.StopAt = jars, nil
	for i, tab := range opened {
		page := b.Visit(t, app+"/", tab.Header.Get("Location"))
		if len(page.Forms()) > 0 {
			page = page.SignIn(t, "alice", "alice")
		}
		expect(t, page, http.StatusOK, fmt.Sprintf("alice sees app.test/tab/%d", i))
	}
}

func TestP085AttemptsDoNotPileUp(t *testing.T) {
	w := newWorld(t)
	b := w.net.Browser()
	b.StopAt = func(*url.URL) bool { return true }
	var last string
	for i := range 100 {
		page := b.Open(t, fmt.Sprintf("%s/some/ordinary/page/%d?with=a&query=%d", app, i, i))
		if page.Status != http.StatusFound {
			t.Fatalf("%d: %d", i, page.Status)
		}
		last = page.Header.Get("Location")
		b.Fetch(t, "", http.MethodGet, app+"/api", nil)
	}
	names, size := attempts(b, app), 0
	for _, name := range names {
		size += len(name) + len("=; ") + len(b.Jar.Get(app, name))
	}
	if len(names) != maxAttempts || size > 7000 {
		t.Errorf("%d attempts of %d bytes", len(names), size)
	}
	if n := w.shared.puts.Load(); n != 0 {
		t.Errorf("%d writes to the shared store", n)
	}
	b.StopAt = nil
	expect(t, b.Visit(t, app+"/", last).SignIn(t, "alice", "alice"), http.StatusOK, "alice sees app.test/some/ordinary/page/99")

	t.Run("what cannot be read goes first", func(t *testing.T) {
		b := w.net.Browser()
		b.StopAt = func(*url.URL) bool { return true }
		b.Open(t, app+"/kept")
		kept := attempts(b, app)[0]
		for i := range 30 {
			b.Jar.Put(app, &http.Cookie{Name: fmt.Sprintf("__Host-doorward-login.junk%d", i), Value: "x", Path: "/", Secure: true})
		}
		b.Open(t, app+"/x")
		if names := attempts(b, app); len(names) != maxAttempts || b.Jar.Get(app, kept) == "" {
			t.Errorf("%d cookies, the readable one is there: %v", len(names), b.Jar.Get(app, kept) != "")
		}
	})
	t.Run("P085 a header full of cookies makes no larger one", func(t *testing.T) {
		var junk strings.Builder
		for i := range 2500 {
			fmt.Fprintf(&junk, "__Host-doorward-login.%d=x; ", i)
		}
		res := w.call(t, http.MethodGet, app+"/x", append(navigation("none"), "Cookie", junk.String())...)
		if n := len(res.Header.Values("Set-Cookie")); res.StatusCode != http.StatusFound || n == 0 || n > 60 {
			t.Errorf("%d with %d Set-Cookie lines", res.StatusCode, n)
		}
	})
	t.Run("long targets don't make a long Cookie header", func(t *testing.T) {
		b := w.net.Browser()
		var opened []*testnet.Page
		for i := range maxAttempts {
			opened = append(opened, b.Open(t, fmt.Sprintf("%s/a/%d?q=%s", app, i, strings.Repeat("z", 1000))))
		}
		size := 0
		for _, name := range attempts(b, app) {
			size += len(name) + len("=; ") + len(b.Jar.Get(app, name))
		}
		if size > 12<<10 {
			t.Errorf("%d bytes", size)
		}
		for _, i := range []int{0, 5, maxAttempts - 1} {
			want := fmt.Sprintf("%s/a/%d?q=%s", app, i, strings.Repeat("z", 1000))
			if page := opened[i].SignIn(t, "alice", "alice"); page.URL.String() != want {
				t.Errorf("%d ended on %s", i, page.URL)
			}
		}
	})
	t.Run("the store takes only so many long targets", func(t *testing.T) {
		b := w.net.Browser()
		b.StopAt = func(*url.URL) bool { return true }
		long := app + "/a?q=" + strings.Repeat("y", 3000)
		expect(t, b.Open(t, long), http.StatusFound)
		if _, err := w.shared.Add(t.Context(), "flows/backs", maxLongBacks, time.Minute); err != nil {
			t.Fatal(err)
		}
		before := w.shared.adds.Load() + w.shared.puts.Load()
		for range 5 {
			expect(t, w.net.Browser().Open(t, long), http.StatusOK) // the provider's page
		}
		if n := w.shared.adds.Load() + w.shared.puts.Load() - before; n != 0 {
			t.Errorf("P085: %d writes for logins that nobody finishes, in a store that takes no more", n)
		}
		b.StopAt = nil
		page := b.Open(t, long).SignIn(t, "alice", "alice") // but keeps nobody out
		expect(t, page, http.StatusOK, "alice sees app.test/a")
		if page.URL.String() != app+"/a" || !strings.Contains(w.log.String(), "too many long return targets") {
			t.Errorf("ended on %s", page.URL)
		}
	})
}

func patient(p *plan) { p.idp = func(c *idp.Config) { c.CodeLifetime = 24 * time.Hour } }

func TestR4AnExpiredAttemptBeginsAnewByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, patient)
		b := w.net.Browser()
		night := w.answered(t, b, app+"/x?y") // the provider's page is left open over night …
		late := w.answered(t, w.net.Browser(), app+"/z")
		stored := w.answered(t, w.net.Browser(), app+"/a?q="+strings.Repeat("y", 3000))
		time.Sleep(9 * time.Hour)
		expect(t, b.Open(t, night), http.StatusOK, "alice sees app.test/x?y") // … and its answer works in the morning
		if n := w.idp.Count(idp.Token); n != 1 {
			t.Errorf("%d token requests: the late code must not be sent", n)
		}
		// Signed in already: to the page. Its long target has ended with the attempt: home.
		expect(t, b.Open(t, late), http.StatusOK, "alice sees app.test/z")
		expect(t, b.Open(t, stored), http.StatusOK, "alice sees app.test/")
	})
}

func TestR4AnAttemptThatExpiresTwiceEndsOnAPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, patient)
		b := w.net.Browser()
		first := w.answered(t, b, app+"/x")
		time.Sleep(20 * time.Minute)
		second := w.answered(t, b, first) // the login that begins by itself
		time.Sleep(20 * time.Minute)
		w.refused(t, b, b.Open(t, second), http.StatusBadRequest, codeState, "ten minutes")
	})
}

func TestP214AClockThatJumps(t *testing.T) {
	for name, c := range map[string]struct {
		by      time.Duration
		anew    bool
		request int
	}{
		"an hour ahead": {time.Hour, true, 1}, "an hour back": {-time.Hour, true, 1},
		"a little ahead": {50 * time.Second, false, 1}, "a little back": {-50 * time.Second, false, 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			b := w.net.Browser()
			good := w.answered(t, b, app+"/x?y")
			state := must(url.Parse(good))(t).Query().Get("state")
			w.flows.deps.Now = func() time.Time { return time.Now().Add(c.by) }
			page := b.Open(t, good)
			expect(t, page, http.StatusOK, "alice sees app.test/x?y")
			if anew := page.Hops[len(page.Hops)-2].URL.Query().Get("state") != state; anew != c.anew || w.idp.Count(idp.Token) != c.request {
				t.Errorf("begun anew: %v, token requests: %d", anew, w.idp.Count(idp.Token))
			}
		})
	}
}

func TestAnAttemptIsBoundToItsHost(t *testing.T) {
	w := newWorld(t)
	b := w.net.Browser()
	good := w.answered(t, b, app+"/x")
	name := attempts(b, app)[0]
	b.Jar.Put(wiki, &http.Cookie{Name: name, Value: b.Jar.Get(app, name), Path: "/", Secure: true})
	page := b.Open(t, strings.Replace(good, app, wiki, 1))
	w.refused(t, b, page, http.StatusBadRequest, codeState)
}

func TestAttemptsAreNeverSharedWithNeighbouringHosts(t *testing.T) {
	w := newWorld(t, func(p *plan) {
		p.hosts = []string{app}
		p.flows = func(c *Config) { c.Cookie.Domain = "app.test" }
	})
	b := w.net.Browser()
	page := b.Open(t, app+"/x")
	for _, line := range page.Hops[0].Header.Values("Set-Cookie") {
		if c := must(http.ParseSetCookie(line))(t); !strings.HasPrefix(c.Name, "__Host-doorward-login.") || c.Domain != "" {
			t.Errorf("P077: %s", line)
		}
	}
	expect(t, page.SignIn(t, "alice", "alice"), http.StatusOK, "alice sees")
}

func TestP076SealedThingsOpenOnlyAsWhatTheyAre(t *testing.T) {
	f := sealing(t, 7)
	a := newAttempt(t, "/x")
	w := httptest.NewRecorder()
	if err := f.keep(w, httptest.NewRequest(http.MethodGet, app+"/x", nil), a); err != nil {
		t.Fatal(err)
	}
	cookie := w.Result().Cookies()[0]
	if cookie.MaxAge != 600 || !strings.HasPrefix(cookie.Name, "__Host-doorward-login.") {
		t.Errorf("%v", cookie)
	}
	if _, ok := f.openAttempt(a.here, cookie.Name, cookie.Value); !ok {
		t.Fatal("the attempt doesn't open")
	}
	if _, ok := f.openAttempt(a.here, cookie.Name+"x", cookie.Value); ok {
		t.Error("it opens under another name")
	}
	if _, ok := f.openAttempt(mustOrigin(t, wiki), cookie.Name, cookie.Value); ok {
		t.Error("it opens for another origin")
	}
	if _, ok := f.openAttempt(a.here, cookie.Name, f.sealState(a)); ok {
		t.Error("a state opens as an attempt")
	}
	if _, ok := f.openState(cookie.Value); ok {
		t.Error("an attempt opens as a state")
	}
	if _, err := f.openTicket(a.here, "corp", f.sealState(a)); err == nil {
		t.Error("a state opens as a ticket")
	}
}

// All of these are sealed by us, so none should ever be: but what one replica of another release or another attempt has
// sealed must not stand for this one.
func TestAStateAndACookieMustBeOfOneAttempt(t *testing.T) {
	w := newWorld(t, besides(Login{Name: "second", Flow: "authorization_code", Provider: "corp"}))
	here, now := mustOrigin(t, app), time.Now().Unix()
	id := random(idSize)
	good := sealed{Created: now, Secret: random(secretSize), Provider: "corp", Login: "staff"}
	s := state{Version: stateVersion, ID: id, Created: now, Provider: "corp", Login: "staff", Origin: app}
	name := w.flows.attemptCookie(here, "staff", id)
	for what, c := range map[string]struct {
		change func(*sealed)
		mine   bool
	}{
		"as it was":              {func(*sealed) {}, true},
		"P092 of other provider": {func(s *sealed) { s.Provider = "other" }, false},
		"of another login":       {func(s *sealed) { s.Login = "second" }, false},
		"of another time":        {func(s *sealed) { s.Created-- }, false},
		"without its secret":     {func(s *sealed) { s.Secret = nil }, false},
	} {
		kept := good
		c.change(&kept)
		r := must(http.NewRequest(http.MethodGet, app+"/", http.NoBody))(t)
		r.AddCookie(&http.Cookie{Name: name, Value: w.flows.sealParameter(purposeAttempt, kept, bound(here, name))})
		if a := must(w.flows.pending(r, here, s))(t); (a != nil) != c.mine {
			t.Errorf("%s: %v", what, a != nil)
		}
	}
	for what, change := range map[string]func(*state){"another version": func(s *state) { s.Version++ }, "a short id": func(s *state) { s.ID = s.ID[1:] }} {
		odd := s
		change(&odd)
		if _, ok := w.flows.openState(w.flows.sealParameter(purposeState, odd, nil)); ok {
			t.Errorf("a state of %s is taken", what)
		}
	}
}
