package e2e

import (
	"fmt"
	"testing"
)

// Two sites, over TLS, as they are out there: to a browser, "localhost" with any port is one
// site and needs no TLS for anything, so that faults with SameSite and Secure cannot show there.
const (
	appSite      = "https://app.doorward.test"
	providerSite = "https://idp.other-site.test"
)

// prepareSites is prepare for these two. Only the browser is told where the names are: the
// gateway gets the provider's endpoints for itself by address.
func prepareSites(t *testing.T, o providerOptions) *world {
	t.Helper()
	o.Issuer = providerSite
	w := prepare(t, o)
	w.provider.address, w.provider.issuer = w.provider.issuer, providerSite
	return w
}

// sitesBrowser starts both ends of TLS and a browser that finds them.
func (w *world) sitesBrowser(t *testing.T) *browser {
	t.Helper()
	return w.sitesBrowserBehind(t, newTerminator(t, w.gateway.origin))
}

// sitesBrowserBehind is one for which something else ends TLS before the gateway.
func (w *world) sitesBrowserBehind(t *testing.T, terminator string) *browser {
	t.Helper()
	return newBrowser(
		t,
		"MAP app.doorward.test:443 "+terminator,
		"MAP idp.other-site.test:443 "+newTerminator(t, w.provider.address),
	)
}

// sitesConfiguration is one login at the other site, and one route that needs it and sends this
// credential upstream.
func (w *world) sitesConfiguration(login, credential string) string {
	return "trusted_proxies = [\"127.0.0.1/32\"]\n" + w.providerTable(fmt.Sprintf(`discovery = false
authorization_endpoint = "%[1]s/auth"
token_endpoint = "%[2]s/token"
userinfo_endpoint = "%[2]s/me"
jwks_uri = "%[2]s/jwks"
`, providerSite, w.provider.address)) + "\n[login.spa]\nprovider = \"corp\"\n" + login + "\n" +
		fmt.Sprintf("\n[[route]]\nhost = \"app.doorward.test\"\nupstream = [%q]\nlogin = [\"spa\"]\ncredential = %q\n", w.app.URL, credential)
}
