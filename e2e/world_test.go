package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// world is everything that a sign-in takes: an app, a gateway before it, a provider beside
// it. The browser meets the gateway as "localhost" and the provider as "127.0.0.1", which
// are two sites to it, so that SameSite means here what it means out there.
type world struct {
	app      *app
	gateway  *gateway
	provider *provider
}

const (
	clientID     = "doorward"
	clientSecret = "a-secret-of-at-least-thirty-two-bytes"
)

// prepare makes a world in which nothing runs yet but the app.
func prepare(t *testing.T, o providerOptions) *world {
	t.Helper()
	w := &world{app: newApp(t), gateway: newGateway(t)}
	if o.Clients == nil {
		o.Clients = []map[string]any{client(w.gateway.origin, "client_secret_basic")}
	}
	w.provider = newProvider(t, o)
	w.gateway.configure(t, w.providerTable("")+w.routeTable(""))
	return w
}

// newWorld is a world that runs.
func newWorld(t *testing.T, o providerOptions) *world {
	t.Helper()
	w := prepare(t, o)
	w.provider.start(t)
	w.gateway.start(t)
	return w
}

// client is the registration of a gateway at the provider.
func client(origin, auth string) map[string]any {
	return map[string]any{
		"client_id":                  clientID,
		"client_secret":              clientSecret,
		"token_endpoint_auth_method": auth,
		"grant_types":                []string{"authorization_code", "refresh_token"},
		"redirect_uris":              []string{origin + "/oauth2/callback"},
		"post_logout_redirect_uris":  []string{origin + "/oauth2/logout/callback"},
	}
}

// providerTable is [provider.corp] with further lines.
func (w *world) providerTable(more string) string {
	return fmt.Sprintf("\n[provider.corp]\nissuer = %q\nclient_id = %q\nclient_secret = %q\n%s\n",
		w.provider.issuer, clientID, clientSecret, more)
}

// routeTable is one [[route]] to the app, with further lines.
func (w *world) routeTable(more string) string {
	return fmt.Sprintf("\n[[route]]\nname = \"app\"\nhost = %q\nupstream = [%q]\ncredential = \"session\"\n%s\n",
		w.gateway.origin, w.app.URL, more)
}

// atProvider waits until the tab shows the provider's sign-in form.
func (w *world) atProvider(tb *tab) {
	tb.t.Helper()
	tb.wait("the provider's sign-in page", func(v view) bool {
		return strings.HasPrefix(v.URL, w.provider.issuer+"/interaction/")
	})
}

// signIn signs in with the keyboard at the provider, whose page the tab shows, and says
// yes if the provider then asks for consent (it does so once per person and client).
func (w *world) signIn(tb *tab, login string) {
	tb.t.Helper()
	w.atProvider(tb)
	form := tb.look().URL
	tb.do(
		chromedp.SendKeys(chromedp.CSS("input[name=login]"), login),
		chromedp.SendKeys(chromedp.CSS("input[name=password]"), "any"+kb.Enter),
	)
	v := tb.wait("the provider has taken the sign-in", func(v view) bool { return v.URL != form })
	if strings.HasPrefix(v.URL, w.provider.issuer+"/interaction/") {
		tb.do(chromedp.Click(chromedp.CSS("form:has(input[value=consent]) button")))
	}
}

// signedIn opens a page of the app in a new tab and signs in on the way.
func (w *world) signedIn(t *testing.T, b *browser, login, path string) *tab {
	t.Helper()
	tb := b.tab(t)
	tb.open(w.gateway.origin + path)
	w.signIn(tb, login)
	tb.waitURL(w.gateway.origin + path)
	return tb
}
