package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// frontChannelTypes are what the implicit and the hybrid flow can ask for (OIDC Core §3.2, §3.3).
var frontChannelTypes = map[string][]string{
	"implicit": {"id_token", "id_token token"},
	"hybrid":   {"code id_token", "code token", "code id_token token"},
}

// The answer comes as a POST from another site: with a SameSite=Lax cookie alone, no browser
// would send along what shows that it had begun (RSP-8).
func TestIMPFormPostBetweenTwoSitesSignsIn(t *testing.T) {
	eachFrontChannelType(t, "form_post", func(t *testing.T, w *world, b *browser) {
		b.inBoth(t, func(t *testing.T, tb *tab) {
			w.signsInByFrontChannel(t, tb, func() { w.checkPostCookie(t, tb) })
		})
	})
}

// The answer stands behind a "#", where only a script can read it (IMP-3).
func TestIMPAFragmentSignsInAndIsNotLeftInTheHistory(t *testing.T) {
	eachFrontChannelType(t, "fragment", func(t *testing.T, w *world, b *browser) {
		t.Run("with script", func(t *testing.T) { w.signsInByFrontChannel(t, b.apart(t).tab(t), func() {}) })
	})
}

func TestIMPAFragmentWithoutScriptIsExplained(t *testing.T) {
	w := frontChannelWorld(t, "implicit", "id_token", "fragment")
	tb := w.sitesBrowser(t).withoutScript(t)
	tb.open(appSite + "/page")
	w.signIn(tb, "alice")
	v := tb.wait("a page of the gateway's", func(v view) bool { return strings.HasPrefix(v.URL, appSite) })
	if text := strings.ToLower(v.Text); !strings.Contains(text, "script") {
		t.Errorf("the page says: %s", v.Text)
	}
	if c := tb.lasting(appSite + "/"); len(c) != 0 {
		for _, c := range c {
			if c.Name == "__Host-doorward" {
				t.Errorf("there is a session: %+v", c)
			}
		}
	}
}

// Another site can post to the callback as well as the provider can.
func TestIMPWhatAThirdSitePostsSignsNobodyIn(t *testing.T) {
	w := frontChannelWorld(t, "implicit", "id_token", "form_post")
	b := w.sitesBrowser(t)
	evil := newApp(t)
	tb := b.tab(t)
	tb.open(appSite + "/page") // an attempt is under way in this browser
	w.atProvider(tb)
	for name, fields := range map[string]string{
		"a forged answer":    `{id_token: "e30.e30.e30", state: "forged"}`,
		"an error":           `{error: "access_denied", state: "forged"}`,
		"a state and no end": `{state: ""}`,
	} {
		t.Run(name, func(t *testing.T) {
			tb := b.tab(t)
			tb.open(evil.URL)
			script[any](tb, `
				const form = document.createElement("form");
				form.method = "post"; form.action = "`+appSite+`/oauth2/callback";
				for (const [name, value] of Object.entries(`+fields+`)) {
					const field = document.createElement("input");
					field.type = "hidden"; field.name = name; field.value = value; form.append(field);
				}
				document.body.append(form); form.submit(); return null;`)
			v := tb.wait("our answer", func(v view) bool { return strings.HasPrefix(v.URL, appSite) })
			if got := tb.document().Status; got != http.StatusBadRequest {
				t.Errorf("the browser is told %d: %s", got, v.Text)
			}
		})
	}
	if got := w.app.all(); len(got) != 0 {
		t.Errorf("the app received %+v", got)
	}
	w.signIn(tb, "alice") // and the attempt that was under way still works
	tb.waitURL(appSite + "/page")
}

// That the two sites are two to this browser is what the tests above rely on: with the cookie
// that everything else uses, the same sign-in must fail.
func TestIMPFormPostCannotRelyOnALaxCookie(t *testing.T) {
	w := frontChannelWorld(t, "hybrid", "code id_token", "form_post")
	tb := w.sitesBrowserBehind(t, newTerminatorThat(t, w.gateway.origin, func(r *http.Response) error {
		cookies := r.Header.Values("Set-Cookie")
		for i, c := range cookies {
			cookies[i] = strings.Replace(c, "SameSite=None", "SameSite=Lax", 1)
		}
		return nil
	})).tab(t)
	tb.open(appSite + "/page")
	w.signIn(tb, "alice")
	v := tb.wait("our answer", func(v view) bool { return strings.HasPrefix(v.URL, appSite+"/oauth2/callback") })
	if got := tb.document().Status; got != http.StatusBadRequest {
		t.Errorf("the browser is told %d: %s", got, v.Text)
	}
	if got := w.app.all(); len(got) != 0 {
		t.Errorf("the app received %+v", got)
	}
}

