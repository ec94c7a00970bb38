package pages

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"strings"

	"github.com/doorward/doorward/internal/telemetry"
)

//go:embed templates
var templates embed.FS

// Config is what an operator may change about pages.
type Config struct {
	Prefix string // of our own endpoints, "/oauth2"
}

// Pages writes everything that Doorward itself shows. It is safe for concurrent use.
type Pages struct {
	prefix string
	files  map[string]file
	icon   string // URL of the mark

	failed, signIn, signedOut, confirm, fragment *template.Template

	policy, formPolicy, scriptPolicy string
}

// New parses the embedded templates.
func New(c Config) (*Pages, error) {
	if link(c.Prefix) != c.Prefix || !strings.HasPrefix(c.Prefix, "/") || strings.HasSuffix(c.Prefix, "/") {
		return nil, fmt.Errorf("pages: prefix %q must be a path such as \"/oauth2\"", c.Prefix)
	}
	p := &Pages{prefix: c.Prefix}
	if err := p.readFiles(); err != nil {
		return nil, err
	}
	style, script, err := p.parse()
	if err != nil {
		return nil, fmt.Errorf("pages: %w", err)
	}
	// A hash allows exactly the text that is in this binary, and unlike a nonce it is nothing
	// that a page could leak. The icon is the only thing that a page loads.
	common := "default-src 'none'; style-src " + hash(style) + "; img-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action "
	p.policy = common + "'none'"
	p.scriptPolicy = p.policy + "; script-src " + hash(script)
	// Chromium holds every redirect that follows a form to form-action, and a sign-out goes
	// from our own path to a provider and from there anywhere: no list of hosts is right.
	p.formPolicy = common + "http: https:"
	return p, nil
}

// Policies for Referer. A browser that has nothing else sends Origin with a form, and
// writes "null" into it under no-referrer: our own form would look like another site's (P184).
const (
	noReferrer     = "no-referrer"
	originForForms = "same-origin"
)

func (p *Pages) parse() (style, script string, err error) {
	if style, err = read("style.css"); err != nil {
		return "", "", err
	}
	if script, err = read("fragment.js"); err != nil {
		return "", "", err
	}
	functions := template.FuncMap{
		"style":  func() template.CSS { return template.CSS(style) }, // our own file, as it is
		"script": func() template.JS { return template.JS(script) },  // our own file, as it is
	}
	layout, err := template.New("layout.html").Funcs(functions).ParseFS(templates, "templates/layout.html")
	if err != nil {
		return "", "", err
	}
	for name, to := range map[string]**template.Template{
		"error": &p.failed, "sign_in": &p.signIn, "signed_out": &p.signedOut, "confirm_sign_out": &p.confirm, "keep_fragment": &p.fragment,
	} {
		clone, err := layout.Clone()
		if err != nil {
			return "", "", err
		}
		if *to, err = clone.ParseFS(templates, "templates/"+name+".html"); err != nil {
			return "", "", err
		}
	}
	return style, script, nil
}

// read returns an embedded style sheet or script without the comments at the beginning of lines:
// they are for readers of the source.
func read(name string) (string, error) {
	text, err := templates.ReadFile("templates/" + name)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "/*") && !strings.HasPrefix(line, "//") {
			b.WriteString(line + "\n")
		}
	}
	return b.String(), nil
}

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// view is what the layout shows around a page.
type view struct {
	Title string
	Host  string // of the site; "" if it is none of ours
	Icon  string // "" where no host of ours would serve it
	Page  any
}

// show writes a page.
func (p *Pages) show(w http.ResponseWriter, r *http.Request, status int, t *template.Template, policy, title string, page any) {
	record := telemetry.From(w)
	referrer := noReferrer
	if policy == p.formPolicy {
		referrer = originForForms
	}
	var body bytes.Buffer
	v := view{Title: title, Host: clean(record.Host, maxValue), Page: page}
	if v.Host != "" {
		v.Icon = p.icon
	}
	if err := t.Execute(&body, v); err != nil { // a mistake in a template: say at least that
		record.Code, record.Err = internalError, err
		send(w, r, http.StatusInternalServerError, "text/plain; charset=utf-8", bare, noReferrer, []byte("500 "+internalError+" "+record.Reference+"\n"))
		return
	}
	send(w, r, status, "text/html; charset=utf-8", policy, referrer, body.Bytes())
}
