package proxy

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/pages"
)

// table finds the route of a request: by host, then the longest path prefix by segment,
// then the method and the match (S2). A route without a host stands in the table of every
// host; of two with the same path the one that names the host is taken. If the longest
// prefix has routes but none for the method, the answer is 405, and 404 if it has none whose
// match the request fits: falling back to a shorter prefix would let a request slip past the
// stricter rules of the longer one.
//
// A look-up walks the path once, whatever the number of routes, and allocates nothing.
type table struct {
	hosts   map[origin.Origin]*node
	any     *node // routes without a host
	slashed bool  // some route takes encoded slashes
}

// node stands for one path prefix.
type node struct {
	children map[string]*node
	routes   []*route // at exactly this prefix, those with a match first; each gets some request
	allow    string   // all their methods, for 405
	matches  bool     // one of them has a match
}

func newTable(routes []*route, sites map[origin.Origin]*site) (*table, error) {
	t := &table{hosts: make(map[origin.Origin]*node), any: &node{}}
	names := make(map[string]bool)
	for _, rt := range routes {
		if names[rt.name] {
			return nil, fmt.Errorf("route.%s: there are two routes of this name", rt.name)
		}
		names[rt.name] = true
		t.slashed = t.slashed || rt.slash
		if len(rt.hosts) == 0 {
			if err := t.any.add(rt); err != nil {
				return nil, err
			}
		}
		for _, o := range rt.hosts {
			if sites[o] == nil {
				return nil, fmt.Errorf("route.%s: host %s is not among the configured hosts", rt.name, o)
			}
			if t.hosts[o] == nil {
				t.hosts[o] = &node{}
			}
			if err := t.hosts[o].add(rt); err != nil {
				return nil, err
			}
		}
	}
	return t, nil
}

func (n *node) add(rt *route) error {
	for _, segment := range rt.segments {
		if n.children == nil {
			n.children = make(map[string]*node)
		}
		if n.children[segment] == nil {
			n.children[segment] = &node{}
		}
		n = n.children[segment]
	}
	for _, other := range n.routes { // it stands before rt in the configuration
		if m, both := overlap(rt, other); both && other.match.shadows(rt.match) {
			return fmt.Errorf("route.%s: %s of the same host and path already belongs to route %q", rt.name, m, other.name)
		}
	}
	n.routes = append(n.routes, rt)
	slices.SortStableFunc(n.routes, byMatch)
	n.allow, n.matches = allowed(n.routes), n.matches || rt.match != nil
	return nil
}

func overlap(a, b *route) (method string, both bool) {
	for _, m := range slices.Sorted(maps.Keys(a.methods)) {
		if b.methods[m] {
			return m, true
		}
	}
	return "", false
}

// allowed lists methods for people: the usual ones first, the others only where a route
// names them itself.
func allowed(routes []*route) string {
	var list []string
	for m := range strings.SplitSeq(anyMethod, ", ") {
		if slices.ContainsFunc(routes, func(rt *route) bool { return rt.methods[m] }) {
			list = append(list, m)
		}
	}
	for _, rt := range routes {
		for _, m := range rt.listed {
			if !slices.Contains(list, m) {
				list = append(list, m)
			}
		}
	}
	return strings.Join(list, ", ")
}

// Find returns the route of req.
func (t *table) Find(w http.ResponseWriter, req *CanonicalRequest) (*route, error) {
	n, sure := t.rules(req.Origin, req.decoded)
	if !sure {
		// "/admin;x/y" is "/admin/y" to a Java server, "/admin./y" to a Windows one, and something
		// else to others: if the readings end at different rules, nobody can say which rule holds
		// (P009, PX-3).
		return nil, &pages.Error{Code: codeBadRequest, Detail: "The path holds a semicolon, or a dot or space at the end of a name, where servers read it differently."}
	}
	if n == nil {
		return nil, &pages.Error{Code: codeNoRoute, Detail: "There is nothing at this address."}
	}
	header := req.header()
	if rt := n.route(req.Method, header, req.Query); rt != nil {
		return rt, rt.judgeRewrite(req) // 400
	}
	routes, allow := n.routes, n.allow
	if n.matches {
		if routes = n.fitting(header, req.Query); len(routes) == 0 {
			return nil, &pages.Error{Code: codeNoRoute, Detail: "There is nothing at this address for this kind of request."}
		}
		allow = allowed(routes)
	}
	req.record.Route = routes[0].name
	return nil, methodNotAllowed(w, allow)
}

// header is what routes match; without a request there is none.
func (c *CanonicalRequest) header() http.Header {
	if c.in == nil {
		return nil
	}
	return c.in.Header
}

// rules returns the node that decides over a path, and whether lenient servers would find the same.
func (t *table) rules(o origin.Origin, decoded string) (n *node, sure bool) {
	n = t.match(o, decoded)
	loose := lenient(decoded)
	return n, loose == decoded || t.match(o, loose) == n
}

// Logins names the logins whose sessions open what is at a target (path, query and fragment) of o, for a GET. None
// = it is not known: nothing is there, everybody may see it, or no session opens it.
func (g *Gateway) Logins(o origin.Origin, target string) []string {
	target, _, _ = strings.Cut(target, "#")
	path, query, _ := strings.Cut(target, "?")
	_, decoded, refusal := parsePath(path)
	if refusal != "" && g.routes.slashed {
		_, decoded, refusal = parseSlashed(path)
	}
	if refusal != "" || g.sites[o] == nil {
		return nil
	}
	n, sure := g.routes.rules(o, decoded)
	rt := n.route(http.MethodGet, nil, query) // of headers a browser sends those of its own
	if !sure || rt == nil || rt.public || !rt.callers.accept.session {
		return nil
	}
	return slices.Clone(rt.logins)
}

// route returns the first route for a method that the request fits, or nil.
func (n *node) route(method string, header http.Header, query string) *route {
	if n != nil {
		for _, rt := range n.routes {
			if rt.methods[method] && rt.match.holds(header, query) {
				return rt
			}
		}
	}
	return nil
}

// fitting are the routes that the request fits, but for its method.
func (n *node) fitting(header http.Header, query string) (fit []*route) {
	for _, rt := range n.routes {
		if rt.match.holds(header, query) {
			fit = append(fit, rt)
		}
	}
	return fit
}

// holdsOthers reports whether routes of their own lie below a path.
func (t *table) holdsOthers(o origin.Origin, decoded string) bool {
	path := strings.TrimSuffix(lenient(decoded), "/")
	return t.hosts[o].branches(path) || t.any.branches(path)
}

func (n *node) branches(path string) bool {
	for more := path != ""; more && n != nil; {
		var segment string
		segment, path, more = strings.Cut(path[1:], "/")
		path = "/" + path
		n = n.children[segment]
	}
	return n != nil && len(n.children) > 0
}

func (t *table) match(o origin.Origin, path string) *node {
	named, deep := t.hosts[o].walk(path)
	everywhere, deeper := t.any.walk(path)
	if everywhere != nil && (named == nil || deeper > deep) {
		return everywhere
	}
	return named
}

// walk returns the node with routes that lies deepest along path, and its depth.
func (n *node) walk(path string) (found *node, depth int) {
	if n == nil || path[0] != '/' { // "*"
		return nil, 0
	}
	if len(n.routes) > 0 {
		found = n
	}
	for rest, i := path[1:], 1; n.children != nil; i++ {
		segment, tail, more := strings.Cut(rest, "/")
		if n = n.children[segment]; n == nil {
			break
		}
		if len(n.routes) > 0 {
			found, depth = n, i
		}
		if !more {
			break
		}
		rest = tail
	}
	return found, depth
}
