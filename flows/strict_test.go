package flows

import (
	"net/http"
	"strings"
	"testing"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/internal/testnet"
)

func strict(p *plan) { p.flows = func(c *Config) { c.Cookie.SameSite = http.SameSiteStrictMode } }

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
		page := b.Open(t, app+"/x").SignIn(t, "alice", "alice")
		expect(t, refreshed(t, b, page), http.StatusOK, "alice sees app.test/x")
	})
	t.Run("HEAD of another site gets no page", func(t *testing.T) {
		if res := w.call(t, http.MethodHead, app+"/z", navigation("cross-site")...); res.StatusCode != http.StatusFound || res.Header.Get("Refresh") != "" {
			t.Errorf("%d %v", res.StatusCode, res.Header)
		}
	})
	t.Run("no target leads away", func(t *testing.T) {
		b := w.net.Browser()
		page := b.Open(t, app+"/oauth2/start?rd=//evil.test").SignIn(t, "alice", "alice")
		if got := page.Header.Get("Refresh"); got != "0;url=/" {
			t.Errorf("P062: %s", got)
		}
	})
}
