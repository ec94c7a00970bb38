package flows

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/internal/telemetry"
	"github.com/doorward/doorward/sessions"
)

const (
	// signedOutPath is where providers send browsers back to after a logout; it is registered there
	// as the post-logout redirect URI, and is the page that says that one is signed out.
	signedOutPath = "/logout/callback"

	logoutLife   = time.Hour       // of the state parameter: a logout page may be left open
	endpointWait = 3 * time.Second // for a discovery that a sign-out would have to wait for
	maxForm      = 16 << 10
)

// logoutState travels through the provider's logout. It is a convenience: whatever
// comes back in its place is a signed-out page and no error (LO-3).
type logoutState struct {
	Created int64  `json:"t"`
	Back    string `json:"b,omitempty"`
}

// signOut is …/sign_out?rd=. The session ends here first, on every replica; what comes
// after may fail without bringing it back (LO-1).
func (f *Flows) signOut(w http.ResponseWriter, r *http.Request, here origin.Origin) error {
	rd, err := wantedTarget(w, r)
	if err != nil {
		return err
	}
	switch mayEnd(r, here) {
	case refuse:
		return notForOthers(here)
	case ask:
		f.deps.Pages.ConfirmSignOut(w, r, f.prefix+"/sign_out", rd)
		return nil
	}
	session, err := f.endSession(w, r, here)
	if err != nil {
		return err
	}
	if pages.KindOf(r) == pages.Program {
		// A script cannot take its person to the provider, and gets no ID token to do it with
		// (P191). One that wants the logout there as well navigates to this endpoint.
		return noContent(w)
	}
	return redirect(w, http.StatusSeeOther, f.afterSignOut(r.Context(), here, session, rd))
}

// endSession ends the session that r came with, here and everywhere; nil if there was none. The
// Keeper hands its tokens to the Revoker.
func (f *Flows) endSession(w http.ResponseWriter, r *http.Request, here origin.Origin) (*sessions.Session, error) {
	session, err := f.deps.Sessions.End(w, r)
	if err != nil {
		return nil, f.sessionError(err)
	}
	f.clearCookie(w, here, f.loopCookie(here))
	if session != nil {
		f.deps.Log.InfoContext(r.Context(), "signed out", "session", session.ID, "login", session.Who.Login,
			"provider", session.Who.Provider, "host", here.Authority())
		f.deps.Signals.Tell(w, r, telemetry.Event{Name: telemetry.EventLogout, Outcome: telemetry.OK, Reason: "user", Who: session.Who, Session: session.ID})
	}
	return session, nil
}

func noContent(w http.ResponseWriter) error {
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// wantedTarget returns rd of the query or of the form.
func wantedTarget(w http.ResponseWriter, r *http.Request) (string, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return "", &pages.Error{Code: codeBadRequest, Detail: "The address is not encoded correctly."}
	}
	if r.Method == http.MethodPost {
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		if err := r.ParseForm(); err != nil {
			return "", &pages.Error{Code: codeBadRequest, Detail: "The form cannot be read, or is larger than 16 kB.", Err: err}
		}
		if r.PostForm.Has("rd") {
			query["rd"] = append(query["rd"], r.PostForm["rd"]...)
		}
	}
	if len(query["rd"]) > 1 {
		return "", &pages.Error{Code: codeBadRequest, Detail: "rd is there more than once."}
	}
	return query.Get("rd"), nil
}

// afterSignOut returns where a person goes from a session that has ended: to the provider's own
// logout if it has one, otherwise to rd, otherwise to the page that says it's done.
func (f *Flows) afterSignOut(ctx context.Context, here origin.Origin, session *sessions.Session, rd string) string {
	ctx, cancel := context.WithTimeout(ctx, endpointWait)
	defer cancel()
	if client, back := f.logoutAt(ctx, session, rd); client != nil {
		target, _ := f.judge(here, back)
		if len(target) > maxCookieBack {
			target = "" // the provider's URL has limits; the page that says it's done will do
		}
		e := provider.EndSession{
			PostLogoutRedirectURI: f.postLogoutURI(here),
			State:                 f.sealParameter(purposeLogout, logoutState{f.deps.Now().Unix(), target}, []byte(here.String())),
		}
		if session != nil && session.Who.Tokens != nil {
			e.IDTokenHint = session.Who.Tokens.IDToken // the newest one; it may have ended (LO-1)
		}
		to, err := client.EndSessionURL(ctx, e)
		if err != nil {
			f.deps.Log.WarnContext(ctx, "no logout at the provider", "provider", client.Name(), "error", err)
		}
		if to != "" {
			return to
		}
		rd = back
	}
	if target, ok := f.judge(here, rd); ok {
		return target
	}
	return f.prefix + signedOutPath
}

// logoutAt returns the provider at which to log out, or nil, and the return target.
// Usually it is the session's; an rd that names a provider's end_session_endpoint, as
// applications written for other gateways do, means that one, and its own post-logout
// target is the return target.
func (f *Flows) logoutAt(ctx context.Context, session *sessions.Session, rd string) (*provider.Client, string) {
	u, err := url.Parse(rd)
	foreign := err == nil && u.IsAbs()
	if session != nil {
		client := clientOf(f.deps.Providers, session.Who)
		if client != nil && foreign && f.endsSessionAt(ctx, client, u) {
			rd = u.Query().Get("post_logout_redirect_uri")
		}
		return client, rd
	}
	if foreign {
		for name := range f.callbacks {
			if client := f.deps.Providers[name]; f.endsSessionAt(ctx, client, u) {
				return client, u.Query().Get("post_logout_redirect_uri")
			}
		}
	}
	return nil, rd
}

func (f *Flows) endsSessionAt(ctx context.Context, client *provider.Client, u *url.URL) bool {
	text, err := client.EndSessionURL(ctx, provider.EndSession{})
	if err != nil || text == "" {
		return false
	}
	end, err := url.Parse(text)
	return err == nil && end.Scheme == u.Scheme && end.Host == u.Host && end.Path == u.Path && u.User == nil
}

// signedOut is where the provider sends a browser back to, and the page that says that one
// is signed out. It needs no session and no state (LO-3).
func (f *Flows) signedOut(w http.ResponseWriter, r *http.Request, here origin.Origin) error {
	var s logoutState
	text := r.URL.Query().Get("state")
	if len(text) <= maxTicket && f.openParameter(purposeLogout, text, &s, []byte(here.String())) &&
		f.deps.Now().Sub(time.Unix(s.Created, 0)) < logoutLife {
		if target, ok := f.judge(here, s.Back); ok {
			return redirect(w, http.StatusSeeOther, target)
		}
	}
	f.deps.Pages.SignedOut(w, r, f.prefix+"/start?"+queryOf(beginning{}))
	return nil
}
