package proxy

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/doorward/doorward/internal/origin"
)

const mostHops = 20 // of a browser, which gives up then

// Endless finds redirects that lead to each other, or to themselves, for ever. It returns the first target of each, by the
// name of the route. What else is wrong with a configuration it passes over: [New] says that.
func Endless(c Config, origins *origin.Set) map[string]string {
	if !slices.ContainsFunc(c.Routes, func(rc Route) bool { return rc.Answer != nil && rc.Answer.Redirect != nil }) {
		return nil
	}
	routes := make([]*route, 0, len(c.Routes))
	for _, rc := range c.Routes {
		if rt, err := signpost(rc, c.Prefix); err == nil {
			routes = append(routes, rt)
		}
	}
	table, err := newTable(routes, newSites(origins))
	if err != nil {
		return nil
	}
	found := make(map[string]string)
	for _, rt := range routes {
		if !rt.redirects() {
			continue
		}
		hosts := rt.hosts
		if len(hosts) == 0 {
			hosts = origins.All()
		}
		for _, o := range hosts {
			// A path below the route's, too: a redirect may end for the one and not for the other.
			for _, below := range [...]string{"", "/a"} {
				if to, endless := table.follow(rt, origins, o, strings.TrimSuffix(rt.path(), "/")+below); endless {
					found[rt.name] = to
				}
			}
		}
	}
	return found
}

// signpost is as much of a route as says which requests come to it, and where it redirects them.
func signpost(rc Route, prefix string) (*route, error) {
	rt := &route{name: rc.Name, hosts: rc.Hosts}
	var err error
	if err = rt.setPath(rc, prefix); err != nil {
		return nil, err
	}
	if err = rt.setMethods(rc.Methods); err != nil {
		return nil, err
	}
	if rt.match, err = newMatch(rc.Match); err != nil {
		return nil, err
	}
	if err = rt.setRewrite(rc); err != nil {
		return nil, err
	}
	if rc.Answer != nil && rc.Answer.Redirect != nil {
		rt.answer = &answerer{}
		rt.answer.redirect, err = newRedirector(*rc.Answer.Redirect, rc)
	}
	return rt, err
}

func (rt *route) redirects() bool { return rt.answer != nil && rt.answer.redirect != nil }

// path is the route's own, decoded.
func (rt *route) path() string { return "/" + strings.Join(rt.segments, "/") }

// follow goes from a path of a route to where that redirects, as a browser would, and reports whether there is no end to it.
func (t *table) follow(rt *route, origins *origin.Set, o origin.Origin, path string) (first string, endless bool) {
	path = (&url.URL{Path: path}).EscapedPath()
	if path == "" {
		path = "/"
	}
	query, came := "", rt
	for hop := 0; ; hop++ {
		encoded, decoded, refusal := parsePath(path)
		if refusal != "" {
			return first, false
		}
		n, sure := t.rules(o, decoded)
		at := n.route(came.follows(), nil, query)
		if !sure || at == nil || hop == 0 && at != rt || !at.redirects() {
			return first, false
		}
		if hop == mostHops {
			return first, true
		}
		to, err := at.answer.redirect.location(&CanonicalRequest{Path: encoded, decoded: decoded, Query: query}, at)
		u, bad := url.Parse(to)
		if err != nil || bad != nil {
			return first, false
		}
		if u.Host != "" {
			here, ok := origins.Lookup(u.Host)
			if !ok || here.Scheme != u.Scheme {
				return first, false
			}
			o = here
		}
		if hop == 0 {
			first = to
		}
		path, query, came = u.EscapedPath(), u.RawQuery, at
	}
}

// follows is the method of the request that a redirect leads to: 307 and 308 keep it (RFC 9110 §15.4), others make it a GET.
func (rt *route) follows() string {
	if rt.methods[http.MethodGet] || !rt.redirects() || rt.answer.redirect.status < http.StatusTemporaryRedirect {
		return http.MethodGet
	}
	return rt.listed[0]
}
