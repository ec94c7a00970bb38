package config

import (
	"net/url"
	"slices"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/proxy"
	"github.com/doorward/doorward/proxy/policy"
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
	t.checkPolicy(rt)
	c.checkDecision(t, rt)
	if rt.Public {
		for _, key := range []string{"login", "keep_fragment", "keep_post", "unauthenticated", "accept", "approve", "require", "dry_run"} {
			if t.given(key) {
				t.l.warn("%s: %s has no effect on a public route: nobody signs in for it", t.path, key)
			}
		}
		if flow := c.credentialFlow(rt.Credential); rt.Credential != "none" && flow != flowClientCredentials && flow != flowPassword && flow != flowStatic && flow != flowAssertion && !c.ownSubject(rt.Credential) {
			t.l.warn("%s: credential = %q has no effect on a public route: requests go upstream without", t.path, rt.Credential)
		}
		return
	}
	if t.given("allow") && !slices.ContainsFunc(rt.Allow, anybody) {
		return
	}
	for _, l := range c.c.logins {
		if !slices.Contains(rt.Logins, l.Name) {
			continue
		}
		if p := c.provider(l.Provider); p != nil && openIssuer(p.Issuer) {
			u, _ := url.Parse(p.Issuer) // openIssuer has parsed it
			what := "it is missing"
			if t.given("allow") {
				what = "an entry asks for nothing but methods"
			}
			t.wrong("allow", "%s, and everybody can have an account at %s: say who may pass, as in allow = [{ domains = [\"example.com\"] }]", what, u.Hostname())
			return
		}
	}
}

// checkDecision refuses whom nobody asks by intention: ourselves, above all, who would have to ask again.
func (c *composer) checkDecision(t table, rt *proxy.Route) {
	if rt.Hook == nil {
		return
	}
	u, err := url.Parse(rt.Hook.URL)
	if err != nil || u.Hostname() == "" {
		return // the hook's own constructor says what is wrong
	}
	if err := c.checkUpstream(u); err != nil {
		t.table("decision").wrong("url", "%s", err)
	}
}

// anybody reports whether a rule fits every account there is.
func anybody(r policy.Rule) bool {
	return len(r.Methods) > 0 && len(r.Groups)+len(r.Roles)+len(r.Emails)+len(r.EmailFiles)+len(r.Domains)+len(r.Users)+len(r.Scopes)+len(r.Clients)+len(r.Claims)+len(r.Networks) == 0
}

func (c *composer) provider(name string) *provider.Config {
	for i := range c.c.providers {
		if c.c.providers[i].Name == name {
			return &c.c.providers[i]
		}
	}
	return nil
}

// withHead adds HEAD to methods with GET, as a route does.
func withHead(methods []string) []string {
	if slices.Contains(methods, "GET") && !slices.Contains(methods, "HEAD") {
		return append(slices.Clone(methods), "HEAD")
	}
	return methods
}
