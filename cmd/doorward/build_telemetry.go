package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"runtime"
	"slices"
	"time"

	"github.com/doorward/doorward/edge"
	"github.com/doorward/doorward/flows"
	"github.com/doorward/doorward/internal/config"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/seal"
	"github.com/doorward/doorward/internal/telemetry"
	"github.com/doorward/doorward/sessions"
	"github.com/doorward/doorward/sessions/store"
)

// purposeAudit is the key of the hashes in an audit log with privacy = "hash". They change when the first of sessions.keys
// does.
const purposeAudit seal.Purpose = "audit names"

// watching is what tells about this process as long as it runs, whatever its configuration. The zero value tells nothing.
type watching struct {
	metrics *telemetry.Metrics
	tracer  *telemetry.Tracer
	audit   io.Writer // the standard output
}

// watch makes what outlives reloads, and has the stores tell.
func (st *state) watch(c *config.Config, out io.Writer, log *slog.Logger) (err error) {
	st.watching = watching{metrics: telemetry.NewMetrics(bareVersion(), runtime.Version()), audit: out}
	if st.watching.tracer, err = telemetry.NewTracer(c.Trace, bareVersion(), st.watching.metrics, log); err != nil {
		return configError("telemetry", err)
	}
	s := &telemetry.Signals{Metrics: st.watching.metrics, Tracer: st.watching.tracer}
	observed := func(name string, of store.Store) store.Store {
		if of == nil {
			return nil
		}
		return store.Observed(of, func(ctx context.Context, operation string) (context.Context, func(error)) {
			return s.StoreCall(ctx, name, operation)
		})
	}
	st.sessions, st.shared = observed("sessions", st.sessions), observed("shared", st.shared)
	return nil
}

// signals makes what the parts of one graph tell by. Nothing is opened before openSignals.
func (st *state) signals(c *config.Config, ring *seal.Ring, log *slog.Logger) (*telemetry.Signals, error) {
	audit, err := telemetry.NewAudit(c.Audit, ring.Derive(purposeAudit, seal.KeySize)[0], st.watching.metrics, log)
	if err != nil {
		return nil, err
	}
	if audit == nil && st.watching.metrics == nil && st.watching.tracer == nil {
		return nil, nil
	}
	return &telemetry.Signals{Metrics: st.watching.metrics, Tracer: st.watching.tracer, Audit: audit}, nil
}

// openSignals makes a graph tell, just before requests come to it.
func (g *graph) openSignals(st *state) error {
	if g.signals == nil {
		return nil
	}
	if err := g.signals.Audit.Open(st.watching.audit); err != nil {
		return configError("telemetry.audit", err)
	}
	st.watching.metrics.Routes(g.routeNames(), g.upstreams)
	return nil
}

// routeNames are those by which the access log names routes.
func (g *graph) routeNames() (names []string) {
	for _, rt := range g.config.Proxy().Routes {
		names = append(names, rt.Name)
	}
	targets, _ := g.config.Egress()
	for _, t := range targets {
		names = append(names, "egress "+t.Name)
	}
	return names
}

// upstreams says which upstreams of routes get requests now.
func (g *graph) upstreams() (all []telemetry.UpstreamHealth) {
	if g.gateway == nil {
		return nil
	}
	for _, u := range g.gateway.Upstreams() {
		all = append(all, telemetry.UpstreamHealth{Route: u.Route, Upstream: u.Upstream, Up: u.Up})
	}
	return all
}

// upstreamChecks tells /readyz what is down. It does not count: the rest is ready.
func (g *graph) upstreamChecks() (checks []edge.Check) {
	for _, u := range g.upstreams() {
		if !u.Up {
			checks = append(checks, edge.Check{Name: "upstream " + u.Upstream + " of route " + u.Route, Error: "it gets no requests, because it does not answer as it should", Advisory: true})
		}
	}
	return checks
}

// refresher is who asks providers for new tokens, and tells how that went.
func (g *graph) refresher() sessions.Refresher {
	inner := flows.Refresher(g.providers)
	if g.signals == nil || inner == nil {
		return inner
	}
	return tellingRefresher{inner, g.signals}
}

type tellingRefresher struct {
	sessions.Refresher
	signals *telemetry.Signals
}

func (r tellingRefresher) Refresh(ctx context.Context, who *identity.Identity) (*identity.Identity, error) {
	now, err := r.Refresher.Refresh(ctx, who)
	e := telemetry.Event{Name: telemetry.EventRefresh, Outcome: telemetry.OK, Who: who, Provider: who.Provider}
	switch {
	case errors.Is(err, sessions.ErrRefused):
		e.Outcome, e.Reason = "refused", "the provider gives no tokens for this session any more"
	case err != nil:
		e.Outcome, e.Reason = telemetry.Failed, "the provider could not be asked, or its answer not be used"
	}
	r.signals.TellContext(ctx, e)
	return now, err
}

// lost is told of a session that has ended because its provider refused to refresh it.
func (g *graph) lost(ctx context.Context, who *identity.Identity) {
	g.signals.TellContext(ctx, telemetry.Event{Name: telemetry.EventLogout, Outcome: telemetry.OK, Reason: "refresh_refused", Who: who})
}

// listener makes the requests of a listener known to the signals of the graph that serves now.
func (g *gateway) listener(name string) telemetry.Listener {
	return telemetry.Listener{Name: name, Signals: func() *telemetry.Signals { return g.graph.Load().signals }, Trusts: func(peer string) bool {
		if name != "http" { // applications and proxies of the operator's own
			return true
		}
		trusted := g.graph.Load().config.Listen.TrustedProxies
		a, err := netip.ParseAddrPort(peer)
		return err == nil && slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(a.Addr().Unmap().WithZone("")) })
	}}
}

// tellReload tells of a reload, and of what in it matters to whoever reads audit logs.
func (g *gateway) tellReload(old, next *graph, why string, err error) {
	g.state.watching.metrics.Reloaded(err == nil, old == nil, time.Now())
	ctx := context.Background()
	switch {
	case err != nil:
		old.signals.TellContext(ctx, telemetry.Event{Name: telemetry.EventAdmin, Outcome: telemetry.Failed, Reason: "reload: " + why})
		return
	case old == nil:
		next.signals.TellContext(ctx, telemetry.Event{Name: telemetry.EventAdmin, Outcome: telemetry.OK, Reason: "start: " + versionLine()})
		return
	}
	old.signals.HandOver(next.signals) // of what goes on under the old one
	next.signals.TellContext(ctx, telemetry.Event{Name: telemetry.EventAdmin, Outcome: telemetry.OK, Reason: "reload: " + why})
	if !slices.EqualFunc(old.config.Keys, next.config.Keys, slices.Equal) {
		next.signals.TellContext(ctx, telemetry.Event{Name: telemetry.EventAdmin, Outcome: telemetry.OK, Reason: "sessions.keys have changed"})
	}
}

// tellStop tells of the end of the process.
func (g *gateway) tellStop() {
	g.graph.Load().signals.TellContext(context.Background(), telemetry.Event{Name: telemetry.EventAdmin, Outcome: telemetry.OK, Reason: "stop"})
}
