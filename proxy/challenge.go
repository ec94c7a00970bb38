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
	kind := pages.KindOf(req.in)
	switch {
	case rt.unauthenticated == unauthenticated401 && kind == pages.FormPost:
		return rt.unsent(req, "")
	case rt.unauthenticated == unauthenticated401:
		return rt.unauthorized(req, "")
	}
	switch kind {
	case pages.Navigation:
		if rt.keepFragment {
			return rt.keep(w, req, back)
		}
		return rt.starter.Start(w, req.in, back)
	case pages.FormPost:
		return rt.formPosted(w, req)
	}
	if rt.unauthenticated == unauthenticatedLogin && mayNavigate(req.in) {
		return rt.starter.Start(w, navigating(req.in), back)
	}
	rt.tellHTMX(w, req)
	return rt.unauthorized(req, "")
}

// What a route does with requests of nobody: unauthenticated of a [[route]].
const (
	unauthenticatedAuto  = "auto"  // navigations and forms begin a login, all else is 401
	unauthenticated401   = "401"   // everything is; people get a page with a button
	unauthenticatedLogin = "login" // what does not say that it is no navigation begins a login, too
)

// mayNavigate reports whether a request that does not look like a navigation may be one all the same, where an operator says so:
// of an old or odd browser that neither sends Fetch Metadata nor names HTML in Accept. Whatever says by itself that it is
// something else stays so.
func mayNavigate(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	for _, name := range notNavigating {
		if r.Header[name] != nil {
			return false
		}
	}
	return true
}

var notNavigating = []string{
	"Sec-Fetch-Mode", "Sec-Fetch-Dest", "Upgrade", "X-Requested-With", "Hx-Request", "Service-Worker", "Authorization",
	"Sec-Purpose", "Purpose", "X-Purpose", "X-Moz", "Origin",
}

// navigating is r for a Starter, which begins no login for a program.
func navigating(r *http.Request) *http.Request {
	n := r.Clone(r.Context())
	n.Header["Sec-Fetch-Mode"], n.Header["Sec-Fetch-Dest"] = []string{"navigate"}, []string{"document"}
	return n
}

// tellHTMX sends the page of a person to the login whose htmx has asked for a part of it: htmx follows this header, whatever the
// status is, and shows no 401 to anybody. The login returns to the page, not to the part.
func (rt *route) tellHTMX(w http.ResponseWriter, req *CanonicalRequest) {
	if h := req.in.Header; len(h["Hx-Request"]) == 1 && h["Hx-Request"][0] == "true" {
		w.Header().Set("Hx-Redirect", rt.loginURL(req, pageOf(req, h.Get("Hx-Current-Url"))))
	}
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

// formPosted answers a form of somebody whose session has ended: it is kept, and sent after the login.
func (rt *route) formPosted(w http.ResponseWriter, req *CanonicalRequest) error {
	path, why, err := rt.keepPosted(w, req)
	switch {
	case err != nil:
		return err
	case path == "":
		return rt.unsent(req, why)
	}
	return rt.sendLater(w, req, path)
}

// unsent answers a form that is not kept; why is for the person, if there is more to say. Going through the login would lose what they typed without a word, so people are
// told: their browser still has it one page back.
func (rt *route) unsent(req *CanonicalRequest, why string) error {
	if why != "" {
		why += " "
	}
	return &pages.Error{
		Code:      codeLoginRequired,
		Detail:    "The form was not sent, because you are not signed in any more. " + why + "Sign in (in another tab, to keep what you typed), then go back and send it again.",
		Challenge: rt.challenges(req),
		LoginURL:  rt.loginURL(req, formPage(req)),
	}
}

// formPage is where a login after a lost form returns to: the page with the form. The form's own target may well answer POST
// only.
func formPage(req *CanonicalRequest) string { return pageOf(req, req.in.Header.Get("Referer")) }

// pageOf is a page that a browser says it was on, if it is one of this site, else the start page.
func pageOf(req *CanonicalRequest, page string) string {
	u, err := url.Parse(page)
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
