package flows

import (
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/internal/origin"
)

// takes makes routes of a world take only some logins: those of the longest prefix, "host path".
func (w *world) takes(routes map[string][]string) {
	w.flows.deps.Offers = func(o origin.Origin, target string) []string {
		var longest string
		for prefix := range routes {
			if strings.HasPrefix(o.String()+target, prefix) && len(prefix) > len(longest) {
				longest = prefix
			}
		}
		return routes[longest]
	}
}

func TestWhoSaysNoLoginIsOfferedThoseOfTheTarget(t *testing.T) {
	w := everyKind(t)
	w.takes(map[string][]string{
		app + "/tv": {"tv", "phone"}, app + "/one": {"tv"}, app + "/odd": {"tv", "removed"}, wiki + "/one": {"legacy"},
	})
	b := w.net.Browser()
	for query, want := range map[string]string{
		"rd=/tv": "tv phone", "rd=/tv%3Fa%23b": "tv phone", "rd=/one": "tv", "rd=/x": "staff tv phone legacy", "": "staff tv phone legacy",
		"rd=/odd": "staff tv phone legacy", "rd=https://evil.test/one": "staff tv phone legacy",
		"rd=/one&login=staff&login=tv": "staff tv", // what is named is named
		"rd=/one&login=nobody":         "tv",
		"rd=" + wiki + "/one":          "legacy",
	} {
		if got := strings.Join(offered(b.Open(t, app+"/oauth2/sign_in?"+query)), " "); got != want {
			t.Errorf("%s: offered are %s", query, got)
		}
	}
	page := b.Open(t, app+"/oauth2/start?rd=/tv")
	if got := page.Hops[0].Location; got != "/oauth2/sign_in?login=tv&login=phone&rd=%2Ftv" {
		t.Errorf("start leads to %s", got)
	}
	if got := b.Open(t, app+"/oauth2/start?rd=/one").Hops[0].Location; got != "/oauth2/device?login=tv&rd=%2Fone" {
		t.Errorf("one login is no choice: %s", got)
	}
	t.Run("a program is told the same", func(t *testing.T) {
		res := w.call(t, http.MethodGet, app+"/oauth2/start?rd=/tv")
		if res.StatusCode != http.StatusUnauthorized || !strings.Contains(res.Header.Get("Location")+readBody(t, res), "/oauth2/start?login=tv&login=phone&rd=%2Ftv") {
			t.Errorf("%d", res.StatusCode)
		}
	})
	t.Run("a route that takes all that act says so where its target takes fewer", func(t *testing.T) {
		if got := w.flows.query(mustOrigin(t, app), beginning{back: "/one"}, w.flows.acting()); got != "login=staff&login=tv&login=phone&login=legacy&rd=%2Fone" {
			t.Errorf("%s", got)
		}
	})
}

func readBody(t testing.TB, res *http.Response) string {
	t.Helper()
	return string(must(io.ReadAll(res.Body))(t))
}

func TestAnotherWayIsOfferedOnlyIfThereIsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := everyKind(t)
		w.takes(map[string][]string{app + "/tv": {"tv", "phone"}, app + "/one": {"tv"}})
		b := w.net.Browser()
		for rd, want := range map[string]string{
			"/one": "", "/tv": "/oauth2/sign_in?login=tv&amp;login=phone&amp;rd=%2Ftv", "/x": "/oauth2/sign_in?rd=%2Fx",
		} {
			page := b.Post(t, "", app+"/oauth2/device", url.Values{"login": {"tv"}, "rd": {rd}})
			expect(t, page, http.StatusOK)
			if _, link, found := strings.Cut(page.Body, `href="/oauth2/sign_in`); found != (want != "") || !strings.HasPrefix("/oauth2/sign_in"+link, want) {
				t.Errorf("%s: %v %.80s", rd, found, link)
			}
		}
		page := b.Open(t, app+"/oauth2/password?login=legacy&rd=/one") // by a login that the page does not take
		expect(t, page, http.StatusOK, `href="/oauth2/sign_in?login=tv&amp;rd=%2Fone"`)
	})
}

func TestWhoBeginsWithoutALoginMeansTheOneThatTheTargetTakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(p *plan) {
			p.flows = func(c *Config) {
				c.Logins = append(c.Logins,
					Login{Name: "tv", Flow: "device", Provider: "corp"}, Login{Name: "kiosk", Flow: "device", Provider: "corp"},
					Login{Name: "phone", Flow: "ciba", Provider: "corp"}, Login{Name: "till", Flow: "ciba", Provider: "corp"},
					Login{Name: "legacy", Flow: "password", Provider: "corp", Form: true}, Login{Name: "old", Flow: "password", Provider: "corp", Form: true},
				)
			}
			p.idp = func(c *idp.Config) { *c = every(*c) }
		})
		w.takes(map[string][]string{app + "/k": {"staff", "kiosk", "till", "old"}, app + "/no": {"staff"}})
		b := w.net.Browser()
		person := url.Values{"hint": {"alice"}, "username": {"alice"}, "password": {"alice"}}
		for path, c := range map[string]struct{ one, names string }{
			"/oauth2/device": {"kiosk", "one of tv, kiosk."}, "/oauth2/ciba": {"till", "one of phone, till."}, "/oauth2/password": {"old", "one of legacy, old."},
		} {
			for _, rd := range []string{"/x", "/no"} {
				form := url.Values{"rd": {rd}}
				expect(t, b.Open(t, app+path+"?"+form.Encode()), http.StatusBadRequest, c.names)
				for name, values := range person {
					form[name] = values
				}
				expect(t, b.Fetch(t, "", http.MethodPost, app+path, form), http.StatusBadRequest, c.names)
				form.Set("attempt", "AAAAAAAAAAAAAAAAAAAAAA")
				expect(t, b.Fetch(t, "", http.MethodPost, app+path, form), http.StatusBadRequest, c.names)
			}
			page := b.Open(t, app+path+"?rd=/k")
			if expect(t, page, http.StatusOK); !slices.Contains(page.Forms()[0].Fields["login"], c.one) {
				t.Errorf("%s: %v", path, page.Forms()[0].Fields)
			}
		}
		if n := w.idp.Count(idp.Device) + w.idp.Count(idp.CIBA) + w.grants("password"); n != 0 {
			t.Fatalf("the provider was asked %d times", n)
		}
		if now := startLogin(t, b, url.Values{"rd": {"/k"}}); now.Login != "kiosk" {
			t.Errorf("%+v", now)
		}
		if now := startLogin(t, b, url.Values{"rd": {"/k"}, "hint": {"alice"}}); now.Login != "till" {
			t.Errorf("%+v", now)
		}
	})
}
