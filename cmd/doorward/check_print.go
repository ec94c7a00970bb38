package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/config"
	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/proxy"
	"github.com/doorward/doorward/proxy/policy"
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

// printRoutes prints the routes of each host as requests meet them: the longest path first, and of
// two alike the one that names the host.
func printRoutes(out io.Writer, c *config.Config) {
	fmt.Fprintf(out, "Routes: the first whose path fits; if its method does not, the answer is 405\n")
	routes := c.Proxy().Routes
	for _, o := range c.Origins() {
		fmt.Fprintf(out, "  %s\n", o)
		here := routesOf(routes, o)
		if len(here) == 0 {
			fmt.Fprintf(out, "    nothing but Doorward's own %s\n", c.Listen.Prefix)
			continue
		}
		columns(out, func(w io.Writer) {
			for _, rt := range here {
				fmt.Fprintf(w, "    %s\t%s\t%s: %s\n    \t\t%s\n", plain(rt.Path), methods(rt), rt.Name, destination(rt), strings.Join(terms(rt, c.Caller(rt.Name)), "; "))
			}
		})
	}
	fmt.Fprintln(out)
}

func routesOf(routes []proxy.Route, o origin.Origin) (here []proxy.Route) {
	for _, rt := range routes {
		if len(rt.Hosts) == 0 || slices.Contains(rt.Hosts, o) {
			here = append(here, rt)
		}
	}
	slices.SortStableFunc(here, func(a, b proxy.Route) int {
		return cmp.Or(cmp.Compare(depth(b), depth(a)), strings.Compare(plain(a.Path), plain(b.Path)), cmp.Compare(min(len(b.Hosts), 1), min(len(a.Hosts), 1)), cmp.Compare(unmatched(a), unmatched(b)))
	})
	// A route for every host is never reached where one that names the host has the same path.
	named := make(map[string]bool)
	for i := range here {
		named[plain(here[i].Path)] = named[plain(here[i].Path)] || len(here[i].Hosts) > 0
	}
	return slices.DeleteFunc(here, func(rt proxy.Route) bool { return len(rt.Hosts) == 0 && named[plain(rt.Path)] })
}

// plain is a path without the slash at its end, which means nothing.
func plain(path string) string {
	if path = strings.TrimSuffix(path, "/"); path == "" {
		return "/"
	}
	return path
}

// depth counts the segments of a route's path.
func depth(rt proxy.Route) int {
	if plain(rt.Path) == "/" {
		return 0
	}
	return strings.Count(plain(rt.Path), "/")
}

// unmatched puts routes with a match in front.
func unmatched(rt proxy.Route) int {
	if rt.Match.Empty() {
		return 1
	}
	return 0
}

// methods are what of a request, beside host and path, a route is for.
func methods(rt proxy.Route) string {
	words := "all methods"
	if len(rt.Methods) > 0 {
		words = strings.Join(rt.Methods, " ")
	}
	for _, name := range slices.Sorted(maps.Keys(rt.Match.Headers)) {
		words += " with " + name + valuesWords(": ", rt.Match.Headers[name])
	}
	for _, name := range slices.Sorted(maps.Keys(rt.Match.Query)) {
		words += " with ?" + name + valuesWords("=", rt.Match.Query[name])
	}
	return words
}

func valuesWords(sign string, values []string) string {
	if len(values) == 0 {
		return ""
	}
	return sign + strings.Join(values, "|")
}

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

// terms says on which terms a route lets requests pass, and what it adds to them.
func terms(rt proxy.Route, caller config.Caller) []string {
	if rt.Public {
		all := []string{"anyone"}
		if rt.Credential != "none" && rt.Credential != "session" && rt.Credential != "id_token" {
			all = append(all, "sends credential "+rt.Credential)
		}
		return append(all, sets(rt)...)
	}
	all := []string{who(rt)}
	if len(rt.Logins) > 0 {
		all[0] += ", signed in by " + strings.Join(rt.Logins, " or ")
	}
	if rt.Accept != nil {
		all = append(all, "accepts "+strings.Join(accepted(rt, caller), " and "))
	}
	if a := rt.Approve; a != nil {
		all = append(all, strings.Join(a.Methods, " ")+" once approved by "+a.Login)
	}
	switch {
	case rt.PassAuthorization:
		all = append(all, "passes the client's own Authorization")
	case rt.Credential == "session":
		all = append(all, "sends the access token")
	case rt.Credential == "id_token":
		all = append(all, "sends the ID token")
	case rt.Credential != "none":
		all = append(all, "sends credential "+rt.Credential)
	}
	if rt.Headers.Profile == "none" {
		all = append(all, "sends no identity headers")
	}
	return append(all, sets(rt)...)
}

// accepted says by what callers prove who they are, and to whom.
func accepted(rt proxy.Route, caller config.Caller) (all []string) {
	for _, what := range rt.Accept {
		switch {
		case what == "bearer":
			what += " tokens of " + strings.Join(caller.Bearer.Issuers, " or ") + " for " + strings.Join(caller.Bearer.Audience, " or ")
		case what == "basic" && caller.Basic == "users":
			what += " by local users"
		case what == "basic" && caller.Basic == "client_credentials":
			what += " by clients of " + strings.Join(caller.Bearer.Issuers, "")
		case what == "key":
			what += " in " + rt.KeyHeader
		}
		all = append(all, what)
	}
	return all
}

