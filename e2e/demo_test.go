package e2e

import (
	"regexp"
	"testing"

	"github.com/chromedp/chromedp/kb"
)

var (
	demoOrigin   = regexp.MustCompile(`open (http://localhost:\d+)`)
	demoProvider = regexp.MustCompile(`The provider +(http://\S+)`)
)

// demo is "doorward demo" as README.md starts it, with a person's computer, and their phone beside it.
type demo struct {
	origin, provider string
	computer, phone  *tab
}

func startDemo(t *testing.T) *demo {
	t.Helper()
	d := &demo{}
	c := &terminal{home: t.TempDir()}
	p := start(t, c.doorward(t, "demo", "--port", "0"))
	p.waitLine(t, "where the demo is", func(line string) bool {
		if m := demoOrigin.FindStringSubmatch(line); m != nil {
			d.origin = m[1]
		}
		if m := demoProvider.FindStringSubmatch(line); m != nil {
			d.provider = m[1]
		}
		return d.origin != "" && d.provider != ""
	})
	b := newBrowser(t)
	d.computer, d.phone = b.apart(t).tab(t), b.apart(t).tab(t)
	return d
}

// sequence checks that the messages of an example are shown, and that no secret of the demo is.
func (d *demo) sequence(t *testing.T, example string, words ...string) {
	t.Helper()
	d.computer.open(d.origin + "/sequence/" + example)
	d.computer.says(words...)
	page := script[string](d.computer, "return document.documentElement.outerHTML")
	if found := regexp.MustCompile(`eyJ[A-Za-z0-9_-]{20,}|dw1\.[A-Za-z0-9_-]{20,}`).FindString(page); found != "" {
		t.Errorf("the sequence of %s shows %.12s…", example, found)
	}
	for _, v := range axe(d.computer) {
		t.Errorf("the sequence of %s: %v", example, v)
	}
}

func TestTheDemoPlaysAPageForTwoSitesByFormPost(t *testing.T) {
	d := startDemo(t)
	d.computer.open(d.origin + "/simplespa/")
	d.computer.fill("username", "alice")
	d.computer.fill("password", "alice"+kb.Enter)
	d.computer.says("Hello, alice") // the page to sign in at says alice as well
	d.sequence(t, "simplespa", "response_mode", "/oauth2/callback")
}

func TestTheDemoPlaysAProgramThatOnlyKnowsAPassword(t *testing.T) {
	d := startDemo(t)
	d.computer.open(d.origin + "/")
	script[any](d.computer, `document.querySelectorAll("details").forEach((e) => { e.open = true }); return null;`)
	d.computer.says(`flow = "password"`)
	for _, v := range axe(d.computer) {
		t.Errorf("the landing page: %v", v)
	}
	d.computer.press("Start LegacyDesktopApp")
	d.computer.says("Synchronise files")
	d.computer.fill("password", "guess"+kb.Enter)
	d.computer.says("wrong_credentials")
	d.computer.fill("password", "alice"+kb.Enter)
	v := d.computer.says("Synchronised as alice")
	if !regexp.MustCompile(`(?s)Letter to the bank\.doc.*instead of the password: an access token`).MatchString(v.Text) {
		t.Errorf("the window shows:\n%s", v.Text)
	}
	for _, v := range axe(d.computer) {
		t.Errorf("the window: %v", v)
	}
	d.computer.press("The same in a browser") // what the program has got in by is of no use to it
	d.computer.says("is passed on to")
	d.computer.fill("username", "alice")
	d.computer.fill("password", "alice"+kb.Enter)
	d.computer.says("Files of alice")
	for _, words := range []string{"POST /oauth2/password", "grant_type password", "401"} {
		d.sequence(t, "legacydesktopapp", words)
	}
}

func TestTheDemoPlaysATelevisionThatAPhoneSignsIn(t *testing.T) {
	d := startDemo(t)
	d.computer.open(d.origin + "/smarttv/")
	d.computer.waiting()
	code := d.computer.userCode()
	d.phone.open(d.provider + "/device?user_code=" + code)
	d.phone.fill("username", "alice")
	d.phone.fill("password", "alice"+kb.Enter)
	d.phone.says(code)
	d.phone.press("Approve")
	d.computer.says("Good evening, alice")
	d.sequence(t, "smarttv", "POST /oauth2/device", code)
}

