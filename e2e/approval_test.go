package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

const keycloakApproval = `
[login.legacy]
flow = "password"
form = true
[login.phone]
flow = "ciba"
[[route]]
name = "app"
host = "%[1]s"
upstream = ["%[2]s"]
login = ["legacy"]
[[route]]
name = "pay"
host = "%[1]s"
path = "/payments"
upstream = ["%[2]s"]
login = ["legacy"]
approve = { login = "phone", methods = ["POST"], binding_message = '"PAY-" + form.amount', expires = "1m" }
`

// payer is somebody who is signed in and about to pay.
func payer(t *testing.T, w *keycloakWorld, tb *tab) {
	t.Helper()
	tb.open(w.gateway.origin + "/")
	tb.password("alice", keycloakPasswords["alice"], "")
	tb.waitURL(w.gateway.origin + "/")
}

// payments are the POSTs that have reached the app.
func (w *keycloakWorld) payments() (got []received) {
	for _, r := range w.app.all() {
		if r.Method == http.MethodPost && strings.HasPrefix(r.URI, "/payments") {
			got = append(got, r)
		}
	}
	return got
}

// pay sends the form of a payment, as a page of the app would.
func (tb *tab) pay(amount int) {
	tb.t.Helper()
	script[any](tb, fmt.Sprintf(`
		const form = document.createElement("form");
		form.method = "post"; form.action = "/payments?x=1";
		for (const [name, value] of [["amount", "%d"], ["to", "bob & daughters"]]) {
			const field = document.createElement("input");
			field.type = "hidden"; field.name = name; field.value = value; form.append(field);
		}
		document.body.append(form); form.submit(); return null;`, amount))
	tb.wait("the page that waits", func(v view) bool { return strings.Contains(v.URL, "/oauth2/approval/") })
}

func TestAPaymentIsSentOnceItsPersonHasApprovedItOnTheirPhone(t *testing.T) {
	w := newKeycloakWorld(t, keycloakApproval)
	n := 0
	newBrowser(t).inBoth(t, func(t *testing.T, tb *tab) {
		payer(t, w, tb)
		before := len(w.payments())
		n++
		tb.pay(20 + n)
		question := w.keycloak.phone.next(t, n)
		if want := fmt.Sprintf("PAY-%d", 20+n); question.LoginHint != "alice" || question.BindingMessage != want || tb.bindingMessage() != want {
			t.Errorf("the phone shows %+v, and the page %q", question, tb.bindingMessage())
		}
		if got := w.payments(); len(got) != before {
			t.Fatalf("the app received it before: %+v", got)
		}
		w.keycloak.answer(t, question, "SUCCEED")
		if tb.noScript {
			tb.says("Press the button to send it")
			tb.press("Send")
		}
		tb.wait("the app's answer", func(v view) bool { return v.Title == "The app" && strings.Contains(v.Text, "/payments?x=1") })
		got := w.payments()
		if len(got) != before+1 {
			t.Fatalf("the app received %d payments, not one: %+v", len(got)-before, got)
		}
		if want := fmt.Sprintf("amount=%d&to=bob+%%26+daughters", 20+n); got[before].Body != want || got[before].URI != "/payments?x=1" {
			t.Errorf("the app received %s with %q, not %q", got[before].URI, got[before].Body, want)
		}
	})
}

func TestAPaymentThatIsRefusedOnThePhoneIsNeverSent(t *testing.T) {
	w := newKeycloakWorld(t, keycloakApproval)
	newBrowser(t).inBoth(t, func(t *testing.T, tb *tab) {
		n := len(w.keycloak.phone.all()) + 1
		payer(t, w, tb)
		tb.pay(90 + n)
		w.keycloak.answer(t, w.keycloak.phone.next(t, n), "CANCELLED")
		tb.says("not approved", "refused")
		if got := w.payments(); len(got) != 0 {
			t.Errorf("the app received %+v", got)
		}
	})
}

// CONTRACT §5: a program is told the approval, polls it, and sends the same request again.
func TestAProgramSendsItsRequestAgainOnceItIsApproved(t *testing.T) {
	w := newKeycloakWorld(t, keycloakApproval)
	tb := newBrowser(t).tab(t)
	payer(t, w, tb)
	send := func(id, body string) fetched {
		return fetch(tb, `"/payments"`, fmt.Sprintf(`{method: "POST", body: new URLSearchParams(%q), headers: {Accept: "application/json", ...(%[2]q ? {"Doorward-Approval": %[2]q} : {})}}`, body, id))
	}
	first := send("", "amount=7")
	var problem struct {
		Code     string `json:"code"`
		Approval struct {
			ID             string `json:"id"`
			Status         string `json:"status"`
			BindingMessage string `json:"binding_message"`
			Poll           string `json:"poll"`
			Interval       int    `json:"interval"`
		} `json:"approval"`
	}
	if err := json.Unmarshal([]byte(first.Body), &problem); err != nil {
		t.Fatalf("%+v: %v", first, err)
	}
	asked := problem.Approval
	if first.Status != http.StatusUnauthorized || problem.Code != "approval_required" || asked.ID == "" || asked.Status != "pending" || asked.BindingMessage != "PAY-7" || !strings.HasPrefix(asked.Poll, w.gateway.origin+"/oauth2/approval/") {
		t.Fatalf("the program is told %+v", first)
	}
	if early := send(asked.ID, "amount=7"); early.Status != http.StatusUnauthorized {
		t.Errorf("before the person has answered: %+v", early)
	}
	w.keycloak.answer(t, w.keycloak.phone.next(t, 1), "SUCCEED")
	// No test may be faster than the answered interval.
	poll := time.NewTicker(time.Duration(max(asked.Interval, 1)) * time.Second)
	defer poll.Stop()
	var last fetched
	for range 10 {
		<-poll.C
		if last = fetch(tb, fmt.Sprintf("%q", asked.Poll), `{headers: {Accept: "application/json"}}`); !strings.Contains(last.Body, `"pending"`) {
			break
		}
	}
	if !strings.Contains(last.Body, `"approved"`) {
		t.Fatalf("the poll ends with %+v", last)
	}
	if other := send(asked.ID, "amount=7000"); other.Status != http.StatusForbidden || !strings.Contains(other.Body, "approval_mismatch") {
		t.Errorf("another amount gets %+v", other)
	}
	if got := send(asked.ID, "amount=7"); got.Status != http.StatusOK {
		t.Errorf("the approved request gets %+v", got)
	}
	if again := send(asked.ID, "amount=7"); again.Status != http.StatusConflict || !strings.Contains(again.Body, "approval_used") {
		t.Errorf("the same request once more gets %+v", again)
	}
	if got := w.payments(); len(got) != 1 || got[0].Body != "amount=7" {
		t.Errorf("the app received %+v", got)
	}
	if n := len(w.keycloak.phone.all()); n != 1 {
		t.Errorf("the person was asked %d times", n)
	}
}
