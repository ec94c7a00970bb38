package e2e

import "testing"

func TestR7AFragmentIsKeptThroughTheSignIn(t *testing.T) {
	w := prepare(t, providerOptions{})
	w.gateway.configure(t, w.providerTable("")+w.routeTable("keep_fragment = true"))
	w.provider.start(t)
	w.gateway.start(t)
	tb := newBrowser(t).tab(t)
	const deep = "/mail?box=in#/message/42?reply=%2Fyes&a=b"
	tb.open(w.gateway.origin + deep)
	w.signIn(tb, "alice")
	tb.waitURL(w.gateway.origin + deep)
	if uri := w.app.last(t, "/mail?box=in").URI; uri != "/mail?box=in" {
		t.Errorf("the app received %s", uri)
	}
	if got := script[string](tb, "return location.hash"); got != "#/message/42?reply=%2Fyes&a=b" {
		t.Errorf("the page's fragment is %s", got)
	}
}
