package e2e

import (
	"crypto/hmac"
	"crypto/sha1"
	be "encoding/binary"
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// If one of these fails, the fault is with the machine or with keycloak/realm.json, and not
// with Doorward, which takes no part in them.

func TestKeycloakTakesAPasswordWithoutDoorward(t *testing.T) {
	k := newKeycloak(t)
	sign := func(user, password, otp string) (int, map[string]any) {
		form := url.Values{"grant_type": {"password"}, "scope": {"openid"}, "username": {user}, "password": {password}}
		if otp != "" {
			form.Set("totp", otp)
		}
		return k.post(t, "/token", form)
	}
	for user, want := range map[string]int{"alice": http.StatusOK, "bob": http.StatusOK, "carol": http.StatusBadRequest, "dave": http.StatusBadRequest} {
		if status, answer := sign(user, keycloakPasswords[user], ""); status != want || want == http.StatusOK && answer["id_token"] == nil {
			t.Errorf("%s: Keycloak answers %d, not %d: %v", user, status, want, answer["error_description"])
		}
	}
	if status, answer := sign("alice", "wrong", ""); status != http.StatusBadRequest || answer["error"] != "invalid_grant" {
		t.Errorf("a wrong password: Keycloak answers %d %v", status, answer)
	}
	if status, answer := sign("carol", keycloakPasswords["carol"], carolsCode(time.Now())); status != http.StatusOK {
		t.Errorf("with a one-time code: Keycloak answers %d %v", status, answer)
	}
}

func TestKeycloakSignsADeviceInWithoutDoorward(t *testing.T) {
	k := newKeycloak(t)
	status, answer := k.post(t, "/auth/device", url.Values{"scope": {"openid"}})
	if status != http.StatusOK {
		t.Fatalf("Keycloak answers %d %v", status, answer)
	}
	poll := func() any {
		_, got := k.post(t, "/token", url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "device_code": {answer["device_code"].(string)}})
		if got["id_token"] != nil {
			return "signed in"
		}
		return got["error"]
	}
	if got := poll(); got != "authorization_pending" {
		t.Errorf("before: %v", got)
	}
	if got := poll(); got != "slow_down" || !eventually(func() bool { return k.hurried() == 1 }) {
		t.Errorf("too fast: %v, and the log tells of %d", got, k.hurried())
	}
	k.approveDevice(newBrowser(t).tab(t), answer["verification_uri"].(string), answer["user_code"].(string), "alice", true)
	if !eventually(func() bool { return poll() == "signed in" }) {
		t.Errorf("after: %v", poll())
	}
}

func TestKeycloakAsksAPhoneWithoutDoorward(t *testing.T) {
	k := newKeycloak(t)
	status, answer := k.post(t, "/ext/ciba/auth", url.Values{"scope": {"openid"}, "login_hint": {"alice"}, "binding_message": {"W4SCT"}})
	if status != http.StatusOK {
		t.Fatalf("Keycloak answers %d %v", status, answer)
	}
	question := k.phone.next(t, 1)
	if question.LoginHint != "alice" || question.BindingMessage != "W4SCT" {
		t.Errorf("the phone shows %+v", question)
	}
	k.answer(t, question, "SUCCEED")
	var got map[string]any
	if !eventually(func() bool {
		_, got = k.post(t, "/token", url.Values{"grant_type": {"urn:openid:params:grant-type:ciba"}, "auth_req_id": {answer["auth_req_id"].(string)}})
		return got["error"] != "authorization_pending" && got["error"] != "slow_down"
	}) || got["id_token"] == nil {
		t.Errorf("Keycloak answers %v", got["error"])
	}
}

// approveDevice does what a person does on their phone with a code: enter it, sign in, and say
// yes or no.
func (k *keycloak) approveDevice(tb *tab, uri, code, user string, yes bool) {
	tb.t.Helper()
	tb.open(uri)
	if script[bool](tb, `return document.querySelector("input[name=device_user_code]") !== null`) {
		tb.do(chromedp.SendKeys(chromedp.CSS("input[name=device_user_code]"), code+kb.Enter))
	}
	tb.wait("Keycloak's sign-in form", func(view) bool { return script[bool](tb, `return document.querySelector("#password") !== null`) })
	tb.do(
		chromedp.SendKeys(chromedp.CSS("#username"), user),
		chromedp.SendKeys(chromedp.CSS("#password"), keycloakPasswords[user]+kb.Enter),
	)
	tb.wait("Keycloak's question", func(view) bool {
		return script[bool](tb, `return document.querySelector("input[name=accept], button[name=accept]") !== null`)
	})
	answer := "cancel"
	if yes {
		answer = "accept"
	}
	question := tb.look().URL
	tb.do(chromedp.Click(chromedp.CSS("[name=" + answer + "]")))
	tb.wait("the end at Keycloak", func(v view) bool { return v.URL != question })
}

// carolsCode is what her authenticator shows (RFC 6238 with SHA-1, six digits, 30 s).
func carolsCode(now time.Time) string {
	counter := make([]byte, 8)
	be.BigEndian.PutUint64(counter, uint64(now.Unix()/30))
	mac := hmac.New(sha1.New, []byte(carolsSecret))
	mac.Write(counter)
	sum := mac.Sum(nil)
	at := sum[len(sum)-1] & 0xf
	return fmt.Sprintf("%06d", (be.BigEndian.Uint32(sum[at:])&0x7fffffff)%1_000_000)
}
