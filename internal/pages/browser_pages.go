package pages

import (
	"fmt"
	"net/http"
)

// KeptForm is the page that sends a form which was kept over a login.
type KeptForm struct {
	Host    string
	Request string // "POST /orders"
	Send    Form   // to the form's own target
}

// KeptForm writes that page. Its script posts the form at once, but only once; without script a button does.
func (p *Pages) KeptForm(w http.ResponseWriter, r *http.Request, page KeptForm) {
	p.showForm(w, r, http.StatusOK, p.keptForm, page.Send, "Your form is still here", struct {
		Host, Request string
		Send          Form
	}{clean(page.Host, maxValue), clean(page.Request, maxDetail), page.Send})
}

// SignedIn writes the page on which a login ends that a page of an application began in a window of its own. Its script tells
// the pages of this origin so, and nobody else, and closes the window.
func (p *Pages) SignedIn(w http.ResponseWriter, r *http.Request) {
	p.show(w, r, http.StatusOK, p.signedIn, false, "You are signed in", nil)
}

// SessionScript is the path of the script that lets single-page applications sign in again, with the hash by which caches keep it
// for a year. Without the hash they ask each time.
func (p *Pages) SessionScript() string {
	return fmt.Sprintf("%s/static/%s?v=%s", p.prefix, sessionScript, p.files[sessionScript].hash)
}

const sessionScript = "session.js"
