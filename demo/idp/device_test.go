package idp_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/internal/testnet"
)

// startDevice begins a device authorization.
func (w *world) startDevice(pairs ...string) reply {
	w.t.Helper()
	f := form("scope", "openid profile")
	for i := 0; i < len(pairs); i += 2 {
		f.Set(pairs[i], pairs[i+1])
	}
	return w.ok(idp.Device, f)
}

func deviceForm(started reply, pairs ...string) url.Values {
	return form(append([]string{"grant_type", idp.GrantDevice, "device_code", started.text("device_code")}, pairs...)...)
}

// approveDevice opens a link as a person does, and presses a button.
func (w *world) approveDevice(b *testnet.Browser, address, button string) *testnet.Page {
	w.t.Helper()
	p := b.Open(w.t, address)
	for _, f := range p.Forms() {
		if f.ID == "login" {
			p = p.SignIn(w.t, "alice", "alice")
		}
	}
	return p.Press(w.t, button)
}

func TestADeviceIsSignedInOnceAPersonApproves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, everyFlow)
		d := w.startDevice()
		if !regexp.MustCompile(`^[B-DF-HJ-NP-TV-XZ]{4}-[B-DF-HJ-NP-TV-XZ]{4}$`).MatchString(d.text("user_code")) {
			t.Errorf("user_code %q", d.text("user_code"))
		}
		if d.text("verification_uri") != w.Issuer()+"/device" || d.text("verification_uri_complete") != w.Issuer()+"/device?user_code="+d.text("user_code") ||
			d.json["expires_in"] != 600.0 || d.json["interval"] != 5.0 || d.header.Get("Cache-Control") != "no-store" {
			t.Errorf("answer %v %s", d.header, d.body)
		}
		w.wantError(w.post(idp.Token, deviceForm(d)), 400, "authorization_pending")
		p := w.approveDevice(w.browser, d.text("verification_uri_complete"), "Approve")
		if !strings.Contains(p.Text(), "Approved") {
			t.Fatalf("page %s", p.Text())
		}
		time.Sleep(5 * time.Second)
		r := w.ok(idp.Token, deviceForm(d))
		if _, claims := w.verify(r.text("id_token")); claims["sub"] != "8f2c-alice" || claims["nonce"] != nil || claims["aud"] != "doorward" {
			t.Errorf("claims %v", claims)
		}
		w.ok(idp.Token, refreshForm(r.text("refresh_token")))
		w.wantError(w.post(idp.Token, deviceForm(d)), 400, "invalid_grant")
	})
}

// inTime runs a test with a world of its own on a clock of its own.
func inTime(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, newWorld(t, everyFlow)) })
}

func TestASlowDownAddsFiveSecondsToAllLaterPolls(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		d := w.startDevice()
		for _, step := range []struct {
			wait time.Duration
			want string
		}{
			{0, "authorization_pending"},
			{4 * time.Second, "slow_down"},
			{9 * time.Second, "slow_down"},
			{15 * time.Second, "authorization_pending"},
			{14 * time.Second, "slow_down"},
		} {
			time.Sleep(step.wait)
			w.wantError(w.post(idp.Token, deviceForm(d)), 400, step.want)
		}
	})
}

func TestADeviceIsDenied(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		d := w.startDevice()
		if err := w.DenyDevice(d.text("user_code")); err != nil {
			t.Fatal(err)
		}
		w.wantError(w.post(idp.Token, deviceForm(d)), 400, "access_denied")
		if err := w.ApproveDevice(d.text("user_code"), "alice"); err == nil {
			t.Error("approved after it was denied")
		}
	})
}

func TestADeviceCodeExpires(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		d := w.startDevice()
		time.Sleep(10 * time.Minute)
		w.wantError(w.post(idp.Token, deviceForm(d)), 400, "expired_token")
		if err := w.ApproveDevice(d.text("user_code"), "alice"); err == nil {
			t.Error("approved after it had expired")
		}
	})
}

