package demo

import (
	"net/http"
	"slices"
	"strings"

	"github.com/doorward/doorward/demo/sequence"
)

// The examples that play. An ID is the first segment of the example's path, the name of its client at the
// provider and of its [provider.NAME]: so every message tells whose it is.
const (
	SPA     = "simplespa"
	Desktop = "legacydesktopapp"
	TV      = "smarttv"
	Till    = "pointofsale"
)

// Names of logins in the demo's configuration.
const (
	LoginSPA     = "spa"
	LoginDesktop = "legacy"
	LoginTV      = "tv"
	LoginTill    = "phone"
)

// Paths below an example's own.
const (
	FilesPath    = "/" + Desktop + "/files"   // what the desktop application synchronises
	PaymentsPath = "/" + Till + "/payments"   // what a person approves one by one
	sequencePath = "/sequence/"               // of the landing page
	windowPath   = "/" + Desktop + "/"        // the desktop application's window
	apiPath      = "/" + SPA + "/api/me.json" // of the single-page app
)

// Examples are all IDs, that of the echo application first.
func (c Config) Examples() []string { return []string{c.web(), SPA, Desktop, TV, Till} }

// web is the ID of the echo application.
func (c Config) web() string { return strings.Trim(c.App, "/") }

// NewLog returns the log in which the demo's messages are recorded.
func NewLog(c Config) *sequence.Log {
	return sequence.New(sequence.Config{
		Example: c.exampleOf, Now: c.Now,
		Cookies: []string{"doorward", "__Host-doorward", "idp-"},
		Show:    []string{"amount", "currency", "user", "credential"},
	})
}

// exampleOf finds the example of a message by what names one: the client, the path, the login, and where a
// sign-in leads to.
func (c Config) exampleOf(m *sequence.Message) string {
	if id := m.Param("client_id"); slices.Contains(c.Examples(), id) {
		return id
	}
	if id := c.pathOf(m.Path); id != "" {
		return id
	}
	if id := c.loginOf(m.Param("login")); id != "" {
		return id
	}
	if m.To == sequence.Provider {
		return map[string]string{"/device": TV, "/phone": Till}[m.Path]
	}
	if id := c.ownPathOf(m.Path); id != "" {
		return id
	}
	return c.pathOf(m.Param("rd"))
}

func (c Config) loginOf(name string) string {
	if name == c.web() {
		return name
	}
	return map[string]string{LoginSPA: SPA, LoginDesktop: Desktop, LoginTV: TV, LoginTill: Till}[name]
}

func (c Config) pathOf(path string) string {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	first, _, _ = strings.Cut(first, "?")
	if slices.Contains(c.Examples(), first) {
		return first
	}
	return ""
}

// ownPathOf is for the gateway's own endpoints. One that serves a single flow tells the example; a callback names its provider.
func (c Config) ownPathOf(path string) string {
	rest, ours := strings.CutPrefix(path, c.Prefix+"/")
	if !ours {
		return ""
	}
	name, rest, _ := strings.Cut(rest, "/")
	switch name {
	case "callback":
		return c.pathOf(rest)
	case "device":
		return TV
	case "ciba", "approval":
		return Till
	case "password":
		return Desktop
	}
	return ""
}

// AtGateway is what the gateway's handler records: the examples and the own endpoints, not the pages about the demo.
func (c Config) AtGateway() sequence.Place {
	return sequence.Place{
		At: sequence.Doorward,
		From: func(r *http.Request) sequence.Party {
			switch {
			case r.URL.Path == c.Prefix+"/ciba/notify":
				return sequence.Provider
			case isBrowser(r):
				return sequence.Browser
			}
			return sequence.Program
		},
		Skip: func(r *http.Request) bool {
			path := r.URL.Path
			ours := strings.HasPrefix(path, c.Prefix+"/") && !strings.HasPrefix(path, c.Prefix+"/static")
			return !ours && c.pathOf(path) == "" || isWindow(r)
		},
	}
}

// AtProvider is what the provider's handler records, but not the phone's asking whether anything is new.
func (c Config) AtProvider() sequence.Place {
	return sequence.Place{
		At: sequence.Provider,
		From: func(r *http.Request) sequence.Party {
			switch {
			case !isBrowser(r):
				return sequence.Doorward
			case r.URL.Path == "/device", r.URL.Path == "/phone":
				return sequence.Phone
			case r.URL.Path == "/login", r.URL.Path == "/consent":
				return "" // of whoever got the page that holds the form
			}
			return sequence.Browser
		},
		Skip: func(r *http.Request) bool {
			return r.URL.Path == "/favicon.ico" || r.URL.Path == "/phone" && strings.Contains(r.Header.Get("Accept"), "application/json")
		},
	}
}

// AtApps is what the applications record.
func (c Config) AtApps() sequence.Place {
	return sequence.Place{
		At:   sequence.App,
		From: func(*http.Request) sequence.Party { return sequence.Doorward },
		Skip: isWindow,
	}
}

// isWindow is for the desktop application's window: a page only because this is a demo. What passes between a
// person and a program on their desk is no message.
func isWindow(r *http.Request) bool { return r.URL.Path == windowPath }

func isBrowser(r *http.Request) bool {
	return r.Header.Get("Sec-Fetch-Mode") != "" || strings.HasPrefix(r.Header.Get("User-Agent"), "Mozilla/")
}
