package config

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/doorward/doorward/proxy"
)

func routeKeys() *spec {
	return &spec{form: rows, keys: map[string]*spec{
		"name":                      {form: text},
		"host":                      {form: text},
		"hosts":                     {form: list},
		"path":                      {form: text},
		"strip_prefix":              {form: boolean},
		"methods":                   {form: list},
		"match":                     matchKeys(),
		"add_prefix":                {form: text},
		"rewrite":                   rewriteKeys(),
		"host_header":               {form: text},
		"encoded":                   {form: list},
		"upstream":                  {form: list},
		"redirect":                  redirectKeys(),
		"respond":                   respondKeys(),
		"files":                     filesKeys(),
		"public":                    {form: boolean},
		"balance":                   balanceKeys(),
		"health":                    healthKeys(),
		"eject":                     ejectKeys(),
		"retries":                   {form: number},
		"protocol":                  {form: word, words: []string{"h1", "h2", "h2c"}},
		"upstream_tls":              upstreamTLSKeys(),
		"timeouts":                  timeoutsKeys(),
		"login":                     {form: list},
		"allow":                     ruleKeys(),
		"deny":                      ruleKeys(),
		"dry_run":                   {form: boolean},
		"decision":                  decisionKeys(),
		"credential":                {form: text},
		"headers":                   headersKeys(),
		"keep_fragment":             {form: boolean},
		"pass_authorization":        {form: boolean},
		"websocket_origins":         {form: list},
		"insecure_http":             {form: boolean},
		"insecure_unverified_email": {form: boolean},

		"accept": {form: list},
		"approve": {form: tables, keys: map[string]*spec{
			"login": {form: text}, "methods": {form: list}, "binding_message": {form: text}, "max_body": {form: text}, "expires": {form: text},
		}},

		"issuers":       {form: list},
		"audience":      {form: list},
		"bearer_header": {form: text},
		"dpop_nonce":    {form: boolean},
		"bearer_cookie": {form: text},
		"basic":         {form: word, words: []string{basicPassword, basicUsers, basicClients}},
		"users":         {form: list},
		"keys":          {form: list},
		"key_header":    {form: text},
		"require":       {form: text},

		"limits":           limitsKeys(),
		"maintenance":      maintenanceKeys(),
		"response_headers": responseHeadersKeys(),
		"compress":         {form: list},

		"keep_post":       {form: text},
		"unauthenticated": {form: word, words: []string{"auto", "401", "login"}},
		"cors":            corsKeys(),
	}}
}

// readRoutes reads each [[route]], in the order of the file.
func (c *composer) readRoutes() {
	all := c.root.table("route")
	if all.node == nil {
		if !c.root.given("route") && !c.outward() {
			c.l.report(place{}, aValue, "route: there is none; write [[route]] with host and upstream: every request would be refused")
		}
		return
	}
	first := make(map[string]*node)
	for i, row := range all.node.items {
		if row.bad {
			continue
		}
		t := table{c.l, fmt.Sprintf("route[%d]", i), row}
		name := t.text("name")
		if name != "" {
			t.path = join("route", name)
		}
		switch old := first[name]; {
		case !validName(name):
			t.wrong("name", "%q: a name is made of small letters, digits and -, and begins with a letter", name)
		case old != nil:
			t.wrong("name", "there are two routes of this name; the other one begins in line %d", old.at.line)
		default:
			first[name] = row
		}
		c.tables = append(c.tables, t)
		rt, caller := c.readRoute(t, name)
		if first[name] == row {
			c.c.numbers[name] = len(c.c.routes)
		}
		c.c.routes, c.c.callers = append(c.c.routes, rt), append(c.c.callers, caller)
	}
}

