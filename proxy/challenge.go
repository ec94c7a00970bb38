package proxy

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/doorward/doorward/internal/credentials"
	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/pages"
)

// challenge answers a request of nobody. A browser's navigation begins a login. Everything
// else gets 401 and learns where a person can sign in; no attempt is made for it and no
// cookie set, because scripts, images and prefetches would begin dozens (P185, P186, R8).
// A preflight is no exception: OPTIONS is no way past a login (P182).
// Neither is an Authorization that failed: whoever sends one wants to hear so.
func (rt *route) challenge(w http.ResponseWriter, req *CanonicalRequest, d Decision) error {
	if d.Err != nil {
		return d.Err
	}
	back := req.Target()              // never a URL that the client names (S13)
	if rt.loginURL(req, back) == "" { // no page would help; a browser asks by itself where it sees Basic
		return rt.unauthorized(req, "")
	}
	switch pages.KindOf(req.in) {
	case pages.Navigation:
		if rt.keepFragment {
			return rt.keep(w, req, back)
		}
		return rt.starter.Start(w, req.in, back)
	case pages.FormPost:
		return rt.unsent(req)
	}
	return rt.unauthorized(req, "")
}

// unauthorized is 401 for whoever begins no login here.
func (rt *route) unauthorized(req *CanonicalRequest, detail string) *pages.Error {
	return &pages.Error{Code: codeLoginRequired, Detail: detail, Challenge: rt.challenges(req), LoginURL: rt.loginURL(req, req.Target())}
}

// challenges are what a 401 of this route says about how to call it (RFC 9110 §11.6.1). Where Basic serves for
// tickets only, git alone is told: a browser would ask the person for a password that there isn't.
func (rt *route) challenges(req *CanonicalRequest) []string {
	a := rt.callers.accept
	switch {
	case a.bearer:
		return rt.challengesFor(req, &credentials.Refusal{}) // no error: nothing was wrong yet (RFC 6750 §3)
	case rt.asksForBasic(req):
		return req.site.basic
	case a == accept{key: true}:
		return rt.challengesFor(req, &credentials.Refusal{})
	}
	return req.site.challenge
}

func (rt *route) asksForBasic(req *CanonicalRequest) bool {
	a := rt.callers.accept
	return a.basic || a.token && saysGit(req.in.Header["User-Agent"])
}

// schemeKey is what a challenge calls keys; no registered scheme means a header of one's own.
const schemeKey = "ApiKey"

// challengesFor are the same after something did not count. Of a route for bearer tokens they lead to where one gets them
// (RFC 9728 §5.1).
func (rt *route) challengesFor(req *CanonicalRequest, why *credentials.Refusal) []string {
	var more [][2]string
	if rt.callers.accept.bearer {
		more = [][2]string{{"resource_metadata", req.site.origin + rt.metadataPath}}
	}
	var all []string
	a := rt.callers.accept
	if why.Scheme == schemeKey || a == (accept{key: true}) {
		ofKey := *why
		ofKey.Scheme = schemeKey
		all = append(all, ofKey.Challenge(req.site.authority, [2]string{"header", rt.callers.places.key}))
		why = &credentials.Refusal{} // a token is the other way in, and nothing was wrong with one
	}
	if all == nil || a.bearer || a.token {
		all = append(all, why.Challenge(req.site.authority, more...))
	}
	if rt.asksForBasic(req) {
		all = append(all, req.site.basic[1])
	}
	return all
}

// loginURL is where a person signs in for this route, "" where no browser's session counts, or no page makes one.
func (rt *route) loginURL(req *CanonicalRequest, back string) string {
	if !rt.callers.accept.session {
		return ""
	}
	return rt.starter.LoginURL(req.in, back)
}

// keep answers with the page that carries location.hash through the login; no other party
// ever sees the fragment.
func (rt *route) keep(w http.ResponseWriter, req *CanonicalRequest, back string) error {
	start := strings.TrimPrefix(rt.starter.LoginURL(req.in, back), req.site.origin)
	if start == "" {
		return rt.starter.Start(w, req.in, back)
	}
	rt.pages.KeepFragment(w, req.in, start)
	return nil
}

// unsent answers a form that somebody sent after their session had ended. Going through
// the login would lose what they typed without a word, so they are told: their browser
// still has it one page back.
func (rt *route) unsent(req *CanonicalRequest) error {
	return &pages.Error{
		Code:      codeLoginRequired,
		Detail:    "The form was not sent, because you are not signed in any more. Sign in (in another tab, to keep what you typed), then go back and send it again.",
		Challenge: rt.challenges(req),
		LoginURL:  rt.loginURL(req, formPage(req)),
	}
}

// formPage is where a login after a lost form returns to: the page with the form if the
// browser says which one of this site it was, else the start page. The form's own target
// may well answer POST only.
func formPage(req *CanonicalRequest) string {
	u, err := url.Parse(req.in.Header.Get("Referer"))
	if err != nil || u.Scheme == "" || u.User != nil {
		return "/"
	}
	if o, err := origin.Parse(u.Scheme + "://" + u.Host); err != nil || o != req.Origin {
		return "/"
	}
	path, _, refusal := parsePath(u.EscapedPath())
	if refusal != "" || checkQuery(u.RawQuery) != "" {
		return "/"
	}
	if u.RawQuery != "" {
		path += "?" + u.RawQuery
	}
	return path
}
