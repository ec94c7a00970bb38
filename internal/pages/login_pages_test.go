package pages

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

func showPassword(p *Pages, page Password) handler {
	return func(w http.ResponseWriter, r *http.Request) { p.Password(w, r, page) }
}

func TestAFormSaysWhatWentWrongInItsStatusItsTitleAndAnAlert(t *testing.T) {
	p := newPages(t)
	for status, code := range map[int]string{401: "wrong_credentials", 429: "too_many_requests", 503: "provider_unavailable", 400: "bad_request"} {
		page := passwordForm()
		page.Username, page.Status, page.Notice = "alice", status, "This is what went wrong."
		a := ask(t, showPassword(p, page), http.MethodPost, navigation...)
		doc := parsed(t, a)
		notice := byID(doc, "notice")
		if a.StatusCode != status || attribute(notice, "role") != "alert" || !strings.Contains(words(notice), page.Notice) {
			t.Errorf("%d: %d %q", status, a.StatusCode, words(notice))
		}
		if !strings.Contains(a.body, "<title>"+codes[code].title) || !strings.Contains(a.log, `"code":"`+code+`"`) {
			t.Errorf("%d: %s", status, a.log)
		}
		if ref := a.Header.Get("Doorward-Reference"); ref == "" || !strings.Contains(words(notice), ref) {
			t.Errorf("%d: the reference %q is not on the page", status, ref)
		}
		refused := status == 401 || status == 400
		for _, id := range []string{"username", "password"} {
			input := byID(doc, id)
			if attribute(input, "aria-describedby") != "notice" || (attribute(input, "aria-invalid") == "true") != refused {
				t.Errorf("%d: %s: %v", status, id, input.Attr)
			}
		}
	}
}

func TestAFormWithoutFailureIsPlain(t *testing.T) {
	p := newPages(t)
	for _, status := range []int{0, 200, 302, 1000, -1} {
		page := passwordForm()
		page.Status = status
		a := ask(t, showPassword(p, page), http.MethodGet, navigation...)
		if a.StatusCode != http.StatusOK || a.Header.Get("Doorward-Reference") != "" || strings.Contains(a.body, "role=\"alert\"") || strings.Contains(a.log, `"code"`) {
			t.Errorf("%d: %d %s", status, a.StatusCode, a.log)
		}
	}
}

func TestAFormKeepsTheNameAndNeverAPassword(t *testing.T) {
	p := newPages(t)
	page := passwordForm()
	page.Username, page.Status, page.AskOTP = `al"ice@exämple.com`, 401, true
	doc := parsed(t, ask(t, showPassword(p, page), http.MethodPost, navigation...))
	for id, want := range map[string]struct{ value, kind, complete string }{
		"username": {page.Username, "", "username"}, "password": {"", "password", "current-password"}, "otp": {"", "", "one-time-code"},
	} {
		input := byID(doc, id)
		if attribute(input, "value") != want.value || attribute(input, "type") != want.kind || attribute(input, "autocomplete") != want.complete || attribute(input, "name") != id {
			t.Errorf("%s: %v", id, input.Attr)
		}
	}
	for _, name := range []string{"a\x00b", "a\u202eb", strings.Repeat("a", 10_000)} {
		page.Username = name
		if got := attribute(byID(parsed(t, ask(t, showPassword(p, page), http.MethodPost, navigation...)), "username"), "value"); got != "" {
			t.Errorf("%.20q is kept as %.20q", name, got)
		}
	}
}

