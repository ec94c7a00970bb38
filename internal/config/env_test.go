package config

import (
	"fmt"
	"strings"
	"testing"
)

func TestPrecedenceIsFlagEnvironmentFileDefault(t *testing.T) {
	toml := "[listen]\nhttp = \":1\"\nadmin = \"127.0.0.1:1\"\nprefix = \"/file\"\n" + minimal
	c := given{
		toml: toml,
		env:  []string{"DOORWARD_LISTEN_HTTP=:2", "DOORWARD_LISTEN_ADMIN=127.0.0.1:2"},
		set:  []string{"listen.http=:3"},
	}.mustLoad(t)
	if c.Listen.HTTP != ":3" || c.Listen.Admin != "127.0.0.1:2" || c.Listen.Prefix != "/file" || c.Store != "bolt" {
		t.Errorf("%+v", c.Listen)
	}
}

func TestEnvironmentVariablesNameKeysTablesAndRoutes(t *testing.T) {
	toml := strings.Replace(minimal, `"app"`, `"my-app"`, 1) + "[[route]]\nname = \"my\"\nhost = \"b.example.com\"\nupstream = [\"http://127.0.0.1:1\"]\n" +
		"[provider.corp-client]\nissuer = \"https://c.example\"\nclient_id = \"c\"\n[login.staff]\nflow = \"authorization_code\"\nprovider = \"corp\"\n[login.others]\nflow = \"authorization_code\"\nprovider = \"corp-client\"\n"
	c := given{toml: toml, env: []string{
		"DOORWARD_CONFIG=/elsewhere", // the file was named by a flag
		"DOORWARD_PROVIDER_CORP_CLIENT_SECRET=from-the-environment",
		"DOORWARD_PROVIDER_CORP_CLIENT_CLIENT_ID=c2", // the longer of two names
		"DOORWARD_ROUTE_MY_APP_UPSTREAM=http://127.0.0.1:8, http://127.0.0.1:9",
		`DOORWARD_ROUTE_MY_APP_ALLOW=[{ groups = ["a"] }, { claims = { x = ["y"] } }]`,
		"DOORWARD_ROUTE_MY_PATH=/x",
		"DOORWARD_ROUTE_MY_PUBLIC=true",
		"DOORWARD_ROUTE_MY_APP_HEADERS_PROFILE=none",
		`DOORWARD_ROUTE_MY_APP_HEADERS_SET={ X-A = "{user.sub}" }`,
		"DOORWARD_SESSIONS_COOKIE_NAME=gate",
		"DOORWARD_SESSIONS_COOKIE_SAME_SITE=lax",
		"DOORWARD_TELEMETRY_LOG_LEVEL=debug",
		`DOORWARD_LISTEN_TRUSTED_PROXIES=["10.0.0.0/8", "::1/128"]`,
		"DOORWARD_LOGIN_STAFF_LABEL=Our staff, all of it",
		"DOORWARD_STATE_DIR=${env:WHERE}/x", "WHERE=/data",
	}}.mustLoad(t)
	if len(c.Warnings()) != 0 {
		t.Errorf("%v", c.Warnings())
	}
	p, rt := c.Providers(), c.Proxy().Routes
	if p[0].ClientSecret.Reveal() != "from-the-environment" || p[1].ClientID != "c2" || p[0].ClientID != "doorward" {
		t.Errorf("%+v", p)
	}
	if fmt.Sprint(rt[0].Upstreams) != "[http://127.0.0.1:8 http://127.0.0.1:9]" || len(rt[0].Allow) != 2 || rt[0].Allow[1].Claims["x"][0] != "y" || rt[0].Headers.Profile != "none" || rt[0].Headers.Set["X-A"] != "{user.sub}" {
		t.Errorf("%+v", rt[0])
	}
	if rt[1].Path != "/x" || !rt[1].Public || c.Sessions().Cookie.Name != "gate" || c.Log.Level != "debug" || fmt.Sprint(c.Listen.TrustedProxies) != "[10.0.0.0/8 ::1/128]" || c.Flows().Logins[0].Label != "Our staff, all of it" || c.StateDir != "/data/x" {
		t.Errorf("%+v %+v", rt[1], c)
	}
}

func TestAnUnknownVariableWarnsAndWhatKubernetesInjectsDoesNot(t *testing.T) {
	c := given{toml: minimal, env: []string{
		"DOORWARD_LISTN_HTTP=:1", "DOORWARD_ROUTE_APPP_UPSTREAM=http://127.0.0.1:1", "DOORWARD_PROVIDER_CORP_CLIENT_SECRETT=canary", "DOORWARD_NOTHING_OF_THE_KIND=1",
		"DOORWARD_SERVICE_HOST=10.0.0.1", "DOORWARD_SERVICE_PORT=80", "DOORWARD_SERVICE_PORT_HTTP=80", "DOORWARD_PORT=tcp://10.0.0.1:80", "DOORWARD_PORT_80_TCP=tcp://10.0.0.1:80",
		"DOORWARD_PORT_80_TCP_ADDR=10.0.0.1", "DOORWARD_TLS_SERVICE_HOST=10.0.0.1", "DOORWARD_ADMIN_PORT=tcp://10.0.0.1:80", "doorward_listen_http=:9", "DOORWARD=1",
	}}.mustLoad(t)
	for _, w := range []struct{ name, meant string }{
		{"DOORWARD_LISTN_HTTP", "DOORWARD_LISTEN_HTTP"},
		{"DOORWARD_ROUTE_APPP_UPSTREAM", "DOORWARD_ROUTE_APP_UPSTREAM"},
		{"DOORWARD_PROVIDER_CORP_CLIENT_SECRETT", "DOORWARD_PROVIDER_CORP_CLIENT_SECRET"},
		{"DOORWARD_NOTHING_OF_THE_KIND", "ignored"},
	} {
		if !hasWarning(c, w.name+" ", w.meant) {
			t.Errorf("no warning of %s that names %s", w.name, w.meant)
		}
	}
	if len(c.Warnings()) != 4 {
		t.Errorf("%s", strings.Join(c.Warnings(), "\n"))
	}
	if rt := c.Proxy().Routes; len(rt) != 1 || c.Listen.HTTP != "127.0.0.1:4180" {
		t.Errorf("a mistyped name made something: %+v", rt)
	}
}

