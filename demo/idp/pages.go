package idp

import (
	"bytes"
	"crypto/rand"
	"embed"
	"html/template"
	"net/http"
)

//go:embed pages/*.html
var pageFiles embed.FS

// pages are parsed once; a broken one would stop every test of this package.
var pages = template.Must(template.ParseFS(pageFiles, "pages/*.html"))

// view is what every page gets.
type view struct {
	Nonce, Issuer string
	Data          any
}

// page answers a page: no request to anywhere else, no script but the one that submits a form_post, no frame
// around it. form-action is left open on purpose: browsers apply it to the redirects after a
// form as well, and those go to whatever client asked.
func (c *call) page(status int, name string, data any) error {
	v := view{Nonce: rand.Text(), Issuer: c.s.config.Issuer, Data: data}
	var body bytes.Buffer
	if err := pages.ExecuteTemplate(&body, name+".html", v); err != nil {
		return err
	}
	h := c.w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	policy := "default-src 'none'; style-src 'nonce-" + v.Nonce + "'; script-src 'nonce-" + v.Nonce + "'; base-uri 'none'; frame-ancestors 'none'"
	if c.connect {
		policy += "; connect-src 'self'"
	}
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	c.noStore()
	c.w.WriteHeader(status)
	_, _ = c.w.Write(body.Bytes())
	return nil
}

func (c *call) errorPage(e *oauthError) {
	c.s.records.note(func() { c.record.Error = e.Code })
	status := e.Status
	if status == 0 {
		status = http.StatusBadRequest
	}
	if err := c.page(status, "error", e); err != nil {
		http.Error(c.w, "the page could not be made", http.StatusInternalServerError)
	}
}
