package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/doorward/doorward/internal/config"
)

// columns aligns what is written to it, cells being separated by tabs.
func columns(out io.Writer, write func(w io.Writer)) {
	w := tabwriter.NewWriter(out, 0, 8, 3, ' ', 0)
	write(w)
	_ = w.Flush()
}

func printSummary(out io.Writer, c *config.Config) {
	s := c.Sessions()
	where := map[string]string{"bolt": "in a file below " + c.StateDir, "memory": "in memory", "cookie": "in their cookies"}
	privacy := map[string]string{"full": "with names and addresses", "subject": "without names, and with networks in the place of addresses", "hash": "with keyed hashes of people and addresses"}
	columns(out, func(w io.Writer) {
		listening := fmt.Sprintf("on %s, for administration on %s", c.Listen.HTTP, c.Listen.Admin)
		if c.Listen.Egress != "" {
			listening += ", for local applications on " + c.Listen.Egress
		}
		if c.Listen.ExtAuthz != "" {
			listening += ", for Envoy's questions on " + c.Listen.ExtAuthz
		}
		fmt.Fprintf(w, "Listening\t%s\n", listening)
		fmt.Fprintf(w, "Sessions\t%s, end after %s without a request, and after %s in any case\n", where[c.Store], short(s.Idle), short(s.Lifetime))
		if c.Shared != c.Store {
			fmt.Fprintf(w, "Sign-ins\tunder way are kept %s\n", where[c.Shared])
		}
		trusted := "nobody's; the client is whoever connects"
		if len(c.Listen.TrustedProxies) > 0 {
			trusted = "those of " + strings.Trim(fmt.Sprint(c.Listen.TrustedProxies), "[]")
		}
		fmt.Fprintf(w, "X-Forwarded-For\tis believed from: %s\n", trusted)
		if c.Audit.To != "" {
			fmt.Fprintf(w, "Audit log\tto %s, %s\n", c.Audit.To, privacy[c.Audit.Privacy])
		}
		if c.Trace.URL != "" {
			fmt.Fprintf(w, "Traces\tto %s\n", c.Trace.URL)
		}
	})
	fmt.Fprintln(out)
}

// short writes a duration as people do: "8h" and not "8h0m0s".
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
