package flows

import (
	"net/http"
	"time"

	"github.com/doorward/doorward/internal/origin"
)

// lastLife is how long a browser remembers by which login its person came in last.
const lastLife = 180 * 24 * time.Hour

func (f *Flows) lastCookie(here origin.Origin) string {
	return f.binding.Prefixed(here, loginSuffix+"last")
}

// rememberLast notes which login was used, so that the sign-in page can offer it first. It is the name of
// a login and nothing else; nobody is let in for it, so it is not sealed. Where there is
// nothing to choose there is nothing to remember.
func (f *Flows) rememberLast(w http.ResponseWriter, a *attempt) {
	if len(f.logins) > 1 {
		f.setCookie(w, a.here, f.lastCookie(a.here), a.login, lastLife)
	}
}

// last returns the login that was used last in this browser, nil if that is not known.
func (f *Flows) last(r *http.Request, here origin.Origin) *login {
	cookies := r.CookiesNamed(f.lastCookie(here))
	if len(cookies) != 1 {
		return nil
	}
	return f.byName[cookies[0].Value]
}
