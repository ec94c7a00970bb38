package config

import (
	"fmt"
	"strings"
	"testing"
)

func TestAPathThatLooksLikeAPatternIsRefused(t *testing.T) {
	for path, says := range map[string]string{
		"/api/*": `"/api" covers everything below it, and "*" stands for itself; write "%2A"`, "/api/v*/x": `"/api" covers`, "/api/.*": `"/api" covers`, "/*": `"/" covers`,
		"^/api": `"^" stands for itself`, "/api$": `"$" stands for itself`, "/users/{id}": `"/users" covers`, "/(?i)api": "route.app.path", "/(a|b)": `"/" covers`, "/api/[0-9]": `"/api" covers`, "/api/.+": `"/api" covers`,
	} {
		broken{minimal + "path = \"" + path + "\"\n", `"` + path + `"`, says}.check(t)
	}
	for _, path := range []string{"/odata/Orders(1)", "/$metadata", "/a+b", "/a.b", "/a,b", "/~me", "/@me", "/a:b", "/%2A", "/api/"} {
		if c := (given{toml: minimal + "path = \"" + path + "\"\n"}).mustLoad(t); len(c.Warnings()) != 0 || c.Proxy().Routes[0].Path != path {
			t.Errorf("%s: %q", path, c.Warnings())
		}
	}
	// One that is wrong is not taken for another route's.
	broken{minimal + another("path = \"/*\"\n"), `"/*"`, "no pattern"}.check(t)
}

func TestMethodsInSmallLettersAreRefused(t *testing.T) {
	const cors = "cors = { origins = [\"https://b.example\"], methods = [\"put\"] }\n"
	for name, b := range map[string]broken{
		"of a route": {minimal + "methods = [\"POST\", \"get\"]\n", `"get"`, `methods[1]: "get": methods are case-sensitive, and no request has this one; did you mean GET?`},
		"mixed":      {minimal + "methods = [\"Propfind\"]\n", `"Propfind"`, "did you mean PROPFIND?"},
		"of cors":    {minimal + cors, `"put"`, "did you mean PUT?"},
		"of a rule":  {minimal + "allow = [{ groups = [\"a\"], methods = [\"get\"] }]\n", "methods", `such as "GET"`},
		"of approve": {minimal + "[login.phone]\nflow = \"ciba\"\n[login.web]\nflow = \"authorization_code\"\n[[route]]\nhost = \"b.example.com\"\nupstream = [\"http://127.0.0.1:1\"]\napprove = { login = \"phone\", methods = [\"delete\"], binding_message = \"'x'\" }\n", "methods", "written in capitals"},
	} {
		t.Run(name, b.check)
	}
	(given{toml: minimal + "methods = [\"get-it\"]\n"}).mustLoad(t) // somebody's own
}

