package config

import (
	"slices"
	"strings"
	"testing"
)

// outbound is a configuration with what goes out, and nothing that comes in.
const outbound = `[provider.corp]
issuer = "https://sso.example.com"
client_id = "doorward"
client_secret = "a-secret-that-nobody-knows"
[credential.backup]
flow = "client_credentials"
scopes = ["data.write"]
[[egress]]
name = "data"
upstream = ["https://data.example.net"]
credential = "backup"
`

const exchange = "[credential.orders]\nflow = \"token_exchange\"\naudience = [\"orders\"]\n"

// api is minimal with a route for bearer tokens.
const api = minimal + `[[route]]
name = "api"
host = "api.example.com"
upstream = ["http://127.0.0.1:8081"]
accept = ["bearer"]
`

func TestCredentialsAreReadWithTheirDefaults(t *testing.T) {
	c := given{toml: outbound + exchange + "actor = \"backup\"\n"}.mustLoad(t)
	all := c.Credentials()
	if len(all) != 2 || all[0].Provider != "corp" || all[0].Flow != "client_credentials" || !slices.Equal(all[0].Scopes, []string{"data.write"}) {
		t.Fatalf("got %+v", all)
	}
	if all[1].Name != "orders" || all[1].Actor != "backup" || !slices.Equal(all[1].Audience, []string{"orders"}) {
		t.Fatalf("got %+v", all[1])
	}
	if c.Listen.Egress != "127.0.0.1:4182" {
		t.Errorf("egress listens on %q", c.Listen.Egress)
	}
	targets, _ := c.Egress()
	if len(targets) != 1 || targets[0].Credential != "backup" || targets[0].Accept != "none" || targets[0].Concurrent != 256 {
		t.Errorf("got %+v", targets)
	}
}

func TestTheOutboundSideMayBeASocketAndATokenAPIAlone(t *testing.T) {
	c := given{toml: outbound[:strings.Index(outbound, "[[egress]]")] + "[listen]\negress = \"unix:/run/doorward/egress.sock\"\n"}.mustLoad(t)
	if c.Listen.Egress != "unix:/run/doorward/egress.sock" || len(c.Warnings()) > 0 {
		t.Errorf("%q, warnings %q", c.Listen.Egress, c.Warnings())
	}
}

func TestAConfigurationWithAnOutboundSideOnlyNeedsNoRouteAndNoLogin(t *testing.T) {
	c := given{toml: outbound}.mustLoad(t)
	if len(c.Warnings()) > 0 {
		t.Errorf("it warns: %q", c.Warnings())
	}
	if len(c.Flows().Logins) > 0 || len(c.Proxy().Routes) > 0 {
		t.Error("it has logins or routes that nobody wrote")
	}
}

func TestAnAPIForMachinesNeedsNoClientAndNoLogin(t *testing.T) {
	c := given{toml: `[provider.partner]
issuer = "https://id.partner.example"
[[route]]
name = "api"
host = "api.example.com"
upstream = ["http://127.0.0.1:8081"]
accept = ["bearer"]
audience = ["https://api.example.com"]
allow = [{ clients = ["backup"] }]
require = "user.machine"
`}.mustLoad(t)
	if len(c.Flows().Logins) > 0 {
		t.Errorf("it has logins: %v", c.Flows().Logins)
	}
	b := c.Caller("api").Bearer
	if !slices.Equal(b.Issuers, []string{"partner"}) || !slices.Equal(b.Audience, []string{"https://api.example.com"}) {
		t.Errorf("got %+v", b)
	}
	rt := c.Proxy().Routes[0]
	if !slices.Equal(rt.Bearer.Issuers, []string{"https://id.partner.example"}) || rt.Require != "user.machine" || !slices.Equal(rt.Allow[0].Clients, []string{"backup"}) {
		t.Errorf("got %+v", rt)
	}
}

func TestWhatTheTokenAPIMayExchangeIsWhatRoutesTake(t *testing.T) {
	c := given{toml: api + "audience = [\"https://api.example.com\"]\n"}.mustLoad(t)
	got := c.SubjectAudiences()["corp"]
	if !slices.Equal(got, []string{"https://api.example.com", "doorward"}) {
		t.Errorf("got %v", got)
	}
}

