package e2e

import (
	"strings"
	"testing"
)

// A browser that does not keep our cookies cannot be signed in. It must be told so, on a
// page that stands still (R5).
func TestR5ABrowserThatKeepsNoCookiesIsToldSoInsteadOfSentInCircles(t *testing.T) {
	w := newWorld(t, providerOptions{})
	tb := newBrowserWithoutCookiesOf(t, w.gateway.origin).tab(t)
	tb.open(w.gateway.origin + "/page")
	w.signIn(tb, "alice")
	v := tb.wait("a page of the gateway's", func(v view) bool { return strings.HasPrefix(v.URL, w.gateway.origin) })
	if got := tb.document(); got.Status < 400 || got.Status == 500 || !strings.Contains(strings.ToLower(v.Text), "cookie") {
		t.Errorf("the browser is told %d: %s", got.Status, v.Text)
	}
	if n := w.provider.count(t, "grant", ""); n != 0 {
		t.Errorf("%d codes were redeemed for a browser that could not show that it had begun: %+v", n, w.provider.events(t))
	}
	answers := len(tb.all())
	tb.open(w.gateway.origin + "/page") // the provider remembers: it sends the browser back at once
	v = tb.wait("a page of the gateway's", func(v view) bool { return strings.HasPrefix(v.URL, w.gateway.origin) })
	if hops := len(tb.all()) - answers; hops > 30 || tb.document().Status < 400 {
		t.Errorf("after %d answers the browser is at %d: %s", hops, tb.document().Status, v.Text)
	}
}
