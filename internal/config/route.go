package config

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/proxy"
	"github.com/doorward/doorward/proxy/policy"
)

func routeKeys() *spec {
	return &spec{form: rows, keys: map[string]*spec{
		"name":         {form: text},
		"host":         {form: text},
		"path":         {form: text},
		"strip_prefix": {form: boolean},
		"methods":      {form: list},
		"upstream":     {form: list},
		"public":       {form: boolean},
		"login":        {form: list},
		"allow": {form: rows, keys: map[string]*spec{
			"groups": {form: list}, "emails": {form: list}, "domains": {form: list}, "users": {form: list}, "scopes": {form: list}, "clients": {form: list}, "claims": {form: lists},
			"networks": {form: later},
		}},
		"credential": {form: text},
		"headers": {form: tables, keys: map[string]*spec{
			"profile":   {form: word, words: []string{"oauth2-proxy", "none"}},
			"set":       {form: texts},
			"assertion": {form: later},
		}},
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
		"keep_post":     {form: later},
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
		c.c.routes, c.c.callers = append(c.c.routes, rt), append(c.c.callers, caller)
	}
}

func (c *composer) readRoute(t table, name string) (proxy.Route, Caller) {
	rt := proxy.Route{
		Name:              name,
		Hosts:             c.readHost(t),
		Path:              t.filled("path", "/"),
		StripPrefix:       t.boolean("strip_prefix", false),
		Methods:           t.list("methods"),
		Upstreams:         c.readUpstreams(t),
		Public:            t.boolean("public", false),
		Logins:            c.readRouteLogins(t),
		Accept:            t.accept(),
		Allow:             t.allow(),
		Require:           t.filled("require", ""),
		Credential:        c.credential(t),
		Headers:           t.headers(),
		KeepFragment:      t.boolean("keep_fragment", false),
		PassAuthorization: t.boolean("pass_authorization", false),
		WebSocketOrigins:  t.origins("websocket_origins"),
	}
	if t.given("methods") && len(rt.Methods) == 0 && t.value("methods") != nil {
		t.wrong("methods", "the list is empty; leave it out for every method")
	}
	rt.Approve = c.readApprove(t)
	caller := c.readCaller(t, &rt)
	c.checkAccess(t, &rt)
	c.checkAccept(t, &rt, caller)
	return rt, caller
}

func (c *composer) readHost(t table) []origin.Origin {
	if !t.given("host") {
		return nil
	}
	o, ok := t.origin("host")
	if !ok {
		return nil
	}
	insecure := t.boolean("insecure_http", false)
	switch {
	case !o.Secure() && !o.Loopback() && !insecure:
		t.wrong("host", `%s: over plain http everybody on the way can read the session; write "%s" if something in front of Doorward terminates TLS, or insecure_http = true beside it`, t.value("host").shown(), o.Host)
		return nil
	case !o.Secure() && !o.Loopback():
		t.l.warn("%s: insecure_http: everybody on the way to %s can read sessions and what people see", t.path, o)
	case insecure:
		t.l.warn("%s: insecure_http has no effect: %s is not plain http to another machine", t.path, o)
	}
	if !c.addOrigin(t, "host", o) {
		return nil
	}
	return []origin.Origin{o}
}

// allow reads who may pass. The policy's own constructor judges the values.
func (t table) allow() (rules []policy.Rule) {
	v := t.value("allow")
	if v == nil {
		return nil
	}
	if len(v.items) == 0 {
		t.wrong("allow", "the list is empty; leave it out to let everybody pass who is signed in")
	}
	for i, item := range v.items {
		r := table{t.l, fmt.Sprintf("%s.allow[%d]", t.path, i), item}
		rules = append(rules, policy.Rule{
			Groups: r.list("groups"), Emails: r.list("emails"), Domains: r.list("domains"),
			Users: r.list("users"), Scopes: r.list("scopes"), Clients: r.list("clients"), Claims: r.lists("claims"),
		})
		if item.bad {
			rules[i] = policy.Rule{Groups: []string{"reported"}}
		}
		for _, k := range item.keys {
			switch list := item.value(k); {
			case list == nil: // reported already
				rules[i] = policy.Rule{Groups: []string{"reported"}}
			case list.kind == isList && len(list.items) == 0:
				r.wrong(k, "the list is empty, so it would be no condition at all")
				rules[i] = policy.Rule{Groups: []string{"reported"}}
			}
		}
	}
	return rules
}

func (t table) headers() proxy.Headers {
	h := t.table("headers")
	c := proxy.Headers{Profile: h.textOr("profile", "oauth2-proxy"), Set: h.strings("set"), UnverifiedEmail: t.boolean("insecure_unverified_email", false)}
	if c.UnverifiedEmail {
		t.l.warn("%s: insecure_unverified_email: the upstream gets e-mail addresses that nobody checked; it must not take them for a proof of who somebody is", t.path)
	}
	return c
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
	for _, row := range v.items {
		if row.kind != isTable || row.fields["name"] != nil {
			continue
		}
		base := routeName(l.peek(row.value("host")), l.peek(row.value("path")))
		name := base
		for i := 2; taken[name]; i++ {
			name = fmt.Sprintf("%s-%d", base, i)
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
