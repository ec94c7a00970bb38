package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/proxy"
)

func matchKeys() *spec {
	return &spec{form: tables, keys: map[string]*spec{"headers": {form: lists}, "query": {form: lists}}}
}

func rewriteKeys() *spec {
	return &spec{form: rows, keys: map[string]*spec{"from": {form: text}, "to": {form: text}}}
}

// pathPrefix reads path. What other gateways write for "everything below" would be a segment of that very name here, and
// the route one that no request ever meets: who it was to keep out would pass by a shorter one (S20).
func (t table) pathPrefix() string {
	path := t.filled("path", "/")
	trap := patternIn(path)
	if trap == "" {
		return path
	}
	plain := path[:strings.Index(path, trap)]
	if i := strings.LastIndexByte(plain, '/'); i >= 0 { // "/api" of "/api/v*", too
		plain = plain[:i]
	}
	t.wrong("path", "%q: a path is a prefix and no pattern: %q covers everything below it, and %q stands for itself; write %q for it if it does", path, cmp.Or(plain, "/"), trap, escaped(trap))
	return "/" + strings.TrimPrefix(escaped(path), "/") // which is wrong in no other way
}

// patternIn is what of a path only a pattern has, or "". OData has $ and ( in paths, so that these alone mean nothing.
func patternIn(path string) string {
	for _, trap := range [...]string{"*", "{", "}", "^", "|", "["} {
		if strings.Contains(path, trap) {
			return trap
		}
	}
	switch {
	case strings.HasSuffix(path, "$"):
		return "$"
	case strings.Contains(path, ".+"):
		return ".+"
	}
	return ""
}

// escaped percent-encodes what patterns are made of.
func escaped(path string) string {
	return strings.NewReplacer("*", "%2A", "{", "%7B", "}", "%7D", "^", "%5E", "|", "%7C", "[", "%5B", "]", "%5D", "$", "%24", "+", "%2B").Replace(path)
}

// checkSpelling finds methods in small letters: they are case-sensitive (RFC 9110 §9.1), so that no request has them.
func (t table) checkSpelling() {
	for _, in := range [...]table{t, t.table("cors")} { // of rules and approve their own constructors say so
		in.each("methods", func(m string) error {
			if meant := strings.ToUpper(m); meant != m && proxy.RegisteredMethod(meant) {
				return fmt.Errorf("%q: methods are case-sensitive, and no request has this one; did you mean %s?", m, meant)
			}
			return nil
		})
	}
}

// readHosts reads under which hosts a route is reached; none = all.
func (c *composer) readHosts(t table) (all []origin.Origin) {
	switch {
	case t.given("host") && t.given("hosts"):
		t.wrong("hosts", "host says the same of one host; leave one of the two out")
		return nil
	case t.given("host"):
		if o, ok := t.origin("host"); ok && c.admitHost(t, "host", t.value("host"), o) {
			all = append(all, o)
		}
	case t.value("hosts") != nil:
		list := t.value("hosts")
		if len(list.items) == 0 {
			t.wrong("hosts", "the list is empty; leave it out for every host")
		}
		for i, item := range list.items {
			o, err := origin.Parse(item.text)
			switch {
			case err != nil:
				c.l.blame(item, "%s[%d]: %s", join(t.path, "hosts"), i, err)
			case slices.Contains(all, o):
				c.l.blame(item, "%s[%d]: %s stands there twice", join(t.path, "hosts"), i, item.shown())
			case c.admitHost(t, "hosts", item, o):
				all = append(all, o)
			}
		}
	}
	if t.boolean("insecure_http", false) && len(all) > 0 && !slices.ContainsFunc(all, inTheClear) {
		t.l.warn("%s: insecure_http has no effect: %s is not plain http to another machine", t.path, all[0])
	}
	return all
}

func inTheClear(o origin.Origin) bool { return !o.Secure() && !o.Loopback() }

func (c *composer) admitHost(t table, key string, at *node, o origin.Origin) bool {
	if inTheClear(o) {
		if !t.boolean("insecure_http", false) {
			c.l.blame(at, `%s: %s: over plain http everybody on the way can read the session; write "%s" if something in front of Doorward terminates TLS, or insecure_http = true beside it`, join(t.path, key), at.shown(), o.Host)
			return false
		}
		t.l.warn("%s: insecure_http: everybody on the way to %s can read sessions and what people see", t.path, o)
	}
	return c.addOrigin(t, key, o)
}

