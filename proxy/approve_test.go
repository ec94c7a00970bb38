package proxy

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/approval"
	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/proxy/policy"
)

func TestAProgramIsToldWhatToDoAndItsRequestGoesThroughOnce(t *testing.T) {
	l := payLabFor(t)
	first := l.say("POST", "/payments?x=1", payForm, as("alice"), formType)
	a := l.approvalOf(first)
	name := a["id"].(string)
	if got := first.Header.Get("Www-Authenticate"); got != `Approval id="`+name+`"` {
		t.Errorf("WWW-Authenticate: %s", got)
	}
	if first.Header.Get("Retry-After") != "5" || first.Header.Get("Cache-Control") != "no-store" || !strings.HasPrefix(first.Header.Get("Content-Type"), "application/problem+json") {
		t.Errorf("headers %v", first.Header)
	}
	want := map[string]any{
		"id": name, "status": "pending", "binding_message": "PAY-20", "expires_in": 120.0, "interval": 5.0, "poll": "https://app.test/oauth2/approval/" + name,
	}
	for k, v := range want {
		if a[k] != v {
			t.Errorf("approval.%s is %v, not %v", k, a[k], v)
		}
	}
	l.untouched()
	q := l.pay.questions()
	if len(q) != 1 || q[0].Message != "PAY-20" || q[0].Request != "POST /payments" || q[0].Expires != 2*time.Minute || q[0].Held != nil || q[0].Client != "127.0.0.1" {
		t.Fatalf("asked %+v", q)
	}
	if s := l.pollStatus(name, as("alice")); s != "pending" {
		t.Error(s)
	}
	l.denied(l.say("POST", "/payments?x=1", payForm, as("alice"), formType, approved(name)), codeApprovalRequired)
	l.pay.answer(approval.Approved)
	if s := l.pollStatus(name, as("alice")); s != "approved" {
		t.Error(s)
	}
	got := l.passed(l.say("POST", "/payments?x=1", payForm, as("alice"), formType, approved(name)))
	if got.body != payForm || got.RequestURI != "/payments?x=1" || got.Method != "POST" || got.ContentLength != int64(len(payForm)) {
		t.Errorf("E saw %s %s %q", got.Method, got.RequestURI, got.body)
	}
	got.lacks(t, "Doorward-Approval")
	got.one(t, "X-Forwarded-User", "alice")
	if s := l.pollStatus(name, as("alice")); s != "used" {
		t.Error(s)
	}
	l.denied(l.say("POST", "/payments?x=1", payForm, as("alice"), formType, approved(name)), codeApprovalUsed)
	if n := len(l.pay.questions()); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

func TestTheSameRequestWhilePendingIsTheSameApproval(t *testing.T) {
	l := payLabFor(t)
	one := l.begin("POST", "/payments", payForm, as("alice"), formType)
	if two := l.begin("POST", "/payments", payForm, as("alice"), formType); two != one {
		t.Errorf("%s, then %s", one, two)
	}
	if three := l.begin("POST", "/payments", "amount=21&to=bob", as("alice"), formType); three == one {
		t.Error("another request has the same approval")
	}
	if n := len(l.pay.questions()); n != 2 {
		t.Errorf("asked %d times", n)
	}
}

func TestNumbersOfJSONAreShownAsTheyAreSent(t *testing.T) {
	l := payLabFor(t)
	for _, n := range []string{"20", "20.00", "12345678901234567890", "2e1", "-1", "0.10", "1E400"} {
		l.begin("POST", "/payments", `{"amount":`+n+`}`, as("alice"), jsonType)
		q := l.pay.questions()
		if got := q[len(q)-1].Message; got != "PAY-"+n {
			t.Errorf("%s is shown as %s", n, got)
		}
	}
}

func TestDeniedAndExpired(t *testing.T) {
	l := payLabFor(t)
	name := l.begin("POST", "/payments", payForm, as("alice"), formType)
	l.pay.answer(approval.Denied)
	if s := l.pollStatus(name, as("alice")); s != "denied" {
		t.Error(s)
	}
	l.denied(l.say("POST", "/payments", payForm, as("alice"), formType, approved(name)), codeApprovalDenied)
	name = l.begin("POST", "/payments", payForm, as("alice"), formType)
	l.pay.answer(approval.Expired)
	again := l.begin("POST", "/payments", payForm, as("alice"), formType, approved(name))
	if again == name {
		t.Error("an expired approval came back")
	}
}

func TestOtherMethodsAndRoutesNeedNoApproval(t *testing.T) {
	l := payLabFor(t)
	l.passed(l.send("GET", "/payments", as("alice")))
	if got := l.passed(l.say("POST", "/x", payForm, as("alice"), formType, approved("x"))); got.Header.Get("Doorward-Approval") != "" || got.body != payForm {
		t.Errorf("E saw %v %q", got.Header, got.body)
	}
	if n := len(l.pay.questions()); n != 0 {
		t.Errorf("asked %d times", n)
	}
	l.refused(l.say("POST", "/payments", payForm, formType), http.StatusUnauthorized) // nobody is signed in
	if n := len(l.pay.questions()); n != 0 {
		t.Error("somebody was asked for nobody")
	}
}

func TestABrowserWaitsOnAPageThatSendsItsRequestOnce(t *testing.T) {
	l := payLabFor(t)
	l.e.answers(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "done?ok=1")
		w.WriteHeader(http.StatusSeeOther)
	})
	a := l.say("POST", "/payments/new?x=1", payForm, browserPost("https://app.test/form?y=2")...)
	page := a.location()
	if a.StatusCode != http.StatusSeeOther || !strings.HasPrefix(page, "/oauth2/approval/") {
		t.Fatalf("answer %s to %s: %.300s", a.Status, page, a.body)
	}
	l.untouched()
	if q := l.pay.questions(); len(q) != 1 || q[0].Held == nil || q[0].Back != "/form?y=2" {
		t.Fatalf("asked %+v", q)
	}
	wait := l.send("GET", page, browserGet()...)
	for _, word := range []string{"PAY-20", "POST /payments/new"} {
		if wait.StatusCode != http.StatusOK || !strings.Contains(wait.body, word) {
			t.Errorf("answer %s, without %q: %.300s", wait.Status, word, wait.body)
		}
	}
	own := []string{as("alice"), formType, "Origin: https://app.test", "Accept: text/html", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Sec-Fetch-Site: same-origin"}
	if early := l.say("POST", page, "", own...); early.StatusCode != http.StatusSeeOther || early.location() != page {
		t.Errorf("too early: %s %s", early.Status, early.location())
	}
	l.untouched()
	l.pay.answer(approval.Approved)
	var polled struct{ Status, Location string }
	if err := json.Unmarshal([]byte(l.send("GET", page, as("alice"), "Accept: application/json").body), &polled); err != nil || polled.Status != "approved" || polled.Location != page {
		t.Errorf("%v, polled %+v", err, polled)
	}
	if ready := l.send("GET", page, browserGet()...); !strings.Contains(ready.body, `action="`+page+`"`) || !strings.Contains(strings.ToLower(ready.body), `method="post"`) {
		t.Errorf("the page has no form: %.2000s", ready.body)
	}
	sent := l.say("POST", page, "", append(own, "Cookie: app=1")...)
	seen := l.e.take()
	if sent.StatusCode != http.StatusSeeOther || len(seen) != 1 {
		t.Fatalf("answer %s after %d requests: %.300s", sent.Status, len(seen), sent.body)
	}
	if got := sent.location(); got != "/payments/done?ok=1" {
		t.Errorf("a relative redirect became %s", got)
	}
	got := seen[0]
	if got.Method != "POST" || got.RequestURI != "/payments/new?x=1" || got.body != payForm {
		t.Errorf("E saw %s %s %q", got.Method, got.RequestURI, got.body)
	}
	got.one(t, "Content-Type", "application/x-www-form-urlencoded")
	got.one(t, "Referer", "https://app.test/form?y=2")
	got.one(t, "Origin", "https://app.test")
	got.one(t, "X-Forwarded-User", "alice")
	got.one(t, "X-Forwarded-For", "127.0.0.1")
	got.one(t, "Cookie", "app=1") // as it is now
	got.lacks(t, "Doorward-Approval")
	if again := l.say("POST", page, "", own...); again.StatusCode != http.StatusConflict {
		t.Errorf("sent twice: %s", again.Status)
	}
	l.untouched()
}

