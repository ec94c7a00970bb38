package config

import (
	"fmt"
	"slices"

	"github.com/doorward/doorward/flows/bearer"
	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/proxy"
)

// Caller is how the callers of one route or egress prove who they are, beyond sessions: what its authenticators
// are made of.
type Caller struct {
	Bearer bearer.Config // accept has "bearer"
	Basic  string        // accept has "basic": "password", "users" or "client_credentials"
	Users  []string      // of "users"; none = all
	Keys   []string      // accept has "key"; none = all
}

// Who vouches for HTTP Basic on a route.
const (
	basicPassword = "password"
	basicUsers    = "users"
	basicClients  = "client_credentials"
)

// readCaller reads what of a route concerns bearer tokens, Basic and keys.
func (c *composer) readCaller(t table, rt *proxy.Route) Caller {
	takes := func(what string) bool { return slices.Contains(rt.Accept, what) }
	caller := Caller{Basic: t.textOr("basic", basicPassword), Users: t.list("users"), Keys: t.list("keys")}
	for _, of := range []struct{ key, accept string }{
		{"audience", "bearer"},
		{"issuers", "bearer"},
		{"bearer_header", "bearer"},
		{"bearer_cookie", "bearer"},
		{"dpop_nonce", "bearer"},
		{"basic", "basic"},
		{"users", "basic"},
		{"keys", "key"},
		{"key_header", "key"},
	} {
		if t.given(of.key) && !takes(of.accept) && !(of.key == "issuers" && takes("basic")) {
			t.wrong(of.key, `it has no effect without %q in accept`, of.accept)
		}
	}
	if takes("bearer") {
		caller.Bearer = c.readBearer(t)
		rt.Bearer = proxy.BearerRules{
			Issuers: c.issuersOf(caller.Bearer.Issuers), Audience: caller.Bearer.Audience,
			Header: t.filled("bearer_header", ""), Cookie: t.filled("bearer_cookie", ""), DPoPAlgorithms: provider.ProofAlgs(),
		}
		caller.Bearer.Nonces = t.boolean("dpop_nonce", false)
		if rt.Bearer.Header != "" || rt.Bearer.Cookie != "" {
			t.l.warn("%s: a bearer token is taken from a place beside Authorization: make sure that nothing on the way logs it", t.path)
		}
	}
	if takes("basic") {
		c.checkBasic(t, rt, &caller)
	}
	if takes("key") {
		rt.KeyHeader = t.filled("key_header", "X-Api-Key")
		c.checkNames(t, "keys", c.c.keyNames(), "key")
		if len(c.c.keys) == 0 {
			t.wrong("accept", `"key" needs a [key.NAME]; make one with: doorward hash --key`)
		}
	}
	return caller
}

// readBearer reads whose bearer tokens count, and what for.
func (c *composer) readBearer(t table) bearer.Config {
	b := bearer.Config{Issuers: t.list("issuers"), Audience: t.list("audience")}
	c.checkNames(t, "issuers", c.providerNames(), "provider")
	if !t.given("issuers") {
		b.Issuers = slices.DeleteFunc(c.providerNames(), c.isGitHub)
	}
	switch v := t.value("audience"); {
	case !t.given("audience"):
		t.wrong("audience", `it is missing: what the tokens are for, as their claim aud has it; without it, any token of the issuer would do`)
	case v != nil && len(v.items) == 0:
		t.wrong("audience", "the list is empty")
	case slices.Contains(b.Audience, "*"):
		t.wrong("audience", "\"*\" is no wildcard: name what the tokens are for")
	case slices.Contains(b.Audience, ""):
		t.wrong("audience", "an empty audience would match by accident")
	}
	switch v := t.value("issuers"); {
	case v != nil && len(v.items) == 0:
		t.wrong("issuers", "the list is empty; leave it out for every provider")
	case !t.given("issuers") && len(b.Issuers) == 0 && len(c.l.problems) == 0:
		t.wrong("accept", `"bearer" needs a [provider.NAME] whose tokens count`)
	}
	for _, name := range b.Issuers {
		if c.isGitHub(name) {
			t.wrong("issuers", "provider %q is GitHub, whose access tokens do not say what they are for: nobody can check them", name)
		}
		if p := c.provider(name); p != nil && p.AccessTokens == "introspect" && p.ClientID == "" {
			t.wrong("issuers", "provider %q has access_tokens = \"introspect\", which takes a client_id to ask with", name)
		}
	}
	return b
}

func (c *composer) providerNames() (all []string) {
	for _, p := range c.c.providers {
		all = append(all, p.Name)
	}
	return all
}

func (c *composer) issuersOf(providers []string) (all []string) {
	for _, name := range providers {
		if p := c.provider(name); p != nil {
			all = append(all, p.Issuer)
		}
	}
	return all
}

