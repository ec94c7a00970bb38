package main

import (
	"log/slog"
	"net/http"
	"slices"

	"github.com/doorward/doorward/flows"
	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/config"
	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/proxy"
	"github.com/doorward/doorward/sessions"
)

// graph is one configuration, wired together. It is built without touching the network
// and never changes afterwards; a reload builds another.
type graph struct {
	config    *config.Config
	handler   http.Handler
	pages     *pages.Pages
	providers map[string]*provider.Client
	flows     *flows.Flows
	revoker   *flows.Revoker
	keeper    *sessions.Keeper
}

// close gives back what a graph holds besides memory. Requests that still run under it end
// as they would have.
func (g *graph) close() {
	g.keeper.Close()
	g.revoker.Wait() // for what the refreshes that Close waited for have left behind, too
	for _, p := range g.providers {
		p.Close()
	}
}

// build wires the parts of Doorward together: the only place in which they meet. before
// is the graph that this one will replace, nil at the start.
func build(c *config.Config, st *state, before *graph, log *slog.Logger) (*graph, error) {
	g := &graph{config: c, providers: make(map[string]*provider.Client)}
	for _, w := range c.Warnings() {
		log.Warn(w)
	}
	origins, err := origin.NewSet(c.Origins()...)
	if err != nil {
		return nil, configError("route.host", err)
	}
	ring, err := st.ring(c.Keys)
	if err != nil {
		return nil, err
	}
	if g.pages, err = pages.New(pages.Config{Prefix: c.Listen.Prefix}); err != nil {
		return nil, err
	}
	for _, pc := range c.Providers() {
		pc.PreviousSecret = previousSecret(before, pc)
		if g.providers[pc.Name], err = provider.New(pc, provider.Deps{Store: st.shared, Ring: ring, Log: log}); err != nil {
			return nil, configError("provider."+pc.Name, err)
		}
	}
	g.revoker = flows.NewRevoker(g.providers, log)
	if g.keeper, err = sessions.New(c.Sessions(), sessions.Deps{
		Sessions: st.sessions, Shared: st.shared, Ring: ring, Origins: origins, Log: log,
		Refresh: flows.Refresher(g.providers), Valid: flows.Knows(c.Flows().Logins, g.providers), Ended: g.revoker.Revoke,
	}); err != nil {
		return nil, configError("sessions", err)
	}
	var gateway *proxy.Gateway // is built after the flows, which begin its logins
	offers := func(o origin.Origin, target string) []string {
		if gateway == nil { // nothing is served yet
			return nil
		}
		return gateway.Logins(o, target)
	}
	if g.flows, err = flows.New(c.Flows(), flows.Deps{
		Providers: g.providers, Sessions: g.keeper, Revoker: g.revoker, Shared: st.shared, Ring: ring, Origins: origins, Pages: g.pages, Log: log,
		Offers: offers,
	}); err != nil {
		g.close()
		return nil, configError("login", err)
	}
	if gateway, err = g.gateway(origins, log); err != nil {
		g.close()
		return nil, err
	}
	g.handler = gateway
	return g, nil
}

// gateway makes the inbound side: own endpoints and routes.
func (g *graph) gateway(origins *origin.Set, log *slog.Logger) (*proxy.Gateway, error) {
	own := http.NewServeMux()
	g.flows.Mount(own)
	pc := g.config.Proxy()
	d := proxy.Deps{
		Origins: origins, Session: g.keeper, Streams: g.keeper, Own: own, Pages: g.pages, Log: log,
		Starters: make(map[string]proxy.Starter), Basic: make(map[string]proxy.Authenticator), Approvers: make(map[string]proxy.Approver),
	}
	if g.config.Store != "cookie" { // there are no tickets then
		d.Tokens = g.keeper.Tickets()
	}
	for _, route := range pc.Routes {
		if route.Public {
			continue
		}
		if err := g.serveRoute(route, &d); err != nil {
			return nil, configError("route."+route.Name, err)
		}
	}
	gw, err := proxy.New(pc, d)
	if err != nil {
		return nil, configError("route", err)
	}
	return gw, nil
}

// serveRoute gives a route what of the flows it needs.
func (g *graph) serveRoute(route proxy.Route, d *proxy.Deps) (err error) {
	if d.Starters[route.Name], err = g.flows.Starter(route.Logins); err != nil {
		return err
	}
	if slices.Contains(route.Accept, "basic") {
		if d.Basic[route.Name], err = g.flows.Basic(g.passwordLogin(route)); err != nil {
			return err
		}
	}
	if route.Approve != nil {
		if d.Approvers[route.Name], err = g.flows.Approver(route.Approve.Login); err != nil {
			return err
		}
	}
	return nil
}

// passwordLogin is the one login by which a route tries user names and passwords.
func (g *graph) passwordLogin(route proxy.Route) string {
	for _, l := range g.config.Flows().Logins {
		if l.Flow == "password" && slices.Contains(route.Logins, l.Name) {
			return l.Name
		}
	}
	return ""
}

// previousSecret returns the client secret that the provider's new one replaces: while a
// rotation spreads, the provider may still know only that one (CA-8).
func previousSecret(before *graph, now provider.Config) (none secret.String) {
	if before == nil {
		return none
	}
	for _, old := range before.config.Providers() {
		if old.Name == now.Name && old.ClientID == now.ClientID && old.Issuer == now.Issuer && !old.ClientSecret.Equal(now.ClientSecret) {
			return old.ClientSecret
		}
	}
	return none
}
