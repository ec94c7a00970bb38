package idp_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/doorward/doorward/demo/idp"
)

func TestThePhoneShowsWhatWaitsAndTwoButtons(t *testing.T) {
	w := newWorld(t, everyFlow)
	phone := w.net.Browser()
	page := phone.Open(t, w.URL(idp.Phone)).SignIn(t, "alice", "alice")
	if page.Status != 200 || !strings.Contains(page.Text(), "Nothing waits for you") || !strings.Contains(page.Body, `<noscript><meta http-equiv="refresh"`) {
		t.Fatalf("%d %s", page.Status, page.Body)
	}
	csp := page.Header.Get("Content-Security-Policy")
	if !strings.HasPrefix(csp, "default-src 'none'") || !strings.Contains(csp, "connect-src 'self'") || strings.Contains(csp, "unsafe") || page.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%v", page.Header)
	}
	r := w.ok(idp.CIBA, cibaForm("binding_message", "W4SCT"))
	w.ok(idp.CIBA, cibaForm("login_hint", "bob", "binding_message", "B0B"))
	page = phone.Open(t, w.URL(idp.Phone))
	for _, want := range []string{"Doorward asks: W4SCT", "only if the other screen shows the same", "see your name", "Asked from", "Asked at", "Good until"} {
		if !strings.Contains(page.Text(), want) {
			t.Errorf("%q is missing: %s", want, page.Text())
		}
	}
	if strings.Contains(page.Body, "B0B") || strings.Contains(page.Body, r.text("auth_req_id")) {
		t.Error("the page shows what is not alice's, or the auth_req_id")
	}
	done := page.Press(t, "Approve")
	if !strings.Contains(done.Text(), "Approved. Look at the other device.") || !strings.Contains(done.Text(), "Nothing waits") {
		t.Errorf("%s", done.Text())
	}
	if _, claims := w.verify(w.ok(idp.Token, cibaPoll(r)).text("id_token")); claims["sub"] != "8f2c-alice" {
		t.Errorf("claims %v", claims)
	}
	if late := page.Press(t, "Approve"); !strings.Contains(late.Text(), "decided before") {
		t.Errorf("pressed twice: %s", late.Text())
	}
}

// A request for a payment looks to a provider like one for a sign-in.
func TestThePhoneClaimsNothingOfWhatAnApprovalIsFor(t *testing.T) {
	w := newWorld(t, everyFlow)
	phone := w.net.Browser()
	phone.Open(t, w.URL(idp.Phone)).SignIn(t, "alice", "alice")
	for _, said := range []struct{ message, asks, only string }{
		{"PAY-20-EUR", "Doorward asks: PAY-20-EUR", "if the other screen shows the same"},
		{"", "Doorward asks for your approval", "if you have just asked for it yourself"},
	} {
		for _, button := range []string{"Approve", "Deny"} {
			w.ok(idp.CIBA, cibaForm("binding_message", said.message))
			page := phone.Open(t, w.URL(idp.Phone))
			read := strings.Join(strings.Fields(page.Text()), " ")
			done := page.Press(t, button).Text()
			if !strings.Contains(read, said.asks) || !strings.Contains(read, said.only) || strings.Contains(strings.ToLower(read+done), "sign in") || strings.Contains(done, "signed in") {
				t.Errorf("%q, %s: %s\n%s", said.message, button, read, done)
			}
		}
	}
}

func TestThePhoneDenies(t *testing.T) {
	w := newWorld(t, everyFlow)
	phone := w.net.Browser()
	phone.Open(t, w.URL(idp.Phone)).SignIn(t, "alice", "alice")
	r := w.ok(idp.CIBA, cibaForm())
	if done := phone.Open(t, w.URL(idp.Phone)).Press(t, "Deny"); !strings.Contains(done.Text(), "Denied.") {
		t.Errorf("%s", done.Text())
	}
	w.wantError(w.post(idp.Token, cibaPoll(r)), 400, "access_denied")
}

