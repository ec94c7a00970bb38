package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/doorward/doorward/proxy"
)

// another is a second route of the same host and path.
func another(lines string) string {
	return "[[route]]\nname = \"b\"\nhost = \"app.example.com\"\nupstream = [\"http://127.0.0.1:1\"]\n" + lines
}

// answering is minimal without its upstream.
func answering(lines string) string {
	return strings.Replace(minimal, "upstream = [\"http://127.0.0.1:3000\"]\n", "", 1) + lines
}

func TestR24RoutesThatCannotBeMeantAreRefusedWithTheirPlace(t *testing.T) {
	const v2 = "match = { headers = { X-Api-Version = [\"2\"] } }\n"
	for name, b := range map[string]broken{
		"S20 two matches alike":      {minimal + v2 + another(v2), "X-Api-Version = [\"2\"] } }\n", ""},
		"host and hosts":             {minimal + "hosts = [\"b.example.com\"]\n", "hosts", "leave one of the two out"},
		"no hosts":                   {strings.Replace(minimal, `host = "app.example.com"`, "hosts = []", 1), "hosts = []", "the list is empty"},
		"one host twice":             {strings.Replace(minimal, `host = "app.example.com"`, `hosts = ["app.example.com", "https://app.example.com"]`, 1), `"https://app.example.com"]`, "twice"},
		"one host that is none":      {strings.Replace(minimal, `host = "app.example.com"`, `hosts = ["app.example.com", "a b"]`, 1), `"a b"`, "hosts[1]"},
		"one host in the clear":      {strings.Replace(minimal, `host = "app.example.com"`, `hosts = ["app.example.com", "http://b.example.com"]`, 1), `"http://b`, "insecure_http = true"},
		"S20 one host of several":    {strings.Replace(minimal, `host = "app.example.com"`, `hosts = ["a.example.com", "app.example.com"]`, 1) + another(""), "route]]", "belongs to route"},
		"an empty match":             {minimal + "match = {}\n", "match", "leave it out"},
		"a match on a secret":        {minimal + "match = { headers = { Cookie = [\"a\"] } }\n", "Cookie", "proves who is calling"},
		"a match on a reserved one":  {minimal + "match = { headers = { X-Forwarded-User = [\"a\"] } }\n", "X-Forwarded-User", "deleted from all requests"},
		"a value that is no list":    {minimal + "match = { query = { a = \"b\" } }\n", `"b"`, `a list is wanted here: ["b"]`},
		"another kind of match":      {minimal + "match = { cookies = { a = [\"b\"] } }\n", "cookies", "there is no such key"},
		"prefix without a slash":     {minimal + "add_prefix = \"v2\"\n", `"v2"`, "beginning of a path"},
		"an empty prefix":            {minimal + "add_prefix = \"\"\n", `""`, "leave the key out"},
		"rewrite without to":         {minimal + "rewrite = [{ from = \"/a\" }]\n", "from", "rewrite[0].to: it is missing"},
		"rewrite of nothing":         {minimal + "rewrite = []\n", "rewrite", "the list is empty"},
		"an unknown name":            {minimal + "rewrite = [{ from = \"/{a}\", to = \"/{b}\" }]\n", `"/{b}"`, "from has no {b}"},
		"rewrite and strip_prefix":   {minimal + "path = \"/a\"\nstrip_prefix = true\nrewrite = [{ from = \"/a\", to = \"/b\" }]\n", "rewrite", "write what strip_prefix"},
		"a host that is none":        {minimal + "host_header = \"a b\"\n", `"a b"`, "nor a host"},
		"another character":          {minimal + "encoded = [\"slash\", \"dot\"]\n", `"dot"`, "the only character"},
		"egress, another character":  {minimal + "[[egress]]\nname = \"x\"\nupstream = [\"https://x.example\"]\nencoded = [\"dot\"]\n", `"dot"`, "the only character"},
		"egress without upstream":    {minimal + "[[egress]]\nname = \"x\"\n", "egress]]", "upstream: it is missing"},
		"upstream and redirect":      {minimal + "redirect = { to = \"/x\" }\n", "to = \"/x\"", "there is upstream already"},
		"respond and files":          {answering("respond = { body = \"x\" }\nfiles = { root = \"/\" }\n"), "root", "there is respond already"},
		"redirect to nowhere":        {answering("redirect = { status = 301 }\n"), "status", "redirect.to: it is missing"},
		"redirect to another scheme": {answering("redirect = { to = \"javascript:x\" }\n"), `"javascript:x"`, "neither a URL"},
		"redirect as 304":            {answering("redirect = { to = \"/x\", status = 304 }\n"), "304", "is not one of 301"},
		"redirect as 200":            {answering("redirect = { to = \"/x\", status = 200 }\n"), "200", "a whole number from 301"},
		"respond with 302":           {answering("respond = { status = 302 }\n"), "302", "redirect says where"},
		"respond with two bodies":    {answering("respond = { body = \"x\", file = \"y\" }\n"), `"y"`, "leave one of the two out"},
		"respond with a lost file":   {answering("respond = { file = \"lost.html\" }\n"), `"lost.html"`, "no such file"},
		"files without a root":       {answering("files = { index = \"a.html\" }\n"), "index", "files.root: it is missing"},
		"files of nowhere":           {answering("files = { root = \"nowhere\" }\n"), `"nowhere"`, "no such file"},
		"files of a file":            {answering("files = { root = \"doorward.toml\" }\n"), `"doorward.toml"`, "no directory"},
		"an index elsewhere":         {answering("files = { root = \".\", index = \"../x\" }\n"), `"../x"`, "name of a file"},
		"a credential for nobody":    {answering("respond = { body = \"x\" }\ncredential = \"session\"\n"), `"session"`, "no upstream that it could go to"},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "S20 two matches alike" {
				p := given{toml: b.toml}.refused(t)
				if len(p) != 1 || !strings.Contains(p[0].Text, `fits the match of route "app", which stands before it in line 5`) {
					t.Errorf("it says %v", p)
				}
				return
			}
			b.check(t)
		})
	}
}

