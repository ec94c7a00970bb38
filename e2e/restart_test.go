package e2e

import "testing"

func TestR23ASessionAndASignInHalfWaySurviveARestartOfTheGateway(t *testing.T) {
	w := newWorld(t, providerOptions{})
	signedIn := w.signedIn(t, newBrowser(t), "alice", "/before")
	halfWay := newBrowser(t).tab(t)
	halfWay.open(w.gateway.origin + "/half")
	w.atProvider(halfWay)

	w.gateway.stop(t)
	w.gateway.start(t)

	signedIn.forget()
	signedIn.open(w.gateway.origin + "/after")
	signedIn.waitURL(w.gateway.origin + "/after")
	if signedIn.visited(w.provider.issuer) {
		t.Error("the session was lost: the browser was sent to the provider")
	}
	if got := w.app.last(t, "/after").Header.Get("X-Forwarded-Email"); got != "alice@example.com" {
		t.Errorf("after the restart the app saw %q", got)
	}
	w.signIn(halfWay, "bob")
	halfWay.waitURL(w.gateway.origin + "/half")
	if got := w.app.last(t, "/half").Header.Get("X-Forwarded-User"); got != "bob" {
		t.Errorf("the app saw %q", got)
	}
}
