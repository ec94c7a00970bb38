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

	Backup   = "nightlybackup"  // NightlyBackupService, which calls DataStorageAPI
	Exchange = "microservice-a" // MicroserviceA, which calls MicroserviceB for a person
)

// The APIs, and what the aud of a token for them must contain.
const (
	StorageAPI, StorageAudience = "DataStorageAPI", "data-storage-api"
	ServiceB, ServiceBAudience  = "MicroserviceB", "microservice-b"
)

// Names of logins in the demo's configuration.
const (
	LoginSPA     = "spa"
	LoginDesktop = "legacy"
	LoginTV      = "tv"
	LoginTill    = "phone"
	LoginService = Exchange
)

// Paths below an example's own.
const (
	FilesPath    = "/" + Desktop + "/files"   // what the desktop application synchronises
	PaymentsPath = "/" + Till + "/payments"   // what a person approves one by one
	sequencePath = "/sequence/"               // of the landing page
	windowPath   = "/" + Desktop + "/"        // the desktop application's window
	apiPath      = "/" + SPA + "/api/me.json" // of the single-page app
	consolePath  = "/" + Backup + "/"         // the backup service's console
)

// Paths of the APIs, and of the targets below the outbound listener.
const (
	BackupsPath = "/backups" // of DataStorageAPI
	OrdersPath  = "/orders"  // of MicroserviceB

	DataPath     = "/data"            // DataStorageAPI, with a token for it
	StrayPath    = "/data-by-mistake" // DataStorageAPI, with a token for another
	ServiceBPath = "/microservice-b"
)

// Examples are all IDs, that of the echo application first.
func (c Config) Examples() []string {
	return []string{c.web(), SPA, Desktop, TV, Till, Backup, Exchange}
}

// web is the ID of the echo application.
func (c Config) web() string { return strings.Trim(c.App, "/") }

// NewLog returns the log in which the demo's messages are recorded.
func NewLog(c Config) *sequence.Log {
	return sequence.New(sequence.Config{
		Example: c.exampleOf, Now: c.Now,
		Cookies: []string{"doorward", "__Host-doorward", "idp-"},
		Show:    []string{"amount", "currency", "user", "credential", "how", "verdict", "reason", "api", "aud", "act.sub"},
	})
}

// exampleOf finds the example of a message by what names one: the client, the path, the login, and where a
// sign-in leads to.
func (c Config) exampleOf(m *sequence.Message) string {
	if id := m.Param("client_id"); slices.Contains(c.Examples(), id) {
		return id
	}
	if id := machinePathOf(m); id != "" {
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
	return map[string]string{LoginSPA: SPA, LoginDesktop: Desktop, LoginTV: TV, LoginTill: Till, LoginService: Exchange}[name]
}

// machinePathOf is for the outbound listener and the APIs.
func machinePathOf(m *sequence.Message) string {
	switch m.To {
	case sequence.API:
		return map[string]string{BackupsPath: Backup, OrdersPath: Exchange}[m.Path]
	case sequence.Doorward:
		first, _, _ := strings.Cut(strings.TrimPrefix(m.Path, "/"), "/")
		return map[string]string{DataPath: Backup, StrayPath: Backup, ServiceBPath: Exchange}["/"+first]
	}
	return ""
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
			case strings.HasPrefix(r.UserAgent(), agent(StorageAPI)), strings.HasPrefix(r.UserAgent(), agent(ServiceB)):
				return sequence.API // reads the keys
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

// AtEgress is what the outbound listener records. MicroserviceA calls MicroserviceB there; all else is a program.
func (c Config) AtEgress() sequence.Place {
	return sequence.Place{
		At: sequence.Doorward,
		From: func(r *http.Request) sequence.Party {
			if strings.HasPrefix(r.URL.Path, ServiceBPath+"/") {
				return sequence.App
			}
			return sequence.Program
		},
	}
}

// IsEgress reports whether a request was sent to the outbound listener.
func (c Config) IsEgress(r *http.Request) bool { return "http://"+r.Host == c.Egress }

// AtAPIs is what the APIs record, whoever calls them.
func (c Config) AtAPIs() sequence.Place {
	return sequence.Place{
		At: sequence.API,
		From: func(r *http.Request) sequence.Party {
			switch r.UserAgent() {
			case agent(serviceA) + directly:
				return sequence.App
			case agent(backupService) + directly:
				return sequence.Program
			}
			return sequence.Doorward
		},
	}
}

// isWindow is for the desktop application's window and the backup service's console: pages only because this is a
// demo. What passes between a person and a program at their side is no message.
func isWindow(r *http.Request) bool { return r.URL.Path == windowPath || r.URL.Path == consolePath }

func isBrowser(r *http.Request) bool {
	return r.Header.Get("Sec-Fetch-Mode") != "" || strings.HasPrefix(r.Header.Get("User-Agent"), "Mozilla/")
}
