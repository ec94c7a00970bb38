package flows

import (
	"net/http"
	"testing"

	"github.com/doorward/doorward/demo/idp"
)

// Nothing is lost when it cannot be known whether iss should be there: the person loads again.
func TestISS1AnAnswerWaitsForAProviderThatIsDown(t *testing.T) {
	w := newWorld(t, func(p *plan) { p.idp = func(c *idp.Config) { c.OmitIss = true } })
	b := w.net.Browser()
	good := w.answered(t, b, app+"/x?y")
	w.replica(t) // which knows nothing of the provider yet
	on(b, 1)
	w.idp.Misbehave(idp.Catalogue()["unavailable"].On(idp.Discovery))
	page := b.Open(t, good)
	w.refused(t, b, page, http.StatusServiceUnavailable, codeProviderDown)
	if len(attempts(b, app)) != 1 {
		t.Error("the attempt is gone")
	}
	expect(t, on(b, 0).Open(t, good), http.StatusOK, "alice sees app.test/x?y")
}

func TestP208NobodyIsSignedOutByAStoreThatIsDown(t *testing.T) {
	w := newWorld(t, func(p *plan) { p.frail = true })
	b := w.signedIn(t, app+"/x")
	w.replica(t) // which has not seen the session yet
	b.Header.Set("X-Test-Replica", "1")
	cookies := len(b.Jar.Names(app))
	w.shared.down.Store(true)
	for _, path := range []string{"/x", "/oauth2/session", "/oauth2/userinfo", "/oauth2/callback?state=" + w.flows.sealState(newAttempt(t, "/x"))} {
		page := b.Open(t, app+path)
		expect(t, page, http.StatusServiceUnavailable, codeStore)
	}
	expect(t, b.Post(t, "", signOut, nil), http.StatusServiceUnavailable, codeStore)
	if n := len(b.Jar.Names(app)); n != cookies {
		t.Errorf("cookies: %v", b.Jar.Names(app))
	}
	w.shared.down.Store(false)
	expect(t, b.Open(t, app+"/x"), http.StatusOK, "alice sees app.test/x")
}

func TestP208StoreDown(t *testing.T) {
	w := newWorld(t)
	b := w.net.Browser()
	good := w.answered(t, b, app+"/x")
	w.shared.down.Store(true)
	page := b.Open(t, good)
	w.refused(t, b, page, http.StatusServiceUnavailable, codeStore)
	if page.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	w.shared.down.Store(false)
	expect(t, b.Open(t, good), http.StatusOK, "alice sees app.test/x") // nothing was lost: the person loads again
}
