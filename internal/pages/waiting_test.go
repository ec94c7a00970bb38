package pages

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/net/html"
)

// parsed is the page of an answer.
func parsed(t testing.TB, a answer) *html.Node {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(a.body))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func showDevice(p *Pages, page DeviceCode) handler {
	return func(w http.ResponseWriter, r *http.Request) { p.DeviceCode(w, r, page) }
}

func TestTheCodeIsShownAndCopiedExactlyAsGiven(t *testing.T) {
	p := newPages(t)
	for code, groups := range map[string]string{
		"WDJB-MJHT": "WDJB-|MJHT", "123 456 789": "123 |456 |789", "ABCDEFGH": "ABCDEFGH", "a.b_c": "a.|b_|c", "A--B": "A-|-|B",
		"-A": "-|A", "A-": "A-", "0O1lI": "0O1lI", "<b>&amp;": "<b>&amp;", "ЖЩ-яё": "ЖЩ-|яё",
	} {
		t.Run(code, func(t *testing.T) {
			page := deviceCode(pending)
			page.UserCode = code
			doc := parsed(t, ask(t, showDevice(p, page), http.MethodGet, navigation...))
			shown := byID(doc, "code")
			if words(shown) != code || attribute(byID(doc, "copy"), "data-code") != code {
				t.Errorf("%q is shown as %q and copied as %q", code, words(shown), attribute(byID(doc, "copy"), "data-code"))
			}
			var got []string
			for span := range shown.ChildNodes() {
				if span.Data != "span" {
					t.Errorf("between the groups is %q, which would be copied", span.Data)
				}
				got = append(got, words(span))
			}
			if strings.Join(got, "|") != groups {
				t.Errorf("groups %q", got)
			}
			if !strings.Contains(words(doc), "must show "+code) {
				t.Error("RFC 8628 §3.3.1: no code next to the QR code to compare with")
			}
		})
	}
}

func TestP160ACodeThatCannotBeShownAsItIsIsNotShown(t *testing.T) {
	p := newPages(t)
	for _, code := range []string{"", " ", "A  B", " AB", "AB\u202eCD", "AB\u200fCD", "AB\nCD", "AB\tCD", "A\x00B", "\x1b[31mAB", "\xff", "A\u2028B", strings.Repeat("A", maxCode+1), strings.Repeat("A", 10_000)} {
		page := deviceCode(pending)
		page.UserCode = code
		a := ask(t, showDevice(p, page), http.MethodGet, navigation...)
		if a.StatusCode != http.StatusBadGateway || byID(parsed(t, a), "code") != nil || !strings.Contains(a.body, "provider_error") {
			t.Errorf("%.20q: %d", code, a.StatusCode)
		}
	}
}

func TestP159NoAddressOfAnotherKindIsLinkedOrDrawn(t *testing.T) {
	p := newPages(t)
	for _, uri := range []string{"javascript:alert(1)", "javascript://evil.test/%0aalert(1)", "otpauth://evil.test/", "data:text/html,evil", "JAVASCRIPT:alert(1)", "//evil.test/", "/evil", "", "https://user@evil.test/", "https:evil.test", "vbscript:evil", " https://evil.test", "https://evil.test/\n", "https://" + strings.Repeat("evil", 2000)} {
		page := deviceCode(pending)
		page.VerificationURI = uri
		if a := ask(t, showDevice(p, page), http.MethodGet, navigation...); a.StatusCode != http.StatusBadGateway || strings.Contains(a.body, "evil") || strings.Contains(a.body, "alert(") {
			t.Errorf("%.40q: %d %s", uri, a.StatusCode, sheet.ReplaceAllString(a.body, ""))
		}
		page = deviceCode(pending)
		page.CompleteURI = uri
		a := ask(t, showDevice(p, page), http.MethodGet, navigation...)
		if want := encodeQR(page.VerificationURI).Path; a.StatusCode != http.StatusOK || !strings.Contains(a.body, want) || strings.Contains(a.body, "must show") {
			t.Errorf("%.40q: it is not the plain address that is drawn", uri)
		}
	}
}

