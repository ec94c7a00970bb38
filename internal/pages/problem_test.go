package pages

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

func TestFurtherMembersFollowTheStandardOnes(t *testing.T) {
	a := ask(t, failing(newPages(t), approvalRequired()), http.MethodPost, program...)
	var got struct {
		Type, Title, Code string
		Status            int
		Approval          struct {
			ID, Poll       string
			BindingMessage string `json:"binding_message"`
			ExpiresIn      int    `json:"expires_in"`
		}
	}
	if err := json.Unmarshal([]byte(a.body), &got); err != nil {
		t.Fatalf("%v in %s", err, a.body)
	}
	if got.Code != "approval_required" || got.Status != http.StatusUnauthorized || got.Title != "Approval needed" ||
		got.Approval.ID != "A1" || got.Approval.BindingMessage != "PAY-20" || got.Approval.ExpiresIn != 120 {
		t.Errorf("%s", a.body)
	}
	if strings.Index(a.body, `"approval"`) < strings.Index(a.body, `"reference"`) {
		t.Errorf("the standard members are not first: %s", a.body)
	}
}

func TestNoFurtherMemberTakesThePlaceOfAStandardOne(t *testing.T) {
	e := &Error{Code: "no_route", Members: map[string]any{
		"status": 200, "Code": "fine", "type": "about:blank", "title": "x", "detail": "x", "reference": "x", "login_url": "javascript:alert(1)", "instance": "x", "zebra": 1, "approval": nil,
	}}
	a := ask(t, failing(newPages(t), e), http.MethodGet, program...)
	var d problem
	if err := json.Unmarshal([]byte(a.body), &d); err != nil {
		t.Fatalf("%v in %s", err, a.body)
	}
	if d.Code != "no_route" || d.Status != http.StatusNotFound || d.Title != codes["no_route"].title || d.LoginURL != "" || !strings.HasSuffix(a.body, `,"approval":null,"zebra":1}`+"\n") {
		t.Errorf("%s", a.body)
	}
	for _, name := range []string{"status", "code", "type", "title", "detail", "reference"} {
		if n := strings.Count(strings.ToLower(a.body), `"`+name+`":`); n != 1 {
			t.Errorf("%d × %s in %s", n, name, a.body)
		}
	}
	if len(e.Members) != 10 {
		t.Error("the caller's map has changed")
	}
}

func TestMembersThatCannotBeEncodedAreAFailureOfOurs(t *testing.T) {
	a := ask(t, failing(newPages(t), &Error{Code: "no_route", Members: map[string]any{"x": func() {}}}), http.MethodGet, program...)
	if a.StatusCode != http.StatusInternalServerError || !strings.Contains(a.body, `"code":"internal_error"`) || !strings.Contains(a.log, "members of the problem no_route") {
		t.Errorf("%d %s %s", a.StatusCode, a.body, a.log)
	}
}

func TestAPageSaysNothingOfFurtherMembers(t *testing.T) {
	a := ask(t, failing(newPages(t), approvalRequired()), http.MethodGet, navigation...)
	if a.StatusCode != http.StatusUnauthorized || strings.Contains(a.body, "PAY-20") {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
}
