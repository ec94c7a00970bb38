package config

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/doorward/doorward/flows"
	"github.com/doorward/doorward/flows/bearer"
	"github.com/doorward/doorward/flows/credential"
	"github.com/doorward/doorward/flows/personal"
	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/credentials"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/proxy"
	"github.com/doorward/doorward/sessions"
)

// Origins are all outside URLs under which Doorward is reached: hosts of routes, and callback
// hosts of providers.
func (c *Config) Origins() []origin.Origin { return slices.Clone(c.origins) }

// Providers is one Config for each [provider.NAME].
func (c *Config) Providers() []provider.Config { return slices.Clone(c.providers) }

// Sessions is [sessions], without the stores.
func (c *Config) Sessions() sessions.Config { return c.sessions }

// Flows is every [login.NAME], given or implied, and the callbacks of providers.
func (c *Config) Flows() flows.Config {
	return flows.Config{
		Prefix: c.Listen.Prefix, Logins: slices.Clone(c.logins), Callbacks: c.callbacks,
		ReturnHosts: slices.Clone(c.Listen.ReturnHosts), Cookie: c.sessions.Cookie,
		Users: slices.Clone(c.users), Keys: slices.Clone(c.keys),
	}
}

// Credentials is every [credential.NAME].
func (c *Config) Credentials() []credential.Config { return slices.Clone(c.credentials) }

// Tokens is [tokens].
func (c *Config) Tokens() personal.Config { return c.tokens }

// Caller is how the callers of a route prove who they are, beyond sessions.
func (c *Config) Caller(route string) Caller {
	if i, ok := c.numbers[route]; ok {
		return c.callers[i]
	}
	return Caller{}
}

// Egress is every [[egress]], and by name whose bearer tokens it takes.
func (c *Config) Egress() ([]proxy.EgressTarget, map[string]bearer.Config) {
	return slices.Clone(c.egress), c.egressCallers
}

// Proxy is every [[route]], in the order of the file.
func (c *Config) Proxy() proxy.Config {
	pc := proxy.Config{
		Prefix: c.Listen.Prefix, TrustedProxies: slices.Clone(c.Listen.TrustedProxies), CertificateHeader: c.Listen.CertificateHeader,
		Routes: slices.Clone(c.routes), OwnCookie: c.sessions.Cookie.Owns, CookieName: c.sessions.Cookie.Prefixed,
		RoleClients: make(map[string]string),
	}
	for _, p := range c.providers {
		pc.RoleClients[p.Name] = p.ClientID
		if path := c.callbacks[p.Name].Path; path != "" && !below(path, c.Listen.Prefix) {
			pc.OwnPaths = append(pc.OwnPaths, path)
		}
	}
	return pc
}

func below(path, prefix string) bool { return path == prefix || strings.HasPrefix(path, prefix+"/") }

// composer holds what the tables have to do with each other.
type composer struct {
	l      *loader
	c      *Config
	root   table
	tables []table           // of c.routes
	hosts  origin.Builder    // has c.origins
	paths  map[string]string // provider by provider.X.callback
}

// compose checks what takes all tables to know.
func (c *composer) compose() {
	c.checkOrigins()
	c.checkCookieDomain()
	c.checkOverlaps()
	c.checkLoops()
	c.checkRedirects()
	c.checkRoutes()
	c.checkLoginUse()
	c.checkProviderUse()
	c.checkCredentialUse()
	for _, p := range c.c.providers {
		if p.InsecureUnverifiedEmail {
			c.l.warn("provider.%s: insecure_unverified_email: addresses that nobody checked count as checked: whoever can enter somebody else's address there passes for them", p.Name)
		}
	}
}

func (c *composer) checkOrigins() {
	if len(c.c.origins) > 0 || len(c.tables) == 0 {
		return
	}
	for _, t := range c.tables {
		if t.given("host") || t.given("hosts") {
			return // what is wrong with it was reported
		}
	}
	c.tables[0].wrong("host", "it is missing: no route names the host under which people reach Doorward")
}

func (c *composer) checkCookieDomain() {
	t := c.root.table("sessions").table("cookie")
	domain := t.text("domain")
	if domain == "" {
		return
	}
	if o, err := origin.Parse(domain); err != nil || o.Host != domain || !strings.Contains(domain, ".") {
		t.wrong("domain", "%q is no domain in small letters, such as \"example.com\"", domain)
		return
	}
	for _, o := range c.c.origins {
		if o.Host != domain && !strings.HasSuffix(o.Host, "."+domain) {
			t.wrong("domain", "no browser takes a cookie for %q from %s; every host must lie in it", domain, o.Host)
		}
	}
}

