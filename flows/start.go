package flows

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"net/url"

	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/pages"
)

const maxStartURL = 4000 // bytes; pages show links of up to 4 kB, and "&prompt=…" may be put behind this one

// Starter implements proxy.Starter for one route.
type Starter struct {
	flows  *Flows
	logins []*login
}

// Starter begins a login for a route that offers these logins (names, at least one). With one it goes
// straight to the provider, or to the page on which that login begins; with several to the sign-in page. Call
// it before anything is served: logins of the flows that are off until a route names them
// act from then on (CONTRACT §2, P117).
func (f *Flows) Starter(logins []string) (*Starter, error) {
	if len(logins) == 0 {
		return nil, fmt.Errorf("login: a route that asks for a login must offer at least one")
	}
	chosen, ok := f.find(logins)
	if !ok {
		return nil, fmt.Errorf("login: one of %q is not configured, or is there twice", logins)
	}
	for _, l := range chosen {
		l.named = true
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

// LoginURL returns the absolute URL at which a program can tell its person to sign in, "" if no page helps.
func (s *Starter) LoginURL(r *http.Request, back string) string {
	here, ok := s.flows.deps.Origins.Lookup(r.Host)
	if !ok {
		return ""
	}
	return s.flows.startURL(here, s.flows.target(here, back), forBrowsers(s.logins))
}

// start is GET …/start?rd=&login=. Another site may lead here: it only begins a login, and ends on a
// page of ours. Of the rest of the query only what a login is configured to pass on is looked at (AUT-9, P070).
func (f *Flows) start(w http.ResponseWriter, r *http.Request, here origin.Origin) error {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || len(query["rd"]) > 1 || len(query["prompt"]) > 1 {
		return &pages.Error{Code: codeBadRequest, Detail: "The address is not encoded correctly, or says something twice."}
	}
	back := f.target(here, query.Get("rd"))
	chosen, ok := f.choose(query["login"], here, back)
	if !ok {
		return &pages.Error{Code: codeBadRequest, Detail: "There is no such login."}
	}
	prompt := query.Get("prompt") // "switch account" (R12)
	if prompt != "" && prompt != "login" && prompt != "select_account" {
		return &pages.Error{Code: codeBadRequest, Detail: "prompt may be login or select_account."}
	}
	along, err := passed(query, chosen)
	if err != nil {
		return err
	}
	return f.startOne(w, r, here, chosen, beginning{back: back, prompt: prompt, passed: along})
}

func (f *Flows) startOne(w http.ResponseWriter, r *http.Request, here origin.Origin, logins []*login, how beginning) error {
	logins = forBrowsers(logins)
	if len(logins) == 1 {
		return f.begin(w, r, here, logins[0], how)
	}
	if pages.KindOf(r) == pages.Program || len(logins) == 0 {
		return f.loginRequired(here, how.back, logins)
	}
	return redirect(w, seeOther(r), f.prefix+"/sign_in?"+f.query(here, how, logins))
}

// startURL is where a login for back begins. nil logins are the usual ones. A link that no page shows
// because of its length would leave nowhere to go, so it does without the target.
func (f *Flows) startURL(here origin.Origin, back string, logins []*login) string {
	if logins != nil && len(logins) == 0 || len(f.logins) == 0 {
		return "" // HTTP Basic alone, or bearer tokens: no page helps
	}
	start := here.String() + f.prefix + "/start?"
	if to := start + f.query(here, beginning{back: back}, logins); len(to) <= maxStartURL {
		return to
	}
	return start + f.query(here, beginning{}, logins)
}

// query names logins only where they are not all, or would not be if nobody named them. rd is the last
// parameter: the page that keeps a fragment appends to it.
func (f *Flows) query(here origin.Origin, how beginning, logins []*login) string {
	if all := len(f.acting()); len(logins) == all && len(f.usual(here, cmp.Or(how.back, home))) == all {
		logins = nil
	}
	return queryOf(how, logins...)
}

// queryOf has no parameter of a visitor that is longer than maxPassValue, and no more than maxPassed for each login.
func queryOf(how beginning, logins ...*login) string {
	q := url.Values{}
	maps.Copy(q, how.passed)
	for _, l := range logins {
		q.Add("login", l.name)
	}
	if how.prompt != "" {
		q.Set("prompt", how.prompt)
	}
	if how.back == "" {
		how.back = home
	}
	rd := "rd=" + url.QueryEscape(how.back)
	if len(q) == 0 {
		return rd
	}
	return q.Encode() + "&" + rd
}
