package e2e

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

const severalLogins = `
[login.staff]
flow = "authorization_code"
label = "Staff"
[login.tv]
flow = "device"
label = "Another device"
[login.phone]
flow = "ciba"
label = "Your phone"
[login.legacy]
flow = "password"
form = true
label = "User name and password"
[[route]]
name = "app"
host = "%[1]s"
upstream = ["%[2]s"]
login = ["staff", "tv", "phone", "legacy"]
[[route]]
name = "tv-only"
host = "%[1]s"
path = "/tv-only"
upstream = ["%[2]s"]
login = ["tv"]
`

// offered are the logins of the sign-in page, the first one first.
func (tb *tab) offered() []string {
	tb.t.Helper()
	tb.wait("the sign-in page", func(v view) bool { return strings.Contains(v.URL, "/oauth2/sign_in") })
	return script[[]string](tb, `return [...document.querySelectorAll("main li a bdi")].map((e) => e.textContent)`)
}

// signOutHere forgets the session, and nothing else.
func (tb *tab) signOutHere(origin string) {
	tb.t.Helper()
	for _, c := range tb.cookies(origin + "/") {
		if c.Name == "doorward" {
			p := network.DeleteCookiesParams{Name: c.Name, URL: origin + "/"}
			if _, err := chromedp.Call(tb.ctx, network.DeleteCookies, p); err != nil {
				tb.t.Fatal(err)
			}
			return
		}
	}
	tb.t.Fatal("there is no session to forget")
}

func TestTheLoginsOfARouteAreOfferedAndTheLastOneFirst(t *testing.T) {
	w := newKeycloakWorld(t, severalLogins)
	b := newBrowser(t)
	b.inBoth(t, func(t *testing.T, tb *tab) {
		const deep = "/page?x=%C3%BC&y=1"
		tb.open(w.gateway.origin + deep)
		if got, want := tb.offered(), []string{"Staff", "Another device", "Your phone", "User name and password"}; !slices.Equal(got, want) {
			t.Errorf("the page offers %q", got)
		}
		tb.press("Another device")
		tb.begin()
		w.keycloak.approveDevice(b.apart(t).tab(t), w.keycloak.issuer+"/device", tb.userCode(), "alice", true)
		tb.waitURL(w.gateway.origin + deep)
		w.sawAlice(t, deep)

		tb.signOutHere(w.gateway.origin)
		tb.open(w.gateway.origin + deep)
		if got := tb.offered(); len(got) != 4 || got[0] != "Another device" {
			t.Errorf("after a sign-in with another device the page offers %q", got)
		}
		tb.press("User name and password")
		tb.password("bob", keycloakPasswords["bob"], "")
		tb.waitURL(w.gateway.origin + deep)
		if got := w.app.last(t, deep).Header.Get("X-Forwarded-Preferred-Username"); got != "bob" {
			t.Errorf("the app saw %q", got)
		}
		// A session of a login that a route doesn't list is none there.
		tb.open(w.gateway.origin + "/tv-only")
		tb.wait("the device page", func(v view) bool { return strings.Contains(v.URL, "/oauth2/device") })
	})
	for _, got := range w.app.all() {
		if strings.HasPrefix(got.URI, "/tv-only") {
			t.Errorf("the app received %+v", got)
		}
	}
}

func TestTheWayBackFromAWaitingPageLeadsToTheOtherLogins(t *testing.T) {
	w := newKeycloakWorld(t, severalLogins)
	tb := newBrowser(t).tab(t)
	tb.open(w.gateway.origin + "/page?x=1")
	tb.offered()
	tb.press("Another device")
	tb.begin()
	tb.press("another way")
	if got := tb.offered(); len(got) != 4 {
		t.Errorf("the page offers %q", got)
	}
	u, err := url.Parse(tb.look().URL)
	if err != nil {
		t.Fatal(err)
	}
	if rd := u.Query().Get("rd"); rd != "/page?x=1" {
		t.Errorf("the way leads to %q", rd)
	}
}