func TestRoutesAreReadAsTheyAreMeant(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "www"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "notice.html"), "<p>closed", 0o644)
	c := given{dir: dir, toml: "[listen]\ntrusted_proxies = [\"10.0.0.1/32\"]\n" + strings.Replace(minimal, `host = "app.example.com"`, `hosts = ["app.example.com", "b.example.com"]`, 1) + `
add_prefix = "/v2"
host_header = "upstream"
encoded = ["slash"]
[[route]]
name = "told"
hosts = ["b.example.com", "app.example.com"]
upstream = ["http://127.0.0.1:1"]
rewrite = [{ from = "/a/{x}", to = "/b/{x}" }]
match = { headers = { X-A = ["1", "2"] }, query = { p = [] } }
[[route]]
path = "/go"
redirect = { to = "https://www.example.com{path}", status = 308 }
[[route]]
path = "/notice"
respond = { file = "notice.html", status = 503 }
[[route]]
path = "/www"
files = { root = "www", fallback = "index.html" }
[[route]]
name = "asked"
host = "wiki.example.com"
[[egress]]
name = "npm"
upstream = ["https://registry.example"]
encoded = ["slash"]
`}.mustLoad(t)
	routes := c.Proxy().Routes
	if len(routes) != 6 {
		t.Fatalf("%d routes", len(routes))
	}
	for i, hosts := range []int{2, 2, 0, 0, 0, 1} {
		if len(routes[i].Hosts) != hosts {
			t.Errorf("route %s has the hosts %v", routes[i].Name, routes[i].Hosts)
		}
	}
	app, told := routes[0], routes[1]
	if app.Rewrite.AddPrefix != "/v2" || app.Rewrite.Host != "upstream" || !slices.Equal(app.Encoded, []string{"slash"}) {
		t.Errorf("%+v", app)
	}
	if m := told.Match; !slices.Equal(m.Headers["X-A"], []string{"1", "2"}) || m.Query["p"] == nil || len(m.Query["p"]) != 0 {
		t.Errorf("%+v", m)
	}
	if p := told.Rewrite.Paths; len(p) != 1 || p[0] != (proxy.PathRewrite{From: "/a/{x}", To: "/b/{x}"}) {
		t.Errorf("%+v", p)
	}
	if r := routes[2].Answer; r == nil || *r.Redirect != (proxy.Redirect{To: "https://www.example.com{path}", Status: 308}) {
		t.Errorf("%+v", r)
	}
	if r := routes[3].Answer; r == nil || *r.Respond != (proxy.Respond{Status: 503, Body: "<p>closed", ContentType: "text/html; charset=utf-8"}) {
		t.Errorf("%+v", r)
	}
	if r := routes[4].Answer; r == nil || *r.Files != (proxy.Files{Root: filepath.Join(dir, "www"), Index: "index.html", Fallback: "index.html"}) {
		t.Errorf("%+v", r)
	}
	if rt := routes[5]; rt.Answer != nil || len(rt.Upstreams) != 0 {
		t.Errorf("%+v", rt)
	}
	if !slices.Contains(c.Files(), filepath.Join(dir, "notice.html")) {
		t.Errorf("watched are %q", c.Files())
	}
	if targets, _ := c.Egress(); !slices.Equal(targets[0].Encoded, []string{"slash"}) {
		t.Errorf("%+v", targets[0])
	}
	names := make([]string, 0, len(routes))
	for _, rt := range routes {
		names = append(names, rt.Name)
	}
	if !slices.Equal(names, []string{"app", "told", "any-go", "any-notice", "any-www", "asked"}) {
		t.Errorf("names %q", names)
	}
}

