package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/doorward/doorward/flows"
	"github.com/doorward/doorward/flows/bearer"
	"github.com/doorward/doorward/flows/credential"
	"github.com/doorward/doorward/flows/personal"
	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/config"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/internal/seal"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/telemetry"
	"github.com/doorward/doorward/proxy"
	"github.com/doorward/doorward/proxy/extauthz"
	"github.com/doorward/doorward/sessions"
)

// graph is one configuration, wired together. It is built without touching the network
// and never changes afterwards; a reload builds another.
type graph struct {
	config  *config.Config
	handler http.Handler
	egress  *proxy.Egress // nil without an outbound side
	gateway *proxy.Gateway

	extAuthz *extauthz.Handler // nil without listen.ext_authz
	pages    *pages.Pages

	providers   map[string]*provider.Client
	revoker     *flows.Revoker
	signals     *telemetry.Signals // nil = nobody is told anything
	credentials *credential.Set
	verifier    *bearer.Verifier

	// Of a configuration with routes:
	origins  *origin.Set
	keeper   *sessions.Keeper
	flows    *flows.Flows
	personal *personal.Tokens // nil where nobody can mint any
}

// start begins what goes on between requests, now that they come here.
func (g *graph) start() {
	if g.gateway != nil {
		g.gateway.Start()
	}
}

// close gives back what a graph holds besides memory. Requests that still run under it end
// as they would have.
func (g *graph) close() {
	if g.gateway != nil {
		g.gateway.Close()
	}
	if g.keeper != nil {
		g.keeper.Close()
	}
	if g.personal != nil {
		g.personal.Close()
	}
	g.revoker.Wait() // for what the refreshes that Close waited for have left behind, too
	if g.credentials != nil {
		g.credentials.Close()
	}
	for _, p := range g.providers {
		p.Close()
	}
	if g.signals != nil {
		g.signals.Audit.Close()
	}
}

// build wires the parts of Doorward together: the only place in which they meet. before
// is the graph that this one will replace, nil at the start.
func build(c *config.Config, st *state, before *graph, log *slog.Logger) (*graph, error) {
	g := &graph{config: c, providers: make(map[string]*provider.Client)}
	for _, w := range c.Warnings() {
		log.Warn(w)
	}
	ring, err := st.ring(c.Keys)
	if err != nil {
		return nil, err
	}
	if g.signals, err = st.signals(c, ring, log); err != nil {
		return nil, configError("telemetry", err)
	}
	if g.pages, err = pages.New(pages.Config{Prefix: c.Listen.Prefix}); err != nil {
		return nil, err
	}
	for _, pc := range c.Providers() {
		pc.PreviousSecret = previousSecret(before, pc)
		if g.providers[pc.Name], err = provider.New(pc, provider.Deps{Store: st.shared, Ring: ring, Log: log, Signals: g.signals}); err != nil {
			return nil, configError("provider."+pc.Name, err)
		}
	}
	g.revoker = flows.NewRevoker(g.providers, log)
	for _, part := range []func(*state, *seal.Ring, *slog.Logger) error{g.obtain, g.signIn, g.inbound, g.outbound} {
		if err := part(st, ring, log); err != nil {
			g.close()
			return nil, err
		}
	}
	return g, nil
}

// obtain makes what is about tokens of others: those that we get for upstreams, and those that callers bring.
func (g *graph) obtain(st *state, ring *seal.Ring, log *slog.Logger) (err error) {
	shared := st.shared
	if g.config.Shared == "memory" { // no other replica sees it, and sessions live in it, too: tokens would fill it
		shared = nil
	}
	if g.credentials, err = credential.New(append(g.config.Credentials(), g.config.Assertions()...), credential.Deps{
		Providers: g.providers, Shared: shared, Ring: ring, Issuer: g.assertionIssuer(), Log: log, Signals: g.signals,
	}); err != nil {
		return configError("credential", err)
	}
	if g.verifier, err = bearer.New(bearer.Deps{Providers: g.providers, Shared: st.shared, Ring: ring, Log: log}); err != nil {
		return configError("accept", err)
	}
	return nil
}

// assertionIssuer is iss of the JWTs that we sign ourselves: the outside URL of the first route that names its host, where
// the keys are published, too.
func (g *graph) assertionIssuer() string {
	for _, rt := range g.config.Proxy().Routes {
		if len(rt.Hosts) > 0 {
			return rt.Hosts[0].String()
		}
	}
	return "urn:doorward"
}

