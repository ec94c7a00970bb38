package testnet

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// Form is one HTML form of a page.
type Form struct {
	ID, Action, Method string
	Fields             url.Values // what would be sent if it were submitted untouched, without buttons
	Buttons            []Button
	Names              []string // of every input, also of boxes that are not ticked
}

// Button submits a form.
type Button struct{ Name, Value, Text string }

// Forms returns the forms of the page in document order.
func (p *Page) Forms() []Form {
	doc, err := html.Parse(strings.NewReader(p.Body))
	if err != nil {
		return nil
	}
	var forms []Form
	for n := range doc.Descendants() {
		if n.Type == html.ElementNode && n.Data == "form" {
			forms = append(forms, readForm(n))
		}
	}
	return forms
}

func readForm(n *html.Node) Form {
	f := Form{ID: attr(n, "id"), Action: attr(n, "action"), Method: strings.ToUpper(attr(n, "method")), Fields: url.Values{}}
	if f.Method == "" {
		f.Method = http.MethodGet
	}
	for c := range n.Descendants() {
		if c.Type != html.ElementNode || has(c, "disabled") {
			continue
		}
		name, value := attr(c, "name"), attr(c, "value")
		switch kind := attr(c, "type"); {
		case c.Data == "button" && kind != "button" && kind != "reset":
			f.Buttons = append(f.Buttons, Button{Name: name, Value: value, Text: text(c)})
		case c.Data == "input" && (kind == "submit" || kind == "image"):
			f.Buttons = append(f.Buttons, Button{Name: name, Value: value, Text: value})
		case name == "":
		case c.Data == "input" && (kind == "checkbox" || kind == "radio"):
			f.Names = append(f.Names, name)
			if value == "" {
				value = "on"
			}
			if has(c, "checked") {
				f.Fields.Add(name, value)
			}
		case c.Data == "input":
			f.Names = append(f.Names, name)
			f.Fields.Add(name, value)
		case c.Data == "textarea":
			f.Names = append(f.Names, name)
			f.Fields.Add(name, text(c))
		case c.Data == "select":
			f.Names = append(f.Names, name)
			f.Fields.Add(name, selected(c))
		}
	}
	return f
}

func selected(n *html.Node) string {
	first, found := "", false
	for o := range n.Descendants() {
		if o.Type != html.ElementNode || o.Data != "option" {
			continue
		}
		value := attr(o, "value")
		if !has(o, "value") {
			value = text(o)
		}
		if has(o, "selected") {
			return value
		}
		if !found {
			first, found = value, true
		}
	}
	return first
}

// Submit fills the first form of the page that has all these fields and submits it with its
// first button. A value for a name that no form has fails the test.
func (p *Page) Submit(t testing.TB, values map[string]string) *Page {
	t.Helper()
	for _, f := range p.Forms() {
		if f.hasAll(values) {
			return p.submit(t, f, values)
		}
	}
	t.Fatalf("browser: no form with the fields %v on %s (%d):\n%s", values, p.URL, p.Status, p.Body)
	return nil
}

// SubmitForm is Submit for the form with this id.
func (p *Page) SubmitForm(t testing.TB, id string, values map[string]string) *Page {
	t.Helper()
	for _, f := range p.Forms() {
		if f.ID == id {
			return p.submit(t, f, values)
		}
	}
	t.Fatalf("browser: no form with id %q on %s (%d):\n%s", id, p.URL, p.Status, p.Body)
	return nil
}

// Press submits the form that holds a button with this text, by that button.
func (p *Page) Press(t testing.TB, button string) *Page {
	t.Helper()
	for _, f := range p.Forms() {
		for _, b := range f.Buttons {
			if b.Text == button {
				f.Buttons = []Button{b}
				return p.submit(t, f, nil)
			}
		}
	}
	t.Fatalf("browser: no button %q on %s (%d):\n%s", button, p.URL, p.Status, p.Body)
	return nil
}

func (f Form) hasAll(values map[string]string) bool {
	for name := range values {
		if !f.has(name) {
			return false
		}
	}
	return true
}

func (f Form) has(name string) bool {
	for _, n := range f.Names {
		if n == name {
			return true
		}
	}
	for _, b := range f.Buttons {
		if b.Name == name {
			return true
		}
	}
	return false
}