func TestARouteOfSeveralHostsIsNamedByTheFirst(t *testing.T) {
	c := given{toml: strings.Replace(strings.Replace(minimal, "name = \"app\"\n", "", 1), `host = "app.example.com"`, `hosts = ["b.example.com", "app.example.com"]`, 1)}.mustLoad(t)
	if name := c.Proxy().Routes[0].Name; name != "b-example-com" {
		t.Error(name)
	}
}

func TestMatchesWarnOfWhatTheirAuthorMayNotExpect(t *testing.T) {
	c := given{toml: minimal + another("public = true\nmatch = { query = { preview = [\"true\"] } }\n")}.mustLoad(t)
	if !hasWarning(c, "route.b", "passes without a sign-in", `"app"`) {
		t.Errorf("%q", c.Warnings())
	}
	c = given{toml: minimal + another("path = \"/v2\"\nmatch = { query = { preview = [\"true\"] } }\n")}.mustLoad(t)
	if !hasWarning(c, "route.b", "404") {
		t.Errorf("%q", c.Warnings())
	}
	// Whoever leaves the parameter out, or writes it twice, gets past the stricter rules.
	c = given{toml: strings.Replace(minimal, "name = \"app\"\n", "name = \"app\"\npublic = true\n", 1) + another("match = { query = { admin = [\"1\"] } }\n")}.mustLoad(t)
	if !hasWarning(c, "route.b", "does not send what match asks for", "no sign-in", `"app"`) {
		t.Errorf("%q", c.Warnings())
	}
	c = given{toml: minimal + another("match = { query = { preview = [\"true\"] } }\n")}.mustLoad(t)
	if hasWarning(c, "route.b") {
		t.Errorf("%q", c.Warnings())
	}
	c = given{toml: answering("redirect = { to = \"http://old.example.com/x\" }\n")}.mustLoad(t)
	if !hasWarning(c, "route.app", "old.example.com over plain http") {
		t.Errorf("%q", c.Warnings())
	}
	const trusting = "[listen]\ntrusted_proxies = [\"10.0.0.0/8\"]\n"
	for key, about := range map[string]string{
		"pass_authorization = true": "redirect = { to = \"/y\" }\n", "host_header = \"upstream\"": "files = { root = \".\" }\n", "add_prefix = \"/v2\"": "respond = {}\n", "rewrite = [{ from = \"/x/a\", to = \"/b\" }]": "respond = {}\n",
		"strip_prefix = true": "", "add_prefix = \"/v3\"": "", "response_headers = { remove = [\"Server\"] }": "", "compress = [\"gzip\"]": "",
	} {
		c = given{toml: answering("path = \"/x\"\n" + key + "\n" + about + trusting)}.mustLoad(t)
		if name, _, _ := strings.Cut(key, " "); !hasWarning(c, "route.app", name+" has no effect") {
			t.Errorf("%s: %q", key, c.Warnings())
		}
	}
	for _, about := range []string{"redirect = { to = \"/y{path}\" }\nadd_prefix = \"/v2\"\n", "files = { root = \".\" }\nstrip_prefix = true\ncompress = [\"gzip\"]\n", ""} {
		if c = (given{toml: answering("path = \"/x\"\n" + about + trusting)}.mustLoad(t)); hasWarning(c, "no effect") {
			t.Errorf("%s: %q", about, c.Warnings())
		}
	}
}
