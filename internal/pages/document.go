package pages

import (
	"html/template"
	"strings"
)

// document is one kind of page with all that its policy must know of it.
type document struct {
	*template.Template
	script  string // source of the one script that it holds, "" = none
	fetches bool   // the script asks this site for something
}

// A hash allows exactly the text that is in this binary, and unlike a nonce it is nothing
// that a page could leak. The icon is the only thing that a page loads.
const alwaysInPolicy = "default-src 'none'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'; style-src "

// policy is the Content-Security-Policy of a page of this kind.
//
// Chromium holds every redirect that follows a form to form-action, and a sign-in or a sign-out goes
// from our own path to a provider and from there anywhere: no list of hosts is right.
func (d document) policy(style string, forms bool) string {
	p := alwaysInPolicy + style + "; form-action "
	if forms {
		p += "http: https:"
	} else {
		p += "'none'"
	}
	if d.script != "" {
		p += "; script-src " + hash(d.script)
	}
	if d.fetches {
		p += "; connect-src 'self'"
	}
	return p
}

// parse reads all templates, each with the layout and the parts that several share.
func (p *Pages) parse() error {
	style, err := read("style.css")
	if err != nil {
		return err
	}
	p.style = hash(style)
	layout, err := template.New("layout.html").Funcs(template.FuncMap{
		"style":  func() template.CSS { return template.CSS(style) }, // our own file, as it is
		"script": func() template.JS { return "" },
	}).ParseFS(templates, "templates/layout.html", "templates/parts.html")
	if err != nil {
		return err
	}
	for _, d := range []struct {
		to           *document
		name, script string
	}{
		{&p.failed, "error", ""},
		{&p.signIn, "sign_in", ""},
		{&p.signedOut, "signed_out", ""},
		{&p.confirm, "confirm_sign_out", ""},
		{&p.fragment, "keep_fragment", "fragment.js"},
		{&p.beginLogin, "begin_login", "send.js"},
		{&p.deviceCode, "device_code", "waiting.js"},
		{&p.cibaHint, "ciba_hint", ""},
		{&p.cibaWait, "ciba_wait", "waiting.js"},
		{&p.password, "password", ""},
		{&p.relay, "relay", "relay.js"},
		{&p.approval, "approval", "waiting.js"},
		{&p.approved, "approved", "send.js"},
		{&p.keptForm, "kept_form", "send.js"},
		{&p.signedIn, "signed_in", "signed_in.js"},
		{&p.ended, "ended", ""},
		{&p.tokens, "tokens", ""},
		{&p.newToken, "new_token", "copy.js"},
	} {
		if err := d.to.parse(layout, d.name, d.script); err != nil {
			return err
		}
	}
	return nil
}

func (d *document) parse(layout *template.Template, name, script string) error {
	clone, err := layout.Clone()
	if err != nil {
		return err
	}
	if script != "" {
		if d.script, err = read(script); err != nil {
			return err
		}
		d.fetches = strings.Contains(d.script, "fetch(")
	}
	source := template.JS(d.script) // our own file, as it is
	d.Template, err = clone.Funcs(template.FuncMap{"script": func() template.JS { return source }}).ParseFS(templates, "templates/"+name+".html")
	return err
}
