package flows

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/internal/secret"
)

// The codes of docs/errors.md that only logins on other devices answer with.
const (
	codeAttemptUnknown = "attempt_unknown"
	codeInternal       = "internal_error"
	codeLoginExpired   = "login_expired"
)

const maxWaitingForm = 64 << 10 // bytes of a form that begins a waiting login: a return target may be long, and is encoded

// begins is what a request says about a waiting login that is to begin, or has.
type begins struct {
	login    *login
	back     string
	attempt  string        // names a waiting of this browser, which nobody has checked yet
	hint     string        // ciba
	userCode secret.String // ciba
	unsaid   bool          // which login is meant: only the attempt knows
	trouble  bool          // for the page that waits: the provider doesn't answer just now
	status   int           // of the page that asks whom; 0 = 200
}

// beginParams may each stand once, or not at all. Which of two would count is a question that two
// parsers answer differently.
var beginParams = []string{"login", "rd", "attempt", "hint", "user_code"}

// readBegin reads the query or the form of an endpoint of one kind. Without login the only one of that kind that acts is
// meant, or that the route of rd takes; a login of any other flow is none.
func (f *Flows) readBegin(here origin.Origin, kind string, q url.Values) (*begins, error) {
	for _, name := range beginParams {
		if len(q[name]) > 1 {
			return nil, &pages.Error{Code: codeBadRequest, Detail: "The parameter " + name + " is there more than once."}
		}
	}
	b := &begins{back: f.target(here, q.Get("rd")), attempt: q.Get("attempt")}
	all := slices.DeleteFunc(f.acting(), func(l *login) bool { return l.waits() != kind })
	switch name := q.Get("login"); {
	case name != "":
		i := slices.IndexFunc(all, func(l *login) bool { return l.name == name })
		if i < 0 {
			return nil, &pages.Error{Code: codeBadRequest, Detail: "There is no such login here."}
		}
		b.login = all[i]
	case len(all) == 0: // no route names any
		return nil, &pages.Error{Code: codeBadRequest, Detail: "There is no such login here."}
	default:
		meant := f.meant(here, b.back, all)
		b.login, b.unsaid = meant[0], len(all) > 1 && b.attempt != ""
		if len(meant) > 1 && b.attempt == "" {
			return nil, sayWhich(meant)
		}
	}
	return b, nil
}

// meant narrows logins of one flow to those with which one gets to back, for whoever has not said which.
func (f *Flows) meant(here origin.Origin, back string, all []*login) []*login {
	if len(all) == 1 {
		return all
	}
	offered := f.offered(here, back)
	if left := slices.DeleteFunc(slices.Clone(all), func(l *login) bool { return !slices.Contains(offered, l) }); len(left) > 0 {
		return left
	}
	return all
}

// sayWhich is the answer to whoever must say which of several logins they mean.
func sayWhich(logins []*login) error {
	var names []string
	for _, l := range logins {
		names = append(names, l.name)
	}
	return &pages.Error{Code: codeBadRequest, Detail: "Several logins could be meant: login must be one of " + strings.Join(names, ", ") + "."}
}

// readPost reads a form that begins a login, and refuses whoever must not: a POST that another site has made
// would begin what nobody has asked for (P184). A program that says nothing about where it comes
// from is no browser's page, and may say nothing else either.
func (f *Flows) readPost(w http.ResponseWriter, r *http.Request, here origin.Origin, kind string) (*begins, error) {
	if !fromProgram(r) && !ownRequest(r, here) {
		return nil, &pages.Error{Code: codeCrossSite, Detail: "A sign-in must be begun by a page of " + here.Authority() + " itself, or by a person."}
	}
	var form url.Values
	if r.ContentLength != 0 || r.Header.Get("Content-Type") != "" {
		var err error
		if form, err = readForm(w, r, maxWaitingForm); err != nil {
			return nil, err
		}
	}
	b, err := f.readBegin(here, kind, form)
	if err != nil {
		return nil, err
	}
	b.hint, b.userCode = form.Get("hint"), secret.New(form.Get("user_code"))
	if b.unsaid { // the attempt says only which page this comes from
		all := slices.DeleteFunc(f.acting(), func(l *login) bool { return l.waits() != kind })
		if meant := f.meant(here, b.back, all); len(meant) > 1 {
			return nil, sayWhich(meant)
		}
	}
	record(w, b.login)
	return b, nil
}

