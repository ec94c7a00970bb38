package flows

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/pages"
)

const maxStartURL = 4000 // bytes; pages show links of up to 4 kB, and "&prompt=…" may be put behind this one

// Starter implements proxy.Starter for one route.
type Starter struct {
	flows  *Flows
	logins []*login
}

// Starter begins a login for a route that offers these logins (names, at least one).
// With one redirect login it goes straight to the provider, with several to the sign-in page.
func (f *Flows) Starter(logins []string) (*Starter, error) {
	if len(logins) == 0 {
		return nil, fmt.Errorf("login: a route that asks for a login must offer at least one")
	}
	chosen, ok := f.choose(logins)
	if !ok {
		return nil, fmt.Errorf("login: one of %q is not configured, or is there twice", logins)
	}
	return &Starter{f, chosen}, nil
}

// Start answers a navigation that needs a login. back is the canonical path and query to return to.
func (s *Starter) Start(w http.ResponseWriter, r *http.Request, back string) error {
	here, ok := s.flows.deps.Origins.Lookup(r.Host)
	if !ok {
		return &pages.Error{Code: codeUnknownHost}
	}
	if s.flows.withheld(r) {
		return reload(w, s.flows.target(here, back))
	}
	return s.flows.startOne(w, r, here, s.logins, beginning{back: back, demanded: true})
}

// LoginURL returns the absolute URL at which a program can tell its person to sign in.
func (s *Starter) LoginURL(r *http.Request, back string) string {
	here, ok := s.flows.deps.Origins.Lookup(r.Host)
	if !ok {
		return ""
	}
	return s.flows.startURL(here, s.flows.target(here, back), s.logins)
}

// start is GET …/start?rd=&login=. Another site may lead here: it only begins a login, and ends on a
// page of ours. Whatever else the query holds is not looked at (AUT-9, P070).
func (f *Flows) start(w http.ResponseWriter, r *http.Request, here origin.Origin) error {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || len(query["rd"]) > 1 || len(query["prompt"]) > 1 {
		return &pages.Error{Code: codeBadRequest, Detail: "The address is not encoded correctly, or says something twice."}
	}
	chosen, ok := f.choose(query["login"])
	if !ok {
		return &pages.Error{Code: codeBadRequest, Detail: "There is no such login."}
	}
	prompt := query.Get("prompt") // "switch account" (R12); nothing else of a request may be asked for from outside
	if prompt != "" && prompt != "login" && prompt != "select_account" {
		return &pages.Error{Code: codeBadRequest, Detail: "prompt may be login or select_account."}
	}
	return f.startOne(w, r, here, chosen, beginning{back: f.target(here, query.Get("rd")), prompt: prompt})
}

func (f *Flows) startOne(w http.ResponseWriter, r *http.Request, here origin.Origin, logins []*login, how beginning) error {
	if len(logins) == 1 {
		return f.begin(w, r, here, logins[0], how)
	}
	if pages.KindOf(r) == pages.Program {
		return f.loginRequired(here, how.back, logins)
	}
	status := http.StatusFound
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		status = http.StatusSeeOther
	}
	return redirect(w, status, f.prefix+"/sign_in?"+f.query(how, logins))
}

// signIn is GET …/sign_in?rd=: the page on which a person chooses a login. login= names those
// that a route offers; any of the configured ones is harmless, since a route refuses
// sessions of logins that it doesn't list.
func (f *Flows) signIn(w http.ResponseWriter, r *http.Request, here origin.Origin) error {
	query := r.URL.Query()
	chosen, ok := f.choose(query["login"])
	if !ok {
		chosen = f.logins
	}
	how := beginning{back: f.target(here, query.Get("rd"))}
	if p := query.Get("prompt"); p == "login" || p == "select_account" {
		how.prompt = p
	}
	if pages.KindOf(r) == pages.Program {
		return f.loginRequired(here, how.back, chosen)
	}
	page := pages.SignIn{Host: here.Authority()}
	for _, l := range chosen {
		page.Options = append(page.Options, pages.SignInOption{Label: l.label, URL: f.prefix + "/start?" + queryOf(how, l)})
	}
	f.deps.Pages.SignIn(w, r, page)
	return nil
}

// choose finds logins by name; no names are all logins.
func (f *Flows) choose(names []string) (chosen []*login, ok bool) {
	if len(names) == 0 {
		return f.logins, true
	}
	for _, name := range names {
		l := f.byName[name]
		if l == nil || slices.Contains(chosen, l) {
			return nil, false
		}
		chosen = append(chosen, l)
	}
	return chosen, true
}

// startURL is where a login for back begins. nil logins are all. A link that no page shows
// because of its length would leave nowhere to go, so it does without the target.
func (f *Flows) startURL(here origin.Origin, back string, logins []*login) string {
	start := here.String() + f.prefix + "/start?"
	if to := start + f.query(beginning{back: back}, logins); len(to) <= maxStartURL {
		return to
	}
	return start + f.query(beginning{}, logins)
}

// query names logins only where they are not all. rd is the last parameter: the page that keeps a
// fragment appends to it.
func (f *Flows) query(how beginning, logins []*login) string {
	if len(logins) == len(f.logins) {
		logins = nil
	}
	return queryOf(how, logins...)
}

func queryOf(how beginning, logins ...*login) string {
	q := url.Values{}
	for _, l := range logins {
		q.Add("login", l.name)
	}
	if how.prompt != "" {
		q.Set("prompt", how.prompt)
	}
	if how.back == "" {
		how.back = home
	}
	q.Set("rd", how.back)
	return q.Encode() // sorted by name
}
