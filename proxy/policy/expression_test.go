package policy

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

func payment() *Input {
	return &Input{
		Who: alice(), Method: "POST", Host: "app.test", Path: "/payments/ü", Query: "a=1&a=2&b=x%20y",
		Header: map[string][]string{"X-Tenant": {"t1"}, "Cookie": {"secret"}, "Authorization": {"secret"}},
		IP:     netip.MustParseAddr("192.0.2.7"), Time: time.Date(2026, 11, 27, 9, 30, 0, 0, time.UTC),
		Form: map[string]string{"amount": "20", "to": "bob"},
		JSON: map[string]any{"amount": "20.00", "items": []any{map[string]any{"id": "7"}}, "urgent": true, "none": nil},
	}
}

func TestExpressionsMakeATextOfWhatTheContractNames(t *testing.T) {
	for source, want := range map[string]string{
		`"PAY-" + form.amount`:                         "PAY-20",
		`"PAY-" + json.amount`:                         "PAY-20.00",
		`json.items[0].id`:                             "7",
		`json.urgent ? "now" : "later"`:                "now",
		`user.sub + "@" + user.iss`:                    "alice@https://idp.test",
		`user.email`:                                   "Alice@Example.com",
		`user.login`:                                   "staff",
		`"staff" in user.groups ? "yes" : "no"`:        "yes",
		`user.scopes[1]`:                               "orders.read",
		`user.machine ? "m" : "p"`:                     "p",
		`request.method + request.host + request.path`: "POSTapp.test/payments/ü",
		`request.query.a[1] + request.query["b"][0]`:   "2x y",
		`request.header["x-tenant"][0]`:                "t1",
		`request.ip`:                                   "192.0.2.7",
		`string(request.time.getHours())`:              "9",
		`claims.department`:                            "sales",
		`claims.realm_access.roles[1]`:                 "writer",
		`claims.level >= 3 ? "high" : "low"`:           "high",
		`has(form.note) ? form.note : "none"`:          "none",
		`has(json.note) ? "note" : "none"`:             "none",
		`has(user.email) ? "mail" : "none"`:            "mail",
		`"cookie" in request.header || "authorization" in request.header ? "leak" : "ok"`: "ok",
	} {
		e, err := NewText(source)
		if err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		if got, err := e.Eval(t.Context(), payment()); got != want || err != nil {
			t.Errorf("%s: got %q, %v; want %q", source, got, err, want)
		}
	}
}

func TestWhatIsMissingIsAnErrorThatNamesIt(t *testing.T) {
	nobody := payment()
	nobody.Who = nil
	bare := payment()
	bare.Form, bare.JSON, bare.IP = nil, nil, netip.Addr{}
	bare.Who.EmailVerified = false
	for source, name := range map[string]string{
		`form.amount`: "form.amount", `json.amount`: "json.amount", `request.ip`: "request.ip", `user.email`: "user.email", `claims.nowhere`: "claims.nowhere",
		`request.query.c[0]`: "request.query.c", `request.header.x[0]`: "request.header.x", `"a" + json.a.b`: "json.a", `claims["nowhere"].deep`: "claims.nowhere",
		`has(json.b) ? json.b : claims.b`: "b", `request.query[request.path][0]`: "such key",
	} {
		e, err := NewText(source)
		if err != nil {
			t.Fatal(err)
		}
		var missing *Missing
		if got, err := e.Eval(t.Context(), bare); !errors.As(err, &missing) || missing.Name != name {
			t.Errorf("%s: got %q, %v", source, got, err)
		}
	}
	for name, says := range map[string]string{"claims.address": "there is no claims.address of this caller", "user.email": "there is no user.email of this caller", "request.ip": "there is no request.ip in this request", "form.claims.x": "there is no form.claims.x in this request"} {
		if m := (&Missing{name}); m.Error() != says {
			t.Errorf("%s: %s", name, m)
		}
	}
	e, err := NewText(`user.sub`)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := e.Eval(t.Context(), nobody); err == nil {
		t.Errorf("nobody is %q", got)
	}
}

func TestExpressionsAreCheckedAtStart(t *testing.T) {
	for source, words := range map[string][]string{
		"":                                 {"empty"},
		"  ":                               {"empty"},
		`"PAY-" + frm.amount`:              {"line 1, column 10", "undeclared reference to 'frm'", "known are claims, user.{sub, iss, email", "form, json"},
		`"PAY-" + user.mail`:               {"undefined field 'mail'", "known are"},
		`request.body`:                     {"undefined field 'body'"},
		`form.amount +`:                    {"line 1, column 14", "Syntax error"},
		`form.amount + 1`:                  {"no matching overload"},
		`form`:                             {"type map(string, string)", "must be string", "string(…)"},
		`user.machine`:                     {"type bool"},
		`now()`:                            {"undeclared reference to 'now'"},
		`doorward.User{sub: "x"}.sub + ""`: {""},
		strings.Repeat("+", maxSource+1):   {"bytes; at most"},
		strings.Repeat("(", 2000) + `"a"` + strings.Repeat(")", 2000): {""},
	} {
		_, err := NewText(source)
		if err == nil {
			if e, _ := NewText(source); e != nil {
				if got, err := e.Eval(t.Context(), payment()); err == nil {
					t.Errorf("%.40q is accepted, and makes %q", source, got)
				}
			}
			continue
		}
		for _, word := range words {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("%.40q: %v doesn't say %q", source, err, word)
			}
		}
	}
}

