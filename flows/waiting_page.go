package flows

import (
	"encoding/base64"
	"errors"
	"net/http"

	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/pages"
)

// What browsers see of waiting logins (CONTRACT §4). What programs and the script of the pages see is
// waiting_poll.go. A browser holds an attempt's cookie as for every login; its id is in the address of the
// page, its secret is what opens the waiting.

// pageOf answers GET of the page of one kind: a waiting if the address names one of this browser, else begin.
func (f *Flows) pageOf(w http.ResponseWriter, r *http.Request, here origin.Origin, q *begins, begin beginPage) error {
	if pages.KindOf(r) == pages.Program {
		return f.loginRequired(here, q.back, []*login{q.login})
	}
	if q.attempt == "" {
		return begin(w, r, here, q, "")
	}
	if f.withheld(r) {
		return reload(w, r.URL.RequestURI()) // or the session of before would outlive this login (P072)
	}
	a, l, err := f.waitingAttempt(r, here, q.login.waits(), q.attempt)
	if err != nil {
		return err
	}
	if a == nil {
		return f.lost(w, r, here, q, begin, "That sign-in was finished already, was begun in another browser, or this browser keeps no cookies for "+here.Authority()+".")
	}
	q.login, q.back, q.unsaid = l, a.back, false
	record(w, l)
	wait, err := f.loadWaiting(r.Context(), a.id)
	switch {
	case errors.Is(err, errNoWaiting):
		f.drop(w, here, l.name, a.id)
		return f.lost(w, r, here, q, begin, "The time for that sign-in has run out. Begin again here.")
	case err != nil:
		return err
	case !wait.heldBy(a.holder()):
		return f.lost(w, r, here, q, begin, "That sign-in was begun in another browser.")
	}
	done, trouble, wait, err := f.goOn(w, r, a, wait)
	switch {
	case err != nil:
		return err
	case done != nil:
		return f.goHome(w, done.to)
	case wait.Status == waitUsed:
		return f.lost(w, r, here, q, begin, "That sign-in was finished already.")
	}
	q.trouble = trouble
	if l.device != nil {
		f.showDevice(w, r, a, q, wait)
	} else {
		f.showCIBA(w, r, a, q, wait)
	}
	return nil
}

type beginPage = func(w http.ResponseWriter, r *http.Request, here origin.Origin, q *begins, notice string) error

// lost answers for a page whose sign-in is no more: the back button after success, an old bookmark. Who is signed
// in goes on to where that led; anybody else gets the page that begins, which says why.
func (f *Flows) lost(w http.ResponseWriter, r *http.Request, here origin.Origin, q *begins, begin beginPage, why string) error {
	signedIn, err := f.signedIn(r)
	switch {
	case err != nil:
		return err
	case signedIn:
		return redirect(w, http.StatusSeeOther, f.target(here, q.back))
	case q.unsaid:
		return redirect(w, http.StatusSeeOther, f.prefix+"/sign_in?"+queryOf(beginning{back: q.back}))
	}
	q.attempt = ""
	return begin(w, r, here, q, why)
}

// goHome leads a page's browser on after a login.
func (f *Flows) goHome(w http.ResponseWriter, to string) error {
	if f.cookie.SameSite == http.SameSiteStrictMode {
		return reload(w, to)
	}
	return redirect(w, http.StatusSeeOther, to)
}

// arrival is where a browser goes that has just been signed in.
type arrival struct{ to string }

// goOn does one step for a browser that holds a, and signs it in if the person has agreed. trouble
// tells that the provider doesn't answer just now.
func (f *Flows) goOn(w http.ResponseWriter, r *http.Request, a *attempt, wait *waiting) (done *arrival, trouble bool, now *waiting, err error) {
	ctx, began := r.Context(), f.deps.Now()
	asks := wait.Kind == kindCIBA && wait.due(began)
	now, err = f.stepFrom(ctx, wait)
	if err == nil && asks && now.Status != waitReady {
		level(ctx, f.deps.Now().Sub(began))
	}
	if err != nil || now.Status != waitReady {
		return nil, err == nil && now.Status == waitPending && now.Pace.Failures > 0, now, err
	}
	if ctx.Err() != nil {
		return nil, false, now, nil // the browser has gone: its next poll collects
	}
	who, won, err := f.take(ctx, a.id, nil)
	switch {
	case unavailable(err):
		return nil, true, now, nil // the keys cannot be had: nothing is lost
	case err != nil:
		return nil, false, nil, err
	case !won:
		now, err = f.loadWaiting(ctx, a.id)
		if errors.Is(err, errNoWaiting) {
			err = f.storeError(err) // it was there a moment ago
		}
		return nil, false, now, err
	}
	f.drop(w, a.here, a.login, a.id)
	if facts := f.looped(r, a); facts != nil {
		f.deps.Revoker.Revoke(ctx, who) // nobody holds these tokens now (REF-8)
		return nil, false, nil, f.loopError(w, r, a, facts)
	}
	to, err := f.establish(w, r, a, who)
	if err != nil {
		return nil, false, nil, err
	}
	return &arrival{to}, false, now, nil
}

// waitingAttempt returns the attempt of this browser that text names, nil if there is none of this kind.
func (f *Flows) waitingAttempt(r *http.Request, here origin.Origin, kind, text string) (*attempt, *login, error) {
	id, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(id) != idSize {
		return nil, nil, nil
	}
	for _, l := range f.logins {
		if l.waits() != kind {
			continue
		}
		if a, err := f.held(r, here, l, id); a != nil || err != nil {
			return a, l, err
		}
	}
	return nil, nil, nil
}

// name is an attempt's id as it stands in addresses and in the name of its cookie.
func (a *attempt) name() string { return base64.RawURLEncoding.EncodeToString(a.id) }

// begun is what the person compares with what their other device says (RFC 10027 §6.1.13).
func (w *waiting) begun() string {
	text := w.created().UTC().Format("2 January 2006, 15:04 UTC")
	if w.Client != "" {
		text += ", from " + w.Client
	}
	return text
}

// waitingPart is what both pages have in common.
func (f *Flows) waitingPart(a *attempt, q *begins, w *waiting) pages.Waiting {
	now := f.deps.Now()
	page := f.prefix + "/" + w.Kind + "?attempt=" + a.name()
	again := *q
	again.attempt, again.hint = a.name(), w.Hint
	part := pages.Waiting{
		Status: w.Status, Problem: w.Why, Trouble: q.trouble,
		ExpiresIn: wholeSeconds(w.ends().Sub(now)), Interval: wholeSeconds(w.interval(now)),
		Poll: f.pollPath(w.Kind, a, true), Reload: page, Again: f.beginForm(&again), Other: f.otherWays(a.here, a.back, f.byName[a.login]),
	}
	if w.Status == waitReady {
		part.Status = waitPending
	}
	return part
}
