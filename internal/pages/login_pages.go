package pages

import "net/http"

// Field is one hidden field of a form.
type Field struct{ Name, Value string }

// Form is where a page of ours posts to: a path of our own, and what goes along unseen.
type Form struct {
	Action string
	Hidden []Field
}

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

// DeviceCode is the page with a code that is entered, or scanned, on another device (RFC 8628 §3.3).
type DeviceCode struct {
	Host, Label, Provider string
	UserCode              string
	VerificationURI       string // shown and linked
	CompleteURI           string // in the QR code; "" = VerificationURI is
	Begun                 string // when, from which address: RFC 10027, for the person to compare with what their phone says
	Waiting
}

// CIBAHint is the page on which a person says who is to be asked on their phone.
type CIBAHint struct {
	Host, Label, Provider string
	Form                  Form
	Hint                  string // already filled in
	AskUserCode           bool
	Notice                string
}

// CIBAWait is the page that waits for a consent on another device.
type CIBAWait struct {
	Host, Label, Provider string
	BindingMessage        string // also on the other screen; "" = none
	Begun                 string
	Waiting
}

// Waiting is what pages that wait have in common.
type Waiting struct {
	Status    string // "pending", "denied", "expired", "failed"
	Problem   string // with failed: in a sentence
	Trouble   bool   // pending, but the provider does not answer just now
	ExpiresIn int    // seconds
	Interval  int    // seconds until the next poll
	Poll      string // path that script asks for JSON; its answer has status, and location with approved
	Reload    string // path that the page itself reloads without script
	Again     Form   // begins anew
	Other     string // path to the other ways of signing in; "" = none
}

// Password is the sign-in form of the password flow.
type Password struct {
	Host, Label, Provider string
	Form                  Form
	Username              string // already filled in
	AskOTP                bool
	Status                int    // 200, 401 after a wrong password, 429, 503
	Notice                string // what went wrong, in a sentence; announced to screen readers
	Other                 string
}

// Relay is the page that posts the fragment of an authorization response to Doorward (IMP-3).
type Relay struct {
	Action string // path of our own; the fragment's parameters become form fields, with Token
	Token  string // against cross-site requests
}

// Approval is the page on which a person waits for the approval of one request of theirs.
type Approval struct {
	Host           string
	Request        string // "POST /payments"
	BindingMessage string
	Send           Form // with status approved: sends the request
	Back           string
	Waiting
}

func (p *Pages) BeginLogin(w http.ResponseWriter, r *http.Request, page BeginLogin) {}
func (p *Pages) DeviceCode(w http.ResponseWriter, r *http.Request, page DeviceCode) {}
func (p *Pages) CIBAHint(w http.ResponseWriter, r *http.Request, page CIBAHint)     {}
func (p *Pages) CIBAWait(w http.ResponseWriter, r *http.Request, page CIBAWait)     {}
func (p *Pages) Password(w http.ResponseWriter, r *http.Request, page Password)     {}
func (p *Pages) Relay(w http.ResponseWriter, r *http.Request, page Relay)           {}
func (p *Pages) Approval(w http.ResponseWriter, r *http.Request, page Approval)     {}