func eachFrontChannelType(t *testing.T, mode string, test func(t *testing.T, w *world, b *browser)) {
	t.Helper()
	for flow, types := range frontChannelTypes {
		for _, responseType := range types {
			t.Run(flow+" "+responseType, func(t *testing.T) {
				w := frontChannelWorld(t, flow, responseType, mode)
				test(t, w, w.sitesBrowser(t))
			})
		}
	}
}

func frontChannelWorld(t *testing.T, flow, responseType, mode string) *world {
	t.Helper()
	registration := client(appSite, "client_secret_basic")
	registration["grant_types"] = []string{"authorization_code", "implicit", "refresh_token"}
	registration["response_types"] = []string{responseType}
	if flow == "implicit" {
		registration["grant_types"] = []string{"implicit"}
	}
	w := prepareSites(t, providerOptions{
		Clients:       []map[string]any{registration},
		IDTokenClaims: true, // of id_token alone there is no userinfo to ask
	})
	credential := "session"
	if responseType == "id_token" { // there is no access token
		credential = "id_token"
	}
	w.gateway.configure(t, w.sitesConfiguration(fmt.Sprintf("flow = %q\nresponse_type = %q\nresponse_mode = %q\n", flow, responseType, mode), credential))
	w.provider.start(t)
	w.gateway.start(t)
	return w
}

// signsInByFrontChannel opens a page, signs in at the other site and looks at what was left
// where; meanwhile is called when the browser is there.
func (w *world) signsInByFrontChannel(t *testing.T, tb *tab, meanwhile func()) {
	t.Helper()
	const deep = "/reports?sort=-date&q=%C3%BC"
	tb.open(appSite + deep)
	w.atProvider(tb)
	meanwhile()
	w.signIn(tb, "alice")
	v := tb.wait("the app, or the provider's form", func(v view) bool {
		return v.URL == appSite+deep || strings.HasPrefix(v.URL, providerSite+"/auth") && strings.Contains(v.Text, "Continue")
	})
	if v.URL != appSite+deep { // without script, the form of form_post waits for a click
		tb.do(chromedp.Click(chromedp.CSS("noscript button, form button")))
	}
	tb.waitURL(appSite + deep)
	got := w.app.last(t, deep)
	for name, want := range map[string]string{"X-Forwarded-User": "alice", "X-Forwarded-Email": "alice@example.com", "X-Forwarded-Groups": "staff,everyone"} {
		if got := got.Header.Get(name); got != want {
			t.Errorf("%s is %q, not %q", name, got, want)
		}
	}
	if !strings.HasPrefix(got.Header.Get("Authorization"), "Bearer ") {
		t.Errorf("the app gets no token: %v", got.Header)
	}
	cookies := tb.lasting(appSite+"/", appSite+"/oauth2/callback")
	if len(cookies) != 1 || cookies[0].Name != "__Host-doorward" || cookies[0].SameSite != network.CookieSameSiteLax || !cookies[0].Secure || !cookies[0].HTTPOnly {
		t.Errorf("the cookies that are left are %+v", cookies)
	}
	w.checkNoTokenInAddresses(t, tb)
	written := strings.Join(w.gateway.output(), "\n")
	for _, secret := range []string{"id_token=", "access_token=", "code=", "state=", "eyJ"} {
		if strings.Contains(written, secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
}

// checkPostCookie looks at what will show, at a POST of another site, that this browser began.
func (w *world) checkPostCookie(t *testing.T, tb *tab) {
	t.Helper()
	for _, c := range tb.cookies(appSite + "/oauth2/callback") {
		if strings.HasPrefix(c.Name, "__Host-doorward-post.") {
			if c.SameSite != network.CookieSameSiteNone || !c.Secure || !c.HTTPOnly {
				t.Errorf("the cookie that crosses sites is %+v", c)
			}
			return
		}
	}
	t.Errorf("no cookie would come with a POST of the other site: %+v", tb.cookies(appSite+"/oauth2/callback"))
}

// checkNoTokenInAddresses looks at everything that the browser asked for, and can go back to.
func (w *world) checkNoTokenInAddresses(t *testing.T, tb *tab) {
	t.Helper()
	var addresses []string
	for _, entry := range tb.history().Entries {
		addresses = append(addresses, entry.URL)
	}
	for _, a := range tb.all() {
		addresses = append(addresses, a.URL)
	}
	for _, address := range addresses {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"id_token", "access_token", "code"} {
			if u.Query().Has(name) || strings.Contains(u.Fragment, name+"=") {
				t.Errorf("an address holds %s: %s", name, address)
			}
		}
	}
}
