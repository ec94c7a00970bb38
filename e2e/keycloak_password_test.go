package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"
)

const keycloakForm = `
[login.legacy]
flow = "password"
label = "User name and password"
form = true
otp = "totp"
[[route]]
name = "app"
host = "%[1]s"
upstream = ["%[2]s"]
login = ["legacy"]
`

// password fills in Doorward's own form.
func (tb *tab) password(user, password, otp string) {
	tb.t.Helper()
	tb.wait("the form", func(v view) bool { return strings.Contains(v.URL, "/oauth2/password") })
	tb.fill("username", user)
	if otp == "" {
		tb.fill("password", password+kb.Enter)
		return
	}
	tb.fill("password", password)
	tb.fill("otp", otp+kb.Enter)
}

func TestKeycloakTheFormSignsInWithAPassword(t *testing.T) {
	w := newKeycloakWorld(t, keycloakForm)
	newBrowser(t).inBoth(t, func(t *testing.T, tb *tab) {
		const deep = "/legacy?x=1"
		tb.open(w.gateway.origin + deep)
		tb.password("alice", keycloakPasswords["alice"], "")
		tb.waitURL(w.gateway.origin + deep)
		w.sawAlice(t, deep)
		if written := strings.Join(w.gateway.output(), "\n"); strings.Contains(written, keycloakPasswords["alice"]) || strings.Contains(written, "pässword") {
			t.Error("the log holds the password")
		}
	})
}

func TestKeycloakAOneTimeCodeIsTaken(t *testing.T) {
	w := newKeycloakWorld(t, keycloakForm)
	b := newBrowser(t)
	tb := b.tab(t)
	tb.open(w.gateway.origin + "/page")
	tb.password("carol", keycloakPasswords["carol"], "")
	tb.says("not accepted", "wrong", "not right")
	// Each code is good for one sign-in, and one of this run may have used that of the last half minute.
	tb.password("carol", keycloakPasswords["carol"], carolsCode(time.Now().Add(30*time.Second)))
	tb.waitURL(w.gateway.origin + "/page")
	if got := w.app.last(t, "/page").Header.Get("X-Forwarded-Preferred-Username"); got != "carol" {
		t.Errorf("the app saw %q", got)
	}
}

// Who is unknown, who is disabled and who mistyped are told the same (ROP-4).
func TestKeycloakEveryWrongSignInLooksTheSame(t *testing.T) {
	w := newKeycloakWorld(t, keycloakForm)
	b := newBrowser(t)
	shown := map[string]string{}
	for who, password := range map[string]string{"alice": "wrong", "dave": keycloakPasswords["dave"], "nobody": "wrong"} {
		tb := b.apart(t).tab(t)
		tb.open(w.gateway.origin + "/page")
		tb.password(who, password, "")
		v := tb.says("not accepted", "wrong", "not right")
		if status := tb.document().Status; status != http.StatusUnauthorized {
			t.Errorf("%s gets %d", who, status)
		}
		shown[who] = references.ReplaceAllString(v.Text, "REFERENCE")
	}
	if shown["alice"] != shown["dave"] || shown["alice"] != shown["nobody"] {
		t.Errorf("three people are told %q", shown)
	}
	if got := len(w.app.all()); got != 0 {
		t.Errorf("the app received %d requests", got)
	}
}