func TestAPageWhoseFormLeadsElsewhereIsNotShown(t *testing.T) {
	p := newPages(t)
	for _, f := range []Form{
		{},
		{Action: "https://evil.test/"},
		{Action: "//evil.test"},
		{Action: "javascript:alert(1)"},
		{Action: "evil"},
		{"/oauth2/x", []Field{{"", "v"}}},
		{"/oauth2/x", []Field{{"n", strings.Repeat("v", maxFieldValue+1)}}},
		{"/oauth2/x", slices.Repeat([]Field{{"n", "v"}}, maxFields+1)},
	} {
		for name, h := range map[string]handler{
			"begin":    func(w http.ResponseWriter, r *http.Request) { p.BeginLogin(w, r, BeginLogin{Form: f}) },
			"hint":     func(w http.ResponseWriter, r *http.Request) { p.CIBAHint(w, r, CIBAHint{Form: f}) },
			"password": func(w http.ResponseWriter, r *http.Request) { p.Password(w, r, Password{Form: f}) },
			"relay": func(w http.ResponseWriter, r *http.Request) {
				if f.Hidden != nil {
					f.Action = ""
				}
				p.Relay(w, r, Relay{Action: f.Action})
			},
			"approved": func(w http.ResponseWriter, r *http.Request) {
				p.Approval(w, r, Approval{Send: f, Waiting: Waiting{Status: approved}})
			},
			"ended": func(w http.ResponseWriter, r *http.Request) {
				if f.Action == "" {
					f.Action = "evil"
				}
				p.CIBAWait(w, r, CIBAWait{Waiting: Waiting{Status: "denied", Again: f}})
			},
		} {
			if a := ask(t, h, http.MethodGet, navigation...); a.StatusCode != http.StatusInternalServerError || strings.Contains(a.body, "evil") {
				t.Errorf("%s with %.60v: %d", name, f, a.StatusCode)
			}
		}
	}
}

func TestHiddenFieldsGoAsTheyAre(t *testing.T) {
	p := newPages(t)
	want := "/x?a=\"b\"&c=<d>\u202e\r\n'"
	a := ask(t, func(w http.ResponseWriter, r *http.Request) {
		p.BeginLogin(w, r, BeginLogin{Form: Form{"/oauth2/device", []Field{{"rd", want}}}})
	}, http.MethodGet, navigation...)
	doc := parsed(t, a)
	for n := range doc.Descendants() {
		if n.Data == "input" {
			// HTML's own parser makes one of CR LF; a browser's form makes two of it again.
			if got := attribute(n, "value"); strings.ReplaceAll(got, "\r\n", "\n") != strings.ReplaceAll(want, "\r\n", "\n") {
				t.Errorf("%q", got)
			}
			return
		}
	}
	t.Error("no field")
}

func TestOnlyWhoCameByThemselvesIsSentOnByScript(t *testing.T) {
	p := newPages(t)
	for _, auto := range []bool{true, false} {
		a := ask(t, func(w http.ResponseWriter, r *http.Request) {
			p.BeginLogin(w, r, BeginLogin{Form: beginForm, Auto: auto})
		}, http.MethodGet, navigation...)
		form := byID(parsed(t, a), "send")
		has := false
		for _, at := range form.Attr {
			has = has || at.Key == "data-auto"
		}
		if has != auto || words(form) != "Sign in" {
			t.Errorf("%v: %v", auto, form.Attr)
		}
	}
}

// IMP-3: tokens go from the fragment into a form, and nowhere else.
func TestTheRelayPutsNothingIntoAnAddress(t *testing.T) {
	p := newPages(t)
	script := p.relay.script
	first := strings.Index(script, "history.replaceState")
	if first < 0 || first > strings.Index(script, "document.") || strings.Index(script, "location.hash") > first {
		t.Error("the fragment is not taken out of the address first")
	}
	for _, way := range []string{"location.href", "location.replace", "location.assign", "location =", "open(", "fetch(", "XMLHttpRequest", "sendBeacon", "Image(", "innerHTML", "insertAdjacent", "document.write", "eval", "localStorage", "sessionStorage", "console.", "cookie", ".action", ".method", "setTimeout"} {
		if strings.Contains(script, way) {
			t.Errorf("it uses %s", way)
		}
	}
	a := ask(t, showRelay(p, Relay{Action: "/oauth2/callback", Token: "r1"}), http.MethodGet, navigation...)
	if policy := a.Header.Get("Content-Security-Policy"); strings.Contains(policy, "connect-src") {
		t.Error(policy)
	}
	form := byID(parsed(t, a), "relay")
	if attribute(form, "method") != "post" || attribute(form, "action") != "/oauth2/callback" {
		t.Errorf("%v", form.Attr)
	}
	if n := strings.Count(a.body, `<input type="hidden" name="`+RelayField+`" value="r1">`); n != 1 {
		t.Errorf("%d tokens", n)
	}
	if !strings.Contains(a.body, "<noscript><p class=\"lead\">This way of signing in needs script") {
		t.Error("without script nobody learns why nothing happens")
	}
	if !strings.Contains(script, `names = ["`+RelayField+`"]`) {
		t.Error("a parameter of the fragment could stand for the token")
	}
}

