package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

const deviceGrant = "urn:ietf:params:oauth:grant-type:device_code"

// deviceWorld has a route that only the device flow leads to.
func deviceWorld(t *testing.T, o providerOptions) *world {
	t.Helper()
	w := prepareDevice(t, o)
	w.configureDevice(t)
	w.provider.start(t)
	w.gateway.start(t)
	return w
}

func prepareDevice(t *testing.T, o providerOptions) *world {
	t.Helper()
	w := prepare(t, o)
	registration := client(w.gateway.origin, "client_secret_basic")
	registration["grant_types"] = []string{deviceGrant, "refresh_token"}
	registration["response_types"], registration["redirect_uris"] = []string{}, []string{}
	w.provider.options.Clients = []map[string]any{registration}
	return w
}

func (w *world) configureDevice(t *testing.T) {
	t.Helper()
	w.gateway.configure(t, w.providerTable("")+`
[login.tv]
flow = "device"
label = "Another device"
`+w.routeTable(`login = ["tv"]`))
}

// approveDevice does what a person does elsewhere with a code: enter it, compare it, and sign in.
func (w *world) approveDevice(tb *tab, uri, code, login string) {
	tb.t.Helper()
	w.enterCode(tb, uri, code)
	tb.do(chromedp.Click(chromedp.CSS("button[autofocus]")))
	w.signIn(tb, login)
	tb.says("successful")
}

// enterCode goes to where the provider asks whether the person has begun this themselves.
func (w *world) enterCode(tb *tab, uri, code string) {
	tb.t.Helper()
	tb.open(uri)
	tb.do(chromedp.SendKeys(chromedp.CSS("input[name=user_code]"), code+kb.Enter))
	v := tb.wait("the question", func(v view) bool { return strings.Contains(v.Text, "Confirm Device") })
	if !strings.Contains(v.Text, code) {
		tb.t.Errorf("the provider shows another code than %s: %s", code, v.Text)
	}
}

func TestDEVACodeEnteredElsewhereSignsThisBrowserIn(t *testing.T) {
	t.Parallel()
	w := deviceWorld(t, providerOptions{})
	b := newBrowser(t)
	b.inBoth(t, func(t *testing.T, tb *tab) {
		const deep = "/watch?v=1&t=%C3%BC"
		tb.open(w.gateway.origin + deep)
		tb.begin()
		began, refusedBefore := time.Now(), w.provider.count(t, "grant_error", deviceGrant)
		code, verification := tb.userCode(), w.provider.issuer+"/device"
		w.checkDevicePage(t, tb, verification, code)
		tb.do(chromedp.Reload())
		if tb.waiting(); tb.userCode() != code {
			t.Errorf("after a reload the page shows %s, not %s", tb.userCode(), code)
		}
		t.Run("P155 another browser with the same address gets nothing", func(t *testing.T) {
			tb.nobodyElseGets(t, b.apart(t), code)
		})
		w.approveDevice(b.apart(t).tab(t), verification, code, "alice")
		tb.waitURL(w.gateway.origin + deep)
		polls := w.provider.count(t, "grant_error", deviceGrant) - refusedBefore
		if most := int(time.Since(began)/(5*time.Second)) + 1; polls > most {
			t.Errorf("the provider was asked %d times in vain in %s, every 5 s at most", polls, time.Since(began))
		}
		got := w.app.last(t, deep)
		if got.Header.Get("X-Forwarded-User") != "alice" || got.Header.Get("X-Forwarded-Groups") != "staff,everyone" {
			t.Errorf("the app saw %v", got.Header)
		}
		w.checkSessionCookie(t, tb)
		if written := strings.Join(w.gateway.output(), "\n"); strings.Contains(written, code) || strings.Contains(written, "device_code") {
			t.Errorf("the log holds the code")
		}
	})
	for _, e := range w.provider.events(t) {
		if e.Event == "grant_error" && e.Error != "authorization_pending" {
			t.Errorf("the provider refused: %+v", e)
		}
	}
}

// checkDevicePage looks at what a person needs to go on elsewhere: the address to type and to
// click, the code, and a picture of both that is part of the page.
func (w *world) checkDevicePage(t *testing.T, tb *tab, verification, code string) {
	t.Helper()
	got := script[struct{ Text, Links, Pictures string }](tb, `return {
		Text: document.body.innerText,
		Links: [...document.querySelectorAll("a")].map((a) => a.href).join(" "),
		Pictures: [...document.querySelectorAll("svg[role=img] title")].map((e) => e.textContent).join("; "),
	}`)
	if !strings.Contains(got.Text, verification) || !strings.Contains(got.Links, verification) {
		t.Errorf("the page shows %s and links to %s, not to %s", got.Text, got.Links, verification)
	}
	if got.Pictures == "" {
		t.Errorf("there is no picture for the camera of another device: %q", got.Pictures)
	}
	if strings.Contains(tb.look().URL, code) {
		t.Errorf("the code is in the address: %s", tb.look().URL)
	}
}

