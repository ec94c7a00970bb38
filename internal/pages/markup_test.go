package pages

import (
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

func TestS17EveryPage(t *testing.T) {
	p := newPages(t)
	shownPages := htmlPages(p)
	for name := range codes {
		shownPages = append(shownPages, shown{"code " + name, "GET", navigation, failing(p, &Error{Code: name, LoginURL: startURL})})
	}
	for _, s := range shownPages {
		t.Run(s.name, func(t *testing.T) {
			a := ask(t, s.answer, s.method, s.header...)
			checkHeaders(t, a)
			if len(a.body) > 20_000 {
				t.Errorf("it has %d bytes", len(a.body))
			}
			checkWellFormed(t, a.body)
			doc, err := html.Parse(strings.NewReader(a.body))
			if err != nil {
				t.Fatal(err)
			}
			checkAccessible(t, doc)
			checkHidden(t, a.body)
			checkPolicy(t, a.Header.Get("Content-Security-Policy"), doc)
			checkTargets(t, doc)
		})
	}
}

func checkHeaders(t *testing.T, a answer) {
	t.Helper()
	for name, want := range map[string]string{
		"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
		"X-Frame-Options": "DENY", "Cross-Origin-Resource-Policy": "same-origin",
	} {
		if got := a.Header.Get(name); got != want {
			t.Errorf("P188: %s is %q, not %q", name, got, want)
		}
	}
	referrer := "no-referrer"
	if strings.Contains(a.body, "<form") {
		referrer = "same-origin" // and so the form carries an Origin that is not null
	}
	if got := a.Header.Get("Referrer-Policy"); got != referrer {
		t.Errorf("P188: Referrer-Policy is %q, not %q", got, referrer)
	}
}

// checkWellFormed demands what browsers forgive: each element that opens is closed, in order.
func checkWellFormed(t *testing.T, page string) {
	t.Helper()
	void := []string{"meta", "link", "input", "path", "circle", "wbr"}
	var open []string
	z := html.NewTokenizer(strings.NewReader(page))
	for {
		switch z.Next() {
		case html.ErrorToken:
			if z.Err() != io.EOF || len(open) != 0 {
				t.Errorf("not well-formed: %v, open at the end: %v", z.Err(), open)
			}
			return
		case html.StartTagToken:
			name, _ := z.TagName()
			if !slices.Contains(void, string(name)) {
				open = append(open, string(name))
			}
		case html.EndTagToken:
			name, _ := z.TagName()
			if len(open) == 0 || open[len(open)-1] != string(name) {
				t.Fatalf("</%s> closes nothing that is open: %v", name, open)
			}
			open = open[:len(open)-1]
		}
	}
}

// checkAccessible looks for what a screen reader and a keyboard need.
func checkAccessible(t *testing.T, doc *html.Node) {
	t.Helper()
	count := map[string]int{}
	ids := map[string]bool{}
	level := 0
	for n := range doc.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		if n.Namespace != "svg" {
			count[n.Data]++
		}
		if id := attribute(n, "id"); id != "" {
			if ids[id] {
				t.Errorf("two elements have the id %q", id)
			}
			ids[id] = true
		}
		switch n.Data {
		case "html":
			if attribute(n, "lang") != "en" {
				t.Error("the page has no language")
			}
		case "h1", "h2", "h3":
			if l := int(n.Data[1] - '0'); l > level+1 {
				t.Errorf("a %s follows level %d", n.Data, level)
			} else {
				level = l
			}
			fallthrough
		case "a", "button", "title", "dt", "dd":
			if strings.TrimSpace(words(n)) == "" {
				t.Errorf("<%s> has no text", n.Data)
			}
		case "input":
			if attribute(n, "type") != "hidden" && words(labelOf(doc, attribute(n, "id"))) == "" {
				t.Errorf("no label names the input %q", attribute(n, "name"))
			}
		case "svg":
			if attribute(n, "aria-hidden") != "true" && (attribute(n, "role") != "img" || words(byID(doc, attribute(n, "aria-labelledby"))) == "") {
				t.Error("a picture is neither named nor hidden from those who do not see it")
			}
		case "meta":
			if attribute(n, "name") == "viewport" && attribute(n, "content") != "width=device-width, initial-scale=1" {
				t.Error("the viewport cannot be enlarged")
			}
		}
		for _, a := range n.Attr {
			if a.Key == "tabindex" || a.Key == "autofocus" && attribute(n, "aria-invalid") != "true" {
				t.Errorf("<%s %s> moves the focus", n.Data, a.Key)
			}
			if a.Key == "aria-describedby" || a.Key == "aria-labelledby" {
				for id := range strings.FieldsSeq(a.Val) {
					if byID(doc, id) == nil {
						t.Errorf("<%s %s=%q> names nothing", n.Data, a.Key, id)
					}
				}
			}
		}
	}
	for name, want := range map[string]int{"h1": 1, "main": 1, "title": 1, "header": 1, "style": 1} {
		if count[name] != want {
			t.Errorf("%d × <%s>", count[name], name)
		}
	}
}