// match reads what tells a route from others of its host and path. The gateway's own constructor judges the names.
func (t table) match() (m proxy.Match) {
	inner := t.table("match")
	if inner.node == nil {
		return m
	}
	m = proxy.Match{Headers: inner.lists("headers"), Query: inner.lists("query")}
	if m.Empty() && len(inner.node.keys) == 0 {
		t.wrong("match", "it is empty, so that every request fits; leave it out")
	}
	return m
}

func (t table) rewrite() proxy.Rewrite {
	r := proxy.Rewrite{AddPrefix: t.filled("add_prefix", ""), Host: t.filled("host_header", "")}
	v := t.value("rewrite")
	if v == nil {
		return r
	}
	if len(v.items) == 0 {
		t.wrong("rewrite", "the list is empty; leave it out to rewrite nothing")
	}
	for i, item := range v.items {
		row := table{t.l, fmt.Sprintf("%s[%d]", join(t.path, "rewrite"), i), item}
		p := proxy.PathRewrite{From: row.text("from"), To: row.text("to")}
		for _, key := range [...]string{"from", "to"} {
			if !row.given(key) && !item.bad {
				row.wrong(key, `it is missing; both are needed, as in { from = "/old/{id}", to = "/new/{id}" }`)
			}
		}
		if p.From != "" && p.To != "" {
			r.Paths = append(r.Paths, p)
		}
	}
	return r
}

// checkOverlaps finds requests that two routes would claim, and routes that get none (S20).
func (c *composer) checkOverlaps() {
	places := c.placesOfRoutes()
	for i, t := range c.tables {
		for _, j := range places.beside(&c.c.routes[i]) {
			if j >= i {
				break
			}
			method, both := overlap(&c.c.routes[j], &c.c.routes[i])
			if !both || t.text("name") == c.tables[j].text("name") {
				continue
			}
			other, line := c.c.routes[j].Name, c.tables[j].node.at.line
			if c.c.routes[i].Match.Empty() {
				t.wrong("path", "%s of the same host and path belongs to route %q already, in line %d; give them different methods or paths, or one a match", method, other, line)
			} else {
				t.wrong("match", "%s that fits it fits the match of route %q, which stands before it in line %d, so that this one is never reached; let the narrower one stand first", method, other, line)
			}
			break
		}
	}
	c.warnOfMatches(places)
}

// overlap reports whether a, which stands before b, of the same host and path, leaves b nothing of some method.
func overlap(a, b *proxy.Route) (method string, both bool) {
	if a.Match.Empty() != b.Match.Empty() || !a.Match.Covers(b.Match) {
		return "", false
	}
	switch {
	case len(a.Methods) == 0 && len(b.Methods) == 0:
		return "every method", true
	case len(a.Methods) == 0:
		a, b = b, a
	}
	for _, m := range withHead(a.Methods) {
		if len(b.Methods) == 0 || slices.Contains(withHead(b.Methods), m) {
			return m, true
		}
	}
	return "", false
}

// warnOfMatches tells what a match does that its author may not expect.
func (c *composer) warnOfMatches(places routePlaces) {
	for i, t := range c.tables {
		rt := &c.c.routes[i]
		if rt.Match.Empty() {
			continue
		}
		others := 0
		for _, j := range places.beside(rt) {
			other := &c.c.routes[j]
			if !other.Match.Empty() {
				continue
			}
			others++
			switch {
			case rt.Public && !other.Public:
				c.l.warn("%s: whoever sends what match asks for passes without a sign-in, at an address where route %q wants one", t.path, other.Name)
			case other.Public && !rt.Public: // writing it twice is enough; see proxy.Match
				c.l.warn("%s: whoever does not send what match asks for, or sends it twice, passes with no sign-in by route %q; match chooses and protects nothing", t.path, other.Name)
			}
		}
		if others == 0 {
			c.l.warn("%s: a request that does not fit match gets 404, because no route without a match has the same host and path, and none of a shorter path is taken", t.path)
		}
	}
}
