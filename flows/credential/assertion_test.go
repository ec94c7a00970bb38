package credential

import (
	"testing"
	"time"

	"github.com/doorward/doorward/internal/identity"
)

// Whoever asks more of the person is told how they have signed in, and is not told of a sign-in before that.
func TestAnAssertionSaysHowSomebodyHasSignedIn(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		set := w.alone(Config{Name: "route.app", Flow: "assertion", Audience: []string{"https://app.test"}, Header: "X-Doorward-Assertion"})
		s := set.Source("route.app")
		alice := w.person("alice")
		alice.Login, alice.ACR, alice.AMR, alice.AuthTime = "staff", "gold", []string{"pwd"}, time.Unix(1780000000, 0)
		c := token(t, s, alice)
		got := verified(t, set.JWKS(), raw(c))
		if got["login"] != "staff" || got["acr"] != "gold" || got["amr"].([]any)[0] != "pwd" || got["auth_time"].(float64) != 1780000000 || c.Header != "X-Doorward-Assertion" || c.Values[0] != raw(c) {
			t.Errorf("%v in %s", got, c.Header)
		}
		for name, change := range map[string]func(*identity.Identity){
			"acr": func(i *identity.Identity) { i.ACR = "bronze" }, "amr": func(i *identity.Identity) { i.AMR = []string{"otp"} },
			"auth_time": func(i *identity.Identity) { i.AuthTime = time.Unix(1780000001, 0) }, "login": func(i *identity.Identity) { i.Login = "kiosk" },
		} {
			other := copyOf(alice)
			change(other)
			if again := verified(t, set.JWKS(), raw(token(t, s, other))); again["jti"] == got["jti"] {
				t.Errorf("S14: with another %s it is the same", name)
			}
		}
		machine := &identity.Identity{Issuer: corp, Subject: "svc", Machine: true, Client: "batch", Login: "staff", Email: "svc@example.com", EmailVerified: true}
		if got := verified(t, set.JWKS(), raw(token(t, s, machine))); got["sub"] != "route.app" || got["idp"] != nil || got["email"] != nil || got["client_id"] != "batch" {
			t.Errorf("SEC-7: %v", got)
		}
		if set.ByTarget("", "route.app", false) != nil || set.ByTarget("", "https://app.test", true) != nil || set.ByTarget("corp", "route.app", true) != nil {
			t.Error("the token API hands it out")
		}
	})
}
