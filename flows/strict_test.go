package flows

import (
	"net/http"
	"strings"
	"testing"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/internal/testnet"
)

func strict(p *plan) {
	before := p.flows
	p.flows = func(c *Config) { before(c); c.Cookie.SameSite = http.SameSiteStrictMode }
}

// refreshed does what a browser does with a Refresh header, which testnet's does not.
func refreshed(t testing.TB, b *testnet.Browser, page *testnet.Page) *testnet.Page {
	t.Helper()
	to, ok := strings.CutPrefix(page.Header.Get("Refresh"), "0;url=")
	if !ok || page.Status != http.StatusOK || page.Body != "" {
		t.Fatalf("%d, Refresh %q\n%s%s", page.Status, page.Header.Get("Refresh"), page.Trail(), page.Body)
	}
	if page.Header.Get("Cache-Control") != "no-store" || page.Header.Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("P112: %v", page.Header)
	}
	return b.Visit(t, page.URL.String(), must(page.URL.Parse(to))(t).String())
}

// BFF-2: browsers send a Strict cookie with nothing that another site began, redirects included.
func TestAStrictSessionCookieComesThroughALogin(t *testing.T) {
	w := newWorld(t, strict)
	b := w.net.Browser()
	page := b.Open(t, app+"/x?y=1;2").SignIn(t, "alice", "alice")
	expect(t, refreshed(t, b, page), http.StatusOK, "alice sees app.test/x?y=1;2")
	if n := w.idp.Count(idp.Token); n != 1 {
		t.Errorf("%d logins", n)
	}
	t.Run("and a link on another site begins no login", func(t *testing.T) {
		page := b.Visit(t, "https://elsewhere.test/", app+"/z?q=//evil.test")
		expect(t, refreshed(t, b, page), http.StatusOK, "alice sees app.test/z?q=//evil.test")
		if n := w.idp.Count(idp.Token); n != 1 {
			t.Errorf("%d logins", n)
		}
	})
	t.Run("a script of another site still gets 401", func(t *testing.T) {
		expect(t, b.Fetch(t, "https://elsewhere.test/", http.MethodGet, app+"/z", nil), http.StatusUnauthorized)
	})
	t.Run("without a session it begins one after a detour", func(t *testing.T) {
		b := w.net.Browser()
		page := refreshed(t, b, b.Visit(t, "https://elsewhere.test/", app+"/z"))
		expect(t, refreshed(t, b, page.SignIn(t, "alice", "alice")), http.StatusOK, "alice sees app.test/z")
	})
	t.Run("also in a browser that sends no Sec-Fetch headers", func(t *testing.T) {
		b := w.net.Browser()
		for _, name := range []string{"Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Fetch-Dest", "Sec-Fetch-User"} {
			b.Header.Set(name, "")
		}
		page := refreshed(t, b, b.Open(t, app+"/x").SignIn(t, "alice", "alice"))
		expect(t, refreshed(t, b, page), http.StatusOK, "alice sees app.test/x")
	})
	t.Run("HEAD of another site gets no page", func(t *testing.T) {
		if res := w.call(t, http.MethodHead, app+"/z", navigation("cross-site")...); res.StatusCode != http.StatusFound || res.Header.Get("Refresh") != "" {
			t.Errorf("%d %v", res.StatusCode, res.Header)
		}
	})
	t.Run("no target leads away", func(t *testing.T) {
		b := w.net.Browser()
		page := refreshed(t, b, b.Open(t, app+"/oauth2/start?rd=//evil.test").SignIn(t, "alice", "alice"))
		expect(t, page, http.StatusOK, "alice sees app.test/")
		if got := page.URL.String(); got != app+"/" {
			t.Errorf("P062: %s", got)
		}
	})
}

// The provider's redirect brings no Strict cookie: the session of before must end all the same.
func TestAStrictSessionEndsAtTheNextLogin(t *testing.T) {
	for _, site := range []string{"with Sec-Fetch headers", "without"} {
		for name, change := range map[string]func(*plan){"": func(*plan) {}, ", one callback": oneCallback} {
			t.Run("P072 P086 "+site+name, func(t *testing.T) {
				w := newWorld(t, change, strict)
				b := w.net.Browser()
				if site == "without" {
					for _, name := range []string{"Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Fetch-Dest", "Sec-Fetch-User"} {
						b.Header.Set(name, "")
					}
				}
				expect(t, settled(t, b, b.Open(t, app+"/x").SignIn(t, "bob", "bob")), http.StatusOK, "bob sees app.test/x")
				old := b.Jar.Get(app, sessionID)
				page := b.Open(t, app+"/oauth2/start?prompt=login&rd=/y").SignIn(t, "alice", "alice")
				expect(t, settled(t, b, page), http.StatusOK, "alice sees app.test/y")
				if res := w.call(t, http.MethodGet, app+"/z", "Cookie", sessionID+"="+old); old == "" || res.StatusCode != http.StatusUnauthorized {
					t.Errorf("the old session still gets %d", res.StatusCode)
				}
				if n := w.idp.Count(idp.Token); n != 2 {
					t.Errorf("%d codes were redeemed for two logins", n)
				}
			})
		}
	}
}

// A signed-in person who goes back to an answer that was used is led home, not told that nobody is signed in.
func TestAStrictSessionIsSeenByAnAnswerThatWasUsed(t *testing.T) {
	w := newWorld(t, strict)
	b := w.net.Browser()
	address := w.answered(t, b, app+"/x")
	expect(t, settled(t, b, b.Visit(t, corp+"/authorize", address)), http.StatusOK, "alice sees app.test/x")
	expect(t, settled(t, b, b.Visit(t, corp+"/authorize", address)), http.StatusOK, "alice sees app.test/x")
	if n := w.idp.Count(idp.Token); n != 1 {
		t.Errorf("P091: %d token requests", n)
	}
	t.Run("a program gets no page that would load itself", func(t *testing.T) {
		if res := w.call(t, http.MethodGet, address); res.StatusCode != http.StatusBadRequest || res.Header.Get("Refresh") != "" {
			t.Errorf("%d, Refresh %q", res.StatusCode, res.Header.Get("Refresh"))
		}
	})
	t.Run("and nothing makes a page that loads itself for ever", func(t *testing.T) {
		page := b.Visit(t, corp+"/authorize", address+"&again=1")
		if page.Header.Get("Refresh") != "" {
			t.Errorf("Refresh %q", page.Header.Get("Refresh"))
		}
	})
}
