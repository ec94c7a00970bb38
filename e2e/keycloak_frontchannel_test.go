package e2e

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// By fragment, since by form_post no browser brings a cookie along over plain http; that is
// in frontchannel_test.go.
const keycloakFrontChannel = `
[login.code]
flow = "authorization_code"
[login.implicit]
flow = "implicit"
response_type = "id_token token"
response_mode = "fragment"
[login.hybrid]
flow = "hybrid"
response_type = "code id_token token"
response_mode = "fragment"
[[route]]
name = "code"
host = "%[1]s"
path = "/code"
upstream = ["%[2]s"]
login = ["code"]
[[route]]
name = "implicit"
host = "%[1]s"
path = "/implicit"
upstream = ["%[2]s"]
login = ["implicit"]
[[route]]
name = "hybrid"
host = "%[1]s"
path = "/hybrid"
upstream = ["%[2]s"]
login = ["hybrid"]
`

func TestKeycloakSignsInThroughItsOwnPages(t *testing.T) {
	w := newKeycloakWorld(t, keycloakFrontChannel)
	b := newBrowser(t)
	for _, flow := range []string{"code", "implicit", "hybrid"} {
		t.Run(flow, func(t *testing.T) {
			tb := b.apart(t).tab(t)
			uri := "/" + flow + "?x=%C3%BC"
			tb.open(w.gateway.origin + uri)
			tb.wait("Keycloak's sign-in form", func(v view) bool { return strings.HasPrefix(v.URL, w.keycloak.issuer) })
			tb.do(
				chromedp.SendKeys(chromedp.CSS("#username"), "alice"),
				chromedp.SendKeys(chromedp.CSS("#password"), keycloakPasswords["alice"]+kb.Enter),
			)
			tb.waitURL(w.gateway.origin + uri)
			w.sawAlice(t, uri)
			if flow != "code" { // which alone may stand in an address
				w.checkNoTokenInAddresses(t, tb)
			}
		})
	}
}
