package flows

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/origin"
)

// The cookies of logins (CONTRACT §3). Only attempts have names with an id in them.
const (
	loginSuffix = "-login."
	postSuffix  = "-post." // of attempts whose answer comes by a POST of the provider's page
	idLength    = 22       // characters of an attempt's id in a name
)

// attemptCookie names the cookie of an attempt. A form that the provider's page posts comes from another
// site, and browsers send along no cookie that is not SameSite=None (Form Post Response Mode
// §4, RSP-8): such attempts have a name of their own.
func (f *Flows) attemptCookie(here origin.Origin, login string, id []byte) string {
	suffix := loginSuffix
	if f.isFormPost(login) {
		suffix = postSuffix
	}
	return f.binding.Prefixed(here, suffix+base64.RawURLEncoding.EncodeToString(id))
}

// attemptID returns the id that the name of an attempt's cookie holds; false for all other cookies.
func (f *Flows) attemptID(here origin.Origin, name string) (id []byte, ok bool) {
	for _, suffix := range []string{loginSuffix, postSuffix} {
		text, ok := strings.CutPrefix(name, f.binding.Prefixed(here, suffix))
		if !ok || len(text) != idLength {
			continue
		}
		id, err := base64.RawURLEncoding.Strict().DecodeString(text)
		return id, err == nil
	}
	return nil, false
}

// isAttemptCookie reports whether a cookie counts as an attempt, also if its name or its value cannot be read.
func (f *Flows) isAttemptCookie(here origin.Origin, name string) bool {
	return strings.HasPrefix(name, f.binding.Prefixed(here, postSuffix)) ||
		strings.HasPrefix(name, f.binding.Prefixed(here, loginSuffix)) && name != f.loopCookie(here) && name != f.lastCookie(here)
}

func (f *Flows) isFormPost(login string) bool {
	l := f.byName[login]
	return l != nil && l.front != nil && l.front.mode == formPost
}

// hasState reports whether attempts of a login are named by a state parameter, which holds a short return target.
func (f *Flows) hasState(login string) bool {
	l := f.byName[login]
	return l == nil || l.flow != nil
}

func (f *Flows) sameSite(login string) http.SameSite {
	if f.isFormPost(login) {
		return http.SameSiteNoneMode
	}
	return http.SameSiteLaxMode
}

// bound is the associated data of what is sealed into a cookie: it opens under no other
// name and for no other origin. On a loopback host all ports share their cookies.
func bound(here origin.Origin, name string) []byte {
	return bytes.Join([][]byte{[]byte(here.String()), []byte(name)}, []byte{0})
}

// setCookie sets a Lax cookie for here and no other host.
func (f *Flows) setCookie(w http.ResponseWriter, here origin.Origin, name, value string, life time.Duration) {
	f.writeCookie(w, here, http.SameSiteLaxMode, &http.Cookie{Name: name, Value: value, MaxAge: int(life / time.Second)})
}

// clearCookie removes a cookie of ours, whichever kind it is.
func (f *Flows) clearCookie(w http.ResponseWriter, here origin.Origin, name string) {
	mode := http.SameSiteLaxMode
	if strings.HasPrefix(name, f.binding.Prefixed(here, postSuffix)) {
		mode = http.SameSiteNoneMode
	}
	f.writeCookie(w, here, mode, &http.Cookie{Name: name, MaxAge: -1})
}

// writeCookie is what all cookies of logins have in common. Secure follows the configured origin, never the
// request; with SameSite=None it is always there, because browsers take none without it, and take it from
// http on this machine, the only place where we speak http without being told that it is insecure.
func (f *Flows) writeCookie(w http.ResponseWriter, here origin.Origin, mode http.SameSite, c *http.Cookie) {
	c.Path, c.HttpOnly, c.SameSite = "/", true, mode
	c.Secure = here.Secure() || mode == http.SameSiteNoneMode
	http.SetCookie(w, c)
}