// readAddress is readBegin for the query of an address, in which nothing stands that is for the provider alone: it
// would be in a history, and in the logs of others (P178).
func (f *Flows) readAddress(r *http.Request, here origin.Origin, kind string) (*begins, url.Values, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, nil, &pages.Error{Code: codeBadRequest, Detail: "The address is not encoded correctly."}
	}
	if kind == kindCIBA && query.Has("user_code") {
		return nil, nil, &pages.Error{Code: codeBadRequest, Detail: "User codes do not belong into an address. Change this one: it has been written down on its way here."}
	}
	b, err := f.readBegin(here, kind, query)
	return b, query, err
}

// beginForm begins a login. What was begun before goes along, so that it is forgotten.
func (f *Flows) beginForm(q *begins) pages.Form {
	form := pages.Form{
		Action: f.prefix + "/" + q.login.waits(),
		Hidden: []pages.Field{{Name: "login", Value: q.login.name}, {Name: "rd", Value: q.back}},
	}
	if q.attempt != "" {
		form.Hidden = append(form.Hidden, pages.Field{Name: "attempt", Value: q.attempt})
	}
	if q.hint != "" {
		form.Hidden = append(form.Hidden, pages.Field{Name: "hint", Value: q.hint})
	}
	return form
}

// leave makes a browser that begins anew forget what is over. What still waits goes on waiting.
func (f *Flows) leave(w http.ResponseWriter, r *http.Request, here origin.Origin, q *begins) {
	a, l, err := f.waitingAttempt(r, here, q.login.waits(), q.attempt)
	if a == nil || err != nil {
		return
	}
	wait, err := f.loadWaiting(r.Context(), a.id)
	if errors.Is(err, errNoWaiting) || err == nil && wait.over() {
		f.drop(w, here, l.name, a.id)
		_ = f.cancel(r.Context(), a.id) // else it ends by itself
	}
}

// begun gives a waiting to the browser that began it.
func (f *Flows) begun(w http.ResponseWriter, r *http.Request, a *attempt, q *begins, wait *waiting) error {
	a.life = wait.life(f.deps.Now())
	several := f.several(r, a.here, wait.Kind, a) // before the browser holds this one: whether it holds another
	if err := f.keep(w, r, a); err != nil {
		return err
	}
	return f.sendToWait(w, r, a, wait, several)
}

// sendToWait is the answer to a POST that began a waiting, or came back to it.
func (f *Flows) sendToWait(w http.ResponseWriter, r *http.Request, a *attempt, wait *waiting, several bool) error {
	if pages.KindOf(r) == pages.Program {
		f.deps.Pages.JSON(w, r, http.StatusCreated, f.waitingJSON(wait, f.pollPath(wait.Kind, a, several)))
		return nil
	}
	to := f.prefix + "/" + wait.Kind + "?attempt=" + a.name()
	if len(a.back) <= maxStateBack { // for a browser that keeps no cookies: it begins again where it wanted to go
		to += "&" + queryOf(beginning{back: a.back}, f.byName[a.login])
	}
	return redirect(w, http.StatusSeeOther, to)
}

// beginError is the answer to a login that could not begin at the provider.
func (f *Flows) beginError(w http.ResponseWriter, r *http.Request, here origin.Origin, q *begins, err error) error {
	var e *provider.Error
	if !errors.As(err, &e) {
		return err
	}
	p := providerFailure(e, err)
	if e.Code == "access_denied" {
		p.Detail = "The identity provider did not accept this sign-in. It does not say why." // CIB-6
	}
	p.LoginURL = f.startURL(here, q.back, []*login{q.login})
	return p
}

func (f *Flows) hasWaiting(kind string) bool {
	return slices.ContainsFunc(f.logins, func(l *login) bool { return l.waits() == kind })
}

// providerHost is the provider as people may recognise it.
func (l *login) providerHost() string {
	u, err := url.Parse(l.client.Issuer())
	if err != nil {
		return l.provider
	}
	return cmp.Or(u.Host, l.provider)
}
