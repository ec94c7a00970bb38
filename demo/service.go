package demo

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
)

// The two services that call APIs. Neither knows OAuth: Doorward's outbound side adds the tokens.
const (
	backupService = "NightlyBackupService"
	serviceA      = "MicroserviceA"
)

// attempt is one request of a service to an API, and what came back.
type attempt struct {
	Sent    string // how
	Status  string
	Verdict *verdict // of the API
	Problem string   // of whoever answered instead
}

// servicePage is the data of the page of a service.
type servicePage struct {
	Config
	person
	Held    *token // the access token that the service was given for the person; MicroserviceA's
	Attempt *attempt
}

// directly marks a request that goes past Doorward, for who records it.
const directly = " (directly)"

func agent(name string) string { return name + "/1.0" }

// call sends a request as a service does.
func (s *site) call(ctx context.Context, a *attempt, service, method, address, authorization string) {
	var body io.Reader
	if method == http.MethodPost {
		body = strings.NewReader("everything, as it was at two in the morning\n")
	}
	r, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		a.Problem = "the request could not be made"
		return
	}
	r.Header.Set("User-Agent", agent(service))
	if !strings.HasPrefix(address, s.config.Egress) {
		r.Header.Set("User-Agent", agent(service)+directly)
	}
	r.Header.Set("Accept", "application/json")
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "text/plain")
	}
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	res, err := s.config.Local.Do(r)
	if err != nil {
		a.Problem = "nobody answers"
		return
	}
	defer res.Body.Close()
	a.read(res)
}

// read tells an API's verdict from an error of Doorward's.
func (a *attempt) read(res *http.Response) {
	a.Status = res.Status
	var answer struct {
		verdict
		Title, Code string
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxForm)).Decode(&answer); err != nil {
		a.Problem = "an answer that cannot be read"
		return
	}
	if answer.Verdict != "" {
		a.Verdict = &answer.verdict
		return
	}
	a.Problem = cmp.Or(answer.Title, "no verdict") + " (" + answer.Code + ")"
}

// backup is the console of NightlyBackupService: by day one may start what it does by night.
func (s *site) backup(w http.ResponseWriter, _ *http.Request) {
	s.page(w, http.StatusOK, "backup.html", servicePage{Config: s.config})
}

func (s *site) backUp(w http.ResponseWriter, r *http.Request) {
	if !ownForm(w, r) {
		return
	}
	a, address := &attempt{}, ""
	switch r.PostForm.Get("how") {
	case "doorward":
		a.Sent, address = "through Doorward, without any token", s.config.Egress+DataPath+BackupsPath
	case "none":
		a.Sent, address = "past Doorward, without any token", s.config.Storage+BackupsPath
	case "other":
		a.Sent, address = "with a token for another API", s.config.Egress+StrayPath+BackupsPath
	default:
		http.Error(w, "there is no such button", http.StatusBadRequest)
		return
	}
	s.call(r.Context(), a, backupService, http.MethodPost, address, "")
	s.page(w, http.StatusOK, "backup.html", servicePage{Config: s.config, Attempt: a})
}

// serviceA is the page of MicroserviceA, where a person is signed in.
func (s *site) serviceA(w http.ResponseWriter, r *http.Request) { s.servicePage(w, r, nil) }

func (s *site) servicePage(w http.ResponseWriter, r *http.Request, a *attempt) {
	s.page(w, http.StatusOK, "service.html", servicePage{s.config, s.person(r), readToken(r.Header.Get("Authorization"), s.config.Now()), a})
}

// askB has MicroserviceA call MicroserviceB for the person. What A knows of them is the token that came with their
// request, and it passes that on.
func (s *site) askB(w http.ResponseWriter, r *http.Request) {
	if !ownForm(w, r) {
		return
	}
	a, address, authorization := &attempt{}, s.config.ServiceB+OrdersPath, r.Header.Get("Authorization")
	switch r.PostForm.Get("how") {
	case "doorward":
		a.Sent, address = "through Doorward, which exchanges your token", s.config.Egress+ServiceBPath+OrdersPath
	case "own":
		a.Sent = "past Doorward, with your own token"
	case "none":
		a.Sent, authorization = "past Doorward, without any token", ""
	default:
		http.Error(w, "there is no such button", http.StatusBadRequest)
		return
	}
	s.call(r.Context(), a, serviceA, http.MethodGet, address, authorization)
	s.servicePage(w, r, a)
}

// ownForm reads a form, if one of our own pages has sent it.
func ownForm(w http.ResponseWriter, r *http.Request) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" {
		http.Error(w, "this form was not sent from our page", http.StatusForbidden)
		return false
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		http.Error(w, "the form cannot be read", http.StatusBadRequest)
		return false
	}
	return true
}
