package proxy

import (
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/proxy/policy"
)

func configuration(t *testing.T) (Config, Deps) {
	t.Helper()
	origins, err := origin.NewSet(appTest)
	if err != nil {
		t.Fatal(err)
	}
	p, err := pages.New(pages.Config{Prefix: "/oauth2"})
	if err != nil {
		t.Fatal(err)
	}
	return Config{
		Prefix: "/oauth2", OwnCookie: ours,
		Routes: []Route{{Name: "app", Path: "/", Upstreams: []*url.URL{{Scheme: "http", Host: "127.0.0.1:1"}}, Logins: []string{"staff"}}},
	}, Deps{Origins: origins, Session: people{}, Starters: map[string]Starter{"app": door{}}, Own: ownPages(), Pages: p, Log: slog.New(slog.NewTextHandler(io.Discard, nil))}
}

func TestS20ImpossibleConfigurationsAreRefused(t *testing.T) {
	if c, d := configuration(t); true {
		if _, err := New(c, d); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		change func(c *Config, d *Deps)
		says   string
	}{
		"prefix without a slash":        {func(c *Config, _ *Deps) { c.Prefix = "oauth2" }, "listen.prefix"},
		"prefix with one too many":      {func(c *Config, _ *Deps) { c.Prefix = "/oauth2/" }, "listen.prefix"},
		"the prefix is everything":      {func(c *Config, _ *Deps) { c.Prefix = "/" }, "listen.prefix"},
		"the prefix is ambiguous":       {func(c *Config, _ *Deps) { c.Prefix = "/a/../b" }, "/a/../b"},
		"an own path is ambiguous":      {func(c *Config, _ *Deps) { c.OwnPaths = []string{"/%61"} }, "/%61"},
		"own cookies are not known":     {func(c *Config, _ *Deps) { c.OwnCookie = nil }, "cookies"},
		"no authenticator":              {func(_ *Config, d *Deps) { d.Session = nil }, "who"},
		"no own endpoints":              {func(_ *Config, d *Deps) { d.Own = nil }, "own endpoints"},
		"no pages":                      {func(_ *Config, d *Deps) { d.Pages = nil }, "pages"},
		"no log":                        {func(_ *Config, d *Deps) { d.Log = nil }, "log"},
		"no host":                       {func(_ *Config, d *Deps) { d.Origins = nil }, "host"},
		"a route below the prefix":      {func(c *Config, _ *Deps) { c.Routes[0].Path = "/oauth2/x" }, "route.app: path"},
		"an ambiguous path":             {func(c *Config, _ *Deps) { c.Routes[0].Path = "/a//b" }, "route.app: path"},
		"a parameter in a path":         {func(c *Config, _ *Deps) { c.Routes[0].Path = "/a;b" }, "route.app: path"},
		"CONNECT":                       {func(c *Config, _ *Deps) { c.Routes[0].Methods = []string{"CONNECT"} }, "route.app: methods"},
		"TRACE":                         {func(c *Config, _ *Deps) { c.Routes[0].Methods = []string{"GET", "TRACE"} }, "route.app: methods"},
		"no method":                     {func(c *Config, _ *Deps) { c.Routes[0].Methods = []string{"G T"} }, "route.app: methods"},
		"an upstream and an answer":     {func(c *Config, _ *Deps) { c.Routes[0].Answer = &Answer{Respond: &Respond{}} }, "route.app: a route has exactly one"},
		"an upstream of another scheme": {func(c *Config, _ *Deps) { c.Routes[0].Upstreams = []*url.URL{{Scheme: "ftp", Host: "x"}} }, "route.app: upstream"},
		"an upstream with a password":   {func(c *Config, _ *Deps) { c.Routes[0].Upstreams[0].User = url.UserPassword("a", "s3cret") }, "route.app: upstream"},
		"an upstream with a query":      {func(c *Config, _ *Deps) { c.Routes[0].Upstreams[0].RawQuery = "a" }, "route.app: upstream"},
		"an ambiguous upstream":         {func(c *Config, _ *Deps) { c.Routes[0].Upstreams[0].Path = "/a/../b" }, "route.app: upstream"},
		"no login":                      {func(c *Config, _ *Deps) { c.Routes[0].Logins = nil }, "route.app: login"},
		"nothing to begin a login with": {func(_ *Config, d *Deps) { d.Starters = nil }, "route.app: login"},
		"an unknown credential":         {func(c *Config, _ *Deps) { c.Routes[0].Credential = "orders" }, "route.app: credential"},
		"two tokens": {func(c *Config, _ *Deps) {
			c.Routes[0].PassAuthorization, c.Routes[0].Credential = true, "session"
		}, "route.app: pass_authorization"},
		"two tokens, one of them set": {func(c *Config, _ *Deps) {
			c.Routes[0].PassAuthorization, c.Routes[0].Headers.Set = true, map[string]string{"authorization": "Basic {claim.x}"}
		}, "route.app: pass_authorization"},
		"an empty rule":  {func(c *Config, _ *Deps) { c.Routes[0].Allow = []policy.Rule{{}} }, "route.app: allow[0]"},
		"a foreign host": {func(c *Config, _ *Deps) { c.Routes[0].Hosts = []origin.Origin{apiTest} }, "route.app: host"},
		"the same route": {func(c *Config, d *Deps) {
			other := c.Routes[0]
			other.Name = "other"
			d.Starters["other"] = door{}
			c.Routes = append(c.Routes, other)
		}, "route.other"},
		"the same name": {func(c *Config, _ *Deps) {
			other := c.Routes[0]
			other.Path = "/other"
			c.Routes = append(c.Routes, other)
		}, "route.app: there are two"},
	} {
		t.Run(name, func(t *testing.T) {
			config, deps := configuration(t)
			c.change(&config, &deps)
			_, err := New(config, deps)
			if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the error is %v, and should speak of %s", err, c.says)
			}
		})
	}
}

