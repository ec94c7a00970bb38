package config

import (
	"net/url"
	"slices"
	"strings"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/proxy"
)

// readRouteLogins reads by which logins a route may be entered; all by default.
func (c *composer) readRouteLogins(t table) []string {
	known, offered := make([]string, 0, len(c.c.logins)), []string(nil)
	for _, l := range c.c.logins {
		known = append(known, l.Name)
		if byDefault(l) {
			offered = append(offered, l.Name)
		}
	}
	v := t.value("login")
	if !takesLogins(t) {
		if t.given("login") {
			t.wrong("login", "it has no effect: what accept lists takes no sign-in")
		}
		return nil
	}
	switch {
	case !t.given("login"):
		if len(offered) == 0 && len(known) > 0 && !t.boolean("public", false) {
			t.wrong("login", "it is missing: every login here acts only where a route names it; name those that may be used: login = [%s]", names(known))
		}
		return offered
	case v == nil:
		return nil
	case len(v.items) == 0:
		t.wrong("login", "the list is empty; leave it out for all, or write public = true to let everybody pass")
	}
	var logins []string
	for i, item := range v.items {
		switch {
		case !slices.Contains(known, item.text) && len(c.l.problems) > 0 && len(known) == 0:
			// the logins are what is wrong
		case !slices.Contains(known, item.text):
			c.l.blame(item, "%s.login[%d]: there is no login %s%s", t.path, i, item.shown(), didYouMean(item.text, known))
		case slices.Contains(logins, item.text):
			c.l.blame(item, "%s.login[%d]: %s stands there twice", t.path, i, item.shown())
		default:
			logins = append(logins, item.text)
		}
	}
	return logins
}

// checkAccess looks for rules about who may pass that cannot be meant.
func (c *composer) checkAccess(t table, rt *proxy.Route) {
	if rt.Public {
		if t.given("allow") {
			t.wrong("allow", "public = true lets everybody pass, so allow would not be asked; drop one of them")
		}
		for _, key := range []string{"login", "keep_fragment", "accept", "approve", "require"} {
			if t.given(key) {
				t.l.warn("%s: %s has no effect on a public route: nobody signs in for it", t.path, key)
			}
		}
		if flow := c.credentialFlow(rt.Credential); rt.Credential != "none" && flow != flowClientCredentials && flow != flowPassword && flow != flowStatic && flow != flowAssertion && !c.ownSubject(rt.Credential) {
			t.l.warn("%s: credential = %q has no effect on a public route: requests go upstream without", t.path, rt.Credential)
		}
		return
	}
	if t.given("allow") {
		return
	}
	for _, l := range c.c.logins {
		if !slices.Contains(rt.Logins, l.Name) {
			continue
		}
		if p := c.provider(l.Provider); p != nil && openIssuer(p.Issuer) {
			u, _ := url.Parse(p.Issuer) // openIssuer has parsed it
			t.wrong("allow", "it is missing, and everybody can have an account at %s: say who may pass, as in allow = [{ domains = [\"example.com\"] }]", u.Hostname())
			return
		}
	}
}

func (c *composer) provider(name string) *provider.Config {
	for i := range c.c.providers {
		if c.c.providers[i].Name == name {
			return &c.c.providers[i]
		}
	}
	return nil
}

// checkOverlaps finds requests that two routes would claim (S20).
func (c *composer) checkOverlaps() {
	for i, t := range c.tables {
		for j := range i {
			if method, both := overlap(&c.c.routes[j], &c.c.routes[i]); both && t.text("name") != c.tables[j].text("name") {
				t.wrong("path", "%s of the same host and path belongs to route %q already, in line %d; give them different methods or paths", method, c.c.routes[j].Name, c.tables[j].node.at.line)
				break
			}
		}
	}
}

func overlap(a, b *proxy.Route) (method string, both bool) {
	if !slices.Equal(a.Hosts, b.Hosts) || strings.TrimSuffix(a.Path, "/") != strings.TrimSuffix(b.Path, "/") {
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

// withHead adds HEAD to methods with GET, as a route does.
func withHead(methods []string) []string {
	if slices.Contains(methods, "GET") && !slices.Contains(methods, "HEAD") {
		return append(slices.Clone(methods), "HEAD")
	}
	return methods
}
