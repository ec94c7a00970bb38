package demo

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"errors"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Config is what the pages say and where they lead. All of it is behind one gateway, on one host.
type Config struct {
	App      string // path of the echo application, "/coolwebapp"; its staff page is "/coolwebapp/staff"
	Prefix   string // of the gateway's own endpoints, "/oauth2"
	Origin   string // outside URL of the gateway, for what one types into a terminal
	Provider string // URL of the identity provider
	Users    []User
	TOML     string           // that would do the same in production
	Now      func() time.Time // = time.Now
}

// User is shown on the landing page.
type User struct{ Username, Password, About string }

//go:embed pages
var files embed.FS

// site is what the two applications share: their look.
type site struct {
	config    Config
	templates *template.Template
	policy    string // Content-Security-Policy
}

func newSite(c Config) (*site, error) {
	if !strings.HasPrefix(c.App, "/") || !strings.HasPrefix(c.Prefix, "/") {
		return nil, errors.New("demo: the paths of the application and of the gateway's own endpoints are needed")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	style, err := files.ReadFile("pages/style.css")
	if err != nil {
		return nil, err
	}
	mark, err := files.ReadFile("pages/mark.svg")
	if err != nil {
		return nil, err
	}
	icon := "data:image/svg+xml;base64," + base64.StdEncoding.EncodeToString(mark)
	templates, err := template.New("").Funcs(template.FuncMap{
		"style": func() template.CSS { return template.CSS(style) },
		"mark":  func() template.HTML { return template.HTML(mark) },
		"icon":  func() template.URL { return template.URL(icon) },
	}).ParseFS(files, "pages/*.html")
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(style)
	return &site{
		config: c, templates: templates,
		policy: "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; img-src data:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
	}, nil
}

// page answers with a page that runs no script and asks for nothing else.
func (s *site) page(w http.ResponseWriter, status int, name string, data any) {
	var body bytes.Buffer
	if err := s.templates.ExecuteTemplate(&body, name, data); err != nil {
		http.Error(w, "the page could not be made", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", s.policy)
	h.Set("Referrer-Policy", "same-origin")
	s.send(w, status, body.Bytes())
}

func (s *site) send(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
