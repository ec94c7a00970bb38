package e2e

import (
	"net/http"
	"testing"
)

func TestR22TheGatewayStartsWithoutItsProviderAndRecoversByItself(t *testing.T) {
	w := prepare(t, providerOptions{})
	w.gateway.start(t)
	tb := newBrowser(t).tab(t)
	tb.open(w.gateway.origin + "/page?x=1")
	got := tb.document()
	if got.Status != http.StatusServiceUnavailable || got.Header["retry-after"] == "" {
		t.Fatalf("without a provider a navigation gets %+v", got)
	}
	if v := tb.look(); v.URL != w.gateway.origin+"/page?x=1" || v.Title == "" {
		t.Errorf("the page is %+v", v)
	}
	res, err := http.Get(w.gateway.origin + "/json") // the page of the browser lets no script fetch anything
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a provider a program gets %s", res.Status)
	}

	w.provider.start(t)
	back := eventually(func() bool {
		tb.open(w.gateway.origin + "/page?x=1")
		return tb.visited(w.provider.issuer)
	})
	if !back {
		t.Fatal("the gateway never found its provider again")
	}
	w.signIn(tb, "alice")
	tb.waitURL(w.gateway.origin + "/page?x=1")
}

func TestR2AProviderThatGoesAwayTakesNoSessionWithIt(t *testing.T) {
	w := newWorld(t, providerOptions{})
	b := newBrowser(t)
	tb := w.signedIn(t, b, "alice", "/")
	w.provider.stop(t)
	for range 5 {
		tb.open(w.gateway.origin + "/again")
		if got := tb.document(); got.Status != http.StatusOK {
			t.Fatalf("while the provider is away a signed-in person gets %+v", got)
		}
	}
}
