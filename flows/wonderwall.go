package flows

import (
	"net/http"
	"net/url"

	"github.com/doorward/doorward/internal/origin"
)

// The paths and parameters that applications written for wonderwall use (CONTRACT §4). They add
// nothing: each is an endpoint of ours by another name.
func (f *Flows) wonderwall() []endpoint {
	get := []string{http.MethodGet}
	return []endpoint{
		{f.prefix + "/login", get, redirectMeansRd(f.start), f.deps.Origins},
		{f.prefix + "/logout", get, redirectMeansRd(f.signOut), f.deps.Origins},
		{f.prefix + "/logout/local", []string{http.MethodGet, http.MethodPost}, f.signOutLocal, f.deps.Origins},
		{f.prefix + "/ping", []string{http.MethodGet, http.MethodHead}, ping, f.deps.Origins},
	}
}

// redirectMeansRd takes the return target from redirect= instead of rd=.
func redirectMeansRd(next handler) handler {
	return func(w http.ResponseWriter, r *http.Request, here origin.Origin) error {
		if query, err := url.ParseQuery(r.URL.RawQuery); err == nil { // else next says so
			query["rd"] = query["redirect"]
			u := *r.URL
			u.RawQuery = query.Encode()
			r = r.WithContext(r.Context()) // a shallow copy
			r.URL = &u
		}
		return next(w, r, here)
	}
}

// signOutLocal ends the session here and leaves the one at the provider alone.
func (f *Flows) signOutLocal(w http.ResponseWriter, r *http.Request, here origin.Origin) error {
	if mayEnd(r, here) != agreed { // there is no page to ask on: this answers with nothing
		return notForOthers(here)
	}
	if _, err := f.endSession(w, r, here); err != nil {
		return err
	}
	return noContent(w)
}

// ping answers whoever wants to know that somebody is here. It says nothing about sessions and is no activity.
func ping(w http.ResponseWriter, r *http.Request, _ origin.Origin) error {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	if r.Method == http.MethodGet {
		_, _ = w.Write([]byte("pong"))
	}
	return nil
}