func TestR24WhatIsWrongWithMachineSettingsIsRefusedWithItsPlace(t *testing.T) {
	const route = "[[route]]\nname = \"api\"\nhost = \"api.example.com\"\nupstream = [\"http://127.0.0.1:8081\"]\n"
	for name, b := range map[string]broken{
		"unknown flow":                       {outbound + "[credential.x]\nflow = \"client_credential\"\n", `"client_credential"`, `did you mean "client_credentials"?`},
		"no flow":                            {outbound + "[credential.x]\nscopes = [\"a\"]\n", "x]", "credential.x.flow: it is missing"},
		"key of another flow":                {outbound + exchange + "username = \"a\"\n", `"a"`, "credential.orders.username: it belongs to the flow password"},
		"built-in name":                      {outbound + "[credential.session]\nflow = \"static\"\ntoken = \"x\"\n", "session]", "built in"},
		"no such provider":                   {outbound + exchange + "provider = \"crop\"\n", `"crop"`, `did you mean "corp"?`},
		"several providers":                  {strings.Replace(outbound, "flow =", "provider = \"corp\"\nflow =", 1) + second + exchange, "orders]", `name one of "corp", "second"`},
		"no such actor":                      {outbound + exchange + "actor = \"bakup\"\n", `"bakup"`, "credential.orders"},
		"no such credential of a route":      {minimal + "credential = \"orders\"\n", `"orders"`, "there is no credential \"orders\""},
		"exchange without a caller's token":  {outbound + exchange + "[[egress]]\nname = \"x\"\nupstream = [\"https://o.example\"]\ncredential = \"orders\"\n", `"orders"`, `so accept = ["bearer"] is needed`},
		"id_token on egress":                 {outbound + "[[egress]]\nname = \"x\"\nupstream = [\"https://o.example\"]\ncredential = \"id_token\"\n", `"id_token"`, "nobody signs in here"},
		"egress that shares a path":          {outbound + "[[egress]]\nname = \"x\"\npath = \"/data\"\nupstream = [\"https://o.example\"]\ncredential = \"backup\"\n", "\"/data\"", "/data"},
		"session on egress for nobody":       {outbound + "[[egress]]\nname = \"x\"\nupstream = [\"https://o.example\"]\ncredential = \"session\"\n", `"session"`, "the application was called with"},
		"ID token of a bearer caller":        {outbound + exchange + "subject = \"id_token\"\n[[egress]]\nname = \"x\"\nupstream = [\"https://o.example\"]\naccept = [\"bearer\"]\naudience = [\"a\"]\ncredential = \"orders\"\n", `"orders"`, "a bearer token brings none"},
		"ID token on a bearer route":         {minimal + exchange + "subject = \"id_token\"\n" + route + "accept = [\"bearer\"]\naudience = [\"a\"]\ncredential = \"orders\"\n", `"orders"`, "a bearer token brings none"},
		"audience for all":                   {api + "audience = [\"*\"]\n", "audience", "no wildcard"},
		"a key of allow on the route":        {minimal + "scopes = [\"a\"]\n", "scopes", `allow = [{ scopes = ["…"] }]`},
		"no provider with a client":          {"[provider.p]\nissuer = \"https://p.example\"\n[credential.x]\nflow = \"client_credentials\"\n[[egress]]\nname = \"a\"\nupstream = [\"https://o.example\"]\ncredential = \"x\"\n", `"client_credentials"`, "none has a client_id"},
		"egress without a name":              {outbound + "[[egress]]\nupstream = [\"https://o.example\"]\ncredential = \"backup\"\n", "egress]]", "egress[1].name: it is missing"},
		"egress twice":                       {outbound + "[[egress]]\nname = \"data\"\npath = \"/two\"\nupstream = [\"https://o.example\"]\ncredential = \"backup\"\n", `"data"`, "there are two of this name"},
		"egress accepts sessions":            {outbound + "accept = [\"session\"]\n", "accept", `one of ["none"] and ["bearer"]`},
		"egress audience without bearer":     {outbound + "audience = [\"x\"]\n", "audience", "no effect without"},
		"egress on every address":            {outbound + "[listen]\negress = \":4182\"\n", `":4182"`, "insecure_egress = true"},
		"egress on the address of http":      {outbound + "[listen]\negress = \"127.0.0.1:4180\"\n", `"127.0.0.1:4180"`, "the two need different ones"},
		"bearer without audience":            {minimal + route + "accept = [\"bearer\"]\n", "route]]", "route.api.audience: it is missing"},
		"empty audience":                     {api + "audience = [\"\"]\n", "audience", "by accident"},
		"audience without bearer":            {minimal + "audience = [\"x\"]\n", "audience", `no effect without "bearer" in accept`},
		"no such issuer":                     {api + "audience = [\"x\"]\nissuers = [\"crop\"]\n", `"crop"`, `there is no provider "crop"; did you mean "corp"?`},
		"login where none counts":            {api + "audience = [\"x\"]\nlogin = [\"corp\"]\n", "login", "takes no sign-in"},
		"id_token where nobody signs in":     {api + "audience = [\"x\"]\ncredential = \"id_token\"\n", `"id_token"`, "nobody signs in for this route"},
		"introspection without a client":     {api + "audience = [\"x\"]\nissuers = [\"p\"]\n[provider.p]\nissuer = \"https://p.example\"\naccess_tokens = \"introspect\"\n", "issuers", "takes a client_id"},
		"key without keys":                   {minimal + route + "accept = [\"key\"]\n", "accept", `"key" needs a [key.NAME]`},
		"hash of a key":                      {minimal + "[key.ci]\nhash = \"abc\"\n", `"abc"`, "64 hexadecimal digits"},
		"date of a key":                      {minimal + "[key.ci]\nhash = \"sha256:" + hex64 + "\"\nexpires = \"soon\"\n", `"soon"`, "is no date"},
		"users without users":                {minimal + route + "accept = [\"basic\"]\nbasic = \"users\"\n", `"users"`, `"users" needs a [users.NAME]`},
		"user without a password":            {minimal + "[users.alice]\ngroups = [\"a\"]\n", "alice]", "users.alice.password: it is missing"},
		"user with a plain password":         {minimal + "[users.alice]\npassword = \"secret123\"\n", `"secret123"`, "users.alice.password"},
		"client_credentials at several":      {minimal + second + route + "accept = [\"basic\"]\nbasic = \"client_credentials\"\n", `"client_credentials"`, "name it, as in issuers"},
		"exchange where only keys call":      {minimal + exchange + "[key.ci]\nhash = \"sha256:" + hex64 + "\"\n" + route + "accept = [\"key\"]\ncredential = \"orders\"\n", `"orders"`, "needs a token of whoever calls"},
		"lifetime of tokens":                 {minimal + "[tokens]\nmax_lifetime = \"5m\"\n", `"5m"`, "too short"},
		"require that is no condition":       {minimal + "require = 'user.sub'\n", `'user.sub'`, "require"},
		"require that is no CEL":             {minimal + "require = 'user.'\n", `'user.'`, "require"},
		"static without a token":             {outbound + "[credential.k]\nflow = \"static\"\n", "k]", "credential.k"},
		"header that no credential may have": {outbound + "[credential.k]\nflow = \"static\"\ntoken = \"x\"\nheader = \"Host\"\n", `"Host"`, "credential.k: header"},
	} {
		t.Run(name, b.check)
	}
}