func TestADeviceCodeIsItsClients(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		d := w.startDevice()
		w.wantError(w.post(idp.Token, deviceForm(d, "client_id", "ping"), noHeader), 400, "invalid_grant")
		if err := w.ApproveDevice(strings.ToLower(d.text("user_code")), "bob"); err != nil {
			t.Fatal(err)
		}
		if _, claims := w.verify(w.ok(idp.Token, deviceForm(d)).text("id_token")); claims["sub"] != "77aa-bob" {
			t.Errorf("claims %v", claims)
		}
		w.wantError(w.post(idp.Token, form("grant_type", idp.GrantDevice)), 400, "invalid_request")
		w.wantError(w.post(idp.Token, form("grant_type", idp.GrantDevice, "device_code", "x")), 400, "invalid_grant")
	})
}

func TestADeviceRequestIsAuthenticatedAndChecked(t *testing.T) {
	w := newWorld(t, everyFlow)
	w.wantError(w.post(idp.Device, form("client_id", "doorward"), noHeader), 401, "invalid_client")
	w.wantError(w.post(idp.Device, form("scope", "openid admin")), 400, "invalid_scope")
	w.wantError(w.post(idp.Device, form("code_challenge", challenge())), 400, "invalid_request")
	w.wantError(w.post(idp.Device, form("code_challenge", challenge(), "code_challenge_method", "plain")), 400, "invalid_request")
	w.ok(idp.Device, form("client_id", "ping"), noHeader)
	standard := newWorld(t)
	standard.wantError(standard.post(idp.Device, url.Values{}), 400, "unauthorized_client")
	t.Run("PKCE", func(t *testing.T) {
		d := w.startDevice("code_challenge", challenge(), "code_challenge_method", "S256")
		if err := w.ApproveDevice(d.text("user_code"), "alice"); err != nil {
			t.Fatal(err)
		}
		w.wantError(w.post(idp.Token, deviceForm(d)), 400, "invalid_grant")
		w.wantError(w.post(idp.Token, deviceForm(d, "code_verifier", verifier+"x")), 400, "invalid_grant")
		w.ok(idp.Token, deviceForm(d, "code_verifier", verifier))
	})
	t.Run("without an interval", func(t *testing.T) {
		w := newWorld(t, everyFlow, func(c *idp.Config) { c.DevicePollInterval = -1 })
		d := w.startDevice()
		if _, there := d.json["interval"]; there {
			t.Errorf("announced: %s", d.body)
		}
		w.wantError(w.post(idp.Token, deviceForm(d)), 400, "authorization_pending")
		w.wantError(w.post(idp.Token, deviceForm(d)), 400, "slow_down")
	})
}

