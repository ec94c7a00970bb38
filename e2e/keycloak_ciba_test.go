package e2e

import (
	"fmt"
	"strings"
	"testing"
)

func keycloakCIBA(delivery string) string {
	return fmt.Sprintf(`
[login.phone]
flow = "ciba"
label = "Your phone"
delivery = %q
`, delivery) + `
[[route]]
name = "app"
host = "%[1]s"
upstream = ["%[2]s"]
login = ["phone"]
`
}

func TestKeycloakWhoAgreesOnTheirPhoneIsSignedIn(t *testing.T) {
	for delivery, world := range map[string]func(*testing.T, string) *keycloakWorld{"poll": newKeycloakWorld, "ping": newPingedWorld} {
		t.Run(delivery, func(t *testing.T) {
			w := world(t, keycloakCIBA(delivery))
			n := 0
			newBrowser(t).inBoth(t, func(t *testing.T, tb *tab) {
				const deep = "/pay?amount=20"
				tb.open(w.gateway.origin + deep)
				tb.hint("alice")
				tb.waiting()
				n++
				question := w.keycloak.phone.next(t, n)
				if question.LoginHint != "alice" || question.BindingMessage != tb.bindingMessage() {
					t.Errorf("the phone shows %+v, and the page %q", question, tb.bindingMessage())
				}
				w.keycloak.answer(t, question, "SUCCEED")
				tb.waitURL(w.gateway.origin + deep)
				w.sawAlice(t, deep)
			})
			if n := w.keycloak.hurried(); n != 0 {
				t.Errorf("Keycloak was asked too soon %d times", n)
			}
		})
	}
}

func TestKeycloakWhoRefusesOnTheirPhoneIsNotSignedIn(t *testing.T) {
	for delivery, world := range map[string]func(*testing.T, string) *keycloakWorld{"poll": newKeycloakWorld, "ping": newPingedWorld} {
		t.Run(delivery, func(t *testing.T) {
			w := world(t, keycloakCIBA(delivery))
			tb := newBrowser(t).tab(t)
			tb.open(w.gateway.origin + "/page")
			tb.hint("bob")
			tb.waiting()
			w.keycloak.answer(t, w.keycloak.phone.next(t, 1), "CANCELLED")
			tb.says("refused", "denied", "declined")
			if got := len(w.app.all()); got != 0 {
				t.Errorf("the app received %d requests", got)
			}
		})
	}
}

// Keycloak says "invalid_user" to whom it doesn't know; the page must not repeat it.
func TestKeycloakAnUnknownPersonIsShownWhatAKnownOneIs(t *testing.T) {
	w := newKeycloakWorld(t, keycloakCIBA("poll"))
	b := newBrowser(t)
	shown := map[string]string{}
	for _, who := range []string{"alice", "nobody", "dave"} {
		tb := b.apart(t).tab(t)
		tb.open(w.gateway.origin + "/page")
		tb.hint(who)
		v := tb.waiting()
		shown[who] = digits.ReplaceAllString(strings.ReplaceAll(v.Text, tb.bindingMessage(), "MESSAGE"), "#")
	}
	if shown["alice"] != shown["nobody"] || shown["alice"] != shown["dave"] {
		t.Errorf("three people are shown %q", shown)
	}
	if n := len(w.keycloak.phone.all()); n != 1 {
		t.Errorf("%d phones were asked", n)
	}
}
