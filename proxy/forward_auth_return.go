package proxy

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/pages"
)

// returnTarget is where a proxy wants a login to end that begins at start or sign_in: X-Auth-Request-Redirect, as set-ups made for
// oauth2-proxy write it. It is read before the headers are cleaned, and from trusted proxies only; whether one may be sent there
// is judged like rd.
func (f *forwardAuth) returnTarget(r *http.Request) string {
	lines := r.Header["X-Auth-Request-Redirect"]
	if len(lines) != 1 || f.begins(r.URL.Path) != "rd" {
		return ""
	}
	if !f.comesByProxy(r) {
		return ""
	}
	return lines[0]
}

func (f *forwardAuth) comesByProxy(r *http.Request) bool {
	peer, ok := peerAddress(r.RemoteAddr)
	return ok && f.gateway.trust.covers(peer)
}

// begins returns the parameter that says where a login ends which begins at a path; "" if none begins there.
func (f *forwardAuth) begins(path string) (parameter string) {
	switch rest, _ := strings.CutPrefix(path, f.prefix); {
	case rest == path:
	case rest == "/start", rest == "/sign_in":
		return "rd"
	case rest == "/login":
		return "redirect"
	}
	return ""
}

// returnTo gives an own endpoint that target as its rd, unless the address names one itself. It refuses logins that would end
// where nobody is let in: behind a proxy that leads every 401 to the login, they would begin again for ever. Where there is no
// proxy, they end at "/" like all whose target is none.
func (f *forwardAuth) returnTo(req *CanonicalRequest, target string) error {
	parameter := f.begins(req.decoded)
	if parameter == "" {
		return nil
	}
	query := req.in.URL.Query()
	if target != "" && !query.Has(parameter) {
		query.Set(parameter, target)
		u, in := *req.in.URL, *req.in
		if u.RawQuery != "" {
			u.RawQuery += "&"
		}
		u.RawQuery += parameter + "=" + url.QueryEscape(target)
		in.URL = &u
		req.in = &in
	}
	if !f.comesByProxy(req.in) {
		return nil
	}
	for _, to := range query[parameter] {
		if refusal := f.gateway.unreadable(req.Origin, to); refusal != "" {
			req.record.Route, req.record.Outcome = "own", "own"
			return &pages.Error{Code: codeBadRequest, Detail: "The address that you came from can be read in two ways, so nobody is let in there, signed in or not. " + refusal}
		}
	}
	return nil
}

// unreadable says why a request for a target of one of our hosts would be refused before anybody asks who it is from. "" = it would
// not, or the target is none: what leads elsewhere, or what some browser might take for that, is the business of those who judge rd,
// and becomes "/" there (P062, P063).
func (g *Gateway) unreadable(here origin.Origin, target string) (refusal string) {
	if target != "" && target[0] != '/' {
		scheme, rest, ok := strings.Cut(target, "://")
		end := strings.IndexAny(rest, "/?#")
		if !ok || end < 0 || rest[end] != '/' {
			return ""
		}
		there, err := origin.Parse(scheme + "://" + rest[:end])
		if err != nil {
			return ""
		}
		here, target = there, rest[end:]
	}
	if g.sites[here] == nil || len(target) < 2 || target[1] == '/' || target[1] == '\\' || strings.ContainsFunc(target, func(c rune) bool { return c <= ' ' || c == 0x7f }) {
		return ""
	}
	target, _, _ = strings.Cut(target, "#") // browsers keep it to themselves
	path, query, hasQuery := strings.Cut(target, "?")
	req := &CanonicalRequest{Method: http.MethodGet, Origin: here}
	if refusal = req.parse(path, query, hasQuery); refusal != "" && g.routes.slashed && g.takesSlash(req, path, query, hasQuery) {
		return ""
	}
	return refusal
}