func TestTheDeviceVerificationPage(t *testing.T) {
	w := newWorld(t, everyFlow)
	d := w.startDevice()
	page := w.browser.Open(t, d.text("verification_uri")).SignIn(t, "alice", "alice")
	t.Run("a typed code is read in any case and spelling", func(t *testing.T) {
		spelt := " " + strings.ToLower(strings.ReplaceAll(d.text("user_code"), "-", " ")) + " "
		p := page.Submit(t, map[string]string{"user_code": spelt})
		for _, want := range []string{"Sign a device in to Doorward?", d.text("user_code"), "alice", "Asked from", "Asked at", "see your name", "deny"} {
			if !strings.Contains(p.Text(), want) {
				t.Errorf("%q is not on the page: %s", want, p.Text())
			}
		}
	})
	t.Run("nothing is approved by a link alone", func(t *testing.T) {
		w.browser.Open(t, d.text("verification_uri_complete")+"&decision=allow")
		w.wantError(w.post(idp.Token, deviceForm(d)), 400, "authorization_pending")
	})
	t.Run("another site can't press the button", func(t *testing.T) {
		good := w.browser.Open(t, d.text("verification_uri_complete")).Forms()[0].Fields
		good.Set("decision", "allow")
		if p := w.browser.Post(t, "https://evil.example", w.URL(idp.DeviceVerification), good); strings.Contains(p.Text(), "Approved") {
			t.Errorf("cross-site: %d %s", p.Status, p.Text())
		}
		good.Set("confirm", "guess")
		if p := w.browser.Post(t, w.Issuer(), w.URL(idp.DeviceVerification), good); p.Status != http.StatusForbidden {
			t.Errorf("wrong confirmation: %d %s", p.Status, p.Text())
		}
		if len(w.PendingDevices()) != 1 {
			t.Error("decided")
		}
	})
	t.Run("an unknown code is said so, and guessing ends", func(t *testing.T) {
		for range 11 {
			p := page.Submit(t, map[string]string{"user_code": "<b>BCDF"})
			if p.Status != 200 || strings.Contains(p.Body, "<b>") {
				t.Fatalf("%d %s", p.Status, p.Body)
			}
		}
		if p := page.Submit(t, map[string]string{"user_code": d.text("user_code")}); !strings.Contains(p.Text(), "Too many wrong codes") {
			t.Errorf("%s", p.Text())
		}
	})
	t.Run("deny", func(t *testing.T) {
		p := w.approveDevice(w.net.Browser(), d.text("verification_uri_complete"), "Deny")
		if !strings.Contains(p.Text(), "Denied") || len(w.PendingDevices()) != 0 {
			t.Errorf("%s", p.Text())
		}
	})
}

func TestLogoutAtTheProviderEndsWhatADeviceGot(t *testing.T) {
	w := newWorld(t, everyFlow)
	d := w.startDevice()
	w.approveDevice(w.browser, d.text("verification_uri_complete"), "Approve")
	r := w.ok(idp.Token, deviceForm(d))
	if _, err := w.BackchannelLogout(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	w.wantError(w.post(idp.Token, refreshForm(r.text("refresh_token"))), 400, "invalid_grant")
}

func TestSinsOfTheDeviceFlow(t *testing.T) {
	w := newWorld(t, everyFlow)
	for name, check := range map[string]func(reply) bool{
		"device_interval_negative": func(r reply) bool { return r.json["interval"] == -5.0 },
		"device_expires_missing":   func(r reply) bool { _, there := r.json["expires_in"]; return !there },
		"device_uri_javascript":    func(r reply) bool { return strings.HasPrefix(r.text("verification_uri"), "javascript:") },
		"device_complete_data":     func(r reply) bool { return strings.HasPrefix(r.text("verification_uri_complete"), "data:") },
		"device_url_for_uri":       func(r reply) bool { return r.text("verification_url") != "" && r.text("verification_uri") == "" },
		"device_user_code_huge":    func(r reply) bool { return len(r.text("user_code")) >= 10<<10 },
		"device_user_code_rtl":     func(r reply) bool { return strings.Contains(r.text("user_code"), "\u202e") },
		"device_no_complete_uri":   func(r reply) bool { return r.text("verification_uri_complete") == "" && r.text("device_code") != "" },
	} {
		w.Misbehave(idp.Named(name))
		if r := w.startDevice(); !check(r) {
			t.Errorf("%s: %.300s", name, r.body)
		}
	}
	d := w.startDevice()
	for name, want := range map[string]struct {
		status int
		code   string
	}{
		"device_pending_428":   {428, "authorization_pending"},
		"device_slow_down_200": {200, "slow_down"},
		"device_declined":      {400, "authorization_declined"},
		"device_denied_403":    {403, "access_denied"},
	} {
		w.Misbehave(idp.Named(name))
		r := w.post(idp.Token, deviceForm(d))
		w.wantError(r, want.status, want.code)
		if name == "device_slow_down_200" && r.json["interval"] != 15.0 {
			t.Errorf("no new interval: %s", r.body)
		}
	}
	w.wantError(w.post(idp.Token, deviceForm(d)), 400, "authorization_pending") // none of them had an effect
}