// checkNames holds a list of names against those that exist.
func (c *composer) checkNames(t table, key string, known []string, what string) {
	var seen []string
	t.each(key, func(item string) error {
		switch {
		case slices.Contains(seen, item):
			return fmt.Errorf("%q stands there twice", item)
		case !slices.Contains(known, item):
			return fmt.Errorf("there is no %s %q%s", what, item, didYouMean(item, known))
		}
		seen = append(seen, item)
		return nil
	})
	if v := t.value(key); v != nil && len(v.items) == 0 && key != "issuers" {
		t.wrong(key, "the list is empty; leave it out for all")
	}
}

// checkBasic holds basic against what vouches for it.
func (c *composer) checkBasic(t table, rt *proxy.Route, caller *Caller) {
	if t.given("users") && caller.Basic != basicUsers {
		t.wrong("users", `it belongs to basic = "users"`)
	}
	switch caller.Basic {
	case basicUsers:
		c.checkNames(t, "users", c.c.userNames(), "user")
		if len(c.c.users) == 0 {
			t.wrong("basic", `"users" needs a [users.NAME] with a password, or with an htpasswd file`)
		}
	case basicClients:
		caller.Bearer.Issuers = t.list("issuers")
		if !t.given("issuers") {
			caller.Bearer.Issuers = c.providerNames()
		}
		if !t.given("allow") && !t.given("require") {
			t.l.warn("%s: every client of the provider may call: say which, as in allow = [{ clients = [\"backup\"] }]", t.path)
		}
		if len(caller.Bearer.Issuers) != 1 && (t.value("issuers") != nil || !t.given("issuers")) {
			t.wrong("basic", `"client_credentials" tries id and secret at one provider: name it, as in issuers = ["%s"]`, append(c.providerNames(), "NAME")[0])
		}
	}
}

// signsIn reports whether anybody could be meant to sign in: a route takes sessions, tickets or passwords, or none
// takes anything else.
func (c *composer) signsIn() bool {
	all := c.root.value("route")
	if all == nil {
		return !c.outward()
	}
	public := 0
	for _, row := range all.items {
		switch t := (table{c.l, "", row}); {
		case t.boolean("public", false):
			public++
		case takesLogins(t):
			return true
		}
	}
	return public == len(all.items)
}

// takesLogins reports whether a login can make what a route accepts.
func takesLogins(t table) bool {
	accepted := t.list("accept")
	return accepted == nil || slices.Contains(accepted, "session") || slices.Contains(accepted, "token") ||
		slices.Contains(accepted, "basic") && t.textOr("basic", basicPassword) == basicPassword
}

// checkCredential holds a route's credential against who calls: what trades the caller's token needs one.
func (c *composer) checkCredential(t table, rt *proxy.Route) {
	takes := func(what ...string) bool {
		return rt.Accept == nil || slices.ContainsFunc(what, func(w string) bool { return slices.Contains(rt.Accept, w) })
	}
	flow := c.credentialFlow(rt.Credential)
	trades := (flow == flowTokenExchange || flow == flowJWTBearer) && !c.ownSubject(rt.Credential)
	switch {
	case rt.Credential == "id_token" && !takes("session", "token", "basic"):
		t.wrong("credential", `"id_token" is what a sign-in brings, and nobody signs in for this route`)
	case trades && c.tradesIDToken(rt.Credential) && !takes("session", "token", "basic"):
		t.wrong("credential", `%q trades the caller's ID token, and a bearer token brings none; leave subject out`, rt.Credential)
	case (rt.Credential == "session" || trades) && !takes("session", "token", "basic", "bearer"):
		t.wrong("credential", "%q needs a token of whoever calls, and none of what accept lists brings one", rt.Credential)
	}
}

// SubjectAudiences is, by provider, what tokens may be for that the token API exchanges and inspects: what routes and
// egresses take of that provider, and our own client.
func (c *Config) SubjectAudiences() map[string][]string {
	all := make(map[string][]string)
	add := func(name string, audiences ...string) {
		for _, a := range audiences {
			if a != "" && !slices.Contains(all[name], a) {
				all[name] = append(all[name], a)
			}
		}
	}
	for _, caller := range c.callers {
		for _, name := range caller.Bearer.Issuers {
			add(name, caller.Bearer.Audience...)
		}
	}
	for _, e := range c.egressCallers {
		for _, name := range e.Issuers {
			add(name, e.Audience...)
		}
	}
	for _, p := range c.providers {
		add(p.Name, p.ClientID)
	}
	return all
}

// audienceClaims are the claims of a token that may say what it is for.
func audienceClaims() []string { return []string{"aud", "azp", "client_id", "resource"} }

func warnOfAudienceClaim(t table, conf provider.Config) {
	if conf.AudienceClaim != "aud" {
		t.l.warn("%s: audience_claim = %q: a token says by it to whom it was given, not what it is for; have the provider write aud if you can", t.path, conf.AudienceClaim)
	}
}

// Introspects reports whether bearer tokens are judged by asking a provider.
func (c *Config) Introspects(provider string) bool {
	for _, p := range c.providers {
		if p.Name == provider && p.AccessTokens == "introspect" {
			return true
		}
	}
	return false
}