func TestASyntaxErrorIsSaidWithoutTheParsersTokens(t *testing.T) {
	for source, want := range map[string]string{
		`form.amount +`:         "line 1, column 14: Syntax error: the expression ends too early",
		`{`:                     "line 1, column 2: Syntax error: the expression ends too early",
		`"x" form.amount`:       "line 1, column 5: Syntax error: 'form' cannot stand here",
		`form.amount)`:          "line 1, column 12: Syntax error: ')' cannot stand here",
		`[1,`:                   "line 1, column 4: Syntax error: missing ']' at the end",
		`1 " expecting {'[' "`:  "line 1, column 3: Syntax error: '\" expecting {'[' \"' cannot stand here",
		`"a" + undeclared + ""`: "line 1, column 7: undeclared reference to 'undeclared'",
	} {
		_, err := NewText(source)
		if err == nil {
			t.Errorf("%s is accepted", source)
			continue
		}
		first, _, _ := strings.Cut(err.Error(), "; ")
		if !strings.HasPrefix(first, want) || strings.Contains(err.Error(), "NUM_FLOAT") || strings.Contains(err.Error(), "<EOF>") {
			t.Errorf("%s: %v", source, err)
		}
	}
}

func TestAnExpressionKnowsWhatItReads(t *testing.T) {
	for source, want := range map[string]string{
		`"x"`: "", `form.amount`: "form", `has(json.a) ? "a" : form.b`: "form json", `request.query.a[0]`: "request.query", `[request][0].query.a[0]`: "request.query", `request["header"].x[0]`: "",
	} {
		e, err := NewText(source)
		if err != nil {
			if strings.Contains(source, `["header"]`) {
				continue // not possible on a struct
			}
			t.Fatal(err)
		}
		var got []string
		for _, name := range []string{"form", "json", "request.query"} {
			if e.Reads(name) {
				got = append(got, name)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s reads %v, want %s", source, got, want)
		}
	}
}

func TestARequestCannotMakeAnExpressionRunForLong(t *testing.T) {
	list := make([]any, 3000)
	for i := range list {
		list[i] = fmt.Sprint(i)
	}
	in := payment()
	in.JSON = list
	for _, source := range []string{
		`json.all(a, json.all(b, json.all(c, a + b + c != "x"))) ? "all" : "none"`,
		`string(json.map(a, json.map(b, a + b)).size())`,
	} {
		e, err := NewText(source)
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		got, err := e.Eval(t.Context(), in)
		if err == nil {
			t.Errorf("%s: %q", source, got)
		}
		if d := time.Since(begin); d > 5*time.Second {
			t.Errorf("%s took %s", source, d)
		}
	}
}

func TestErrorsQuoteNothingOfTheRequest(t *testing.T) {
	in := payment()
	in.Form["amount"] = "hunter2-secret"
	for _, source := range []string{`string(int(form.amount))`, `string(timestamp(form.amount))`, `string(form.amount.matches(form.amount + "[") )`, `json[form.amount]`} {
		e, err := NewText(source)
		if err != nil {
			t.Fatal(source, err)
		}
		if got, err := e.Eval(t.Context(), in); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %q, %v", source, got, err)
		}
	}
}

func TestAnExpressionIsSafeForConcurrentUse(t *testing.T) {
	e, err := NewText(`"PAY-" + form.amount + json.amount + user.sub`)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan string)
	for range 8 {
		go func() {
			got, _ := e.Eval(t.Context(), payment())
			done <- got
		}()
	}
	for range 8 {
		if got := <-done; got != "PAY-2020.00alice" {
			t.Errorf("got %q", got)
		}
	}
}

func TestS18AnExpressionThatTheRequestMakesLongIsGivenUp(t *testing.T) {
	list := make([]any, 2000)
	for i := range list {
		list[i] = "x"
	}
	e, err := NewText(`json.all(a, json.all(b, a == b)) ? "same" : "other"`)
	if err != nil {
		t.Fatal(err)
	}
	in := payment()
	in.JSON = list
	if _, _, err := e.program.Eval(&activation{in}); err == nil || !strings.Contains(err.Error(), "cost limit") { // whatever the clock says
		t.Error(err)
	}
	if got, err := e.Eval(t.Context(), in); err == nil {
		t.Errorf("%q", got)
	}
}

func TestTheNamesThatAnExpressionLooksForAreKnown(t *testing.T) {
	e, err := NewText(`has(form.a) || "b" in form || form["c"] == json.d.e[0].f || json["g"] == "" || json.h.all(i, i.j == user.sub) || request.query.k[0] == request.header["l"][0] || claims.m == request.path ? "x" : "y"`)
	if err != nil {
		t.Fatal(err)
	}
	for variable, want := range map[string]string{"form": "a b c", "json": "d g h", "json.": "e f j", "request.query": "k", "request.header": "l", "user": "", "claims": "", "request": ""} {
		names := slices.Clone(e.Names(variable))
		slices.Sort(names)
		if got := strings.Join(slices.Compact(names), " "); got != want {
			t.Errorf("%s: %s, not %s", variable, got, want)
		}
	}
}