func TestHeadersOfARouteReplaceThoseOfTheClientOnEveryRoute(t *testing.T) {
	l := newLab(t, nil)
	l.both(t, "GET", "/public/x", []string{"X-App-Token: mine"}, func(l *lab, a answer) { l.passed(a).lacks(l, "X-App-Token") })
	l.both(t, "GET", "/set/x", []string{as("alice"), "X-App-Token: mine"}, func(l *lab, a answer) {
		got := l.passed(a)
		got.one(l, "X-App-Token", "at-alice")
		got.lacks(l, "X-Forwarded-User") // profile = "none"
	})
}

func TestKeepFragmentAnswersANavigationWithItsPage(t *testing.T) {
	l := newLab(t, nil)
	l.both(t, "GET", "/fragment/x?y", navigation, func(l *lab, a answer) {
		l.refused(a, 200)
		if !strings.Contains(a.body, "/oauth2/start?rd=%2Ffragment%2Fx%3Fy") || a.Header["Set-Cookie"] != nil {
			l.Errorf("answer %v %s", a.Header, a.body)
		}
	})
	l.both(t, "GET", "/fragment/x", nil, func(l *lab, a answer) { l.refused(a, http.StatusUnauthorized) })
}

func TestAnUpstreamBelowAPath(t *testing.T) {
	l := newLab(t, func(c *Config, _ *Deps) {
		for i := range c.Routes {
			u := *c.Routes[i].Upstreams[0]
			u.Path = "/base/v1/"
			c.Routes[i].Upstreams = []*url.URL{&u}
		}
	})
	for target, sees := range map[string]string{"/x/y?z": "/base/v1/x/y?z", "/": "/base/v1/", "/strip": "/base/v1/", "/strip/a%20b": "/base/v1/a%20b"} {
		l.both(t, "GET", target, []string{as("alice")}, func(l *lab, a answer) {
			if got := l.passed(a); got.RequestURI != sees {
				l.Errorf("%s arrives as %q", target, got.RequestURI)
			}
		})
	}
}