// checkHidden: what is hidden until a script shows it is hidden by the style sheet, too: any display that it gives
// an element would show it to those without script.
func checkHidden(t *testing.T, page string) {
	t.Helper()
	_, style, _ := strings.Cut(page, "<style>")
	style, _, _ = strings.Cut(style, "</style>")
	if !strings.Contains(style, "[hidden]{display:none!important}") {
		t.Error("the style sheet shows what is hidden: a button that does nothing without script")
	}
	if strings.Count(style, "!important") != 1 {
		t.Error("something else is as important as that, and may show what is hidden")
	}
}

// checkPolicy does what a browser does with the policy: only what it names by hash may act.
func checkPolicy(t *testing.T, policy string, doc *html.Node) {
	t.Helper()
	directives := map[string]string{}
	for d := range strings.SplitSeq(policy, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(d), " ")
		directives[name] = value
	}
	for name, want := range map[string]string{"default-src": "'none'", "frame-ancestors": "'none'", "base-uri": "'none'", "img-src": "'self'"} {
		if directives[name] != want {
			t.Errorf("P187: %s %q", name, directives[name])
		}
	}
	if strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") {
		t.Errorf("P187: %s", policy)
	}
	scripts, forms := 0, 0
	for n := range doc.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		sum := sha256.Sum256([]byte(words(n)))
		hash := "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
		switch n.Data {
		case "style":
			if directives["style-src"] != hash {
				t.Errorf("the policy forbids the style sheet: %s", directives["style-src"])
			}
		case "script":
			scripts++
			if directives["script-src"] != hash {
				t.Errorf("the policy forbids the script: %s", directives["script-src"])
			}
		case "form":
			forms++
		}
		for _, a := range n.Attr {
			if a.Key == "style" || strings.HasPrefix(a.Key, "on") {
				t.Errorf("the policy forbids <%s %s>", n.Data, a.Key)
			}
		}
	}
	if _, ok := directives["script-src"]; ok != (scripts == 1) || scripts > 1 {
		t.Errorf("%d scripts under %q", scripts, policy)
	}
	if connect := directives["connect-src"]; connect != map[bool]string{true: "'self'"}[byID(doc, "wait") != nil] {
		t.Errorf("S17: a script may ask %q", connect)
	}
	if want := map[bool]string{true: "http: https:", false: "'none'"}[forms > 0]; directives["form-action"] != want {
		t.Errorf("%d forms under form-action %q", forms, directives["form-action"])
	}
}

// checkTargets: a page loads only our icon, and leads only to this site.
func checkTargets(t *testing.T, doc *html.Node) {
	t.Helper()
	base := &url.URL{Scheme: "https", Host: host, Path: "/x"}
	for n := range doc.Descendants() {
		for _, a := range n.Attr {
			switch a.Key {
			case "href", "action", "src", "srcset", "data", "formaction", "poster", "background":
				u, err := base.Parse(a.Val)
				if attribute(n, "target") == "_blank" && attribute(n, "rel") == "noopener noreferrer" && strings.HasPrefix(attribute(n.Parent, "class"), "address") {
					continue // the provider's page on which a code is entered: it learns nothing of this one
				}
				if err != nil || u.Scheme != "https" || u.Host != host {
					t.Errorf("<%s %s=%q> leads elsewhere", n.Data, a.Key, a.Val)
				}
				if n.Data != "a" && n.Data != "form" && (n.Data != "link" || !strings.HasPrefix(a.Val, "/oauth2/static/")) {
					t.Errorf("<%s> loads %q", n.Data, a.Val)
				}
			}
		}
	}
}

func TestPagesOnOtherHostsCarryNoName(t *testing.T) {
	p := newPages(t)
	a := ask(t, func(w http.ResponseWriter, r *http.Request) {
		r.Host = "evil.test"
		p.Error(forgetHost(w), r, &Error{Code: "unknown_host"})
	}, http.MethodGet, navigation...)
	if a.StatusCode != http.StatusMisdirectedRequest || strings.Contains(a.body, "evil.test") || strings.Contains(a.body, "<bdi>") {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
}

// byID returns the element of that id, or nil.
func byID(doc *html.Node, id string) *html.Node {
	for n := range doc.Descendants() {
		if id != "" && attribute(n, "id") == id {
			return n
		}
	}
	return nil
}

func labelOf(doc *html.Node, id string) *html.Node {
	for n := range doc.Descendants() {
		if n.Data == "label" && id != "" && attribute(n, "for") == id {
			return n
		}
	}
	return nil
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// words is the text of an element.
func words(n *html.Node) string {
	var b strings.Builder
	if n == nil {
		return ""
	}
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return b.String()
}
