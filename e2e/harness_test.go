package e2e

import (
	"net/url"
	"strings"
	"testing"
)

// If this one fails, the fault is with the machine (no browser, no Node.js, no loopback)
// and not with Doorward, which takes no part in it.
func TestTheBrowserAndTheProviderWorkWithoutDoorward(t *testing.T) {
	w := &world{app: newApp(t)}
	w.provider = newProvider(t, providerOptions{Clients: []map[string]any{client(w.app.URL, "client_secret_basic")}})
	w.provider.start(t)
	tb := newBrowser(t).tab(t)
	tb.open(w.provider.issuer + "/auth?" + url.Values{
		"response_type": {"code"}, "client_id": {clientID}, "redirect_uri": {w.app.URL + "/oauth2/callback"},
		"scope": {"openid"}, "state": {"s"}, "code_challenge_method": {"S256"},
		"code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, // RFC 7636, appendix B
	}.Encode())
	w.signIn(tb, "alice")
	v := tb.wait("the answer at the app", func(v view) bool { return strings.HasPrefix(v.URL, w.app.URL+"/oauth2/callback?") })
	answer, err := url.Parse(v.URL)
	if err != nil {
		t.Fatal(err)
	}
	if q := answer.Query(); q.Get("code") == "" || q.Get("state") != "s" || q.Get("iss") != w.provider.issuer {
		t.Errorf("the provider answers %v", q)
	}
}
