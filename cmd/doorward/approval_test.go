package main

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/flows"
	"github.com/doorward/doorward/proxy"
)

var _ proxy.Approver = (*flows.Approver)(nil)

// newPayStack is a stack with an approved route. The answer comes by push, so that nothing waits for a clock.
func newPayStack(t *testing.T) *stack {
	t.Helper()
	s := newStack(t, "")
	s.toml = strings.Replace(s.toml, "[[route]]\n", "[login.staff]\nflow = \"authorization_code\"\n[login.phone]\nflow = \"ciba\"\ndelivery = \"push\"\n[[route]]\nlogin = [\"staff\"]\n", 1)
	s.toml += `[[route]]
name = "pay"
host = "` + s.origin + `"
path = "/payments"
upstream = ["` + s.app.URL + `"]
login = ["staff"]
approve = { login = "phone", methods = ["POST"], binding_message = '"PAY-" + form.amount', max_body = "1KiB", expires = "2m" }
`
	server, err := idp.New(idp.Config{
		Issuer: "http://" + s.provider.Listener.Addr().String(),
		Clients: []idp.Client{{
			ID: "doorward", Secret: clientSecret, SkipConsent: true, RedirectURIs: []string{s.origin + "/oauth2/callback"},
			Grants: []string{"authorization_code", "refresh_token", idp.GrantCIBA}, CIBADelivery: "push", NotificationEndpoint: s.origin + "/oauth2/ciba/notify",
		}},
		Users: []idp.User{{Username: "alice", Password: "wonderland-9", Email: "alice@example.com", EmailVerified: true}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.idp = server
	return s.start()
}

func (s *stack) agree() {
	s.t.Helper()
	pending := s.idp.PendingCIBA("alice")
	if len(pending) != 1 || pending[0].BindingMessage != "PAY-20" {
		s.t.Fatalf("on the phone: %+v\n%s", pending, s.log)
	}
	if d, err := s.idp.ApproveCIBA(s.t.Context(), pending[0].ID); err != nil || d.Status != http.StatusNoContent {
		s.t.Fatalf("%+v, %v", d, err)
	}
}

// paid counts the payments that reached the application.
func (s *stack) paid() (n int) {
	for _, r := range s.app.requests() {
		if r.Method == http.MethodPost {
			n++
		}
	}
	return n
}

func TestAProgramsPaymentPassesOnceItIsApprovedOnThePhone(t *testing.T) {
	s := newPayStack(t)
	b := s.browser()
	s.signedIn(b, "/", "alice", "wonderland-9")
	form := url.Values{"amount": {"20"}, "to": {"bob"}}
	page := b.Fetch(t, s.origin+"/", http.MethodPost, s.origin+"/payments", form)
	var problem struct {
		Code     string
		Approval struct{ ID, Status, Poll string }
	}
	if err := json.Unmarshal([]byte(page.Body), &problem); err != nil || page.Status != http.StatusUnauthorized || problem.Code != "approval_required" || problem.Approval.Status != "pending" {
		t.Fatalf("%d %s\n%s", page.Status, page.Body, s.log)
	}
	s.agree()
	status := func() string {
		var v struct{ Status string }
		_ = json.Unmarshal([]byte(b.Fetch(t, s.origin+"/", http.MethodGet, problem.Approval.Poll, nil).Body), &v)
		return v.Status
	}
	if got := status(); got != "approved" {
		t.Fatalf("%s\n%s", got, s.log)
	}
	b.Header.Set("Doorward-Approval", problem.Approval.ID)
	if page := b.Fetch(t, s.origin+"/", http.MethodPost, s.origin+"/payments", url.Values{"amount": {"21"}, "to": {"bob"}}); page.Status != http.StatusForbidden {
		t.Errorf("another amount: %d", page.Status)
	}
	if page := b.Fetch(t, s.origin+"/", http.MethodPost, s.origin+"/payments", form); page.Status != http.StatusOK || s.paid() != 1 {
		t.Errorf("%d, %d payments: %s", page.Status, s.paid(), page.Body)
	}
	if page := b.Fetch(t, s.origin+"/", http.MethodPost, s.origin+"/payments", form); page.Status != http.StatusConflict || s.paid() != 1 {
		t.Errorf("again: %d, %d payments", page.Status, s.paid())
	}
	if got := status(); got != "used" {
		t.Error(got)
	}
	for _, secret := range []string{"PAY-20", s.idp.Last(idp.CIBA).Form.Get("client_notification_token")} {
		if strings.Contains(s.log.String(), secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
}

func TestAPersonsFormPassesOnceItIsApprovedOnThePhone(t *testing.T) {
	s := newPayStack(t)
	b := s.browser()
	s.signedIn(b, "/form", "alice", "wonderland-9")
	page := b.Post(t, s.origin+"/form", s.origin+"/payments", url.Values{"amount": {"20"}, "to": {"bob"}})
	if page.Status != http.StatusOK || !strings.Contains(page.Text(), "PAY-20") || !strings.HasPrefix(page.URL.Path, "/oauth2/approval/") {
		t.Fatalf("%d %s\n%s\n%s", page.Status, page.URL, page.Text(), s.log)
	}
	if s.paid() != 0 {
		t.Fatal("paid already")
	}
	s.agree()
	page = b.Open(t, page.URL.String())
	if len(page.Forms()) == 0 {
		t.Fatalf("%d\n%s", page.Status, page.Text())
	}
	page = page.Submit(t, nil)
	if page.Status != http.StatusOK || !strings.Contains(page.Body, "app at /payments") || s.paid() != 1 {
		t.Errorf("%d, %d payments\n%s", page.Status, s.paid(), page.Text())
	}
	if again := b.Post(t, page.URL.String(), page.URL.String(), nil); again.Status != http.StatusConflict || s.paid() != 1 {
		t.Errorf("again: %d, %d payments", again.Status, s.paid())
	}
}
