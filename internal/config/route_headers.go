package config

import (
	"slices"
	"strings"

	"github.com/doorward/doorward/flows/credential"
	"github.com/doorward/doorward/proxy"
)

func headersKeys() *spec {
	return &spec{form: tables, keys: map[string]*spec{
		"profile":            {form: word, words: proxy.Profiles()},
		"encoding":           {form: word, words: proxy.Encodings()},
		"set":                {form: texts},
		"assertion":          {form: boolean},
		"assertion_audience": {form: list},
	}}
}

func (t table) headers() proxy.Headers {
	h := t.table("headers")
	c := proxy.Headers{
		Profile: h.textOr("profile", "oauth2-proxy"), Encoding: h.textOr("encoding", ""), Set: h.strings("set"),
		UnverifiedEmail: t.boolean("insecure_unverified_email", false),
	}
	if c.UnverifiedEmail {
		t.l.warn("%s: insecure_unverified_email: the upstream gets e-mail addresses that nobody checked; it must not take them for a proof of who somebody is", t.path)
	}
	return c
}

// readAssertion makes a credential of a route's signed assertion: it is one, but for its name, which nobody can write.
func (c *composer) readAssertion(t table, rt *proxy.Route) {
	h := t.table("headers")
	header, always := proxy.AssertionHeader(rt.Headers.Profile)
	wanted := h.boolean("assertion", always && !rt.Public)
	audience := h.list("assertion_audience")
	switch {
	case wanted && rt.Public:
		h.wrong("assertion", "the route is public: it asks nobody who they are, so there is nothing to sign")
		return
	case h.given("assertion_audience") && h.value("assertion_audience") != nil && len(audience) == 0:
		h.wrong("assertion_audience", "the list is empty; leave it out for the outside URL of the route")
	case slices.Contains(audience, ""):
		h.wrong("assertion_audience", "an audience is empty; it says which upstream may take the assertion")
	case len(audience) > 0 && !wanted:
		h.wrong("assertion_audience", "there is no assertion on this route; add assertion = true")
	}
	if !wanted {
		return
	}
	rt.Headers.Assertion = "route." + rt.Name
	c.c.assertions = append(c.c.assertions, credential.Config{
		Name: rt.Headers.Assertion, Flow: flowAssertion, Audience: audience, Header: header,
	})
}

// Assertions are credentials that no [credential.NAME] is written for: one for each route with headers.assertion. Where
// the file names no audience, it is the outside URL of the route: its path keeps an upstream of one route from using what
// it got at the upstream of another one.
func (c *Config) Assertions() []credential.Config {
	all := slices.Clone(c.assertions)
	for i, a := range all {
		if len(a.Audience) > 0 {
			continue
		}
		for _, rt := range c.routes {
			if rt.Headers.Assertion == a.Name {
				all[i].Audience = c.outside(rt)
			}
		}
	}
	return all
}

// outside is the URL under which people reach a route, without a slash at its end, for each of its hosts.
func (c *Config) outside(rt proxy.Route) (urls []string) {
	hosts := rt.Hosts
	if len(hosts) == 0 {
		hosts = c.origins
	}
	for _, o := range hosts {
		urls = append(urls, o.String()+strings.TrimSuffix(rt.Path, "/"))
	}
	return urls
}