// checkSessionCookie looks at what is left in the browser after a sign-in.
func (w *world) checkSessionCookie(t *testing.T, tb *tab) {
	t.Helper()
	if c := tb.lasting(w.gateway.origin+"/", w.gateway.origin+"/oauth2/device"); len(c) != 1 || c[0].Name != "doorward" || !c[0].HTTPOnly {
		t.Errorf("the cookies that are left are %+v", c)
	}
}

func TestDEVNoIsSaidPlainlyAndOneClickMakesANewCode(t *testing.T) {
	t.Parallel()
	w := deviceWorld(t, providerOptions{})
	b := newBrowser(t)
	b.inBoth(t, func(t *testing.T, tb *tab) {
		tb.open(w.gateway.origin + "/page")
		tb.begin()
		code := tb.userCode()
		elsewhere := b.apart(t).tab(t)
		w.enterCode(elsewhere, w.provider.issuer+"/device", code)
		elsewhere.do(chromedp.Click(chromedp.CSS("button[name=abort]")))
		tb.says("declined", "denied", "refused")
		w.newCode(tb, code)
		if got := len(w.app.all()); got != 0 {
			t.Errorf("the app received %d requests", got)
		}
	})
}

func TestDEVACodeThatRanOutIsFollowedByANewOneInOneClick(t *testing.T) {
	t.Parallel()
	w := deviceWorld(t, providerOptions{TTL: map[string]int{"DeviceCode": 15}})
	b := newBrowser(t)
	b.inBoth(t, func(t *testing.T, tb *tab) {
		tb.open(w.gateway.origin + "/page")
		tb.begin()
		code := tb.userCode()
		tb.says("expired", "run out", "ran out")
		w.newCode(tb, code)
		w.approveDevice(b.apart(t).tab(t), w.provider.issuer+"/device", tb.userCode(), "bob")
		tb.waitURL(w.gateway.origin + "/page")
	})
}

// newCode presses the one button that there is, and finds another code.
func (w *world) newCode(tb *tab, old string) {
	tb.t.Helper()
	before := tb.look().URL
	tb.press("code")
	tb.wait("a new code", func(v view) bool { return v.URL != before && strings.Contains(v.URL, "attempt=") })
	if code := tb.userCode(); code == old {
		tb.t.Errorf("the new code is the old one, %s", code)
	}
}

func TestDEVTheGatewayMayRestartWhileSomebodyWaits(t *testing.T) {
	t.Parallel()
	w := deviceWorld(t, providerOptions{})
	b := newBrowser(t)
	tb := b.tab(t)
	tb.open(w.gateway.origin + "/page")
	tb.begin()
	code := tb.userCode()
	w.gateway.stop(t)
	w.approveDevice(b.apart(t).tab(t), w.provider.issuer+"/device", code, "alice")
	w.gateway.start(t)
	tb.waitURL(w.gateway.origin + "/page")
}

func TestDEVTheBackButtonAfterwardsShowsNoDeadCode(t *testing.T) {
	t.Parallel()
	w := deviceWorld(t, providerOptions{})
	b := newBrowser(t)
	b.inBoth(t, func(t *testing.T, tb *tab) {
		tb.open(w.app.URL) // somewhere to begin
		tb.open(w.gateway.origin + "/page")
		tb.begin()
		code := tb.userCode()
		w.approveDevice(b.apart(t).tab(t), w.provider.issuer+"/device", code, "alice")
		tb.waitURL(w.gateway.origin + "/page")
		tb.back()
		v := tb.wait("a page that leads somewhere", func(v view) bool {
			return v.URL == w.app.URL+"/" || v.URL == w.gateway.origin+"/page" || strings.Contains(v.URL, "/oauth2/") && v.Text != ""
		})
		if strings.Contains(v.Text, code) || tb.document().Status >= 400 {
			t.Errorf("going back shows %d: %s", tb.document().Status, v.Text)
		}
	})
}

// Two tabs are two sign-ins; the second one must not take the first one's code away.
func TestDEVTwoTabsHaveTwoCodesAndTheFirstApprovedOneServesBoth(t *testing.T) {
	t.Parallel()
	w := deviceWorld(t, providerOptions{})
	b := newBrowser(t)
	first, second := b.tab(t), b.tab(t)
	for i, tb := range []*tab{first, second} {
		tb.open(fmt.Sprintf("%s/tab/%d", w.gateway.origin, i))
		tb.begin()
	}
	if first.userCode() == second.userCode() {
		t.Errorf("both tabs show %s", first.userCode())
	}
	w.approveDevice(b.apart(t).tab(t), w.provider.issuer+"/device", first.userCode(), "alice")
	first.waitURL(w.gateway.origin + "/tab/0")
	second.open(w.gateway.origin + "/tab/1")
	second.waitURL(w.gateway.origin + "/tab/1")
}