func TestARedirectThatNeverEndsIsRefused(t *testing.T) {
	old := func(lines string) string { return answering("path = \"/old\"\n" + lines) }
	elsewhere := another("path = \"/new\"\n")
	for name, c := range map[string]struct {
		toml    string
		endless bool
	}{
		"to its own host":                  {answering(`redirect = { to = "https://app.example.com{path}" }`), true},
		"to its own host, with the query":  {answering(`redirect = { to = "https://app.example.com{path}?{query}", status = 308 }`), true},
		"to another of its hosts":          {strings.Replace(answering(`redirect = { to = "https://www.example.com{path}" }`), `host = "app.example.com"`, `hosts = ["app.example.com", "www.example.com"]`, 1), true},
		"of every host to one of them":     {answering("path = \"/a\"\nredirect = { to = \"/b\" }\n") + "[[route]]\nname = \"every\"\nredirect = { to = \"https://app.example.com{path}\" }\n", true},
		"below its own path":               {old(`redirect = { to = "/old/page" }`), true},
		"to its own path":                  {old(`redirect = { to = "/old" }`), true},
		"farther and farther down":         {old(`redirect = { to = "/old{path}" }`), true},
		"changes sent again":               {old("methods = [\"POST\"]\nredirect = { to = \"/old/x\", status = 308 }"), true},
		"to each other":                    {old("redirect = { to = \"/new\" }\n[[route]]\nname = \"b\"\nhost = \"app.example.com\"\npath = \"/new\"\nredirect = { to = \"/old\" }"), true},
		"changes, as a question":           {old("methods = [\"POST\"]\nredirect = { to = \"/old/x\", status = 303 }\n[[route]]\nname = \"c\"\nhost = \"app.example.com\"\npath = \"/old\"\nmethods = [\"GET\"]\nupstream = [\"http://127.0.0.1:1\"]"), false},
		"to another route":                 {answering("redirect = { to = \"/new\" }\n") + elsewhere, false},
		"to what another route has below":  {answering("redirect = { to = \"/new{path}\" }\n") + elsewhere, false},
		"to another host":                  {answering(`redirect = { to = "https://www.example.com{path}" }`), false},
		"to another port":                  {answering(`redirect = { to = "https://app.example.com:8443{path}" }`), false},
		"to where nothing is":              {old(`redirect = { to = "/new{path}" }`), false},
		"shorter and shorter, then at end": {old("strip_prefix = true\nredirect = { to = \"{path}\" }"), false},
		"with a question for another":      {old("redirect = { to = \"/old?v=2\" }\n[[route]]\nname = \"c\"\nhost = \"app.example.com\"\npath = \"/old\"\nmatch = { query = { v = [\"2\"] } }\nupstream = [\"http://127.0.0.1:1\"]"), false},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := given{toml: c.toml}.load(t)
			if c.endless != (err != nil) || c.endless && !strings.Contains(fmt.Sprint(err), "redirect.to: it leads to ") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestWhatIsKeptOverALoginWarnsWhereNoneBegins(t *testing.T) {
	for _, line := range []string{"keep_post = \"1KiB\"\n", "keep_fragment = true\n"} {
		key, _, _ := strings.Cut(line, " ")
		for more, warns := range map[string]bool{
			"accept = [\"bearer\"]\naudience = [\"api\"]\n": true, "accept = [\"token\"]\n": true,
			"": false, "accept = [\"session\", \"bearer\"]\naudience = [\"api\"]\n": false,
		} {
			if c := (given{toml: minimal + line + more}).mustLoad(t); hasWarning(c, "route.app: "+key+" has no effect", "no request begins a login") != warns {
				t.Errorf("%s%s: %q", line, more, c.Warnings())
			}
		}
	}
}

func TestWordsOfOtherGatewaysAreTranslated(t *testing.T) {
	for word, here := range map[string]string{
		"rate_limit": "limits = {", "gzip": "compress = [", "skip_auth": "public = true", "allowed_groups": `allow = [{ groups = ["…"] }]`, "websocket": "not needed: WebSockets pass on every route",
		"timeout": "timeouts = {", "rewrite_target": "rewrite = [{", "health_check": "health = {", "load_balancer": "balance = {", "basic_auth": `accept = ["session", "basic"]`, "rate-limit": "limits = {",
	} {
		broken{minimal + word + " = 1\n", word, "route.app." + word + ": there is no such key; here it is " + here}.check(t)
	}
	broken{with("gzip = true", ""), "gzip", "there is no such key"}.check(t)
	if p := (given{toml: with("skip_auth = true", "")}).refused(t); strings.Contains(p[0].Text, "here it is") {
		t.Errorf("a provider is no route: %s", p[0])
	}
	if s := routeKeys(); true {
		for _, w := range elsewhere() {
			for _, word := range strings.Fields(w.words) {
				if s.keys[word] != nil || word != fold(word) {
					t.Errorf("%s is a key here, or never found", word)
				}
			}
		}
	}
}

func TestAVariableThatNamesATableIsToldHowItsKeysAreSet(t *testing.T) {
	for name, says := range map[string]string{
		"DOORWARD_ROUTE_APP_LIMITS":   "route.app.limits is a table: its keys are set one by one, as in DOORWARD_ROUTE_APP_LIMITS_CONCURRENT",
		"DOORWARD_ROUTE_APP":          "route.app is a table: its keys are set one by one, as in DOORWARD_ROUTE_APP_ACCEPT",
		"DOORWARD_LISTEN":             "listen is a table: its keys are set one by one, as in DOORWARD_LISTEN_",
		"DOORWARD_TELEMETRY_LOG":      "telemetry.log is a table: its keys are set one by one, as in DOORWARD_TELEMETRY_LOG_FORMAT",
		"DOORWARD_ROUTE_APP_LIMITZ_X": "is ignored",
	} {
		c := given{toml: minimal, env: []string{name + "=x"}}.mustLoad(t)
		if len(c.Warnings()) != 1 || !hasWarning(c, name+" names no key and is ignored", says) {
			t.Errorf("%s: %q", name, c.Warnings())
		}
	}
	c := given{toml: minimal, env: []string{"DOORWARD_ROUTE_APP_LIMITS_CONCURRENT=3"}}.mustLoad(t)
	if c.Proxy().Routes[0].Limits.Concurrent != 3 || len(c.Warnings()) != 0 {
		t.Errorf("what the warning says does not work: %q", c.Warnings())
	}
}
