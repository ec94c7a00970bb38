package main

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/doorward/doorward/edge"
	"github.com/doorward/doorward/internal/config"
	"github.com/doorward/doorward/internal/pages"
)

// retirement is how long a configuration that was replaced still watches its stores, so
// that requests which began under it end under it.
const retirement = time.Minute

// gateway is the public handler of a process: the wired configuration of this moment,
// replaced whole by a reload.
type gateway struct {
	graph   atomic.Pointer[graph]
	options config.Options
	state   *state
	log     *slog.Logger

	reloading sync.Mutex
	fresh     chan struct{}                // wakes warmUp after a reload
	read      map[string][sha256.Size]byte // what the files held at the start, for watch
}

func newGateway(c *config.Config, o config.Options, st *state, log *slog.Logger) (*gateway, error) {
	read := digests(nil, c.Files())
	first, err := build(c, st, nil, log)
	if err != nil {
		return nil, err
	}
	if err := first.openSignals(st); err != nil {
		first.close()
		return nil, err
	}
	g := &gateway{options: o, state: st, log: log, fresh: make(chan struct{}, 1), read: read}
	g.tellReload(nil, first, "", nil)
	g.graph.Store(first)
	st.serving.Store(first)
	first.start()
	return g, nil
}

func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.graph.Load().handler.ServeHTTP(w, r)
}

// outbound is the handler of the egress listener. A reload that takes the last [[egress]] away leaves nothing to call.
func (g *gateway) outbound() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cur := g.graph.Load()
		if cur.egress == nil {
			cur.pages.Error(w, r, &pages.Error{Code: "no_such_target"})
			return
		}
		cur.egress.ServeHTTP(w, r)
	})
}

// reload reads the configuration again and swaps it in, all of it or nothing (P212).
func (g *gateway) reload(why string) {
	g.reloading.Lock()
	defer g.reloading.Unlock()
	old := g.graph.Load()
	c, err := config.Load(g.options)
	if err != nil {
		g.tellReload(old, nil, why, err)
		g.log.Error("the configuration was not reloaded, the old one stays", "because", why, "error", err.Error())
		return
	}
	next, err := build(c, g.state, old, g.log)
	if err == nil {
		if err = next.openSignals(g.state); err != nil {
			next.close()
		}
	}
	if err != nil {
		g.tellReload(old, nil, why, err)
		g.log.Error("the configuration was not reloaded, the old one stays", "because", why, "error", err.Error())
		return
	}
	for _, key := range needRestart(old.config, c) {
		g.log.Warn("a change of this key takes effect at the next start only", "key", key)
	}
	g.graph.Store(next)
	g.state.serving.Store(next)
	next.start()
	time.AfterFunc(retirement, old.close)
	select {
	case g.fresh <- struct{}{}:
	default:
	}
	g.log.Info("configuration reloaded", "because", why)
	g.tellReload(old, next, why, nil)
}

// needRestart names the keys that a reload cannot change: open listeners and stores.
func needRestart(old, now *config.Config) (keys []string) {
	for _, k := range []struct {
		name string
		same bool
	}{
		{"listen.http", old.Listen.HTTP == now.Listen.HTTP},
		{"listen.admin", old.Listen.Admin == now.Listen.Admin},
		{"listen.egress", old.Listen.Egress == now.Listen.Egress},
		{"listen.ext_authz", old.Listen.ExtAuthz == now.Listen.ExtAuthz},
		{"state_dir", old.StateDir == now.StateDir},
		{"sessions.store", old.Store == now.Store},
		{"sessions.shared", old.Shared == now.Shared},
		{"telemetry.log", old.Log == now.Log},
		{"telemetry.otlp", old.Trace.URL == now.Trace.URL},
	} {
		if !k.same {
			keys = append(keys, k.name)
		}
	}
	return keys
}

func (g *gateway) files() []string { return g.graph.Load().config.Files() }

// close ends what outlives requests: revocations that sign-outs left behind get their time.
func (g *gateway) close() {
	g.graph.Load().close()
}

// warmUp asks each provider for its metadata before the first person needs it, again and
// again with a growing pause until all have answered. A provider that is down stops
// nobody: the gateway serves, and answers 503 where that provider is needed.
func (g *gateway) warmUp(ctx context.Context) {
	for pause := time.Second; ; pause = min(2*pause, 30*time.Second) {
		missing := false
		for name, p := range g.graph.Load().providers {
			if err := p.Ready(ctx); err != nil {
				missing = true
				g.log.Warn("provider not ready", "provider", name, "error", err.Error(), "again_in", pause.String())
			}
		}
		again := time.After(pause)
		if !missing {
			again = nil // until the next reload
		}
		select {
		case <-ctx.Done():
			return
		case <-again:
		case <-g.fresh:
			pause = time.Second
		}
	}
}

// checks says for /readyz what requests need.
func (g *gateway) checks(ctx context.Context) []edge.Check {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	cur := g.graph.Load()
	checks := g.state.checks(ctx)
	for name, p := range cur.providers {
		c := edge.Check{Name: "provider " + name, OK: true}
		if err := p.Ready(ctx); err != nil {
			c.OK, c.Error = false, err.Error()
		}
		checks = append(checks, c)
	}
	return append(checks, cur.upstreamChecks()...)
}