func TestTheLoginThatWasUsedLastIsFirstAndTheOthersKeepTheirOrder(t *testing.T) {
	p := newPages(t)
	options := []SignInOption{{Label: "a", URL: "/a"}, {Label: "b", URL: "/b", About: "about b"}, {Label: "c", URL: "/c", Last: true, About: "about c"}, {Label: "evil", URL: "//evil.test"}}
	doc := parsed(t, ask(t, func(w http.ResponseWriter, r *http.Request) { p.SignIn(w, r, SignIn{host, options}) }, http.MethodGet, navigation...))
	var got []string
	for n := range doc.Descendants() {
		if n.Type == html.ElementNode && n.Data == "a" {
			got = append(got, words(n))
		}
	}
	if strings.Join(got, "|") != "c used last time about c|a|b about b" {
		t.Errorf("%q", got)
	}
	if options[0].Label != "a" {
		t.Error("the caller's list was sorted")
	}
}

func showRelay(p *Pages, page Relay) handler {
	return func(w http.ResponseWriter, r *http.Request) { p.Relay(w, r, page) }
}

func TestWithoutScriptTheRelayLeadsToTheOtherWaysOfSigningIn(t *testing.T) {
	p := newPages(t)
	for other, link := range map[string]string{
		"/oauth2/sign_in?rd=%2Fx&a=b": `or <a href="/oauth2/sign_in?rd=%2Fx&amp;a=b">sign in another way</a>.</p></noscript>`,
		"":                            "or sign in another way.</p></noscript>",
		"https://evil.test/":          "or sign in another way.</p></noscript>",
		"//evil.test":                 "or sign in another way.</p></noscript>",
	} {
		a := ask(t, showRelay(p, Relay{"/oauth2/callback", "r1", other}), http.MethodGet, navigation...)
		if !strings.Contains(a.body, link) {
			t.Errorf("%q: the page does not say %s:\n%s", other, link, a.body)
		}
	}
}

func TestALabelThatIsMerelyTheNameOfALoginIsNotShown(t *testing.T) {
	p := newPages(t)
	for label, shown := range map[string]bool{
		"legacy": false, "phone-2": false, "a": false, "": false,
		"Legacy": true, "my phone": true, "Téléphone": true, "携帯": true, "sso.example.com": true, "iPhone": true,
	} {
		page := passwordForm()
		page.Label = label
		text := words(parsed(t, ask(t, showPassword(p, page), http.MethodGet, navigation...)))
		want := "Sign in to " + host + "."
		if shown {
			want = "Sign in to " + host + " (" + label + ")."
		}
		if !strings.Contains(text, want) {
			t.Errorf("%q: the page does not say %q", label, want)
		}
	}
}

func TestAFormThatAsksForACodeSaysThatNotEverybodyHasOne(t *testing.T) {
	p := newPages(t)
	page := passwordForm()
	page.AskOTP = true
	doc := parsed(t, ask(t, showPassword(p, page), http.MethodGet, navigation...))
	input := byID(doc, "otp")
	if slices.ContainsFunc(input.Attr, func(a html.Attribute) bool { return a.Key == "required" }) {
		t.Error("nobody without a code gets further")
	}
	if hint := words(byID(doc, attribute(input, "aria-describedby"))); !strings.Contains(hint, "Leave it empty if you have none.") {
		t.Errorf("the hint says only %q", hint)
	}
}

// A script that a browser cannot read leaves a page that never changes, because it has no
// noscript then either. TVs have browsers of 2017.
func TestScriptsAreReadByOldBrowsers(t *testing.T) {
	p := newPages(t)
	for name, d := range map[string]document{"waiting": p.deviceCode, "send": p.beginLogin, "relay": p.relay} {
		for _, modern := range []string{"?.", "??", "**", "async ", "await ", "...", " catch {", "`", "=>"} {
			if strings.Contains(d.script, modern) {
				t.Errorf("%s.js uses %q", name, modern)
			}
		}
		if strings.Contains(d.script, "</") || strings.Contains(d.script, "<!--") {
			t.Errorf("%s.js ends its element", name)
		}
	}
}