func TestTheDemoPlaysATillWhosePaymentsAreApprovedOneByOne(t *testing.T) {
	d := startDemo(t)
	d.computer.open(d.origin + "/pointofsale/")
	d.computer.fill("hint", "alice"+kb.Enter)
	d.computer.says("Look at your phone")
	d.phone.open(d.provider + "/phone")
	d.phone.fill("username", "alice")
	d.phone.fill("password", "alice"+kb.Enter)
	d.phone.says("PointOfSaleTerminal")
	d.phone.press("Approve")
	for _, receipt := range []string{"Receipt 1", "Receipt 2"} {
		d.computer.says("20.00 EUR")
		d.computer.press("Take 20 euros")
		d.computer.says("PAY-20-EUR")
		d.phone.open(d.provider + "/phone")
		d.phone.says("PAY-20-EUR")
		d.phone.press("Approve")
		d.computer.says(receipt)
	}
	d.computer.back()
	d.computer.open(d.origin + "/pointofsale/")
	if v := d.computer.says("20.00 EUR"); regexp.MustCompile("Receipt 3").MatchString(v.Text) {
		t.Errorf("going back has paid once more:\n%s", v.Text)
	}
	d.sequence(t, "pointofsale", "/oauth2/approval", "PAY-20-EUR")
}

func TestTheDemoPlaysAServiceWithoutPeople(t *testing.T) {
	d := startDemo(t)
	d.computer.open(d.origin + "/nightlybackup/")
	d.computer.says("with no token and no secret")
	for _, attempt := range []struct{ button, says, shows string }{
		{"Back up now", "DataStorageAPI accepts it", `(?s)201 Created.*aud\s+data-storage-api.*sub\s+nightlybackup.*scope\s+data\.write`},
		{"without a token", "DataStorageAPI refuses it", `(?s)401 Unauthorized.*there is no access token`},
		{"with a token for another API", "got billing-api", `(?s)refuses it.*401 Unauthorized`},
		{"Back up now", "DataStorageAPI accepts it", `201 Created`},
	} {
		d.computer.press(attempt.button)
		if v := d.computer.says(attempt.says); !regexp.MustCompile(attempt.shows).MatchString(v.Text) {
			t.Errorf("after %q the console shows:\n%s", attempt.button, v.Text)
		}
		for _, v := range axe(d.computer) {
			t.Errorf("after %q: %v", attempt.button, v)
		}
	}
	for _, words := range []string{"grant_type client_credentials", "/data/backups", "DataStorageAPI"} {
		d.sequence(t, "nightlybackup", words)
	}
}

func TestTheDemoPlaysAServiceThatCallsAnotherForAPerson(t *testing.T) {
	d := startDemo(t)
	d.computer.open(d.origin + "/microservice-a/")
	d.computer.fill("username", "alice")
	d.computer.fill("password", "alice"+kb.Enter)
	d.computer.says("What MicroserviceA does for alice")
	for _, attempt := range []struct{ button, says, shows string }{
		{"Ask B for me", "MicroserviceB accepts it", `(?s)200 OK.*aud\s+microservice-b.*sub\s+alice.*act\s+\{"sub":"microservice-a"\}`},
		{"Send my own token", "got microservice-a", `(?s)refuses it.*401 Unauthorized`},
		{"Ask B without a token", "there is no access token", `(?s)refuses it.*401 Unauthorized`},
	} {
		d.computer.press(attempt.button)
		if v := d.computer.says(attempt.says); !regexp.MustCompile(attempt.shows).MatchString(v.Text) {
			t.Errorf("after %q the page shows:\n%s", attempt.button, v.Text)
		}
		for _, v := range axe(d.computer) {
			t.Errorf("after %q: %v", attempt.button, v)
		}
	}
	for _, words := range []string{"grant_type token-exchange", "audience microservice-b", "MicroserviceB"} {
		d.sequence(t, "microservice-a", words)
	}
}