func (p *Page) submit(t testing.TB, f Form, values map[string]string) *Page {
	t.Helper()
	target, err := p.URL.Parse(f.Action)
	if err != nil {
		t.Fatalf("browser: form action %q: %v", f.Action, err)
	}
	fields := url.Values{}
	for name, v := range f.Fields {
		fields[name] = v
	}
	if len(f.Buttons) > 0 && f.Buttons[0].Name != "" {
		fields.Set(f.Buttons[0].Name, f.Buttons[0].Value)
	}
	for name, value := range values {
		fields.Set(name, value)
	}
	r := request{method: f.Method, url: target, initiator: p.URL, policy: p.Header.Get("Referrer-Policy"), clicked: true}
	if f.Method == http.MethodPost {
		r.form = fields
	} else {
		query := *target
		query.RawQuery, query.Fragment = fields.Encode(), ""
		r.url = &query
	}
	return p.browser.navigate(t, r)
}

// Click follows the first link whose text or whose href is this.
func (p *Page) Click(t testing.TB, link string) *Page {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(p.Body))
	if err != nil {
		t.Fatalf("browser: %s: %v", p.URL, err)
	}
	for n := range doc.Descendants() {
		if n.Type != html.ElementNode || n.Data != "a" || !has(n, "href") || attr(n, "href") != link && text(n) != link {
			continue
		}
		target, err := p.URL.Parse(attr(n, "href"))
		if err != nil {
			t.Fatalf("browser: link %q: %v", attr(n, "href"), err)
		}
		return p.browser.navigate(t, request{
			method: http.MethodGet, url: target, initiator: p.URL,
			policy: p.Header.Get("Referrer-Policy"), clicked: true,
		})
	}
	t.Fatalf("browser: no link %q on %s (%d):\n%s", link, p.URL, p.Status, p.Body)
	return nil
}

// autoSubmit submits the form of a page whose script does just that (form_post).
func (b *Browser) autoSubmit(t testing.TB, p *Page) *Page {
	t.Helper()
	if !strings.Contains(p.Body, "<script") || !strings.HasPrefix(p.Header.Get("Content-Type"), "text/html") {
		return p
	}
	doc, err := html.Parse(strings.NewReader(p.Body))
	if err != nil {
		return p
	}
	forms := p.Forms()
	for n := range doc.Descendants() {
		if n.Type != html.ElementNode || n.Data != "script" || len(forms) == 0 || strings.TrimRight(text(n), "; ") != "document.forms[0].submit()" {
			continue
		}
		target, err := p.URL.Parse(forms[0].Action)
		if err != nil || b.StopAt != nil && b.StopAt(target) {
			return p
		}
		next := p.submit(t, forms[0], nil)
		next.Hops = append(p.Hops, next.Hops...)
		return next
	}
	return p
}

// SignIn signs in at the identity provider of demo/idp: it fills the login page that p is and
// agrees on the consent page if one follows. It returns where that ends.
func (p *Page) SignIn(t testing.TB, username, password string) *Page {
	t.Helper()
	next := p.Submit(t, map[string]string{"username": username, "password": password})
	for _, f := range next.Forms() {
		if f.ID == "consent" {
			agreed := next.SubmitForm(t, "consent", nil)
			agreed.Hops = append(next.Hops, agreed.Hops...)
			return agreed
		}
	}
	return next
}

// Text returns the page's text without markup, with single spaces, for comparing.
func (p *Page) Text() string {
	doc, err := html.Parse(strings.NewReader(p.Body))
	if err != nil {
		return ""
	}
	return text(doc)
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func has(n *html.Node, name string) bool {
	for _, a := range n.Attr {
		if a.Key == name {
			return true
		}
	}
	return false
}

// text is the text below n; scripts and styles count only when n is one itself.
func text(n *html.Node) string {
	var s strings.Builder
	for c := range n.Descendants() {
		if c.Type == html.TextNode && (c.Parent == n || c.Parent.Data != "script" && c.Parent.Data != "style") {
			s.WriteString(c.Data + " ")
		}
	}
	return strings.Join(strings.Fields(s.String()), " ")
}
