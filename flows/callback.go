package flows

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/internal/telemetry"
)

const (
	maxRestarts = 1 // logins begun anew without a click, before a page names the cause

	// How far the clock of a replica may be ahead. A state from later than that would
	// outlive its mark: the clock has jumped (P214).
	clockSkew = time.Minute
)

// singleParams may stand once in an answer, or not at all (RSP-3, P107). Which of two would count
// is a question that two parsers answer differently.
var singleParams = []string{"code", "state", "iss", "error", "error_description", "error_uri", "ticket"}

// callback returns the handler of one provider's redirect URI. The order of its checks is
// the order of RSP-1, and nothing is redeemed before they all hold.
func (f *Flows) callback(provider string) func(http.ResponseWriter, *http.Request, origin.Origin) error {
	return func(w http.ResponseWriter, r *http.Request, here origin.Origin) error {
		params, err := parseAnswer(r.URL.RawQuery)
		if err != nil {
			return err
		}
		carried := params.Has("ticket") && !f.callbacks[provider].host.IsZero() // else any parameter of the provider's (RSP-3)
		if carried {
			if params, err = f.openTicket(here, provider, params.Get("ticket")); err != nil {
				return err
			}
		}
		s, ok := f.openState(params.Get("state"))
		if !ok || s.Provider != provider { // P090, P092: another provider's state is as good as none
			return f.stateError(here, home, "The sign-in that this answer belongs to was not begun here.")
		}
		l := f.byName[s.Login]
		began, ok := f.origin(s)
		if !ok || l == nil || l.provider != provider {
			return f.stateError(here, home, "The configuration has changed since this sign-in began.")
		}
		record(w, l)
		if host := f.callbacks[provider].host; !host.IsZero() && began != host && !carried {
			if here != host {
				return f.stateError(here, home, "This answer came to another host than the one that was registered for it.")
			}
			return f.carry(w, began, provider, params)
		}
		if began != here {
			return f.stateError(here, home, "This sign-in was begun on another host.")
		}
		return f.end(w, r, here, l, s, answer{params, f.redirectURI(provider, here)})
	}
}

// parseAnswer reads the query of a callback strictly.
func parseAnswer(query string) (url.Values, error) {
	params, err := url.ParseQuery(query)
	if err != nil {
		return nil, &pages.Error{Code: codeBadRequest, Detail: "The address is not encoded correctly."}
	}
	for _, name := range singleParams {
		if len(params[name]) > 1 {
			return nil, &pages.Error{Code: codeBadRequest, Detail: "The parameter " + name + " is there more than once."}
		}
	}
	return params, nil
}

// end takes the answer to a login that began here, in the state s, through the remaining checks.
func (f *Flows) end(w http.ResponseWriter, r *http.Request, here origin.Origin, l *login, s state, back answer) error {
	if age := f.deps.Now().Sub(s.created()); age >= attemptLife || age < -clockSkew {
		return f.stale(w, r, here, l, s)
	}
	a, err := f.pending(r, here, s)
	if err != nil {
		return err
	}
	if a == nil { // P089: someone else's answer, or one that was used, or a cookie that didn't come back
		f.drop(w, here, s)
		return f.homeOr(w, r, here, s, "This sign-in was begun in another browser, was finished already, or its cookie did not come back.")
	}
	if err := checkIssuer(r.Context(), l, back); err != nil {
		if !unavailable(err) { // else nothing is lost: the cookie stays, and loading again goes on
			f.drop(w, here, s)
		}
		return f.answerError(l, a, err)
	}
	if code := back.Get("error"); code != "" {
		f.drop(w, here, s)
		return f.refused(w, r, l, a, code, back.Get("error_description"))
	}
	if facts := f.looped(r, a); facts != nil {
		f.drop(w, here, s)
		return f.loopError(w, r, a, facts)
	}
	redeemed, err := f.budget.admit(r.Context(), l.provider, telemetry.From(w).Client)
	if err != nil {
		return err // as above
	}
	failed := false
	defer func() { redeemed(failed) }()
	first, err := f.once(r.Context(), s)
	if err != nil {
		return f.storeError(err) // as above
	}
	f.drop(w, here, s)
	if !first {
		return f.homeOr(w, r, here, s, "This sign-in was finished already.")
	}
	failed = true // also if it panics
	who, err := l.flow.redeem(r.Context(), a, back)
	if failed = err != nil; failed {
		if f.mayRestart(a.restarts) && codeWasRefused(err) {
			return f.restart(w, r, l, a.here, a.back, a.restarts) // TOK-6
		}
		return f.answerError(l, a, err)
	}
	return f.finish(w, r, a, who)
}

// stale answers an authentic state that has passed its time: a login page that was left
// open over night, or a bookmark of one (R4).
func (f *Flows) stale(w http.ResponseWriter, r *http.Request, here origin.Origin, l *login, s state) error {
	f.drop(w, here, s)
	signedIn, err := f.signedIn(r)
	switch {
	case err != nil:
		return err
	case signedIn:
		return redirect(w, http.StatusSeeOther, f.target(here, s.Back))
	case f.mayRestart(s.Restarts):
		return f.restart(w, r, l, here, s.Back, s.Restarts)
	}
	return f.stateError(here, s.Back, "This sign-in took longer than ten minutes, twice.")
}

// homeOr sends a browser that is signed in to the page that its attempt was for; it changes
// nothing, like a link to that page. Any other browser gets a page that says why.
func (f *Flows) homeOr(w http.ResponseWriter, r *http.Request, here origin.Origin, s state, why string) error {
	signedIn, err := f.signedIn(r)
	switch {
	case err != nil:
		return err
	case signedIn:
		return redirect(w, http.StatusSeeOther, f.target(here, s.Back))
	}
	return f.stateError(here, s.Back, why)
}

func (f *Flows) signedIn(r *http.Request) (bool, error) {
	s, err := f.deps.Sessions.Load(r)
	if err != nil {
		return false, f.sessionError(err)
	}
	return s != nil, nil
}

// refused answers an error response of the provider (RSP-2).
func (f *Flows) refused(w http.ResponseWriter, r *http.Request, l *login, a *attempt, code, description string) error {
	if needsPerson(code) && f.mayRestart(a.restarts) {
		return f.restart(w, r, l, a.here, a.back, a.restarts)
	}
	return f.responseError(l, a, code, description)
}

func (f *Flows) mayRestart(restarts int) bool { return restarts < maxRestarts }

// restart begins a login anew without a click.
func (f *Flows) restart(w http.ResponseWriter, r *http.Request, l *login, here origin.Origin, back string, restarts int) error {
	return f.begin(w, r, here, l, beginning{back: back, restarts: restarts + 1})
}

// codeWasRefused reports whether the token endpoint refused the code itself, which a new login mends.
func codeWasRefused(err error) bool {
	var e *provider.Error
	return errors.As(err, &e) && e.Kind == provider.Refused && e.Code == "invalid_grant"
}

func unavailable(err error) bool {
	var e *provider.Error
	return errors.As(err, &e) && e.Kind == provider.Unavailable
}

// checkIssuer applies RFC 9207. A wrong iss is the browser's parameter, not the provider's answer.
func checkIssuer(ctx context.Context, l *login, back answer) error {
	err := l.client.CheckIssuer(ctx, back.Values["iss"])
	var e *provider.Error
	if errors.As(err, &e) && e.Kind == provider.Misbehaved {
		return &provider.Error{Kind: e.Kind, Code: codeBadAnswer, Detail: "iss of RFC 9207", Err: err}
	}
	return err
}