func TestTheAddressIsLinkedAndReadableInFull(t *testing.T) {
	p := newPages(t)
	page := deviceCode(pending)
	page.VerificationURI = "https://sso.example.com/a/b?x=1&y=//z"
	doc := parsed(t, ask(t, showDevice(p, page), http.MethodGet, navigation...))
	for n := range doc.Descendants() {
		if n.Data == "a" && attribute(n, "target") == "_blank" {
			if attribute(n, "href") != page.VerificationURI || words(n) != page.VerificationURI+" (opens in a new tab)" || attribute(n, "rel") != "noopener noreferrer" {
				t.Errorf("%v %q", n.Attr, words(n))
			}
			return
		}
	}
	t.Error("no link")
}

func TestWithoutScriptThePageReloadsItselfNoFasterThanTheInterval(t *testing.T) {
	p := newPages(t)
	for interval, want := range map[int]string{5: "5", 20: "20", 1: "5", -3: "5", 0: "5", 1 << 40: "300"} {
		device, phone, approval := deviceCode(pending), cibaWait(pending), approvalOf(pending)
		device.Interval, phone.Interval, approval.Interval = interval, interval, interval
		for name, h := range map[string]handler{
			"device":   showDevice(p, device),
			"ciba":     func(w http.ResponseWriter, r *http.Request) { p.CIBAWait(w, r, phone) },
			"approval": func(w http.ResponseWriter, r *http.Request) { p.Approval(w, r, approval) },
		} {
			a := ask(t, h, http.MethodGet, navigation...)
			head, _, _ := strings.Cut(a.body, "</head>")
			if !strings.Contains(html.UnescapeString(head), `<noscript><meta http-equiv="refresh" content="`+want+`;url=/oauth2/device?attempt=A1"></noscript>`) {
				t.Errorf("%s at %d: %s", name, interval, sheet.ReplaceAllString(head, ""))
			}
		}
	}
}

func TestTheScriptIsToldWhereToAskAndNoAddressOfAnotherSite(t *testing.T) {
	p := newPages(t)
	told := func(page DeviceCode) map[string]string {
		got := map[string]string{}
		for _, a := range byID(parsed(t, ask(t, showDevice(p, page), http.MethodGet, navigation...)), "wait").Attr {
			got[a.Key] = a.Val
		}
		return got
	}
	page := deviceCode(pending)
	if got := told(page); got["data-poll"] != page.Poll || got["data-reload"] != page.Reload || got["data-interval"] != "5" || got["data-life"] != "600" {
		t.Errorf("%v", got)
	}
	page.Poll, page.Reload, page.ExpiresIn = "https://evil.test/poll", "//evil.test", -5
	if got := told(page); got["data-poll"] != "" || got["data-reload"] != "" || got["data-life"] != "0" {
		t.Errorf("%v", got)
	}
}

// The countdown changes each second: nothing in it is announced. What is announced changes
// only when something has happened.
func TestOnlyChangesAreReadOut(t *testing.T) {
	doc := parsed(t, ask(t, showDevice(newPages(t), deviceCode(pending)), http.MethodGet, navigation...))
	for id, want := range map[string]string{"state": "status", "said": "status", "left": "timer"} {
		n := byID(doc, id)
		if attribute(n, "role") != want {
			t.Errorf("%s has the role %q", id, attribute(n, "role"))
		}
		for up := n.Parent; up != nil; up = up.Parent {
			if role := attribute(up, "role"); role == "status" || role == "alert" || attribute(up, "aria-live") != "" {
				t.Errorf("%s is in a live region <%s>", id, up.Data)
			}
		}
	}
}

func TestInterruptedWaitingSaysSo(t *testing.T) {
	p := newPages(t)
	page := deviceCode(pending)
	calm := words(byID(parsed(t, ask(t, showDevice(p, page), http.MethodGet, navigation...)), "state"))
	page.Trouble = true
	wait := byID(parsed(t, ask(t, showDevice(p, page), http.MethodGet, navigation...)), "wait")
	trouble := words(byID(wait, "state"))
	if trouble == calm || !strings.Contains(trouble, "does not answer") {
		t.Errorf("%q", trouble)
	}
	if attribute(wait, "data-trouble") != trouble || attribute(wait, "data-waiting") != calm {
		t.Error("the script says it in other words")
	}
}