func TestAPhoneIsItsPersonsOnly(t *testing.T) {
	w := newWorld(t, everyFlow)
	alice, bob := w.net.Browser(), w.net.Browser()
	alice.Open(t, w.URL(idp.Phone)).SignIn(t, "alice", "alice")
	bob.Open(t, w.URL(idp.Phone)).SignIn(t, "bob", "bob")
	w.ok(idp.CIBA, cibaForm())
	fields := alice.Open(t, w.URL(idp.Phone)).Forms()[0].Fields
	fields.Set("decision", "allow")
	if p := bob.Post(t, w.Issuer(), w.URL(idp.Phone), fields); p.Status != http.StatusForbidden {
		t.Errorf("bob pressed alice's button: %d %s", p.Status, p.Text())
	}
	if p := alice.Post(t, "https://evil.example", w.URL(idp.Phone), fields); p.Status == 200 && strings.Contains(p.Text(), "Approved") {
		t.Errorf("another site pressed it: %d %s", p.Status, p.Text())
	}
	fields.Set("confirm", "guess")
	if p := alice.Post(t, w.Issuer(), w.URL(idp.Phone), fields); p.Status != http.StatusForbidden {
		t.Errorf("wrong confirmation: %d", p.Status)
	}
	if len(w.PendingCIBA("alice")) != 1 {
		t.Error("decided")
	}
	t.Run("another person can take the phone over", func(t *testing.T) {
		p := alice.Open(t, w.URL(idp.Phone)).Click(t, "Somebody else’s phone").SignIn(t, "bob", "bob")
		if !strings.Contains(p.Text(), "bob’s phone") || strings.Contains(p.Text(), "asks") {
			t.Errorf("%s", p.Text())
		}
	})
}

func TestInADemoAPhoneIsChosenByAButton(t *testing.T) {
	w := newWorld(t, everyFlow, func(c *idp.Config) { c.ShowPasswords, c.Users[1].OTP = true, "123456" })
	page := w.browser.Open(t, w.URL(idp.Phone)+"?login_hint=alice")
	if got := page.Forms()[0].Fields.Get("username"); got != "alice" {
		t.Errorf("the hint became %q", got)
	}
	if p := page.Press(t, "bob’s phone"); !strings.Contains(p.Text(), "bob’s phone") || !strings.Contains(p.Text(), "Nothing waits") {
		t.Errorf("%s", p.Text())
	}
	if p := w.browser.Open(t, w.authorizeURL()); len(p.Forms()) != 1 {
		t.Errorf("the login page has %d forms: choosing is for the phone alone", len(p.Forms()))
	}
	hidden := newWorld(t, everyFlow)
	if p := hidden.browser.Open(t, hidden.URL(idp.Phone)); len(p.Forms()) != 1 {
		t.Error("passwords are on the page without ShowPasswords")
	}
}

func TestThePhoneIsNoSessionAtTheProvider(t *testing.T) {
	w := newWorld(t, everyFlow)
	w.browser.Open(t, w.URL(idp.Phone)).SignIn(t, "alice", "alice")
	if got := answer(t, w.browser.Open(t, w.authorizeURL("prompt", "none"))); got.Get("error") != "login_required" {
		t.Errorf("signing in on the phone signed the browser in: %v", got)
	}
	w.login()
	w.ok(idp.CIBA, cibaForm())
	if p := w.browser.Open(t, w.URL(idp.Phone)); !strings.Contains(p.Text(), "alice’s phone") {
		t.Errorf("%s", p.Text())
	}
}

func TestThePhoneTellsItsScriptWhatWaits(t *testing.T) {
	w := newWorld(t, everyFlow)
	w.browser.Open(t, w.URL(idp.Phone)).SignIn(t, "alice", "alice")
	w.ok(idp.CIBA, cibaForm())
	waiting := w.waiting()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.URL(idp.Phone), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "application/json")
	for _, name := range w.browser.Jar.Names(w.URL(idp.Phone)) {
		req.AddCookie(&http.Cookie{Name: name, Value: w.browser.Jar.Get(w.URL(idp.Phone), name)})
	}
	before := w.Count(idp.Phone)
	if r := w.do(req); r.text("pending") != waiting.ID {
		t.Errorf("%d %s", r.status, r.body)
	}
	if w.Count(idp.Phone) != before {
		t.Error("a page that lies open fills the records")
	}
	if p := w.browser.Open(t, w.URL(idp.Phone)); !strings.Contains(p.Body, `data-pending="`+waiting.ID+`"`) {
		t.Error("the page does not say what it shows")
	}
}
