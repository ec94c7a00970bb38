package pages

import (
	"net/http"

	"github.com/doorward/doorward/internal/telemetry"
)

// BeginLogin is the page from which a login begins that needs nothing but a click: it starts by POST,
// so that no link, image or prefetch begins one.
type BeginLogin struct {
	Host     string // where they sign in
	Label    string // of the login
	Provider string // host of the identity provider
	Form     Form
	Auto     bool   // script may post the form by itself: the person came here by themselves
	Notice   string // why they are here again ("The code has expired."), or ""
}

// BeginLogin writes that page. With Auto its script posts the form at once, and once: who comes back to it
// by the back button finds the button, and is not sent forward again.
func (p *Pages) BeginLogin(w http.ResponseWriter, r *http.Request, page BeginLogin) {
	p.showForm(w, r, http.StatusOK, p.beginLogin, page.Form, "Sign in", struct {
		asked
		Form   Form
		Auto   bool
		Notice string
	}{asked{page.Host, page.Label, page.Provider}.clean(), page.Form, page.Auto, clean(page.Notice, maxDetail)})
}

// CIBAHint is the page on which a person says who is to be asked on their phone. Its form has the
// fields hint and, with AskUserCode, user_code.
type CIBAHint struct {
	Host, Label, Provider string
	Form                  Form
	Hint                  string // already filled in
	AskUserCode           bool
	Status                int    // as in Password
	Notice                string // what went wrong, in a sentence
}

// CIBAHint writes that page.
func (p *Pages) CIBAHint(w http.ResponseWriter, r *http.Request, page CIBAHint) {
	v := newFormView(w, page.Status, page.Notice, page.Hint)
	v.asked, v.Form, v.AskMore = asked{page.Host, page.Label, page.Provider}.clean(), page.Form, page.AskUserCode
	p.showForm(w, r, v.Status, p.cibaHint, page.Form, v.title(), v)
}

// Password is the sign-in form of the password flow. Its fields are username, password and, with
// AskOTP, otp.
type Password struct {
	Host, Label, Provider string
	Form                  Form
	Username              string // already filled in
	AskOTP                bool
	Status                int    // 200, 401 after a wrong password, 429, 503; the caller sets Retry-After
	Notice                string // what went wrong, in a sentence; announced to screen readers
	Other                 string
}

// Password writes that page.
func (p *Pages) Password(w http.ResponseWriter, r *http.Request, page Password) {
	v := newFormView(w, page.Status, page.Notice, page.Username)
	v.asked, v.Form, v.AskMore, v.Other = asked{page.Host, page.Label, page.Provider}.clean(), page.Form, page.AskOTP, ownPath(page.Other)
	p.showForm(w, r, v.Status, p.password, page.Form, v.title(), v)
}

// formView is a form that a person fills in, perhaps for the second time.
type formView struct {
	asked
	Form                     Form
	Value                    string // of the first field
	AskMore                  bool   // the field that not everybody is asked for
	Status                   int
	Heading, Notice, Failure string // what went wrong
	Refused                  bool   // it was what they typed
	Reference, Other         string
}

// formFailures are the codes of the failures that a form shows by itself, by their status.
var formFailures = map[int]string{
	http.StatusBadRequest:         "bad_request",
	http.StatusUnauthorized:       "wrong_credentials",
	http.StatusTooManyRequests:    "too_many_requests",
	http.StatusServiceUnavailable: "provider_unavailable",
}

// newFormView begins one. A failure is written into the access log and bears the reference, as on the
// pages of errors; what is no failure of a form is 200.
func newFormView(w http.ResponseWriter, status int, notice, value string) formView {
	v := formView{Status: http.StatusOK, Notice: clean(notice, maxDetail), Value: value}
	if len(value) > maxValue || clean(value, maxValue) != value {
		v.Value = "" // nobody typed that
	}
	name, failed := formFailures[status]
	if !failed {
		return v
	}
	record := telemetry.From(w)
	if record.Code == "" {
		record.Code = name
	}
	if record.Reference != "" {
		w.Header().Set("Doorward-Reference", record.Reference)
	}
	v.Status, v.Failure, v.Heading, v.Reference = status, name, codes[name].title, record.Reference
	v.Refused = status == http.StatusUnauthorized || status == http.StatusBadRequest
	if v.Notice == "" {
		v.Notice = codes[name].what
	}
	return v
}

// title has the failure first: it is what a screen reader says first of a page.
func (v formView) title() string {
	if v.Heading != "" {
		return v.Heading
	}
	return "Sign in"
}

// Relay is the page that posts the fragment of an authorization response to Doorward (IMP-3).
type Relay struct {
	Action string // path of our own; the fragment's parameters become form fields, with Token
	Token  string // against cross-site requests
	Other  string // path to the other ways of signing in, for browsers without script; "" = none
}

// RelayField is the form field that carries [Relay.Token]. A fragment that has a parameter of this
// name is not sent.
const RelayField = "relay"

// Relay writes that page. Its script takes the fragment out of the address before it does anything else, and
// posts its parameters: as form fields, so that no token gets into a URL. Of a fragment
// that is empty, has more than 64 KiB or 30 parameters, or one of them twice, it posts nothing but the
// token, and the answer to that says what is wrong.
func (p *Pages) Relay(w http.ResponseWriter, r *http.Request, page Relay) {
	f := Form{page.Action, []Field{{RelayField, page.Token}}}
	p.showForm(w, r, http.StatusOK, p.relay, f, "One step is left", struct {
		Form  Form
		Other string
	}{f, ownPath(page.Other)})
}
