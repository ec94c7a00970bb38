package flows

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/telemetry"
)

const passwordPath = "/password"

// Fields of the form.
const (
	fieldUsername = "username"
	fieldPassword = "password"
	fieldCode     = "otp"
)

func (f *Flows) passwordEndpoints() []endpoint {
	for _, l := range f.logins {
		if l.password != nil && l.password.form {
			return []endpoint{{f.prefix + passwordPath, []string{http.MethodGet, http.MethodPost}, f.passwordPage, f.deps.Origins}}
		}
	}
	return nil // off is 404 (P117)
}

// passwordPage is GET …/password?login=&rd=, the sign-in form, and POST …/password, which tries what it says.
func (f *Flows) passwordPage(w http.ResponseWriter, r *http.Request, here origin.Origin) error {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return &pages.Error{Code: codeBadRequest, Detail: "The address is not encoded correctly."}
	}
	for _, name := range []string{fieldUsername, fieldPassword, fieldCode} {
		if query.Has(name) { // it is in a history and in the logs of others by now (P178)
			return &pages.Error{Code: codeBadRequest, Detail: "User names and passwords do not belong into an address. Change this password: it has been written down on its way here."}
		}
	}
	if r.Method == http.MethodPost {
		return f.postPassword(w, r, here)
	}
	q, err := f.readPassword(here, query)
	if err != nil {
		return err
	}
	record(w, q.login)
	if pages.KindOf(r) == pages.Program {
		return f.loginRequired(here, q.how.back, []*login{q.login})
	}
	f.showPassword(w, r, here, q, "", nil)
	return nil
}

// passwordQuery is for which login somebody signs in, and where to.
type passwordQuery struct {
	login *login
	how   beginning
}

// readPassword reads what stands in the address of the form, and in its hidden fields.
func (f *Flows) readPassword(here origin.Origin, query url.Values) (q passwordQuery, err error) {
	if len(query["login"]) > 1 || len(query["rd"]) > 1 {
		return q, &pages.Error{Code: codeBadRequest, Detail: "Something is said twice."}
	}
	var forms []*login
	for _, l := range f.acting() {
		if l.password != nil && l.password.form {
			forms = append(forms, l)
		}
	}
	if len(forms) == 0 { // no route names any: off (P117)
		return q, &pages.Error{Code: codeNoRoute}
	}
	q.how.back = f.target(here, query.Get("rd"))
	if name := query.Get("login"); name != "" {
		i := slices.IndexFunc(forms, func(l *login) bool { return l.name == name })
		if i < 0 {
			return q, &pages.Error{Code: codeBadRequest, Detail: "There is no such login with user name and password."}
		}
		q.login = forms[i]
	} else if forms = f.meant(here, q.how.back, forms); len(forms) > 1 {
		return q, sayWhich(forms)
	} else {
		q.login = forms[0]
	}
	q.how.passed, err = passed(query, []*login{q.login})
	return q, err
}

// codeNoRoute is of docs/errors.md.
const codeNoRoute = "no_route"

// postPassword signs somebody in. It must be a page of ours that asks for it, or a program: from another
// site's page it would sign people in to somebody else's account, in which they then do their work (P176).
func (f *Flows) postPassword(w http.ResponseWriter, r *http.Request, here origin.Origin) error {
	if !ownRequest(r, here) && !fromProgram(r) {
		return &pages.Error{Code: codeCrossSite, Detail: "A password must be sent by the sign-in page of " + here.Authority() + " itself."}
	}
	form, err := readForm(w, r, maxForm)
	if err != nil {
		return err
	}
	q, err := f.readPassword(here, form)
	if err != nil {
		return err
	}
	record(w, q.login)
	a, err := f.newAttempt(r, here, q.login, q.how)
	if err != nil {
		return err
	}
	if facts := f.looped(r, a); facts != nil {
		return f.loopError(w, r, a, facts)
	}
	t := typed{username: form.Get(fieldUsername), password: secret.New(form.Get(fieldPassword)), passed: a.passed, client: telemetry.From(w).Client}
	if q.login.password.otp != "" {
		t.code = secret.New(form.Get(fieldCode))
	}
	who, err := f.tryPassword(r.Context(), q.login, t, f.formName(here, q.login, t))
	if err != nil {
		return f.passwordRefused(w, r, here, q, t.username, err)
	}
	if pages.KindOf(r) != pages.Program {
		return f.finish(w, r, a, who) // 303: a browser must not send a password on (P177)
	}
	to, err := f.establish(w, r, a, who)
	if err != nil {
		return err
	}
	f.deps.Pages.JSON(w, r, http.StatusOK, map[string]string{"status": "approved", "location": to})
	return nil
}

// passwordRefused shows the form again where typing again may help, else a page about the failure.
func (f *Flows) passwordRefused(w http.ResponseWriter, r *http.Request, here origin.Origin, q passwordQuery, username string, err error) error {
	var e *pages.Error
	if !errors.As(err, &e) {
		return err
	}
	answer := *e
	answer.LoginURL = f.startURL(here, q.how.back, []*login{q.login})
	if e.Code == codeWrongCredentials {
		answer.Challenge = bearerChallenge(here) // not Basic: the browser would open a window of its own over the form
	}
	if pages.KindOf(r) == pages.Program {
		return &answer
	}
	switch e.Code {
	case codeWrongCredentials, codeTooMany, codeProviderDown:
		f.showPassword(w, r, here, q, username, &answer)
		return nil
	}
	return &answer
}

func bearerChallenge(here origin.Origin) []string {
	return []string{fmt.Sprintf("Bearer realm=%q", here.Authority())}
}

// formStatus is what each failure is that the form itself shows.
var formStatus = map[string]int{
	codeWrongCredentials: http.StatusUnauthorized, codeTooMany: http.StatusTooManyRequests, codeProviderDown: http.StatusServiceUnavailable,
}

// showPassword writes the form, after a failure if there was one.
func (f *Flows) showPassword(w http.ResponseWriter, r *http.Request, here origin.Origin, q passwordQuery, username string, failure *pages.Error) {
	l := q.login
	page := pages.Password{
		Host: here.Authority(), Label: l.label, Provider: l.providerHost(), AskOTP: l.password.otp != "", Status: http.StatusOK,
		Username: username, Other: f.otherWays(here, q.how.back, l),
		Form: pages.Form{Action: f.prefix + passwordPath, Hidden: []pages.Field{{Name: "login", Value: l.name}, {Name: "rd", Value: q.how.back}}},
	}
	for name, values := range q.how.passed {
		page.Form.Hidden = append(page.Form.Hidden, pages.Field{Name: name, Value: values[0]})
	}
	if page.Username == "" {
		page.Username = q.how.passed.Get("login_hint")
	}
	if failure != nil {
		page.Status, page.Notice = formStatus[failure.Code], failure.Detail
		rec := telemetry.From(w)
		rec.Code, rec.Err = failure.Code, errors.Join(rec.Err, failure.Err)
		if failure.Challenge != nil {
			w.Header()["Www-Authenticate"] = failure.Challenge
		}
		if failure.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.FormatInt(int64((failure.RetryAfter+time.Second-1)/time.Second), 10))
		}
	}
	f.deps.Pages.Password(w, r, page)
}

// formName names what was typed into a form, for refusals.
func (f *Flows) formName(here origin.Origin, l *login, t typed) digestOf {
	h := newHasher(f.deps.Ring, "form", here, l)
	s := h.begin()
	s.add([]byte(t.username), []byte(t.password.Reveal()), []byte(t.code.Reveal()), []byte(t.passed.Encode()))
	return h.end(s)
}