// checkRoutes asks the gateway's own constructor about each route by itself, so that what it
// finds wrong has a place. It stops at the first thing, so rules and headers are first tried one
// by one. What was reported already is replaced by something harmless.
func (c *composer) checkRoutes() {
	anywhere := origin.Origin{Scheme: "https", Host: "host.invalid"}
	shown, err := pages.New(pages.Config{Prefix: c.c.Listen.Prefix})
	if err != nil {
		c.root.table("listen").foreign(err)
		return
	}
	common := c.c.Proxy()
	common.OwnPaths = nil
	try := func(rt proxy.Route) error {
		if len(rt.Upstreams) == 0 && rt.Answer == nil {
			rt.Upstreams = []*url.URL{{Scheme: "http", Host: "upstream.invalid"}}
		}
		if len(rt.Logins) == 0 {
			rt.Logins = []string{"reported"}
		}
		origins, err := origin.NewSet(append(slices.Clone(rt.Hosts), anywhere)...) // all that there are, for each route, would be too much work
		if err != nil {
			return nil // it is called as anywhere is
		}
		sources := make(map[string]proxy.Source)
		for _, cc := range c.c.credentials {
			sources[cc.Name] = nobody{}
		}
		sources[rt.Headers.Assertion] = nobody{}
		pc := common
		pc.Routes = []proxy.Route{rt}
		_, err = proxy.New(pc, proxy.Deps{
			Origins: origins, Session: nobody{}, Tokens: nobody{}, Starters: map[string]proxy.Starter{rt.Name: nobody{}},
			Basic: map[string]proxy.Authenticator{rt.Name: nobody{}}, Approvers: map[string]proxy.Approver{rt.Name: nobody{}},
			Bearers: map[string]proxy.Bearer{rt.Name: nobody{}}, Keys: map[string]proxy.Authenticator{rt.Name: nobody{}}, Sources: sources,
			Own: http.NewServeMux(), Pages: shown, Log: slog.New(slog.DiscardHandler),
		})
		if err == nil {
			return nil
		}
		return errors.New(strings.TrimPrefix(err.Error(), "route."+rt.Name+": "))
	}
	for i, t := range c.tables {
		rt := c.c.routes[i]
		rt.Allow, rt.Deny = t.tryPolicy(&rt)
		rt.Headers.Set = t.tryHeaders(rt.Headers.Set, try)
		t.foreign(try(rt))
	}
}

// tryHeaders reports headers that are wrong, and returns the others.
func (t table) tryHeaders(set map[string]string, try func(proxy.Route) error) map[string]string {
	good := make(map[string]string)
	for _, name := range slices.Sorted(maps.Keys(set)) {
		if err := try(proxy.Route{Name: "header", Headers: proxy.Headers{Set: map[string]string{name: set[name]}}}); err != nil {
			t.foreign(err)
		} else {
			good[name] = set[name]
		}
	}
	return good
}

// nobody stands in for what a gateway asks, in one that never gets a request.
type nobody struct{ proxy.Approver }

func (nobody) Authenticate(http.ResponseWriter, *http.Request) (*identity.Identity, bool, error) {
	return nil, false, nil
}

func (nobody) Check(context.Context, credentials.Presented) (*identity.Identity, error) {
	return nil, errNobody
}

func (nobody) Alive(context.Context, *identity.Identity) (bool, error) { return false, nil }

func (nobody) Token(context.Context, *identity.Identity) (*identity.Credential, error) {
	return nil, errNobody
}
func (nobody) Rejected(context.Context, *identity.Identity, *identity.Credential) {}
func (nobody) Personal() bool                                                     { return false }

var errNobody = errors.New("nobody is asked")

// nobodyOutbound stands in for what the outbound side asks.
func (c *composer) nobodyOutbound(e proxy.EgressTarget) proxy.EgressDeps {
	shown, _ := pages.New(pages.Config{Prefix: "/oauth2"}) // a constant that is right
	return proxy.EgressDeps{
		Bearers: map[string]proxy.Bearer{e.Name: nobody{}}, Sources: map[string]proxy.Source{e.Credential: nobody{}},
		Pages: shown, Log: slog.New(slog.DiscardHandler),
	}
}

func (nobody) Start(http.ResponseWriter, *http.Request, string) error { return nil }
func (nobody) LoginURL(*http.Request, string) string                  { return "" }
