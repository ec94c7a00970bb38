package demo

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// echo is the data of the echo application's page.
type echo struct {
	Config
	Staff       bool // this is the staff page
	User        string
	Email       string
	Groups      []string
	RequestLine string
	Added       []header // by the gateway
	Sent        []header // by the browser
	Token       *token   // what Authorization holds; nil = nothing
}

type header struct{ Name, Value, About string }

// added are the headers that the gateway answers for: it removes what a client sends under these
// names, or would (X-Request-Id passes if the client sent one).
var added = map[string]string{
	"X-Forwarded-User":               "who you are: your subject at the identity provider",
	"X-Forwarded-Preferred-Username": "the name you sign in with",
	"X-Forwarded-Email":              "your address, because the provider has verified it",
	"X-Forwarded-Groups":             "what the provider says you belong to",
	"X-Forwarded-Host":               "the host you asked for",
	"X-Forwarded-Proto":              "the scheme you asked with",
	"X-Forwarded-Port":               "the port you asked at",
	"X-Forwarded-For":                "the address you come from",
	"X-Real-Ip":                      "the same, for apps that look here",
	"X-Request-Id":                   "to find this request in the log; the one header here that may be your browser's own",
	"Authorization":                  "your access token, decoded below",
}

// Echo returns CoolWebApp.com, the sample application: it knows no OAuth and shows the request
// that reached it. A browser gets a page, a program JSON.
func Echo(c Config) (http.Handler, error) {
	s, err := newSite(c)
	if err != nil {
		return nil, err
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if wantsPage(r) {
			s.page(w, http.StatusOK, "echo.html", s.echo(r))
			return
		}
		s.received(w, r)
	}), nil
}

func wantsPage(r *http.Request) bool {
	if strings.HasSuffix(r.URL.Path, ".json") {
		return false
	}
	if mode := r.Header.Get("Sec-Fetch-Mode"); mode != "" {
		return mode == "navigate"
	}
	return strings.Contains(r.Header.Get("Accept"), "text/html")
}

func (s *site) echo(r *http.Request) echo {
	e := echo{
		Config:      s.config,
		Staff:       r.URL.Path == s.config.App+"/staff",
		User:        r.Header.Get("X-Forwarded-Preferred-Username"),
		Email:       r.Header.Get("X-Forwarded-Email"),
		RequestLine: r.Method + " " + r.RequestURI + " " + r.Proto,
		Sent:        []header{{Name: "Host", Value: r.Host}},
		Token:       readToken(r.Header.Get("Authorization"), s.config.Now()),
	}
	if e.User == "" {
		e.User = r.Header.Get("X-Forwarded-User")
	}
	if groups := r.Header.Get("X-Forwarded-Groups"); groups != "" {
		e.Groups = strings.Split(groups, ",")
	}
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		about, ours := added[name]
		for _, value := range r.Header[name] {
			if ours {
				e.Added = append(e.Added, header{name, value, about})
			} else {
				e.Sent = append(e.Sent, header{name, value, ""})
			}
		}
	}
	// The identity first, the plumbing last.
	slices.SortStableFunc(e.Added, func(a, b header) int { return rank(a.Name) - rank(b.Name) })
	return e
}

func rank(name string) int {
	switch name {
	case "X-Forwarded-User":
		return 0
	case "X-Forwarded-Preferred-Username", "X-Forwarded-Email":
		return 1
	case "X-Forwarded-Groups":
		return 2
	case "Authorization":
		return 3
	}
	return 4
}

// received is the request as JSON.
func (s *site) received(w http.ResponseWriter, r *http.Request) {
	body, err := json.MarshalIndent(struct {
		Method   string      `json:"method"`
		Target   string      `json:"target"`
		Protocol string      `json:"protocol"`
		Host     string      `json:"host"`
		Headers  http.Header `json:"headers"`
	}{r.Method, r.RequestURI, r.Proto, r.Host, r.Header}, "", "  ")
	if err != nil {
		http.Error(w, "the answer could not be made", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	s.send(w, http.StatusOK, append(body, '\n'))
}
