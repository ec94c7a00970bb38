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

	// again marks an answer that a page of ours has brought a second time, so that none does for ever.
	again = "again"

	// How far the clock of a replica may be ahead. A state from later than that would
	// outlive its mark: the clock has jumped (P214).
	clockSkew = time.Minute
)

// singleParams may stand once in an answer, or not at all (RSP-3, P107). Which of two would count
// is a question that two parsers answer differently.
var singleParams = []string{"code", "state", "iss", "error", "error_description", "error_uri", "ticket", "answer"}

// callback returns the handler of one provider's redirect URI. The order of its checks is
// the order of RSP-1, and nothing is redeemed before they all hold.
func (f *Flows) callback(provider string) handler {
	return func(w http.ResponseWriter, r *http.Request, here origin.Origin) error {
		if r.Method == http.MethodPost {
			return f.received(w, r, here, provider)
		}
		if f.relays(provider) && r.URL.RawQuery == "" && pages.KindOf(r) == pages.Navigation {
			return f.relay(w, r, here, provider)
		}
		params, err := parseAnswer(r.URL.RawQuery)
		if err != nil {
			return err
		}
		back, carried := answer{Values: params}, false
		if !params.Has("state") { // what we send ourselves; else any parameter of the provider's (RSP-3)
			if back, carried, err = f.brought(r, here, provider, params); err != nil {
				return err
			}
		}
		s, l, err := f.belongs(w, here, provider, back.Values)
		if err != nil {
			return err
		}
		began, mine, err := f.destination(here, provider, s, carried)
		if err != nil {
			return err
		}
		if !mine {
			return f.carry(w, began, provider, back.Values)
		}
		if f.withholds(r) && pages.KindOf(r) == pages.Navigation && !params.Has(again) {
			return reload(w, r.URL.RequestURI()+"&"+again+"=1") // the old session must come along, or it outlives this login (P072, P086)
		}
		back.redirectURI = f.redirectURI(provider, here)
		return f.end(w, r, here, l, s, back)
	}
}

// brought opens what a redirect of our own carries here: a ticket (callback_host.go) or the handle of an answer that
// was posted (post.go).
func (f *Flows) brought(r *http.Request, here origin.Origin, provider string, params url.Values) (back answer, carried bool, err error) {
	switch {
	case params.Has("ticket") && !f.callbacks[provider].host.IsZero():
		back.Values, err = f.openTicket(here, provider, params.Get("ticket"))
	case params.Has("answer") && f.takesPosts(provider):
		back, err = f.collect(r, here, provider, params.Get("answer"))
	default:
		return answer{Values: params}, false, nil
	}
	return back, true, err
}

// belongs returns the state of an answer and the login that it is for.
func (f *Flows) belongs(w http.ResponseWriter, here origin.Origin, provider string, params url.Values) (s state, l *login, err error) {
	s, ok := f.openState(params.Get("state"))
	if !ok || s.Provider != provider { // P090, P092: another provider's state is as good as none
		return s, nil, f.stateError(here, home, "The sign-in that this answer belongs to was not begun here.")
	}
	l = f.byName[s.Login]
	if l == nil || l.provider != provider || l.flow == nil {
		return s, nil, f.stateError(here, home, "The configuration has changed since this sign-in began.")
	}
	record(w, l)
	return s, l, nil
}

// destination returns the host where the login of s began, and whether that is here. An answer that has
// not been carried comes to the host that is registered for it and to no other.
func (f *Flows) destination(here origin.Origin, provider string, s state, carried bool) (began origin.Origin, mine bool, err error) {
	began, ok := f.origin(s)
	if !ok {
		return began, false, f.stateError(here, home, "The configuration has changed since this sign-in began.")
	}
	if host := f.callbacks[provider].host; !host.IsZero() && began != host && !carried {
		if here != host {
			return began, false, f.stateError(here, home, "This answer came to another host than the one that was registered for it.")
		}
		return began, false, nil
	}
	if began != here {
		return began, false, f.stateError(here, home, "This sign-in was begun on another host.")
	}
	return began, true, nil
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
		f.drop(w, here, s.Login, s.ID)
		return f.homeOr(w, r, here, s, "This sign-in was begun in another browser, was finished already, or this browser keeps no cookies for "+here.Authority()+".")
	}
	if err := checkIssuer(r.Context(), l, back); err != nil {
		if !unavailable(err) { // else nothing is lost: the cookie stays, and loading again goes on
			f.drop(w, here, s.Login, s.ID)
		}
		return f.answerError(l, a, err)
	}
	if code := back.Get("error"); code != "" {
		f.drop(w, here, s.Login, s.ID)
		return f.refused(w, r, l, a, code, back.Get("error_description"))
	}
	if facts := f.looped(r, a); facts != nil {
		f.drop(w, here, s.Login, s.ID)
		return f.loopError(w, r, a, facts)
	}
	redeemed, err := f.budget.admit(r.Context(), l.provider, telemetry.From(w).Client)
	if err != nil {
		return err // as above
	}
	failed := false
	defer func() { redeemed(failed) }()
	first, err := f.once(r.Context(), s.ID)
	if err != nil {
		return f.storeError(err) // as above
	}
	f.drop(w, here, s.Login, s.ID)
	f.forget(r.Context(), here, l.provider, back)
	if !first {
		return f.homeOr(w, r, here, s, "This sign-in was finished already.")
	}
	failed = true // also if it panics
	who, err := l.flow.redeem(r.Context(), a, back)
	if failed = err != nil; failed {
		if f.mayRestart(a.restarts) && codeWasRefused(err) {
			return f.restart(w, r, l, a) // TOK-6
		}
		return f.answerError(l, a, err)
	}
	return f.finish(w, r, a, who)
}

// stale answers an authentic state that has passed its time: a login page that was left
// open over night, or a bookmark of one (R4).
func (f *Flows) stale(w http.ResponseWriter, r *http.Request, here origin.Origin, l *login, s state) error {
	f.drop(w, here, s.Login, s.ID)
	signedIn, err := f.signedIn(r)
	switch {
	case err != nil:
		return err
	case signedIn:
		return redirect(w, http.StatusSeeOther, f.target(here, s.Back))
	case f.mayRestart(s.Restarts):
		return f.restart(w, r, l, &attempt{here: here, back: s.Back, restarts: s.Restarts})
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
		return f.restart(w, r, l, a)
	}
	return f.responseError(l, a, code, description)
}

func (f *Flows) mayRestart(restarts int) bool { return restarts < maxRestarts }

// restart begins the login of a anew without a click.
func (f *Flows) restart(w http.ResponseWriter, r *http.Request, l *login, a *attempt) error {
	return f.begin(w, r, a.here, l, beginning{back: a.back, passed: a.passed, restarts: a.restarts + 1})
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
