package pages

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/html"

	"github.com/doorward/doorward/internal/telemetry"
)

func forgetHost(w http.ResponseWriter) http.ResponseWriter {
	telemetry.From(w).Host = ""
	return w
}

// pageWith puts s into every text that a page can be given.
func pageWith(p *Pages, s string) map[string]handler {
	e := &Error{
		Code: "access_denied", Detail: s, LoginURL: startURL,
		Facts:   []Fact{{s, s}, {"Rule", s}},
		Actions: []Action{{Label: s, URL: "/a"}, {Label: s, URL: "/b", Post: true}},
	}
	return map[string]handler{
		"error": failing(p, e),
		"sign in": func(w http.ResponseWriter, r *http.Request) {
			p.SignIn(w, r, SignIn{s, []SignInOption{{Label: s, URL: "/a", About: s, Last: true}}})
		},
		"confirm": func(w http.ResponseWriter, r *http.Request) { p.ConfirmSignOut(w, r, "/oauth2/sign_out", s) },
		"begin": func(w http.ResponseWriter, r *http.Request) {
			p.BeginLogin(w, r, BeginLogin{s, s, s, beginForm, true, s})
		},
		"device": func(w http.ResponseWriter, r *http.Request) {
			page := deviceCode(pending)
			page.Host, page.Label, page.Provider, page.Begun = s, s, s, s
			p.DeviceCode(w, r, page)
		},
		"device failed": func(w http.ResponseWriter, r *http.Request) {
			page := deviceCode(failed)
			page.Problem = s
			p.DeviceCode(w, r, page)
		},
		"hint": func(w http.ResponseWriter, r *http.Request) {
			p.CIBAHint(w, r, CIBAHint{s, s, s, beginForm, s, true, 401, s})
		},
		"ciba": func(w http.ResponseWriter, r *http.Request) {
			page := cibaWait(pending)
			page.Host, page.Label, page.Provider, page.Begun = s, s, s, s
			p.CIBAWait(w, r, page)
		},
		"approval": func(w http.ResponseWriter, r *http.Request) {
			page := approvalOf(pending)
			page.Host, page.Request = s, s
			p.Approval(w, r, page)
		},
		"approved": func(w http.ResponseWriter, r *http.Request) {
			page := approvalOf(approved)
			page.Host, page.Request = s, s
			p.Approval(w, r, page)
		},
		"password": func(w http.ResponseWriter, r *http.Request) {
			page := passwordForm()
			page.Host, page.Label, page.Provider, page.Username, page.Status, page.Notice, page.AskOTP = s, s, s, "alice", 401, s, true
			p.Password(w, r, page)
		},
		"tokens": func(w http.ResponseWriter, r *http.Request) {
			page := tokenPage(PersonalToken{s, s, s, s, []string{s}, []string{s}, true})
			page.Host, page.Notice, page.Status = s, s, 400
			page.Form.Lifetimes, page.Form.Scopes, page.Form.Hosts = []Choice{{"1", s, true, ""}}, []Choice{{"2", s, true, ""}}, []Choice{{"3", s, true, ""}}
			p.PersonalTokens(w, r, page)
		},
		"new token": func(w http.ResponseWriter, r *http.Request) {
			page := newToken()
			page.About = PersonalToken{s, s, s, s, []string{s}, []string{s}, true}
			p.NewPersonalToken(w, r, page)
		},
		"host": func(w http.ResponseWriter, r *http.Request) {
			telemetry.From(w).Host = s
			p.SignedOut(w, r, "/a")
		},
	}
}

var hostile = map[string]string{
	"script":         `<script>alert(1)</script>`,
	"end of title":   `</title></style></script><script>alert(1)</script>`,
	"attribute":      `" onmouseover="alert(1)" x="`,
	"attribute 2":    `' autofocus onfocus='alert(1)`,
	"tag":            `"><img src=x onerror=alert(1)>`,
	"comment":        `--><!-- <!`,
	"template":       `{{.}}{{define "main"}}x{{end}}`,
	"entity":         `&lt;script&gt;&#x3c;`,
	"CR LF":          "a\r\nSet-Cookie: x=y\r\n\r\n<script>alert(1)</script>",
	"terminal":       "\x1b[31mred\x07\x00",
	"C1":             "\u009b31m\u0085",
	"right to left":  "user\u202egpj.exe\u2066\u2069\u200f",
	"lines":          "a\u2028b\u2029c",
	"not UTF-8":      "\xff\xfe\x80<",
	"half a letter":  strings.Repeat("a", maxValue-1) + "é",
	"unassigned":     "\U000e0041\ufffe\ue000",
	"very long":      strings.Repeat("<b>", 100_000),
	"very long word": strings.Repeat("w", 100_000),
}

// Whatever a text holds, the page has the elements and attributes that it has with "A".
func TestP187TextStaysText(t *testing.T) {
	p := newPages(t)
	plain := pageWith(p, "A")
	for name, s := range hostile {
		for page, h := range pageWith(p, s) {
			if page == "confirm" && len(s) > maxURL {
				continue // an rd of that length is left out, with its field
			}
			t.Run(page+" "+name, func(t *testing.T) {
				got, want := ask(t, h, http.MethodGet, navigation...), ask(t, plain[page], http.MethodGet, navigation...)
				if shape(t, got.body) != shape(t, want.body) {
					t.Errorf("the page has other elements:\n%s", got.body)
				}
				if len(got.body) > 20_000 {
					t.Errorf("S18: %d bytes", len(got.body))
				}
				for name := range got.Header {
					if name == "Set-Cookie" {
						t.Error("a header was injected")
					}
				}
				if page != "confirm" { // a hidden field goes back as it came
					checkVisible(t, got.body)
				}
			})
		}
	}
}

