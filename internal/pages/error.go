package pages

import "time"

// Error is a failure with two faces: what the caller may read, and what the operator
// must (in the log only). Handlers return it; [Pages.Error] is its one writer.
type Error struct {
	Code       string         // stable, one of those in codes.go: decides status, title, whose fault it is and the advice
	Status     int            // 0 = the code's own; only 400 to 599
	Detail     string         // one plain sentence for the caller about this very case; may be empty
	Err        error          // the cause, for the log; never shown
	RetryAfter time.Duration  // 0 = no Retry-After header; rounded up to whole seconds
	Challenge  []string       // values of WWW-Authenticate
	LoginURL   string         // absolute; shown as login_url and as the button "sign in"
	Facts      []Fact         // measured facts, shown as a list (login_loop, access_denied); the first 20
	Members    map[string]any // further members of the problem document (approval); none of those that it has
	Actions    []Action       // further links on the page ("switch account"); the first 6
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

// HTTPStatus is the status of the answer with this error: that of its code unless Status says otherwise, 500 for a code that
// isn't in the list.
func (e *Error) HTTPStatus() int { return judge(e).status() }
