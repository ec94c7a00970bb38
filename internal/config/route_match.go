package config

import (
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
	for i, t := range c.tables {
		for j := range i {
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
	c.warnOfMatches()
}

// overlap reports whether a, which stands before b, leaves b nothing of some method.
func overlap(a, b *proxy.Route) (method string, both bool) {
	if !sharesHost(a, b) || !samePath(a, b) || a.Match.Empty() != b.Match.Empty() || !a.Match.Covers(b.Match) {
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

func samePath(a, b *proxy.Route) bool {
	return strings.TrimSuffix(a.Path, "/") == strings.TrimSuffix(b.Path, "/")
}

// sharesHost reports whether two routes stand in the table of one host. One without a host stands behind all others.
func sharesHost(a, b *proxy.Route) bool {
	if len(a.Hosts) == 0 || len(b.Hosts) == 0 {
		return len(a.Hosts) == len(b.Hosts)
	}
	return slices.ContainsFunc(a.Hosts, func(o origin.Origin) bool { return slices.Contains(b.Hosts, o) })
}

// warnOfMatches tells what a match does that its author may not expect.
func (c *composer) warnOfMatches() {
	for i, t := range c.tables {
		rt := &c.c.routes[i]
		if rt.Match.Empty() {
			continue
		}
		others := 0
		for j := range c.c.routes {
			other := &c.c.routes[j]
			if !other.Match.Empty() || !sharesHost(rt, other) || !samePath(rt, other) {
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
