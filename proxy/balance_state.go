package proxy

// UpstreamState is how one upstream of a route is, as far as is known.
type UpstreamState struct {
	Route    string
	Upstream string // as in the log: "http://host:port" or "unix:/path"
	Up       bool   // it gets requests; true where nobody checks
	Down     bool   // the active check says so
	Ejected  bool   // left out for a while, because requests have failed
	Checked  bool   // there is an active check
	Requests int64  // that it has now; 0 where the route has one upstream only and nobody checks
}

// Upstreams tells how the upstreams of all routes are, in the order of the configuration.
func (g *Gateway) Upstreams() (all []UpstreamState) {
	for _, rt := range g.balanced {
		if rt.balance == nil {
			for i := range rt.upstreams {
				all = append(all, UpstreamState{Route: rt.name, Upstream: rt.upstreams[i].display, Up: true})
			}
			continue
		}
		for _, m := range rt.balance.members {
			all = append(all, rt.balance.state(m))
		}
	}
	return all
}

func (b *balancer) state(m *member) UpstreamState {
	s := UpstreamState{Route: b.route, Upstream: m.upstream.display, Up: b.isUsable(m), Down: m.down.Load(), Checked: b.health != nil, Requests: m.busy.Load()}
	s.Ejected = !s.Up && !s.Down
	return s
}

// Start begins the checks of upstreams. It is called once, when requests come here; [Gateway.Close] ends them.
func (g *Gateway) Start() { g.watch.start() }

// Close ends the checks of upstreams, and closes the connections that nobody uses; those in use are closed when they end,
// of HTTP/2 at most 90 s after. Requests may still come; they are served.
func (g *Gateway) Close() {
	g.watch.close()
	g.proxy.lanes.close()
}
