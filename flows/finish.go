package flows

import (
	"net/http"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/internal/telemetry"
)

// finish is the end of the logins that come back through a callback: a session, and home.
// The attempt was dropped before.
func (f *Flows) finish(w http.ResponseWriter, r *http.Request, a *attempt, who *identity.Identity) error {
	to, err := f.establish(w, r, a, who)
	if err != nil {
		return err
	}
	if f.withholds(r) {
		return reload(w, to) // or the session would not come with the next request (BFF-2)
	}
	// 303, never 307: what came with this request must not be sent on (AUT-8). The code
	// leaves the address bar (P112).
	return redirect(w, http.StatusSeeOther, to)
}

// establish is the end that all flows share: a session under a new id (P072, P086), and where its person
// wanted to go. It sets cookies and writes no answer: that may be a redirect or the JSON of a poll. The
// error is an answer, and then nobody is signed in and the tokens are revoked. It doesn't drop
// the attempt, and must be called once for it.
func (f *Flows) establish(w http.ResponseWriter, r *http.Request, a *attempt, who *identity.Identity) (location string, err error) {
	session, err := f.deps.Sessions.Start(w, r, who)
	if err != nil {
		f.deps.Revoker.Revoke(r.Context(), who) // nobody holds these tokens now (REF-8)
		return "", f.sessionError(err)
	}
	f.extendChain(w, a)
	f.rememberLast(w, a)
	if f.deps.SignedIn != nil {
		f.deps.SignedIn(r.Context(), who)
	}
	telemetry.From(w).Subject = who.Subject
	f.tellLogin(w, r, who, session.ID)
	f.deps.Log.InfoContext(r.Context(), "signed in", "login", a.login, "provider", a.provider, "session", session.ID, "host", a.here.Authority())
	return f.target(a.here, a.back), nil
}

// withholds reports whether a browser sends no SameSite=Strict cookie with a request, nor with where a redirect
// leads, because another site led here. Old browsers don't say who did: they may.
func (f *Flows) withholds(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	return f.cookie.SameSite == http.SameSiteStrictMode && (site == "cross-site" || site == "")
}

// withheld reports whether a browser may have a session that it certainly did not send along: to be
// asked again, by ourselves, before a login begins.
func (f *Flows) withheld(r *http.Request) bool {
	return f.withholds(r) && r.Header.Get("Sec-Fetch-Site") != "" && r.Method == http.MethodGet && pages.KindOf(r) == pages.Navigation
}

// reload sends a browser on by an answer of our own site instead of a redirect. Browsers hold back
// SameSite=Strict cookies through a whole chain of redirects that another site began, but not
// from a navigation that a page of ours begins. That page is empty and takes no place in the history.
func reload(w http.ResponseWriter, to string) error {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Type", "text/html; charset=utf-8") // of nothing, but a browser that must guess may offer to save it
	h.Set("Refresh", "0;url="+to)
	w.WriteHeader(http.StatusOK)
	return nil
}

// record notes for the access log which login a request is about.
func record(w http.ResponseWriter, l *login) {
	rec := telemetry.From(w)
	rec.Login, rec.Provider = l.name, l.provider
}
