package flows

import (
	"errors"
	"net/http"
	"time"

	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/sessions"
)

// userinfo is GET …/userinfo: who is signed in, for the application's own script. Like every
// endpoint here it sends no CORS header (P183) and no token (P191).
func (f *Flows) userinfo(w http.ResponseWriter, r *http.Request, here origin.Origin) error {
	session, err := f.current(r, here)
	if err != nil {
		return err
	}
	who := session.Who
	info := struct {
		User     string   `json:"user"`
		Email    string   `json:"email,omitempty"`
		Groups   []string `json:"groups"`
		Username string   `json:"preferredUsername,omitempty"`
	}{User: who.Subject, Groups: who.Groups, Username: who.Username}
	if who.EmailVerified { // as for the identity headers: an unproved address is no attribute of anyone
		info.Email = who.Email
	}
	if info.Groups == nil {
		info.Groups = []string{}
	}
	f.deps.Pages.JSON(w, r, http.StatusOK, info)
	return nil
}

// session is GET …/session: how long the session and its tokens still last. Asking is no activity.
func (f *Flows) session(w http.ResponseWriter, r *http.Request, here origin.Origin) error {
	session, err := f.current(r, here)
	if err != nil {
		return err
	}
	f.deps.Pages.JSON(w, r, http.StatusOK, f.describe(session))
	return nil
}

// sessionRefresh is POST …/session/refresh.
func (f *Flows) sessionRefresh(w http.ResponseWriter, r *http.Request, here origin.Origin) error {
	if !ownRequest(r, here) {
		return &pages.Error{Code: codeCrossSite, Detail: "This must be asked for by a page of " + here.Authority() + " itself."}
	}
	session, err := f.deps.Sessions.Refresh(w, r)
	switch {
	case errors.Is(err, sessions.ErrRefused), err == nil && session == nil:
		return f.loginRequired(here, home, nil)
	case err != nil:
		return f.refreshError(err)
	}
	f.deps.Pages.JSON(w, r, http.StatusOK, f.describe(session))
	return nil
}

// signedInPath is where a login ends that a page of an application began in a window of its own (static/session.js).
const signedInPath = "/signed_in"

// signedInPage is GET …/signed_in. It says so to who has a session only: whatever a login was begun for, an application that is
// told goes on at once.
func (f *Flows) signedInPage(w http.ResponseWriter, r *http.Request, here origin.Origin) error {
	session, err := f.deps.Sessions.Load(r)
	switch {
	case err != nil:
		return f.sessionError(err)
	case session == nil:
		return f.loginRequired(here, f.prefix+signedInPath, nil)
	}
	f.deps.Pages.SignedIn(w, r)
	return nil
}

// current returns the session of r, or the error that says there is none.
func (f *Flows) current(r *http.Request, here origin.Origin) (*sessions.Session, error) {
	session, err := f.deps.Sessions.Load(r)
	if err != nil {
		return nil, f.sessionError(err)
	}
	if session == nil {
		return nil, f.loginRequired(here, home, nil)
	}
	return session, nil
}

// sessionInfo is CONTRACT §5. Times that don't exist are left out; -1 seconds means never.
type sessionInfo struct {
	Session lifetime    `json:"session"`
	Tokens  *tokenTimes `json:"tokens,omitempty"`
	User    user        `json:"user"`
}

type lifetime struct {
	CreatedAt time.Time `json:"created_at"`
	EndsAt    time.Time `json:"ends_at"`
	TimeoutAt time.Time `json:"timeout_at"`
	EndsIn    int64     `json:"ends_in_seconds"`
	TimeoutIn int64     `json:"timeout_in_seconds"`
	Active    bool      `json:"active"`
}

type tokenTimes struct {
	ExpireAt        time.Time `json:"expire_at,omitzero"`
	RefreshedAt     time.Time `json:"refreshed_at"`
	ExpireIn        int64     `json:"expire_in_seconds"`
	NextRefreshIn   int64     `json:"next_auto_refresh_in_seconds"`
	Cooldown        bool      `json:"refresh_cooldown"`
	CooldownSeconds int64     `json:"refresh_cooldown_seconds"`
}

type user struct {
	Issuer   string `json:"iss"`
	Subject  string `json:"sub"`
	Login    string `json:"login"`
	Provider string `json:"provider"`
}

func (f *Flows) describe(s *sessions.Session) sessionInfo {
	now := f.deps.Now()
	info := sessionInfo{
		Session: lifetime{
			CreatedAt: second(s.Created), EndsAt: second(s.Ends), TimeoutAt: second(s.TimesOut),
			EndsIn: secondsUntil(now, s.Ends), TimeoutIn: secondsUntil(now, s.TimesOut), Active: true,
		},
		User: user{s.Who.Issuer, s.Who.Subject, s.Who.Login, s.Who.Provider},
	}
	if s.Who.Tokens == nil {
		return info
	}
	next, cooldown := f.deps.Sessions.NextRefresh(s)
	refreshed := s.Refreshed
	if refreshed.IsZero() {
		refreshed = s.Created
	}
	info.Tokens = &tokenTimes{
		ExpireAt: second(s.Who.Tokens.Expiry), RefreshedAt: second(refreshed),
		ExpireIn: secondsUntil(now, s.Who.Tokens.Expiry), NextRefreshIn: secondsUntil(now, next),
		Cooldown: now.Before(cooldown), CooldownSeconds: max(0, secondsUntil(now, cooldown)),
	}
	return info
}

func second(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC().Truncate(time.Second)
}

// secondsUntil returns 0 for what has passed and -1 for what never comes.
func secondsUntil(now, t time.Time) int64 {
	if t.IsZero() {
		return -1
	}
	return max(0, int64(t.Sub(now)/time.Second))
}
