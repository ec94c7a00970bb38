package pages

import (
	"net/http"
	"time"
)

// Error is a failure with two faces: what the caller may read, and what the operator
// must (in the log only). Handlers return it; [Pages.Error] is its one writer.
type Error struct {
	Code       string        // stable, one of Codes: decides status, title, whose fault it is and the advice
	Status     int           // 0 = the code's own
	Detail     string        // one plain sentence for the caller about this very case; may be empty
	Err        error         // the cause, for the log; never shown
	RetryAfter time.Duration // 0 = no Retry-After header
	Challenge  []string      // values of WWW-Authenticate
	LoginURL   string        // absolute; shown as login_url and as the button "sign in"
	Facts      []Fact        // measured facts, shown as a list (login_loop, access_denied)
	Actions    []Action      // further links on the page ("switch account")
}

// Fact is one line of a list of facts on a page.
type Fact struct{ Name, Value string }

// Action is a link, or with Post a form button, on a page. URL is a path or an absolute URL of our own.
type Action struct {
	Label string
	URL   string
	Post  bool
}

func (e *Error) Error() string {
	s := e.Code
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// Config is what an operator may change about pages.
type Config struct {
	Prefix string // of our own endpoints, "/oauth2"
}

// Pages writes everything that Doorward itself shows.
type Pages struct{}

// New parses the embedded templates.
func New(Config) (*Pages, error) { panic("unbuilt") }

// Error answers with err: a page for a navigation, application/problem+json for a
// program. An error that is no *Error is internal_error (500) and its text is logged only.
func (p *Pages) Error(w http.ResponseWriter, r *http.Request, err error) { panic("unbuilt") }

// Handle turns a handler that may fail into an http.Handler.
func (p *Pages) Handle(h func(w http.ResponseWriter, r *http.Request) error) http.Handler {
	panic("unbuilt")
}

// SignIn is the page on which a person chooses a login.
type SignIn struct {
	Host    string // where they are signing in to
	Options []SignInOption
}

// SignInOption is one way of signing in.
type SignInOption struct{ Label, URL string }

// SignIn writes that page.
func (p *Pages) SignIn(w http.ResponseWriter, r *http.Request, s SignIn) { panic("unbuilt") }

// SignedOut writes the page after a logout. again is a path that starts a new login, or "".
func (p *Pages) SignedOut(w http.ResponseWriter, r *http.Request, again string) { panic("unbuilt") }

// ConfirmSignOut writes the page that a cross-site navigation to sign_out gets: a form that POSTs to action.
func (p *Pages) ConfirmSignOut(w http.ResponseWriter, r *http.Request, action, rd string) {
	panic("unbuilt")
}

// KeepFragment writes the page that carries location.hash into a login: script appends the
// fragment (percent-encoded) to start's rd; without script a link goes to start.
func (p *Pages) KeepFragment(w http.ResponseWriter, r *http.Request, start string) { panic("unbuilt") }

// JSON writes v with no-store. Only for our own endpoints.
func (p *Pages) JSON(w http.ResponseWriter, r *http.Request, status int, v any) { panic("unbuilt") }

// Static serves the embedded files (…/static/NAME) with long-lived caching by content hash.
func (p *Pages) Static() http.Handler { panic("unbuilt") }
