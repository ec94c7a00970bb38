package pages

import (
	"net/http"
	"strings"
	"unicode/utf8"
)

// DeviceCode is the page with a code that is entered, or scanned, on another device (RFC 8628 §3.3).
type DeviceCode struct {
	Host, Label, Provider string
	UserCode              string
	VerificationURI       string // shown and linked
	CompleteURI           string // in the QR code; "" = VerificationURI is
	Begun                 string // when, from which address: RFC 10027, for the person to compare with what their phone says
	Waiting
}

// CIBAWait is the page that waits for a consent on another device.
type CIBAWait struct {
	Host, Label, Provider string
	BindingMessage        string // also on the other screen; "" = none
	Begun                 string
	Waiting
}

// Approval is the page on which a person waits for the approval of one request of theirs. Its
// status may also be "approved" and "used".
type Approval struct {
	Host           string
	Request        string // "POST /payments"
	BindingMessage string
	Send           Form // with status approved: sends the request
	Back           string
	Waiting
}

// maxCode is how long a user code or a binding message may be, in bytes. The longest that is in use has nine
// characters; Keycloak's messages end at fifty.
const maxCode = 100

// DeviceCode writes that page. A code that cannot be shown exactly as it is, or an address that is
// no web address, is the provider's failure: nobody is to type something similar (P159, P160).
func (p *Pages) DeviceCode(w http.ResponseWriter, r *http.Request, page DeviceCode) {
	if page.Status != pending {
		p.end(w, r, page.Waiting, deviceEndings)
		return
	}
	if !faithful(page.UserCode) {
		p.Error(w, r, &Error{Code: "provider_error", Detail: "The identity provider gave a code that cannot be shown here."})
		return
	}
	uri := webAddress(page.VerificationURI)
	if uri == "" {
		p.Error(w, r, &Error{Code: "provider_error", Detail: "The identity provider gave an address that cannot be shown here."})
		return
	}
	complete := webAddress(page.CompleteURI)
	code := encodeQR(complete)
	if code == nil {
		complete, code = "", encodeQR(uri)
	}
	p.show(w, r, http.StatusOK, p.deviceCode, false, "Sign in with your phone", struct {
		asked
		Code     string
		Groups   []string
		URI      string
		Address  []string // the same, in pieces between which a line may end
		QR       *qrCode
		Complete bool // the QR code holds the code too
		Begun    string
		waitingView
	}{
		asked{page.Host, page.Label, page.Provider}.clean(), page.UserCode, groups(page.UserCode), uri, pieces(uri), code, complete != "",
		clean(page.Begun, maxValue), page.view("code"),
	})
}

// CIBAWait writes that page.
func (p *Pages) CIBAWait(w http.ResponseWriter, r *http.Request, page CIBAWait) {
	if page.Status != pending {
		p.end(w, r, page.Waiting, cibaEndings)
		return
	}
	if page.BindingMessage != "" && !faithful(page.BindingMessage) {
		p.Error(w, r, errUnfaithful)
		return
	}
	p.show(w, r, http.StatusOK, p.cibaWait, false, "Look at your phone", struct {
		asked
		Message message
		Begun   string
		waitingView
	}{asked{page.Host, page.Label, page.Provider}.clean(), message(page.BindingMessage), clean(page.Begun, maxValue), page.view("request")})
}

// Approval writes that page. Approved, its script posts the form at once, as that of [Pages.BeginLogin].
func (p *Pages) Approval(w http.ResponseWriter, r *http.Request, page Approval) {
	v := struct {
		asked
		Request string
		Message message
		Send    Form
		waitingView
	}{asked{Host: page.Host}.clean(), clean(page.Request, maxDetail), message(page.BindingMessage), page.Send, page.view("request")}
	v.Other = ""
	v.Back = ownPath(page.Back)
	switch {
	case page.BindingMessage != "" && !faithful(page.BindingMessage):
		p.Error(w, r, errUnfaithful)
	case page.Status == pending:
		p.show(w, r, http.StatusOK, p.approval, false, "Approve this on your phone", v)
	case page.Status == approved:
		p.showForm(w, r, http.StatusOK, p.approved, page.Send, "Approved", v)
	default:
		page.Other = page.Back
		p.end(w, r, page.Waiting, approvalEndings)
	}
}

var errUnfaithful = &Error{Code: "approval_impossible", Detail: "The message that must be compared on both screens cannot be shown here exactly as it is."}

// faithful reports whether s can be shown exactly as it is: people compare it, or type it.
func faithful(s string) bool {
	return s != "" && len(s) <= maxCode && clean(s, maxCode) == s && strings.TrimSpace(s) == s && !strings.Contains(s, "  ")
}

// groups cuts a code after each of its separators. Joined, they are the code.
func groups(code string) []string {
	return strings.FieldsFunc(strings.NewReplacer("-", "-\x00", " ", " \x00", "_", "_\x00", ".", ".\x00").Replace(code), func(r rune) bool { return r == 0 })
}

// pieces cuts an address after each slash of its path, so that no line ends within the name of
// a host, which people must be able to read.
func pieces(uri string) []string {
	scheme, rest, _ := strings.Cut(uri, "://")
	all := strings.SplitAfter(rest, "/")
	all[0] = scheme + "://" + all[0]
	return all
}

// message is what must be on both screens.
type message string

// Size says which letters it needs to stay on one line, where that is possible: people compare one line
// with another more surely than two halves.
func (m message) Size() string {
	switch n := utf8.RuneCountInString(string(m)); {
	case n <= 11:
		return ""
	case n <= 16:
		return "medium"
	default:
		return "long"
	}
}