func (c *composer) readRoute(t table, name string) (proxy.Route, Caller) {
	rt := proxy.Route{
		Name:              name,
		Hosts:             c.readHosts(t),
		Path:              t.pathPrefix(),
		StripPrefix:       t.boolean("strip_prefix", false),
		Methods:           t.list("methods"),
		Upstreams:         c.readUpstreams(t),
		Public:            t.boolean("public", false),
		Logins:            c.readRouteLogins(t),
		Accept:            t.accept(),
		Credential:        c.credential(t),
		Headers:           t.headers(),
		KeepFragment:      t.boolean("keep_fragment", false),
		PassAuthorization: t.boolean("pass_authorization", false),
		WebSocketOrigins:  t.origins("websocket_origins"),
	}
	t.checkSpelling()
	if t.given("methods") && len(rt.Methods) == 0 && t.value("methods") != nil {
		t.wrong("methods", "the list is empty; leave it out for every method")
	}
	t.readPolicy(&rt)
	rt.Match, rt.Rewrite, rt.Encoded, rt.Answer = t.match(), t.rewrite(), t.list("encoded"), t.readAnswer()
	rt.Limits, rt.Maintenance, rt.Response = t.limits(), t.maintenance(), t.response()
	rt.Approve = c.readApprove(t)
	t.readBrowser(&rt)
	rt.Balance = t.balance(len(rt.Upstreams))
	c.readAssertion(t, &rt)
	caller := c.readCaller(t, &rt)
	c.checkAccess(t, &rt)
	c.checkAccept(t, &rt, caller)
	c.checkAsked(t, &rt)
	t.checkKept(&rt)
	return rt, caller
}

// checkKept warns of what is kept over a login where none begins. Others say so of a public route, and of unauthenticated.
func (t table) checkKept(rt *proxy.Route) {
	if rt.Accept == nil || slices.Contains(rt.Accept, "session") || rt.Public || rt.Unauthenticated == "401" {
		return
	}
	t.checkIdle("accept lists no \"session\", so that no request begins a login", "keep_post", "keep_fragment")
}

// nameRoutes gives each route of the file that has no name one, made of its host and path, before
// the environment and --set speak of routes by name.
func (l *loader) nameRoutes(root *node) {
	v := root.value("route")
	if v == nil || v.kind != isList {
		return
	}
	taken := make(map[string]bool)
	for _, row := range v.items {
		if n := row.value("name"); n != nil {
			taken[n.text] = true
		}
	}
	next := make(map[string]int) // by what names begin with: there may be thousands
	for _, row := range v.items {
		if row.kind != isTable || row.fields["name"] != nil {
			continue
		}
		host := row.value("host")
		if hosts := row.value("hosts"); host == nil && hosts != nil && len(hosts.items) > 0 {
			host = hosts.items[0]
		}
		base := routeName(l.peek(host), l.peek(row.value("path")))
		name := base
		for i := max(next[base], 2); taken[name]; i++ {
			name = fmt.Sprintf("%s-%d", base, i)
			next[base] = i + 1
		}
		taken[name] = true
		row.set("name", row.at, &node{kind: isText, text: name, at: row.at})
	}
}

// peek is a text with its references expanded, as far as they can be.
func (l *loader) peek(n *node) string {
	if n == nil || n.kind != isText {
		return ""
	}
	if value, err := (&loader{environ: l.environ, dir: l.dir}).references(n.text, false); err == nil {
		return value
	}
	return n.text
}

// routeName makes a name: "app.example.com" and "/staff" become "app-example-com-staff".
func routeName(host, path string) string {
	if u, err := url.Parse(host); err == nil && u.Host != "" {
		host = u.Host
	}
	words := strings.FieldsFunc(strings.ToLower(host+"/"+path), func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') })
	name := strings.Join(words, "-")
	switch {
	case name == "" || host == "":
		name = strings.TrimSuffix("any-"+name, "-")
	case name[0] < 'a' || name[0] > 'z':
		name = "host-" + name
	}
	return strings.TrimRight(name[:min(len(name), 56)], "-")
}