func TestAHeldRequestComesFromTheBrowserBehindTheTrustedProxies(t *testing.T) {
	l := newPayLab(t)
	l.T = t
	l.g.trust = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8")}
	chain := "X-Forwarded-For: 198.51.100.7, 10.0.0.1"
	page := l.say("POST", "/payments", payForm, append(browserPost("https://app.test/form"), chain)...).location()
	l.pay.answer(approval.Approved)
	got := l.passed(l.say("POST", page, "", append(browserPost("https://app.test"+page), chain)...))
	got.one(t, "X-Forwarded-For", "198.51.100.7, 10.0.0.1, 127.0.0.1")
	got.one(t, "X-Real-Ip", "198.51.100.7")
}

func TestAHeldRequestThatNobodyAnsweredCanBeAskedAboutAgain(t *testing.T) {
	l := payLabFor(t)
	page := l.say("POST", "/payments?x=1", payForm, browserPost("https://app.test/form")...).location()
	l.pay.answer(approval.Expired)
	if ended := l.send("GET", page, browserGet()...); !strings.Contains(ended.body, `action="`+page+`"`) {
		t.Errorf("the page offers nothing: %.2000s", ended.body)
	}
	next := l.say("POST", page, "", browserPost("https://app.test"+page)...)
	if next.StatusCode != http.StatusSeeOther || next.location() == page || !strings.HasPrefix(next.location(), "/oauth2/approval/") {
		t.Fatalf("%s to %s: %.300s", next.Status, next.location(), next.body)
	}
	l.untouched()
	if q := l.pay.questions(); len(q) != 2 || q[0].Fingerprint != q[1].Fingerprint || q[1].Message != "PAY-20" {
		t.Errorf("asked %+v", q)
	}
	l.pay.answer(approval.Approved)
	if got := l.passed(l.say("POST", next.location(), "", browserPost("https://app.test"+page)...)); got.body != payForm || got.RequestURI != "/payments?x=1" {
		t.Errorf("E saw %s %q", got.RequestURI, got.body)
	}
}