func TestEachEndingSaysItPlainlyAndBeginsAnewInOneClick(t *testing.T) {
	p := newPages(t)
	kinds := map[string]func(Waiting) handler{
		"device": func(w Waiting) handler { d := deviceCode(""); d.Waiting = w; return showDevice(p, d) },
		"ciba": func(wait Waiting) handler {
			return func(w http.ResponseWriter, r *http.Request) { c := cibaWait(""); c.Waiting = wait; p.CIBAWait(w, r, c) }
		},
		"approval": func(wait Waiting) handler {
			return func(w http.ResponseWriter, r *http.Request) {
				c := approvalOf("")
				c.Waiting = wait
				p.Approval(w, r, c)
			}
		},
	}
	for kind, show := range kinds {
		headings := map[string]string{}
		for _, status := range []string{"denied", "expired", failed, "made up", ""} {
			a := ask(t, show(waitingFor(status)), http.MethodGet, navigation...)
			doc := parsed(t, a)
			var heading, action, label string
			for n := range doc.Descendants() {
				switch n.Data {
				case "h1":
					heading = words(n)
				case "form":
					action, label = attribute(n, "action"), words(n)
					if attribute(n, "method") != "post" || !strings.Contains(a.body, `name="rd" value="/x?a=b&amp;c=d"`) {
						t.Errorf("%s %s: the form lacks something: %s", kind, status, a.body)
					}
				case "script", "noscript":
					t.Errorf("%s %s goes on asking", kind, status)
				}
			}
			if a.StatusCode != http.StatusOK || action != "/oauth2/device" || label == "" || heading == "" {
				t.Errorf("%s %q: %d %q %q %q", kind, status, a.StatusCode, heading, action, label)
			}
			headings[heading] = status
		}
		if len(headings) != 3 { // what is not known is a failure
			t.Errorf("%s: %v", kind, headings)
		}
		failure := waitingFor(failed)
		failure.Problem = "The provider no longer knows it."
		if a := ask(t, show(failure), http.MethodGet, navigation...); !strings.Contains(a.body, failure.Problem) {
			t.Errorf("%s does not say why", kind)
		}
	}
}

func TestAnApprovedRequestIsSentByOneFormAndAUsedOneByNone(t *testing.T) {
	p := newPages(t)
	show := func(page Approval) answer {
		return ask(t, func(w http.ResponseWriter, r *http.Request) { p.Approval(w, r, page) }, http.MethodGet, navigation...)
	}
	a := show(approvalOf(approved))
	form := byID(parsed(t, a), "send")
	if form == nil || attribute(form, "action") != "/oauth2/approval/A1" || attribute(form, "method") != "post" || strings.Count(a.body, "<form") != 1 || words(form) == "" {
		t.Errorf("%s", a.body)
	}
	used := approvalOf("used")
	used.Again = Form{}
	if a := show(used); strings.Contains(a.body, "<form") || !strings.Contains(a.body, "not sent again") || !strings.Contains(a.body, `href="/payments/new"`) {
		t.Errorf("%s", a.body)
	}
	nowhere := approvalOf(approved)
	nowhere.Send = Form{}
	if a := show(nowhere); a.StatusCode != http.StatusInternalServerError {
		t.Errorf("a request without a form: %d", a.StatusCode)
	}
}

func TestP169AMessageThatCannotBeShownAsItIsIsNotShown(t *testing.T) {
	p := newPages(t)
	for _, m := range []string{"A\u202eB", "A\nB", "A  B", " A", strings.Repeat("A", 10_000), "\xff"} {
		for _, status := range []string{pending, approved} {
			page := approvalOf(status)
			page.BindingMessage = m
			a := ask(t, func(w http.ResponseWriter, r *http.Request) { p.Approval(w, r, page) }, http.MethodGet, navigation...)
			if a.StatusCode != http.StatusBadRequest || !strings.Contains(a.body, "approval_impossible") || strings.Contains(a.body, "<form") {
				t.Errorf("approval %s of %.20q: %d", status, m, a.StatusCode)
			}
		}
		page := cibaWait(pending)
		page.BindingMessage = m
		a := ask(t, func(w http.ResponseWriter, r *http.Request) { p.CIBAWait(w, r, page) }, http.MethodGet, navigation...)
		if a.StatusCode < 400 || strings.Contains(a.body, `class="code`) {
			t.Errorf("ciba of %.20q: %d", m, a.StatusCode)
		}
	}
}

