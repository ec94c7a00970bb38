package e2e

import (
	"strings"
	"testing"
)

const keycloakDevice = `
[login.tv]
flow = "device"
label = "Another device"
[[route]]
name = "app"
host = "%[1]s"
upstream = ["%[2]s"]
login = ["tv"]
`

func TestKeycloakACodeEnteredElsewhereSignsThisBrowserIn(t *testing.T) {
	w := newKeycloakWorld(t, keycloakDevice)
	b := newBrowser(t)
	b.inBoth(t, func(t *testing.T, tb *tab) {
		const deep = "/watch?v=1"
		tb.open(w.gateway.origin + deep)
		tb.begin()
		code, verification := tb.userCode(), w.keycloak.issuer+"/device"
		w.checkDevicePage(t, tb, verification, code)
		w.keycloak.approveDevice(b.apart(t).tab(t), verification, code, "alice", true)
		tb.waitURL(w.gateway.origin + deep)
		w.sawAlice(t, deep)
		w.checkSessionCookie(t, tb)
	})
	if n := w.keycloak.hurried(); n != 0 {
		t.Errorf("Keycloak was asked too soon %d times", n)
	}
}

func TestKeycloakACodeThatIsRefusedElsewhereSignsNobodyIn(t *testing.T) {
	w := newKeycloakWorld(t, keycloakDevice)
	b := newBrowser(t)
	tb := b.tab(t)
	tb.open(w.gateway.origin + "/page")
	tb.begin()
	code := tb.userCode()
	w.keycloak.approveDevice(b.apart(t).tab(t), w.keycloak.issuer+"/device", code, "bob", false)
	tb.says("declined", "denied", "refused")
	w.newCode(tb, code)
	if got := len(w.app.all()); got != 0 {
		t.Errorf("the app received %d requests", got)
	}
}

// sawAlice looks at what Keycloak's claims have become.
func (w *keycloakWorld) sawAlice(t *testing.T, uri string) {
	t.Helper()
	got := w.app.last(t, uri).Header
	for name, want := range map[string]string{"X-Forwarded-Email": "alice@example.com", "X-Forwarded-Preferred-Username": "alice"} {
		if got := got.Get(name); got != want {
			t.Errorf("%s is %q, not %q", name, got, want)
		}
	}
	if groups := got.Get("X-Forwarded-Groups"); !strings.Contains(groups, "staff") || !strings.Contains(groups, "everyone") {
		t.Errorf("X-Forwarded-Groups is %q", groups)
	}
	if got.Get("X-Forwarded-User") == "" || got.Get("Authorization") != "" {
		t.Errorf("the app saw %v", got)
	}
}
