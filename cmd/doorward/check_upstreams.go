package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/doorward/doorward/proxy"
)

// destination says what becomes of a request that may pass.
func destination(rt proxy.Route) string {
	switch a := rt.Answer; {
	case a == nil && len(rt.Upstreams) == 0:
		return "for forward-auth only, never proxied"
	case a == nil:
		return "to " + upstreams(rt)
	case a.Redirect != nil:
		return fmt.Sprintf("redirects by %d to %s", a.Redirect.Status, a.Redirect.To)
	case a.Respond != nil:
		return fmt.Sprintf("answers %d with %d bytes", a.Respond.Status, len(a.Respond.Body))
	default:
		return "serves the files below " + a.Files.Root
	}
}

func upstreams(rt proxy.Route) string {
	list := make([]string, 0, len(rt.Upstreams))
	for _, u := range rt.Upstreams {
		list = append(list, u.String())
	}
	s := strings.Join(list, " and ")
	if rt.StripPrefix {
		s += " without " + plain(rt.Path)
	}
	if rt.Rewrite.AddPrefix != "" {
		s += " below " + rt.Rewrite.AddPrefix
	}
	for _, p := range rt.Rewrite.Paths {
		s += fmt.Sprintf(", %s as %s", p.From, p.To)
	}
	switch rt.Rewrite.Host {
	case "", "client":
	case "upstream":
		s += " under its own host"
	default:
		s += " as " + rt.Rewrite.Host
	}
	return s
}

// balanceWords say how the upstreams share the requests. Only what is set.
func balanceWords(b proxy.Balance) (all []string) {
	add := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if b.Policy != "" {
		add("shared by %s", b.Policy)
	}
	if b.Weights != nil {
		add("weights %s", strings.Trim(fmt.Sprint(b.Weights), "[]"))
	}
	if b.Sticky {
		add("a browser stays with one upstream")
	}
	switch {
	case b.Retries < 0:
		add("never tries again")
	case b.Retries > 0:
		add("tries again up to %s", counted(b.Retries, "time"))
	}
	return all
}

// healthWords say how it is found out which upstreams are well. Only what is set.
func healthWords(b proxy.Balance) (all []string) {
	add := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if h := b.Health; h != nil {
		add("GET %s every %s, which may take %s: down after %s, up after %s", h.Path, short(h.Interval), short(h.Timeout), counted(h.Fall, "bad answer"), fmt.Sprintf("%d good", h.Rise))
	}
	switch e := b.Eject; {
	case e == nil:
	case e.Failures < 0:
		add("none is left out that fails")
	default:
		add("one is left out for %s after %s", short(e.For), counted(e.Failures, "failure"))
	}
	return all
}

// connectionWords say how the upstreams are spoken to. Only what is set.
func connectionWords(b proxy.Balance) (all []string) {
	if b.Protocol != "" {
		all = append(all, "speaks "+b.Protocol)
	}
	if b.RootCAs != nil {
		all = append(all, "trusts the authorities of ca_file only")
	}
	if b.ServerName != "" {
		all = append(all, "expects the certificate of "+b.ServerName)
	}
	if b.Cert != nil {
		all = append(all, "shows a client certificate")
	}
	return all
}

// timeoutWords names the time-outs that are not the default.
func timeoutWords(t proxy.Timeouts) (all []string) {
	for _, limit := range []struct {
		name        string
		is, without time.Duration
	}{{"connect", t.Connect, 5 * time.Second}, {"header", t.Header, 2 * time.Minute}, {"idle", t.Idle, 0}, {"total", t.Total, 0}} {
		if limit.is != limit.without {
			all = append(all, limit.name+" "+short(limit.is))
		}
	}
	return all
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