func TestP187ProblemDocuments(t *testing.T) {
	p := newPages(t)
	for name, s := range hostile {
		t.Run(name, func(t *testing.T) {
			a := ask(t, failing(p, &Error{Code: "bad_request", Detail: s, LoginURL: s}), http.MethodGet, program...)
			var d problem
			if err := json.Unmarshal([]byte(a.body), &d); err != nil || d.Code != "bad_request" || d.Detail == "" {
				t.Fatalf("%v in %s", err, a.body)
			}
			if d.LoginURL != "" || len(a.body) > 4_000 {
				t.Errorf("%d bytes, login_url %q", len(a.body), d.LoginURL)
			}
			checkVisible(t, d.Detail)
			if a.Header.Get("X-Content-Type-Options") != "nosniff" || a.Header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("a browser could take it for HTML: %v", a.Header)
			}
		})
	}
}

func checkVisible(t *testing.T, text string) {
	t.Helper()
	if !utf8.ValidString(text) {
		t.Error("not UTF-8")
	}
	for _, r := range text {
		if r != '\n' && !unicode.IsPrint(r) && r != unicode.ReplacementChar {
			t.Errorf("P190: it holds %U", r)
		}
	}
}

// shape lists the elements and attributes of a page.
func shape(t *testing.T, page string) string {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for n := range doc.Descendants() {
		if n.Type == html.ElementNode || n.Type == html.CommentNode || n.Type == html.DoctypeNode {
			b.WriteString("<" + map[bool]string{true: n.Data}[n.Type == html.ElementNode])
			for _, a := range n.Attr {
				b.WriteString(" " + a.Key)
			}
		}
	}
	return b.String()
}

func TestP062P065NoLinkLeadsElsewhere(t *testing.T) {
	p := newPages(t)
	for _, to := range []string{
		"//evil.test", `/\evil.test`, `\\evil.test`, "/\t/evil.test", "/\n/evil.test", "\t//evil.test", "javascript:alert(1)", "JaVaScRiPt:alert(1)", "java\nscript:alert(1)",
		"javascript://app.example.com/%0aalert(1)", "ftp://evil.test/", "app://evil.test/",
		"data:text/html,x", "vbscript:x", "blob:https://app.example.com/x", "https:evil.test", "https://user@evil.test/", "http:///evil.test", " https://evil.test", "evil.test", "/" + strings.Repeat("x", maxURL), "",
	} {
		for name, h := range map[string]handler{
			"error": failing(p, &Error{Code: "access_denied", LoginURL: to, Actions: []Action{{"evil", to, false}, {"evil", to, true}}}),
			"sign in": func(w http.ResponseWriter, r *http.Request) {
				p.SignIn(w, r, SignIn{host, []SignInOption{{Label: "evil", URL: to}}})
			},
			"signed out": func(w http.ResponseWriter, r *http.Request) { p.SignedOut(w, r, to) },
			"confirm":    func(w http.ResponseWriter, r *http.Request) { p.ConfirmSignOut(w, r, to, "") },
			"device": func(w http.ResponseWriter, r *http.Request) {
				page := deviceCode(pending)
				page.Poll, page.Reload, page.Other = to, to, to
				page.VerificationURI, page.CompleteURI = "https://sso.example.com/device", to
				p.DeviceCode(w, r, page)
			},
			"password": func(w http.ResponseWriter, r *http.Request) {
				page := passwordForm()
				page.Other = to
				p.Password(w, r, page)
			},
			"approval": func(w http.ResponseWriter, r *http.Request) {
				page := approvalOf(pending)
				page.Back, page.Poll, page.Reload, page.Again.Action = to, to, to, to
				p.Approval(w, r, page)
			},
			"tokens": func(w http.ResponseWriter, r *http.Request) {
				page := tokenPage()
				page.Origin, page.Action = to, to
				p.PersonalTokens(w, r, page)
			},
			"new token": func(w http.ResponseWriter, r *http.Request) {
				page := newToken()
				page.Origin, page.Back = to, to
				p.NewPersonalToken(w, r, page)
			},
			"fragment": func(w http.ResponseWriter, r *http.Request) { p.KeepFragment(w, r, to) },
		} {
			a := ask(t, h, http.MethodGet, navigation...)
			if strings.Contains(strings.ToLower(a.body), "evil") || strings.Contains(a.body, ":alert") || strings.Contains(a.body, "xxxxx") || len(a.body) > 20_000 {
				t.Errorf("%s: %q is on the page:\n%s", name, to, sheet.ReplaceAllString(a.body, ""))
			}
		}
	}
}

func TestS18AtMostSoManyFactsAndActions(t *testing.T) {
	p := newPages(t)
	e := &Error{Code: "login_loop"}
	for range 500 {
		e.Facts = append(e.Facts, Fact{strings.Repeat("n", 300), strings.Repeat("v", 300)})
		e.Actions = append(e.Actions, Action{Label: strings.Repeat("l", 300), URL: "/a"})
	}
	if a := ask(t, failing(p, e), http.MethodGet, navigation...); len(a.body) > 20_000 || strings.Count(a.body, "<dd") != maxFacts+3 {
		t.Errorf("%d bytes, %d facts", len(a.body), strings.Count(a.body, "<dd"))
	}
}
