package e2e

import "testing"

func TestASignInNeedsNoScript(t *testing.T) {
	w := newWorld(t, providerOptions{})
	tb := newBrowser(t).withoutScript(t)
	tb.open(w.gateway.origin + "/page?x=1")
	w.signIn(tb, "alice")
	tb.waitURL(w.gateway.origin + "/page?x=1")
	if got := w.app.last(t, "/page?x=1").Header.Get("X-Forwarded-User"); got != "alice" {
		t.Errorf("the app saw %q", got)
	}
}