func TestProblemsInTheEnvironmentAndFlagsNameTheirVariableAndKey(t *testing.T) {
	for name, c := range map[string]struct {
		given given
		file  string
		says  string
	}{
		"value of a variable":     {given{env: []string{"DOORWARD_SESSIONS_IDLE=8"}}, "environment variable DOORWARD_SESSIONS_IDLE", "sessions.idle"},
		"boolean":                 {given{env: []string{"DOORWARD_ROUTE_APP_PUBLIC=yes"}}, "environment variable DOORWARD_ROUTE_APP_PUBLIC", "true or false"},
		"not TOML":                {given{env: []string{"DOORWARD_ROUTE_APP_ALLOW=staff"}}, "environment variable DOORWARD_ROUTE_APP_ALLOW", "route.app.allow"},
		"more than one value":     {given{env: []string{"DOORWARD_ROUTE_APP_METHODS=[\"GET\"]\ny = 1"}}, "environment variable DOORWARD_ROUTE_APP_METHODS", "route.app.methods"},
		"inside a value":          {given{env: []string{`DOORWARD_ROUTE_APP_ALLOW=[{ grups = ["x"] }]`}}, "environment variable DOORWARD_ROUTE_APP_ALLOW", `did you mean "groups"?`},
		"not built yet, variable": {given{env: []string{"DOORWARD_TLS_ACME_EMAIL=x"}}, "environment variable DOORWARD_TLS_ACME_EMAIL", "does not have it yet"},
		"not built yet, flag":     {given{set: []string{"tls.acme.email=y"}}, "--set tls.acme.email", "does not have it yet"},
		"unknown key":             {given{set: []string{"listen.htp=:1"}}, "--set listen.htp", `did you mean "http"?`},
		"unknown table":           {given{set: []string{"lisen.http=:1"}}, "--set lisen.http", `did you mean "listen"?`},
		"unknown route":           {given{set: []string{"route.ap.path=/x"}}, "--set route.ap.path", `the names are "app"; did you mean "app"?`},
		"a table":                 {given{set: []string{"listen=x"}}, "--set listen", "listen is a table"},
		"a route":                 {given{set: []string{"route.app=x"}}, "--set route.app", "is a table"},
		"below a key":             {given{set: []string{"state_dir.x=y"}}, "--set state_dir.x", "nothing below state_dir"},
		"no assignment":           {given{set: []string{"listen.http"}}, "--set", "key=value"},
		"bad name":                {given{set: []string{"login.A.flow=authorization_code"}}, "--set login.A.flow", "small letters"},
	} {
		t.Run(name, func(t *testing.T) {
			c.given.toml = minimal
			p := c.given.refused(t)
			if len(p) != 1 || p[0].File != c.file || p[0].Line != 0 || !strings.Contains(p[0].Text, c.says) {
				t.Errorf("got %v, want %s: … %s", &Error{p}, c.file, c.says)
			}
		})
	}
}

func TestSetReachesEveryKindOfKey(t *testing.T) {
	c := given{toml: minimal, set: []string{
		"state_dir=/data", "sessions.cookie.name=a=b", "sessions.cookie.name=gate", "route.app.headers.set.X-A={claim.a.b}", "route.app.methods=GET,POST",
		"route.app.strip_prefix=true", "provider.corp.authorization_params.prompt=login", "provider.corp.scopes=[\"openid\", \"a,b\"]", "login.mine.flow=authorization_code", "sessions.idle= 1h",
	}}
	if p := c.refused(t); len(p) != 1 || !strings.Contains(p[0].Text, "sessions.idle") { // a value is taken as it is
		t.Fatalf("%v", p)
	}
	c.set[len(c.set)-1] = "sessions.idle=1h"
	conf := c.mustLoad(t)
	rt, p := conf.Proxy().Routes[0], conf.Providers()[0]
	if conf.StateDir != "/data" || conf.Sessions().Cookie.Name != "gate" || rt.Headers.Set["X-A"] != "{claim.a.b}" || len(rt.Methods) != 2 || !rt.StripPrefix ||
		p.AuthorizationParams.Get("prompt") != "login" || len(p.Scopes) != 2 || p.Scopes[1] != "a,b" || conf.Flows().Logins[0].Name != "mine" {
		t.Errorf("%+v %+v", rt, p)
	}
}

func TestAnOverrideReplacesAWrongValueOfTheFile(t *testing.T) {
	c := given{toml: minimal + "[listen]\nhttp = 5\n", env: []string{"DOORWARD_LISTEN_HTTP=:8080"}}.mustLoad(t)
	if c.Listen.HTTP != ":8080" {
		t.Error(c.Listen.HTTP)
	}
	// But not something else altogether.
	if p := (given{toml: "listen = 5\n" + minimal, env: []string{"DOORWARD_LISTEN_HTTP=:8080"}}).refused(t); len(p) != 1 || p[0].Line != 1 {
		t.Errorf("%v", p)
	}
}