func sets(rt proxy.Route) []string {
	if len(rt.Headers.Set) == 0 {
		return nil
	}
	return []string{"sets " + strings.Join(slices.Sorted(maps.Keys(rt.Headers.Set)), ", ")}
}

func who(rt proxy.Route) string {
	words := "everybody"
	if len(rt.Allow) > 0 {
		words = anyOf(rt.Allow)
	}
	if rt.Require != "" {
		if len(rt.Allow) > 0 {
			words = "(" + words + ")"
		}
		words += " who meets require"
	}
	if len(rt.Deny) > 0 {
		words += ", but not " + anyOf(rt.Deny)
	}
	if rt.Hook != nil {
		words += ", if " + rt.Hook.URL + " agrees"
	}
	if rt.DryRun {
		words = "whoever is signed in (dry run; it would be " + words + ")"
	}
	return words
}

func anyOf(rules []policy.Rule) string {
	words := make([]string, 0, len(rules))
	for _, r := range rules {
		words = append(words, ruleWords(r))
	}
	return strings.Join(words, ", or ")
}

// ruleWords is a rule as a person would say it. Unlike a refusal, this is for the operator,
// who may see single persons' names.
func ruleWords(r policy.Rule) string {
	var all []string
	add := func(what string, values []string) {
		if len(values) > 0 {
			all = append(all, what+" "+strings.Join(values, "|"))
		}
	}
	add("group", r.Groups)
	add("role", r.Roles)
	add("e-mail", r.Emails)
	for _, f := range r.EmailFiles {
		all = append(all, fmt.Sprintf("one of %d e-mail entries in %s", len(f.Entries), f.Name))
	}
	add("domain", r.Domains)
	add("user", r.Users)
	if len(r.Scopes) > 0 {
		all = append(all, "scope "+strings.Join(r.Scopes, "+"))
	}
	add("client", r.Clients)
	for _, name := range slices.Sorted(maps.Keys(r.Claims)) {
		add("claim "+name+" =", r.Claims[name])
	}
	networks := make([]string, 0, len(r.Networks))
	for _, n := range r.Networks {
		networks = append(networks, n.String())
	}
	add("from", networks)
	add("by", r.Methods)
	return strings.Join(all, " and ")
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

func printProviders(out io.Writer, g *graph) {
	for _, p := range g.config.Providers() {
		fmt.Fprintf(out, "Provider %s: %s\n", p.Name, p.Issuer)
		if p.ClientID == "" {
			fmt.Fprintf(out, "  bearer tokens are checked by its keys; there is nothing to register\n\n")
			continue
		}
		redirects := g.redirectURIs(p.Name)
		var logouts []string
		if g.flows != nil {
			logouts = g.flows.PostLogoutURIs(p.Name)
		}
		fmt.Fprintf(out, "  register for client %q\n", p.ClientID)
		columns(out, func(w io.Writer) {
			for _, uri := range redirects {
				fmt.Fprintf(w, "    redirect URI\t%s\n", uri)
			}
			for _, uri := range logouts {
				fmt.Fprintf(w, "    post-logout redirect URI\t%s\n", uri)
			}
			for _, uri := range g.notificationURIs(p.Name) {
				fmt.Fprintf(w, "    client notification endpoint (one of)\t%s\n", uri)
			}
			for _, grant := range grants(g.config, p.Name) {
				fmt.Fprintf(w, "    must be allowed\t%s\n", grant)
			}
		})
		fmt.Fprintln(out)
	}
}

// grants names what the client must be allowed at a provider for the logins and credentials that use it, in the words
// of OAuth 2.0.
func grants(c *config.Config, provider string) (all []string) {
	for _, cc := range c.Credentials() {
		grant := "grant " + grantTypes[cc.Flow]
		if cc.Provider == provider && grantTypes[cc.Flow] != "" && !slices.Contains(all, grant) {
			all = append(all, grant)
		}
	}
	if c.Introspects(provider) {
		all = append(all, "introspection of tokens")
	}
	for _, l := range c.Flows().Logins {
		if l.Provider != provider {
			continue
		}
		grant := map[string]string{
			"authorization_code": "grant authorization_code with PKCE", "implicit": "grant implicit, response_type " + l.ResponseType,
			"hybrid": "grants authorization_code and implicit, response_type " + l.ResponseType, "password": "grant password",
			"device": "grant urn:ietf:params:oauth:grant-type:device_code", "ciba": "grant urn:openid:params:grant-type:ciba, delivery mode " + l.Delivery,
		}[l.Flow]
		if !slices.Contains(all, grant) {
			all = append(all, grant)
		}
	}
	return all
}

// grantTypes are the grants of credentials that ask a provider.
var grantTypes = map[string]string{
	"client_credentials": "client_credentials", "token_exchange": provider.GrantTokenExchange, "jwt_bearer": provider.GrantJWTBearer, "password": "password",
}

// redirectURIs are those of a configuration in which anybody can sign in.
func (g *graph) redirectURIs(name string) []string {
	if g.flows == nil {
		return nil
	}
	return g.flows.RedirectURIs(name)
}

func (g *graph) notificationURIs(name string) []string {
	if g.flows == nil {
		return nil
	}
	return g.flows.NotificationURIs(name)
}

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
