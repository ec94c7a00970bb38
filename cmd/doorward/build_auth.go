package main

import (
	"net/http"

	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/proxy/extauthz"
)

// askable makes who answers Envoy's questions over gRPC; nobody does without listen.ext_authz.
func (g *graph) askable() (err error) {
	if g.config.Listen.ExtAuthz == "" || g.gateway == nil {
		return nil
	}
	if g.extAuthz, err = extauthz.New(g.gateway, g.config.Listen.TrustedProxies); err != nil {
		return configError("listen.ext_authz", err)
	}
	return nil
}

// extAuthz is the handler of that listener. What it answers changes with a reload; that it is there does not.
func (g *gateway) extAuthz() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cur := g.graph.Load()
		if cur.extAuthz == nil { // a reload took every route away; an answer that is no gRPC lets nothing pass
			cur.pages.Error(w, r, &pages.Error{Code: "no_route"})
			return
		}
		cur.extAuthz.ServeHTTP(w, r)
	})
}