func TestAHeldRequestIsJudgedAnewByTheRulesOfThen(t *testing.T) {
	l := payLabFor(t)
	page := l.say("POST", "/payments", payForm, browserPost("https://app.test/form")...).location()
	l.pay.answer(approval.Approved)
	for rt, a := range l.g.approvals.routes { // as after a reload
		if rt.name == "pay" {
			rt.logins, a.maxBody = []string{"kiosk"}, 1
		}
	}
	l.refused(l.say("POST", page, "", browserPost("https://app.test"+page)...), http.StatusNotFound)
}

func TestWhoMayNotGoThereAnyMoreFindsNoApprovalOfTheirs(t *testing.T) {
	l := payLabFor(t)
	page := l.say("POST", "/payments", payForm, browserPost("https://app.test/form")...).location()
	name := l.begin("POST", "/payments", "amount=7", as("alice"), formType)
	l.pay.answer(approval.Approved)
	for rt := range l.g.approvals.routes { // as after a reload
		if rt.name == "pay" {
			rt.policy = must(policy.New(policy.Config{Allow: []policy.Rule{{Groups: []string{"nobody"}}}}))
		}
	}
	if s := l.pollStatus(name, as("alice")); s != "404 "+codeAttemptUnknown {
		t.Error(s)
	}
	l.refused(l.say("POST", page, "", browserPost("https://app.test"+page)...), http.StatusNotFound)
	l.denied(l.say("POST", "/payments", "amount=7", as("alice"), formType, approved(name)), codeAccessDenied)
	if len(l.pay.questions()) != 2 {
		t.Error("somebody was asked again")
	}
}

func TestApproveIsCheckedAtStart(t *testing.T) {
	for name, change := range map[string]func(*Route, *Deps){
		"a public route":              func(rt *Route, _ *Deps) { rt.Public, rt.Logins = true, nil },
		"nobody can ask":              func(_ *Route, d *Deps) { d.Approvers = nil },
		"methods: at least one":       func(rt *Route, _ *Deps) { rt.Approve.Methods = nil },
		"written in capitals":         func(rt *Route, _ *Deps) { rt.Approve.Methods = []string{"post"} },
		"takes no PUT":                func(rt *Route, _ *Deps) { rt.Methods, rt.Approve.Methods = []string{"POST"}, []string{"PUT"} },
		"max_body":                    func(rt *Route, _ *Deps) { rt.Approve.MaxBody = 0 },
		"expires":                     func(rt *Route, _ *Deps) { rt.Approve.Expires = 0 },
		"binding_message: the expres": func(rt *Route, _ *Deps) { rt.Approve.BindingMessage = "" },
		"line 1, column 1":            func(rt *Route, _ *Deps) { rt.Approve.BindingMessage = "frm.amount" },
	} {
		t.Run(name, func(t *testing.T) {
			l := newPayLab(t)
			_ = l
			c, d := configOf(t)
			rt := Route{
				Name: "pay", Hosts: []origin.Origin{appTest}, Path: "/p", Upstreams: c.Routes[0].Upstreams, Logins: []string{"staff"},
				Approve: &Approve{Login: "phone", Methods: []string{"POST"}, BindingMessage: `"x"`, MaxBody: 1, Expires: time.Minute},
			}
			d.Approvers = map[string]Approver{"pay": &phones{}}
			d.Starters["pay"] = door{}
			change(&rt, &d)
			c.Routes = append(c.Routes, rt)
			if _, err := New(c, d); err == nil || !strings.Contains(err.Error(), name) || !strings.HasPrefix(err.Error(), "route.pay: approve: ") {
				t.Errorf("error %v", err)
			}
		})
	}
}

func configOf(t *testing.T) (c Config, d Deps) {
	t.Helper()
	newLabOf(t, func(cc *Config, dd *Deps) { c, d = *cc, *dd })
	return c, d
}

func TestRoutesWithoutApproveCostNothing(t *testing.T) {
	g := gatewayOverMemory(t).(*Gateway)
	if g.approvals != nil {
		t.Error("there are approvals")
	}
	without := testing.AllocsPerRun(1000, serving(g))
	g.approvals = newPayLab(t).g.approvals // of other routes
	if with := testing.AllocsPerRun(1000, serving(g)); with > without {
		t.Errorf("%v allocations, and %v where another route has approve", without, with)
	}
}

func TestNobodyIsAskedAboutWhatABrowserLoadsBeforehand(t *testing.T) {
	l := payLabFor(t)
	for _, line := range []string{"Sec-Purpose: prefetch;prerender", "Purpose: prefetch", "X-Purpose: preview", "X-Moz: prefetch"} {
		l.denied(l.send("GET", "/read?id=7", append(browserGet(), line)...), codeApprovalImpossible)
	}
	if n := len(l.reading.questions()); n != 0 {
		t.Errorf("asked %d times", n)
	}
}