func TestS18TheLargestPageIsSmall(t *testing.T) {
	page := deviceCode(pending)
	page.Host, page.Label, page.Provider, page.Begun = strings.Repeat("h", 500), strings.Repeat("l", 500), strings.Repeat("p", 500), strings.Repeat("b", 500)
	page.UserCode = strings.Repeat("A-", maxCode/2)
	page.VerificationURI = "https://e.test/" + strings.Repeat("/", maxURL-15)
	page.CompleteURI = "https://e.test/" + strings.Repeat("%", maxQR-15)
	if a := ask(t, showDevice(newPages(t), page), http.MethodGet, navigation...); a.StatusCode != http.StatusOK || len(a.body) > 80_000 {
		t.Errorf("%d, %d bytes", a.StatusCode, len(a.body))
	}
}

func TestTimesInWords(t *testing.T) {
	for seconds, want := range map[int]string{0: "0 seconds", 1: "1 second", 59: "59 seconds", 95: "95 seconds", 100: "2 minutes", 600: "10 minutes", 3600: "60 minutes"} {
		if got := inWords(seconds); got != want {
			t.Errorf("%d: %s", seconds, got)
		}
	}
}

func FuzzUserCode(f *testing.F) {
	p := newPages(f)
	for _, s := range []string{"WDJB-MJHT", "A--B", "<b>", "\u202e", "a b", "-", "A\x00B"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, code string) {
		if joined := strings.Join(groups(code), ""); !strings.Contains(code, "\x00") && joined != code {
			t.Errorf("%q became %q", code, joined)
		}
		page := deviceCode(pending)
		page.UserCode = code
		w := &recorder{header: http.Header{}}
		p.DeviceCode(w, &http.Request{Method: http.MethodGet, Header: http.Header{"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}}}, page)
		doc, err := html.Parse(strings.NewReader(w.body.String()))
		if err != nil {
			t.Fatal(err)
		}
		if shown := byID(doc, "code"); shown == nil != (w.status == http.StatusBadGateway) || shown != nil && words(shown) != code {
			t.Errorf("%q is shown as %q (%d)", code, words(shown), w.status)
		}
	})
}

// At 16 pixels the box has room for 515, and a letter of the monospaced fonts that are in use takes 0.642
// of their size with the spacing: 11 letters of 4.25rem, 16 of 3rem, 22 of 2.25rem.
func TestAMessageThatIsComparedStaysOnOneLine(t *testing.T) {
	p := newPages(t)
	style, err := read("style.css")
	if err != nil {
		t.Fatal(err)
	}
	largest := map[string]float64{}
	for _, class := range []string{"", "medium", "long"} {
		selector := ".code." + class + "{"
		if class == "" {
			selector = ".code{"
		}
		_, rule, _ := strings.Cut(style, selector)
		_, rule, _ = strings.Cut(rule, "clamp(")
		rule, _, _ = strings.Cut(rule, "rem)")
		size, err := strconv.ParseFloat(rule[strings.LastIndex(rule, ",")+1:], 64)
		if err != nil {
			t.Fatalf("%s has no largest size: %v", selector, err)
		}
		largest[class] = size
	}
	for _, text := range []string{"W4SCT", "SIGNIN-GVBW", "Sign-in-GVBWV", "Approve-PAY-2026", "Approve-PAY-20261", strings.Repeat("Ж", 13), strings.Repeat("W", 22)} {
		page := cibaWait(pending)
		page.BindingMessage = text
		a := ask(t, func(w http.ResponseWriter, r *http.Request) { p.CIBAWait(w, r, page) }, http.MethodGet, navigation...)
		for n := range parsed(t, a).Descendants() {
			class, ok := strings.CutPrefix(attribute(n, "class"), "code")
			if n.Data != "p" || !ok {
				continue
			}
			size, known := largest[strings.TrimSpace(class)]
			if width := size * 16 * 0.642 * float64(utf8.RuneCountInString(text)); words(n) != text || !known || width > 515 {
				t.Errorf("%q with class %q takes %.0f pixels of 515", text, class, width)
			}
		}
	}
}

func TestWithoutScriptTheApprovedPageDoesNotSayThatItIsSending(t *testing.T) {
	p := newPages(t)
	a := ask(t, func(w http.ResponseWriter, r *http.Request) { p.Approval(w, r, approvalOf(approved)) }, http.MethodGet, navigation...)
	if strings.Contains(a.body, "is sent now") {
		t.Error("it says that something happens which waits for a button")
	}
	_, without, _ := strings.Cut(a.body, "<noscript>")
	if without, _, _ = strings.Cut(without, "</noscript>"); !strings.Contains(without, "has not been sent yet. Press the button") {
		t.Errorf("without script it says %q", without)
	}
}
