package demo

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
)

// Apps returns all sample applications behind the gateway, each below its own path. None of them knows OAuth.
func Apps(c Config) (http.Handler, error) {
	s, err := newSite(c)
	if err != nil {
		return nil, err
	}
	if s.config.Client == nil || s.config.Local == nil {
		return nil, errors.New("demo: the desktop application and the services need clients")
	}
	echo, err := Echo(c)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/", echo)
	mux.HandleFunc("GET /"+SPA+"/{$}", s.spa)
	mux.HandleFunc("GET "+apiPath, s.spaAPI)
	mux.HandleFunc("GET /"+TV+"/{$}", s.tv)
	mux.HandleFunc("GET "+windowPath+"{$}", s.window)
	mux.HandleFunc("POST "+windowPath+"{$}", s.synchronise)
	mux.HandleFunc("GET "+FilesPath, s.files)
	till := &till{site: s}
	mux.HandleFunc("GET /"+Till+"/{$}", till.serve)
	mux.HandleFunc("POST "+PaymentsPath, till.take)
	mux.HandleFunc("GET "+consolePath+"{$}", s.backup)
	mux.HandleFunc("POST "+consolePath+"{$}", s.backUp)
	mux.HandleFunc("GET /"+Exchange+"/{$}", s.serviceA)
	mux.HandleFunc("POST /"+Exchange+"/{$}", s.askB)
	for _, id := range []string{SPA, Desktop, TV, Till, Backup, Exchange} { // what else is asked for below them
		mux.HandleFunc("/"+id+"/", func(w http.ResponseWriter, _ *http.Request) { s.page(w, http.StatusNotFound, "nothing.html", s.config) })
	}
	return mux, nil
}

// person is who the gateway says is calling.
type person struct {
	User   string   `json:"user"`
	Email  string   `json:"email,omitempty"`
	Groups []string `json:"groups,omitempty"`
	Token  string   `json:"credential"` // said, never shown
}

func (s *site) person(r *http.Request) person {
	p := person{User: r.Header.Get("X-Forwarded-Preferred-Username"), Email: r.Header.Get("X-Forwarded-Email"), Token: "no access token"}
	if p.User == "" {
		p.User = r.Header.Get("X-Forwarded-User")
	}
	if groups := r.Header.Get("X-Forwarded-Groups"); groups != "" {
		p.Groups = strings.Split(groups, ",")
	}
	switch t := readToken(r.Header.Get("Authorization"), s.config.Now()); {
	case t == nil:
	case t.Left != "":
		p.Token = "an access token, good for another " + t.Left
	default:
		p.Token = "an access token"
	}
	return p
}

// stage is the data of an example's page.
type stage struct {
	Config
	person
}

// spa is SimpleSPA.com: a page whose script asks its API who is there.
func (s *site) spa(w http.ResponseWriter, r *http.Request) {
	s.page(w, http.StatusOK, "spa.html", stage{s.config, s.person(r)})
}

// spaAPI is the API of SimpleSPA.com. It got an access token, and keeps it.
func (s *site) spaAPI(w http.ResponseWriter, r *http.Request) { s.json(w, http.StatusOK, s.person(r)) }

// tv is SmartTV. A terminal that has signed in gets JSON.
func (s *site) tv(w http.ResponseWriter, r *http.Request) {
	if !wantsPage(r) {
		s.json(w, http.StatusOK, s.person(r))
		return
	}
	s.page(w, http.StatusOK, "tv.html", stage{s.config, s.person(r)})
}

func (s *site) json(w http.ResponseWriter, status int, v any) {
	body, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		http.Error(w, "the answer could not be made", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	s.send(w, status, append(body, '\n'))
}
