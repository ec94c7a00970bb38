package idp_test

import (
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/demo/idp"
)

func passwordForm(username, password string, more ...string) url.Values {
	f := form("grant_type", "password", "username", username, "password", password, "scope", "openid email offline_access")
	for i := 0; i < len(more); i += 2 {
		f.Set(more[i], more[i+1])
	}
	return f
}

func TestThePasswordGrantSignsIn(t *testing.T) {
	w := newWorld(t, everyFlow)
	for _, name := range []string{"alice", "ALICE", "alice@example.com"} {
		r := w.ok(idp.Token, passwordForm(name, "alice"))
		if _, claims := w.verify(r.text("id_token")); claims["sub"] != "8f2c-alice" || claims["nonce"] != nil || claims["sid"] == nil {
			t.Errorf("%s: claims %v", name, claims)
		}
		w.ok(idp.Token, refreshForm(r.text("refresh_token")))
	}
	if r := w.ok(idp.Token, form("grant_type", "password", "username", "bob", "password", "bob")); r.text("id_token") != "" {
		t.Error("an ID token without the scope openid")
	}
}

func TestThePasswordGrantFailsAsKeycloakDoes(t *testing.T) {
	w := newWorld(t, everyFlow, func(c *idp.Config) {
		c.Users[1].Disabled = true
		c.Users = append(c.Users, idp.User{Username: "otto", Password: "o:tto", OTP: "123456"})
	})
	for name, tt := range map[string]struct {
		form   url.Values
		status int
		code   string
	}{
		"wrong password":        {passwordForm("alice", "wrong"), 401, "invalid_grant"},
		"unknown user":          {passwordForm("nobody", "wrong"), 401, "invalid_grant"},
		"empty password":        {passwordForm("alice", ""), 401, "invalid_grant"},
		"no second factor":      {passwordForm("otto", "o:tto"), 401, "invalid_grant"},
		"wrong second factor":   {passwordForm("otto", "o:tto", "totp", "654321"), 401, "invalid_grant"},
		"under another name":    {passwordForm("otto", "o:tto", "otp", "123456"), 401, "invalid_grant"},
		"disabled":              {passwordForm("bob", "bob"), 400, "invalid_grant"},
		"disabled, and wrong":   {passwordForm("bob", "wrong"), 401, "invalid_grant"},
		"no user name":          {passwordForm("", "x"), 401, "invalid_request"},
		"a scope too many":      {passwordForm("alice", "alice", "scope", "openid admin"), 400, "invalid_scope"},
		"parameter given twice": {url.Values{"grant_type": {"password"}, "username": {"alice", "bob"}, "password": {"alice"}}, 400, "invalid_request"},
	} {
		r := w.post(idp.Token, tt.form)
		if r.status != tt.status || r.text("error") != tt.code {
			t.Errorf("%s: got %d %s, want %d %s", name, r.status, r.body, tt.status, tt.code)
		}
		if tt.status == 401 && tt.code == "invalid_grant" && r.text("error_description") != "Invalid user credentials" {
			t.Errorf("%s: the words tell what was wrong: %s", name, r.body)
		}
	}
	w.ok(idp.Token, passwordForm("otto", "o:tto", "totp", "123456"))
	standard := newWorld(t)
	standard.wantError(standard.post(idp.Token, passwordForm("alice", "alice")), 400, "unauthorized_client")
	other := newWorld(t, everyFlow, func(c *idp.Config) { c.OTPParameter, c.Users[0].OTP = "otp", "99" })
	other.ok(idp.Token, passwordForm("alice", "alice", "otp", "99"))
}

func TestTheLoginPageWantsTheSecondFactorToo(t *testing.T) {
	w := newWorld(t, func(c *idp.Config) { c.Users[0].OTP = "123456" })
	page := w.browser.Open(t, w.authorizeURL())
	again := page.Submit(t, map[string]string{"username": "alice", "password": "alice", "otp": ""})
	if !strings.Contains(again.Text(), "do not belong together") {
		t.Fatalf("signed in without: %s", again.Text())
	}
	if answer(t, again.Submit(t, map[string]string{"username": "alice", "password": "alice", "otp": "123456"})).Get("code") == "" {
		t.Error("not signed in with it")
	}
}

func TestWrongPasswordsLockAUserOutForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, everyFlow, func(c *idp.Config) { c.LockAfter, c.LockFor = 3, 5*time.Minute })
		wrong := func() { w.wantError(w.post(idp.Token, passwordForm("alice", "wrong")), 401, "invalid_grant") }
		wrong()
		wrong()
		w.ok(idp.Token, passwordForm("alice", "alice")) // which forgives
		wrong()
		wrong()
		if w.Locked("alice") {
			t.Error("locked out too early")
		}
		wrong()
		if !w.Locked("alice") || w.Locked("bob") {
			t.Errorf("alice locked %t, bob %t", w.Locked("alice"), w.Locked("bob"))
		}
		w.wantError(w.post(idp.Token, passwordForm("ALICE@example.com", "alice")), 401, "invalid_grant")
		if p := w.browser.Open(t, w.authorizeURL()).SignIn(t, "alice", "alice"); !strings.Contains(p.Text(), "do not belong together") {
			t.Errorf("the login page lets her in: %d %s", p.Status, p.Text())
		}
		w.ok(idp.Token, passwordForm("bob", "bob"))
		time.Sleep(5 * time.Minute)
		w.ok(idp.Token, passwordForm("alice", "alice"))
	})
}
