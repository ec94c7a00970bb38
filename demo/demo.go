package demo

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"errors"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/doorward/doorward/demo/sequence"
)

// Config is what the pages say and where they lead. All of it is behind one gateway, on one host.
type Config struct {
	App      string // path of the echo application, "/coolwebapp"; its staff page is "/coolwebapp/staff"
	Prefix   string // of the gateway's own endpoints, "/oauth2"
	Origin   string // outside URL of the gateway, for what one types into a terminal
	Provider string // URL of the identity provider
	Users    []User
	TOML     string            // that would do the same in production
	Recipes  map[string]string // TOML of each example in production, by its ID
	Now      func() time.Time  // = time.Now

	Egress            string // URL of the gateway's outbound listener, which services call
	Storage, ServiceB string // URLs of the APIs themselves, past the gateway

	Log    *sequence.Log // what the landing page shows of the messages; nil = nothing is recorded
	Client *http.Client  // by which the desktop application reaches the gateway; Apps needs it
	Local  *http.Client  // by which services and APIs reach each other and the provider; Apps and APIs need it
}

// User is shown on the landing page.
type User struct{ Username, Password, About string }

//go:embed pages
var files embed.FS

// site is what the two applications share: their look.
type site struct {
	config    Config
	templates *template.Template
	style     string            // its hash, for Content-Security-Policy
	scripts   map[string]string // by the page that holds one; all others run none
}

// Scripts of pages. Each page works without: a script saves reloading it.
var pageScripts = map[string]string{"sequence.html": "sequence.js", "spa.html": "spa.js", "landing.html": "copy.js"}

// formPages hold forms for their own application.
var formPages = [...]string{"desktop.html", "till.html", "backup.html", "service.html"}

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
		"dict": func(lanes string, l []string, rows string, r []row) map[string]any {
			return map[string]any{lanes: l, rows: r}
		},
		"script": func(name string) (template.JS, error) {
			text, err := files.ReadFile("pages/" + name)
			return template.JS(text), err
		},
	}).ParseFS(files, "pages/*.html")
	if err != nil {
		return nil, err
	}
	made := &site{config: c, templates: templates, style: sourceHash(style), scripts: map[string]string{}}
	for page, name := range pageScripts {
		script, err := files.ReadFile("pages/" + name)
		if err != nil {
			return nil, err
		}
		made.scripts[page] = sourceHash(script)
	}
	return made, nil
}

func sourceHash(text []byte) string {
	sum := sha256.Sum256(text)
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// policy lets a page run its own script and ask its own host, if it has one, and send its own forms here.
func (s *site) policy(page string) string {
	p := "default-src 'none'; style-src " + s.style + "; img-src data:; form-action 'none'"
	if slices.Contains(formPages[:], page) {
		p = strings.Replace(p, "form-action 'none'", "form-action 'self'", 1)
	}
	if hash := s.scripts[page]; hash != "" {
		p += "; script-src " + hash
		if page != "landing.html" {
			p += "; connect-src 'self'"
		}
	}
	return p + "; base-uri 'none'; frame-ancestors 'none'"
}

// page answers with a page that is complete as it is.
func (s *site) page(w http.ResponseWriter, status int, name string, data any) {
	var body bytes.Buffer
	if err := s.templates.ExecuteTemplate(&body, name, data); err != nil {
		http.Error(w, "the page could not be made", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", s.policy(name))
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