const hex64 = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

func TestDangerousMachineSettingsWarn(t *testing.T) {
	for name, w := range map[string]struct {
		toml  string
		parts []string
	}{
		"egress for others":          {outbound + "[listen]\negress = \":4182\"\ninsecure_egress = true\n", []string{"insecure_egress", "whoever reaches"}},
		"a token in the clear":       {outbound + "[[egress]]\nname = \"x\"\nupstream = [\"http://o.example\"]\ncredential = \"backup\"\n", []string{"egress.x", "plain http"}},
		"no token at all":            {outbound + "[[egress]]\nname = \"x\"\nupstream = [\"https://o.example\"]\n", []string{"egress.x", "without a token"}},
		"an audience that is none":   {api + "audience = [\"x\"]\n[provider.p]\nissuer = \"https://p.example\"\naudience_claim = \"azp\"\n", []string{"provider.p", "audience_claim"}},
		"bearer in a cookie":         {api + "audience = [\"x\"]\nbearer_cookie = \"jwt\"\n", []string{"route.api", "beside Authorization"}},
		"a credential for nothing":   {minimal + exchange, []string{"credential.orders", "no route and no egress"}},
		"anyone with our token":      {strings.Replace(minimal, "[[route]]", "[credential.k]\nflow = \"static\"\ntoken = \"x\"\n[[route]]", 1) + "public = true\ncredential = \"k\"\n", []string{"route.app", "anyone"}},
		"any client":                 {api + "audience = [\"x\"]\n[[route]]\nname = \"b\"\nhost = \"b.example.com\"\nupstream = [\"http://127.0.0.1:8081\"]\naccept = [\"basic\"]\nbasic = \"client_credentials\"\n", []string{"route.b", "every client"}},
		"keys that nobody can fetch": {outbound + "[credential.s]\nflow = \"assertion\"\naudience = [\"a\"]\n", []string{"credential.s", "nobody can verify"}},
		"an expired key":             {minimal + "[key.ci]\nhash = \"sha256:" + hex64 + "\"\nexpires = \"2020-01-01\"\n", []string{"key.ci", "expired"}},
	} {
		t.Run(name, func(t *testing.T) {
			if c := (given{toml: w.toml}).mustLoad(t); !hasWarning(c, w.parts...) {
				t.Errorf("no warning with %q in %q", w.parts, c.Warnings())
			}
		})
	}
}
