package proxy

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/doorward/doorward/internal/origin"
)

// translateLocation rewrites the target of a redirect that names an upstream by the host that host_header tells it to be,
// which nobody outside can reach: it becomes a URL of the host that was asked. What the route puts in front of a path is
// taken off, and what it strips is put back. Everything else is the application's word: a relative target may be meant as
// it stands, because applications that heed X-Forwarded-Prefix write the outside path themselves.
func (v *visit) translateLocation(h http.Header) {
	rt := v.route
	if lines := h["Location"]; (rt.upstreamHost || rt.fixedHost != "") && len(lines) == 1 {
		if to, ok := v.outside(lines[0]); ok {
			h["Location"] = []string{to}
		}
	}
}

// outside is the URL under which a caller reaches what an upstream names. ok is false if it is not the upstream's, or not
// within what the route leads to.
func (v *visit) outside(location string) (target string, ok bool) {
	to, err := url.Parse(location)
	if err != nil || to.Host == "" || to.User != nil || to.Scheme != "http" && to.Scheme != "https" {
		return "", false
	}
	named, err := origin.Parse(to.Scheme + "://" + to.Host)
	if err != nil {
		return "", false
	}
	// It knows its host, and guesses the scheme from where it listens, or from X-Forwarded-Proto.
	here, err := origin.Parse(to.Scheme + "://" + v.route.hostFor(v.req.site, v.upstream))
	if err != nil || named != here {
		return "", false
	}
	path, ok := v.route.outward(to.EscapedPath(), v.upstream)
	if !ok {
		return "", false
	}
	rest := url.URL{RawQuery: to.RawQuery, ForceQuery: to.ForceQuery, Fragment: to.Fragment, RawFragment: to.RawFragment}
	return v.req.site.origin + path + rest.String(), true
}

// outward undoes outgoing, where that can be done: a rewrite by shapes may have several ways back.
func (rt *route) outward(path string, up *upstream) (outside string, ok bool) {
	if path == "" {
		path = "/"
	}
	parse := parsePath
	if rt.slash {
		parse = parseSlashed
	}
	encoded, decoded, refusal := parse(path)
	if refusal != "" || rt.rewrites != nil && rt.rewrites.shapes != nil {
		return "", false
	}
	front := up.decodedBase
	if rt.rewrites != nil {
		front += rt.rewrites.decodedPrefix
	}
	if !liesIn(decoded, front) {
		return "", false
	}
	if front != "" {
		encoded = cutSegments(encoded, strings.Count(front, "/"))
	}
	if rt.stripped != nil {
		encoded = rt.stripped[0] + encoded
	}
	return encoded, true
}
