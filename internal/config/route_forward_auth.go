package config

import "github.com/doorward/doorward/proxy"

// checkAsked checks a route without an upstream, about which other proxies ask: somebody must be able to.
func (c *composer) checkAsked(t table, rt *proxy.Route) {
	for _, key := range [...]string{"upstream", "redirect", "respond", "files"} {
		if t.given(key) {
			return
		}
	}
	if l := c.c.Listen; len(l.TrustedProxies) == 0 && l.ExtAuthz == "" {
		t.wrong("upstream", "it is missing. A route without one is for forward-auth, and nobody could ask about it: name the proxies that do in listen.trusted_proxies")
		return
	}
	if rt.Approve != nil {
		t.wrong("approve", "it needs an upstream: a request that only a forward-auth question is about cannot be held until somebody consents")
	}
	if rt.Credential != "none" {
		t.l.warn("%s: credential = %q: whoever is let through to %s/auth is told it, in the answer that is for the proxy; the proxy must not let that path be reached from outside", t.path, rt.Credential, c.c.Listen.Prefix)
	}
	t.checkIdle("this route has no upstream; whoever asks about it forwards the requests", "strip_prefix", "add_prefix", "rewrite", "host_header", "response_headers", "compress")
}
