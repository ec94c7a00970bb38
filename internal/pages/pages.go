package pages

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
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

	style string // its hash, for policies

	failed, signIn, signedOut, confirm, fragment                document
	beginLogin, deviceCode, cibaHint, cibaWait, password, relay document
	approval, approved, ended                                   document
	keptForm, signedIn                                          document
	tokens, newToken                                            document
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
	if err := p.parse(); err != nil {
		return nil, fmt.Errorf("pages: %w", err)
	}
	return p, nil
}

// Policies for Referer. A browser that has nothing else sends Origin with a form, and
// writes "null" into it under no-referrer: our own form would look like another site's (P184).
const (
	noReferrer     = "no-referrer"
	originForForms = "same-origin"
)

// read returns an embedded style sheet or script without the comments at the beginning of lines:
// they are for readers of the source.
func read(name string) (string, error) {
	text, err := templates.ReadFile("templates/" + name)
	if err != nil {
		return "", err
	}
	return uncommented(string(text)), nil
}

func uncommented(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "/*") && !strings.HasPrefix(line, "//") {
			b.WriteString(line + "\n")
		}
	}
	return b.String()
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

// show writes a page; forms says whether it holds any.
func (p *Pages) show(w http.ResponseWriter, r *http.Request, status int, d document, forms bool, title string, page any) {
	record := telemetry.From(w)
	referrer := noReferrer
	if forms {
		referrer = originForForms
	}
	var body bytes.Buffer
	v := view{Title: title, Host: clean(record.Host, maxValue), Page: page}
	if v.Host != "" {
		v.Icon = p.icon
	}
	if err := d.Execute(&body, v); err != nil { // a mistake in a template: say at least that
		record.Code, record.Err = internalError, err
		send(w, r, http.StatusInternalServerError, "text/plain; charset=utf-8", bare, noReferrer, []byte("500 "+internalError+" "+record.Reference+"\n"))
		return
	}
	send(w, r, status, "text/html; charset=utf-8", d.policy(p.style, forms), referrer, body.Bytes())
}
