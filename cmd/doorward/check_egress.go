package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"github.com/doorward/doorward/internal/config"
	"github.com/doorward/doorward/proxy"
)

// printEgress prints what local applications can call, and what it is given.
func printEgress(out io.Writer, c *config.Config) {
	targets, callers := c.Egress()
	if len(targets) == 0 {
		return
	}
	fmt.Fprintf(out, "Outbound: what local applications call at %s\n", c.Listen.Egress)
	columns(out, func(w io.Writer) {
		for _, e := range targets {
			at := cmp.Or(e.Path, "/"+e.Name)
			if e.Host != "" {
				at += ", http://" + e.Host
			}
			terms := "for any local caller"
			if b, ok := callers[e.Name]; ok {
				terms = "for bearer tokens of " + strings.Join(b.Issuers, " and ") + " for " + strings.Join(b.Audience, " or ")
			}
			if e.Credential != "none" {
				terms += "; sends credential " + e.Credential
			}
			fmt.Fprintf(w, "    %s\t%s: to %s\n    \t%s\n", at, e.Name, upstreams(proxy.Route{Upstreams: e.Upstreams}), terms)
		}
	})
	fmt.Fprintln(out)
}