// signIn makes what is about people: sessions, logins, their own tokens.
func (g *graph) signIn(st *state, ring *seal.Ring, log *slog.Logger) (err error) {
	c := g.config
	if len(c.Proxy().Routes) == 0 {
		return nil // only what goes out
	}
	if g.origins, err = origin.NewSet(c.Origins()...); err != nil {
		return configError("route.host", err)
	}
	valid := flows.Knows(c.Flows().Logins, g.providers, c.Flows().Users...)
	if g.keeper, err = sessions.New(c.Sessions(), sessions.Deps{
		Sessions: st.sessions, Shared: st.shared, Ring: ring, Origins: g.origins, Log: log,
		Refresh: g.refresher(), Valid: valid, Waits: flows.Waits(g.providers), Ended: g.ended, Refreshed: g.refreshed,
	}); err != nil {
		return configError("sessions", err)
	}
	if c.Tokens().MaxLifetime > 0 {
		if g.personal, err = personal.New(c.Tokens(), personal.Deps{
			Store: st.shared, Ring: ring, Sessions: g.keeper, Origins: g.origins, Pages: g.pages, Log: log, Valid: valid, Signals: g.signals,
		}); err != nil {
			return configError("tokens", err)
		}
	}
	g.flows, err = flows.New(c.Flows(), flows.Deps{
		Providers: g.providers, Sessions: g.keeper, Revoker: g.revoker, Shared: st.shared, Ring: ring, Origins: g.origins, Pages: g.pages, Log: log,
		Offers: g.offers, SignedIn: g.signedIn, Signals: g.signals,
	})
	if err != nil {
		return configError("login", err)
	}
	return nil
}

// ended is told whose tokens no session holds any more.
func (g *graph) ended(ctx context.Context, who *identity.Identity) {
	g.revoker.Revoke(ctx, who)
	g.credentials.Forget(ctx, who)
}

// refreshed is told whose tokens are new, and who they are now. What the provider has taken away from them counts for their
// personal tokens, too.
func (g *graph) refreshed(ctx context.Context, old, now *identity.Identity) {
	g.credentials.Forget(ctx, old)
	if now == nil {
		g.lost(ctx, old)
		return
	}
	g.signedIn(ctx, now)
}

// signedIn is told who has just signed in.
func (g *graph) signedIn(ctx context.Context, who *identity.Identity) {
	if g.personal != nil {
		g.personal.Renew(ctx, who)
	}
}

// offers names the logins that open a target.
func (g *graph) offers(o origin.Origin, target string) []string {
	if g.gateway == nil { // is built after the flows, which begin its logins; nothing is served yet
		return nil
	}
	return g.gateway.Logins(o, target)
}

// outbound makes the egress side.
func (g *graph) outbound(st *state, _ *seal.Ring, log *slog.Logger) error {
	targets, callers := g.config.Egress()
	if g.config.Listen.Egress == "" {
		return nil
	}
	d := proxy.EgressDeps{Bearers: make(map[string]proxy.Bearer), Sources: g.sources(), Pages: g.pages, Log: log, Current: func() *proxy.Egress { return st.egress(g) }}
	for name, bc := range callers {
		checker, err := g.verifier.Checker(bc)
		if err != nil {
			return configError("egress."+name, err)
		}
		d.Bearers[name] = checker
	}
	var err error
	if d.API, err = g.tokenAPI(log); err != nil {
		return configError("egress", err)
	}
	if g.egress, err = proxy.NewEgress(proxy.EgressConfig{Self: selfAuthorities(g.config.Listen.Egress), Own: ownListeners(g.config), Targets: targets}, d); err != nil {
		return configError("egress", err)
	}
	return nil
}

// sources are all credentials, as the proxy wants them.
func (g *graph) sources() map[string]proxy.Source {
	all := make(map[string]proxy.Source)
	for _, cc := range append(g.config.Credentials(), g.config.Assertions()...) {
		all[cc.Name] = g.credentials.Source(cc.Name)
	}
	return all
}

// noRoutes answers on the public listener of a configuration that only has an outbound side.
type noRoutes struct{ pages *pages.Pages }

func (n noRoutes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n.pages.Error(w, r, &pages.Error{Code: "unknown_host", Err: errors.New("there is no [[route]]")})
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
