package config

import (
	"fmt"
	"strings"
	"testing"
)

// A rule is broken by a configuration in which "at" stands where the problem is.
type broken struct {
	toml string
	at   string // "" = it has no place in the file
	says string
}

func (b broken) check(t *testing.T) {
	t.Helper()
	problems := given{toml: b.toml}.refused(t)
	if len(problems) != 1 {
		t.Fatalf("%d problems, want one:\n%v", len(problems), &Error{problems})
	}
	p := problems[0]
	if !strings.Contains(p.Text, b.says) {
		t.Errorf("it says %q, and not %q", p.Text, b.says)
	}
	if b.at == "" {
		if p.Line != 0 {
			t.Errorf("it has a place: %s", p)
		}
		return
	}
	offset := strings.LastIndex(b.toml, b.at)
	if offset < 0 {
		t.Fatalf("%q is not in the configuration", b.at)
	}
	line := 1 + strings.Count(b.toml[:offset], "\n")
	column := offset - strings.LastIndexByte(b.toml[:offset], '\n')
	if p.Line != line || p.Column != column {
		t.Errorf("it is at %d:%d, want %d:%d\n%s", p.Line, p.Column, line, column, p)
	}
}

// with is minimal with a line in [provider.corp], and lines at the end, that is in the route.
func with(provider, end string) string {
	return strings.Replace(minimal, "client_id", provider+"\nclient_id", 1) + end
}

const second = "[provider.second]\nissuer = \"https://two.example.com\"\nclient_id = \"x\"\n"

func TestR24WhatIsWrongIsRefusedWithItsPlaceAndWhatToDo(t *testing.T) {
	for name, b := range map[string]broken{
		// Keys and types.
		"unknown key":                  {with("isuer = \"x\"", ""), "isuer", `provider.corp.isuer: there is no such key; did you mean "issuer"?`},
		"unknown table":                {minimal + "[lisen]\nhttp = \":1\"\n", "lisen", `did you mean "listen"?`},
		"key in another case":          {minimal + "[listen]\nHTTP = \":1\"\n", "HTTP", `did you mean "http"?`},
		"table in another case":        {minimal + "[Listen]\nhttp = \":1\"\n", "Listen", `did you mean "listen"?`},
		"key in the wrong table":       {minimal + "client_id = \"x\"\n", "client_id = \"x\"", "there is one in [provider.NAME]"},
		"nothing like it":              {minimal + "zzzzzzzz = 1\n", "zzzzzzzz", "there is no such key"},
		"number for a text":            {minimal + "path = 1\n", "1\n", "route.app.path: a text in quotes is wanted here, and this is a number"},
		"number for a duration (P211)": {minimal + "[sessions]\nidle = 8\n", "8\n", `such as "8h"`},
		"text for a boolean":           {minimal + "public = \"yes\"\n", `"yes"`, "true or false is wanted here, and this is a text"},
		"text for a list":              {minimal + "methods = \"GET\"\n", `"GET"`, `a list is wanted here: ["GET"]`},
		"date for a text":              {minimal + "path = 2026-11-24\n", "2026-11-24", "this is a date"},
		"number in a list":             {minimal + "methods = [1]\n", "1]", "route.app.methods[0]"},
		"text for a table":             {minimal + "headers = \"x\"\n", `"x"`, "a table is wanted here"},
		"table for a list of tables":   {"route = { a = 1 }\n" + second, "a = 1", "a list of tables, as in [[route]], is wanted here"},
		"provider without a name":      {"[provider]\nissuer = \"x\"\n" + second + minimal[strings.Index(minimal, "[[route]]"):], "issuer = \"x\"", "a name is missing: this key belongs in a table such as [provider.NAME]"},
		"bad name":                     {strings.ReplaceAll(minimal, "corp", "Corp"), "Corp", "small letters"},
		"bad name of a route":          {strings.Replace(minimal, `"app"`, `"my app"`, 1), `"my app"`, "small letters"},

		// Not built yet: never "unknown".
		"tls":                  {minimal + "[tls]\n", "tls", "does not have it yet: let a load balancer"},
		"store":                {minimal + "[sessions]\nstore = \"rediss://:pw@h/0\"\n", `"rediss`, `"rediss": this version of Doorward does not have it yet`},
		"forward-auth route":   {strings.Replace(minimal, "upstream = [\"http://127.0.0.1:3000\"]\n", "", 1), "route]]", "for forward-auth, and nobody could ask about it"},
		"listen.https":         {minimal + "[listen]\nhttps = \":443\"\n", "https = ", "terminate TLS"},
		"misspelt credential":  {minimal + "credential = \"sesion\"\n", `"sesion"`, `did you mean "session"?`},
		"misspelt store":       {minimal + "[sessions]\nstore = \"blot\"\n", `"blot"`, `did you mean "bolt"?`},
		"misspelt client_auth": {with(`client_auth = "client_secret_bsic"`, ""), `"client_secret_bsic"`, `did you mean "client_secret_basic"?`},

		// [listen]
		"address without a port":   {minimal + "[listen]\nhttp = \"127.0.0.1\"\n", `"127.0.0.1"`, `"host:port"`},
		"port too high":            {minimal + "[listen]\nhttp = \":70000\"\n", `":70000"`, "65535"},
		"host with spaces":         {minimal + "[listen]\nadmin = \"a b:1\"\n", `"a b:1"`, "neither an address nor a name"},
		"relative socket":          {minimal + "[listen]\nhttp = \"unix:x\"\n", `"unix:x"`, "begins with a slash"},
		"both listeners alike":     {minimal + "[listen]\nadmin = \"127.0.0.1:4180\"\n", `"127.0.0.1:4180"`, "different"},
		"empty address":            {minimal + "[listen]\nhttp = \"\"\n", `""`, "empty"},
		"no network":               {minimal + "[listen]\ntrusted_proxies = [\"10.0.0.0/8\", \"proxy\"]\n", `"proxy"`, "CIDR"},
		"an address":               {minimal + "[listen]\ntrusted_proxies = [\"10.0.0.1\"]\n", `"10.0.0.1"`, `write "10.0.0.1/32"`},
		"an address in a network":  {minimal + "[listen]\ntrusted_proxies = [\"10.0.0.1/8\"]\n", `"10.0.0.1/8"`, `the network is "10.0.0.0/8"`},
		"prefix without a slash":   {minimal + "[listen]\nprefix = \"oauth2\"\n", `"oauth2"`, "begins with a slash"},
		"prefix of everything":     {minimal + "[listen]\nprefix = \"/\"\n", `"/"`, "every path"},
		"prefix with dots":         {minimal + "[listen]\nprefix = \"/a/../b\"\n", `"/a/../b"`, "dots"},
		"prefix with braces":       {minimal + "[listen]\nprefix = \"/{a}\"\n", `"/{a}"`, "letters"},
		"return host in the clear": {minimal + "[listen]\nreturn_hosts = [\"http://www.example.com\"]\n", `"http://www`, "https"},

		// [sessions]
		"cookie without keys (S20)":   {minimal + "[sessions]\nstore = \"cookie\"\n", `"cookie"`, "needs sessions.keys"},
		"no keys":                     {minimal + "[sessions]\nkeys = []\n", "keys", "empty"},
		"short key (P211)":            {minimal + "[sessions]\nkeys = [\"c2hvcnQ=\"]\n", `"c2hvcnQ="`, "32 bytes"},
		"key of zeros (P211)":         {minimal + "[sessions]\nkeys = [\"" + strings.Repeat("A", 43) + "=\"]\n", `"AAAA`, "zeros"},
		"key that stands twice":       {minimal + "[sessions]\nkeys = [\"" + testKey + "\", \"" + testKey + "\"]\n", `"` + testKey, "twice"},
		"no duration":                 {minimal + "[sessions]\nidle = \"1d\"\n", `"1d"`, `a day is "24h"`},
		"no time":                     {minimal + "[sessions]\nlifetime = \"-1h\"\n", `"-1h"`, "too short"},
		"cookie in shared":            {minimal + "[sessions]\nshared = \"cookie\"\n", `"cookie"`, `"bolt", "memory"`},
		"same_site":                   {minimal + "[sessions]\ncookie = { same_site = \"lex\" }\n", `"lex"`, `did you mean "lax"?`},
		"cookie name with a prefix":   {minimal + "[sessions]\ncookie = { name = \"__Host-x\" }\n", `"__Host-x"`, "leave"},
		"cookie name with a space":    {minimal + "[sessions]\ncookie = { name = \"a b\" }\n", `"a b"`, "letters"},
		"cookie for another domain":   {minimal + "[sessions]\ncookie = { domain = \"example.org\" }\n", `"example.org"`, "app.example.com"},
		"cookie for a part of a name": {minimal + "[sessions]\ncookie = { domain = \"ple.com\" }\n", `"ple.com"`, "app.example.com"},
		"cookie for all of com":       {minimal + "[sessions]\ncookie = { domain = \"com\" }\n", `"com"`, "no domain"},

		// [provider]
		"no provider":                  {"[[route]]\nhost = \"a.example\"\nupstream = [\"http://127.0.0.1:1\"]\npublic = true\n", "", "nobody could sign in"},
		"no issuer":                    {strings.Replace(minimal, "issuer = \"https://sso.example.com\"\n", "", 1), "corp", "provider.corp.issuer: missing"},
		"issuer in the clear":          {strings.Replace(minimal, "https://sso", "http://sso", 1), `"http://sso`, "https"},
		"issuer with a query":          {strings.Replace(minimal, "sso.example.com", "sso.example.com?x", 1), `"https://sso`, "query"},
		"document as issuer":           {strings.Replace(minimal, "sso.example.com", "sso.example.com/.well-known/openid-configuration", 1), `"https://sso`, "without /.well-known/"},
		"secret without a client":      {strings.Replace(minimal, "client_id = \"doorward\"\n", "", 1), "corp", "client_id"},
		"empty client_id":              {strings.Replace(minimal, `"doorward"`, `""`, 1), `""`, "empty"},
		"empty secret (P211)":          {strings.Replace(minimal, `"a-secret-that-nobody-knows"`, `""`, 1), `""`, "empty"},
		"changeme (P211)":              {strings.Replace(minimal, `"a-secret-that-nobody-knows"`, `"<CHANGE-ME>"`, 1), `"<CHANGE-ME>"`, "example"},
		"CA-7 none with a secret":      {with(`client_auth = "none"`, ""), `"none"`, "together with a client_secret"},
		"CA-3 secret too short":        {strings.Replace(with(`client_auth = "client_secret_jwt"`, ""), "a-secret-that-nobody-knows", "a-secret-of-less", 1), `"client_secret_jwt"`, "32 bytes"},
		"CA-3 no private key":          {with(`client_auth = "private_key_jwt"`, ""), `"private_key_jwt"`, "needs a private_key"},
		"CA-6 no certificate":          {with(`client_auth = "tls_client_auth"`, ""), `"tls_client_auth"`, "certificate"},
		"CA-10 no file":                {with(`client_auth = "assertion_file"`, ""), `"assertion_file"`, "file"},
		"no private key":               {with(`private_key = "x"`, ""), `"x"`, "no key in PEM"},
		"no CA":                        {with(`ca_file = "none.pem"`, ""), `"none.pem"`, "no such file"},
		"CA that is none":              {with(`ca_file = "doorward.toml"`, ""), `"doorward.toml"`, "no certificate in PEM"},
		"no openid":                    {with(`scopes = ["profile"]`, ""), "scopes", "openid"},
		"reserved parameter":           {with(`authorization_params = { state = "x" }`, ""), "state", "state"},
		"weak algorithm":               {with(`signing_algs = ["none"]`, ""), "signing_algs", "none"},
		"clock off by an hour":         {with(`clock_skew = "1h"`, ""), `"1h"`, "5m"},
		"userinfo":                     {with(`userinfo = "alway"`, ""), `"alway"`, `did you mean "always"?`},
		"no discovery, no keys":        {with("discovery = false\nauthorization_endpoint = \"https://sso.example.com/a\"\ntoken_endpoint = \"https://sso.example.com/t\"", ""), "corp", "jwks_uri"},
		"no discovery, nowhere to go":  {with("discovery = false\njwks_uri = \"https://sso.example.com/k\"\ntoken_endpoint = \"https://sso.example.com/t\"", ""), "corp", "authorization_endpoint"},
		"endpoint in the clear":        {with(`token_endpoint = "http://sso.example.com/t"`, ""), `"http://sso`, "https"},
		"callback elsewhere":           {with(`callback = "https://x/cb"`, ""), `"https://x/cb"`, "slash"},
		"one callback for two (ISS-4)": {with(`callback = "/cb"`, "") + second + "callback = \"/cb\"\n", `"/cb"`, `"corp"`},
		"callback_host in the clear":   {with(`callback_host = "http://login.example.com"`, ""), `"http://login`, "https"},
		"callback_host with a path":    {with(`callback_host = "login.example.com/cb"`, ""), `"login`, "path"},

		// [login]
		"no flow":             {minimal + "[login.x]\n", "x]", "it is missing"},
		"unknown provider":    {minimal + "[login.x]\nflow = \"authorization_code\"\nprovider = \"crop\"\n", `"crop"`, `did you mean "corp"?`},
		"which provider":      {minimal + second + "[login.x]\nflow = \"authorization_code\"\n", "x]", `"corp", "second"`},
		"provider, no client": {minimal + "[provider.bare]\nissuer = \"https://b.example\"\n[login.x]\nflow = \"authorization_code\"\nprovider = \"bare\"\n", `"bare"`, "no client_id"},
		"parameter of ours":   {minimal + "[login.x]\nflow = \"authorization_code\"\nparams = { nonce = \"1\" }\n", `"1"`, "itself"},

		// [[route]]
		"no route":                   {minimal[:strings.Index(minimal, "[[route]]")], "", "every request would be refused"},
		"no host anywhere":           {strings.Replace(minimal, "host = \"app.example.com\"\n", "", 1), "route]]", "no route names the host"},
		"host in the clear":          {strings.Replace(minimal, `"app.example.com"`, `"http://app.example.com"`, 1), `"http://app`, "insecure_http = true"},
		"host with a path":           {strings.Replace(minimal, "app.example.com", "app.example.com/x", 1), `"app.example.com/x"`, "path"},
		"http and https of one name": {minimal + "[[route]]\nhost = \"http://app.example.com\"\ninsecure_http = true\nupstream = [\"http://127.0.0.1:1\"]\n", `"http://app`, "told apart"},
		"two of one name":            {minimal + "[[route]]\nname = \"app\"\nhost = \"b.example.com\"\nupstream = [\"http://127.0.0.1:1\"]\n", `"app"`, "in line 5"},
		"S20 two alike":              {minimal + "[[route]]\nname = \"b\"\nhost = \"app.example.com\"\nupstream = [\"http://127.0.0.1:1\"]\n", "route]]", `belongs to route "app" already, in line 5`},
		"S20 alike but for a slash":  {minimal + "path = \"/x\"\n[[route]]\nname = \"b\"\nhost = \"app.example.com\"\npath = \"/x/\"\nupstream = [\"http://127.0.0.1:1\"]\n", `"/x/"`, "belongs to route"},
		"S20 overlapping methods":    {minimal + "methods = [\"GET\"]\n[[route]]\nname = \"b\"\nhost = \"app.example.com\"\nmethods = [\"HEAD\"]\nupstream = [\"http://127.0.0.1:1\"]\n", "route]]", "HEAD"},
		"path without a slash":       {minimal + "path = \"x\"\n", `"x"`, "slash"},
		"path with dots":             {minimal + "path = \"/a/../b\"\n", `"/a/../b"`, "path"},
		"path with %2f (P003)":       {minimal + "path = \"/a%2fb\"\n", `"/a%2fb"`, "path"},
		"path below the prefix":      {minimal + "path = \"/oauth2/x\"\n", `"/oauth2/x"`, "never proxied"},
		"CONNECT":                    {minimal + "methods = [\"CONNECT\"]\n", "methods", "never forwarded"},
		"no methods":                 {minimal + "methods = []\n", "methods", "empty"},
		"unknown login":              {minimal + "login = [\"crop\"]\n", `"crop"`, `did you mean "corp"?`},
		"no login":                   {minimal + "login = []\n", "login", "empty"},
		"a login twice":              {minimal + "login = [\"corp\", \"corp\"]\n", `"corp"]`, "twice"},
		"public and allow":           {minimal + "public = true\nallow = [{ groups = [\"a\"] }]\n", "allow", "public = true"},
		"allow nobody":               {minimal + "allow = []\n", "allow", "empty"},
		"allow without a table":      {minimal + "allow = [\"staff\"]\n", `"staff"`, "route.app.allow[0]: a table is wanted here"},
		"route that is no table":     {"route = [1]\n" + second, "1]", "route[0]: a table is wanted here"},
		"P203 allow everybody":       {minimal + "allow = [{}]\n", "allow", "everybody"},
		"P203 an empty group":        {minimal + "allow = [{ groups = [\"\"] }]\n", "groups", "empty"},
		"P203 no groups":             {minimal + "allow = [{ groups = [], users = [\"x\"] }]\n", "groups", "no condition"},
		"P205 a pattern":             {minimal + "allow = [{ domains = [\"*.example.com\"] }]\n", "domains", "patterns"},
		"no address":                 {minimal + "allow = [{ emails = [\"x\"] }]\n", "emails", "address"},
		"misspelt condition":         {minimal + "allow = [{ group = [\"x\"] }]\n", "group = ", `did you mean "groups"?`},
		"claim that is no list":      {minimal + "allow = [{ claims = { a = \"b\" } }]\n", `"b"`, `a list is wanted here: ["b"]`},
		"header that is ours":        {minimal + "headers = { set = { Host = \"x\" } }\n", `"x" }`, "not the route's to set"},
		"placeholder":                {minimal + "headers = { set = { X-A = \"{nope}\" } }\n", `"{nope}"`, "{claim.NAME}"},
		"header name":                {minimal + "headers = { set = { X_A = \"x\" } }\n", `"x" }`, "letters, digits and -"},
		"two headers alike":          {minimal + "headers = { set = { X-A = \"x\", x-a = \"y\" } }\n", `"y"`, "twice"},
		"profile":                    {minimal + "headers = { profile = \"oauth2proxy\" }\n", `"oauth2proxy"`, `did you mean "oauth2-proxy"?`},
		"two tokens":                 {minimal + "pass_authorization = true\ncredential = \"session\"\n", "true", "two tokens"},
		"websocket origin":           {minimal + "websocket_origins = [\"*\"]\n", `"*"`, "host name"},

		// Upstreams: CONTRACT §4.
		"no upstreams":       {strings.Replace(minimal, `"http://127.0.0.1:3000"`, "", 1), "upstream", "empty"},
		"no URL":             {strings.Replace(minimal, "http://127.0.0.1:3000", "127.0.0.1:3000", 1), `"127.0.0.1:3000"`, "http://host:port"},
		"ftp":                {strings.Replace(minimal, "http://127", "ftp://127", 1), `"ftp:`, "http://host:port"},
		"upstream, user":     {strings.Replace(minimal, "127.0.0.1:3000", "u:p@127.0.0.1:3000", 1), `"http://u`, "no user"},
		"upstream, query":    {strings.Replace(minimal, "127.0.0.1:3000", "127.0.0.1:3000?x", 1), "upstream", "query"},
		"itself":             {strings.Replace(minimal, "127.0.0.1:3000", "127.0.0.1:4180", 1), `"http://127`, "circle"},
		"itself by name":     {strings.Replace(minimal, "127.0.0.1:3000", "localhost:4181", 1), `"http://localhost`, "circle"},
		"itself, everywhere": {"[listen]\nhttp = \":80\"\n" + strings.Replace(minimal, "127.0.0.1:3000", "[::1]", 1), `"http://[::1]"`, "circle"},
		"own socket":         {"[listen]\nhttp = \"unix:/run/d.sock\"\n" + strings.Replace(minimal, "http://127.0.0.1:3000", "unix:/run/d.sock", 1), `"unix:/run/d.sock"]`, "circle"},
		"metadata by name":   {strings.Replace(minimal, "127.0.0.1:3000", "metadata.google.internal", 1), `"http://metadata`, "credentials"},
		"unspecified":        {strings.Replace(minimal, "127.0.0.1:3000", "0.0.0.0:3000", 1), `"http://0.0.0.0`, "for listening"},
	} {
		t.Run(name, b.check)
	}
}

func TestWhereEverybodyCanRegisterARouteMustSayWhoMayPass(t *testing.T) {
	for issuer, open := range map[string]bool{
		"https://accounts.google.com": true, "https://appleid.apple.com": true, "https://gitlab.com": true,
		"https://login.microsoftonline.com/common/v2.0": true, "https://login.microsoftonline.com/consumers/v2.0": true,
		"https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0": true,
		"https://login.microsoftonline.com/72f988bf-0000-0000-0000-2d7cd011db47/v2.0": false,
		"https://sso.example.com": false, "https://gitlab.example.com": false,
	} {
		toml := strings.Replace(minimal, "https://sso.example.com", issuer, 1)
		if !open {
			given{toml: toml}.mustLoad(t)
			continue
		}
		broken{toml, "route]]", "everybody can have an account"}.check(t)
		given{toml: toml + "allow = [{ domains = [\"example.com\"] }]\n"}.mustLoad(t)
		given{toml: toml + "public = true\n"}.mustLoad(t)
		// Another provider's route is nobody else's business.
		given{toml: toml + "login = [\"second\"]\n" + second}.mustLoad(t)
	}
}

func TestWhatIsAllowedStaysAllowed(t *testing.T) {
	for name, toml := range map[string]string{
		"loopback in plain http":    strings.NewReplacer("https://sso.example.com", "http://127.0.0.1:8080/realms/x", `"app.example.com"`, `"http://localhost:4180"`).Replace(minimal),
		"plain http, said so":       strings.Replace(minimal, `"app.example.com"`, `"http://app.example.com"`, 1) + "insecure_http = true\n",
		"link-local as written":     strings.Replace(minimal, "127.0.0.1:3000", "169.254.169.254", 1),
		"another port of loopback":  strings.Replace(minimal, "127.0.0.1:3000", "127.0.0.1:4182", 1),
		"another loopback address":  strings.Replace(minimal, "127.0.0.1:3000", "127.0.0.2:4180", 1),
		"port of a remote host":     strings.Replace(minimal, "127.0.0.1:3000", "10.0.0.1:4180", 1),
		"any port, twice":           "[listen]\nhttp = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n" + minimal,
		"methods apart":             minimal + "methods = [\"GET\"]\n[[route]]\nname = \"b\"\nhost = \"app.example.com\"\nmethods = [\"POST\"]\nupstream = [\"http://127.0.0.1:1\"]\n",
		"everywhere and here":       minimal + "[[route]]\nname = \"b\"\nupstream = [\"http://127.0.0.1:1\"]\n",
		"host of a callback":        with(`callback_host = "login.example.com"`, ""),
		"old callback":              with(`callback = "/login/callback"`, ""),
		"callback below the prefix": with(`callback = "/oauth2/cb"`, ""),
		"memory for both":           "[sessions]\nstore = \"memory\"\n" + minimal,
		"public client":             strings.Replace(minimal, "client_secret = \"a-secret-that-nobody-knows\"\n", "", 1),
		"single parameter":          with(`authorization_params = { prompt = "login" }`, ""),
		"carriage returns":          strings.ReplaceAll(minimal, "\n", "\r\n"),
		"dotted keys":               "provider.corp.issuer = \"https://sso.example.com\"\nprovider.corp.client_id = \"x\"\nroute = [{ host = \"a.example\", upstream = [\"http://127.0.0.1:1\"] }]\n",
		"no logins in [login]":      minimal + "[login]\n",
		"header with a dot":         minimal + "[route.headers.set]\nX-Y = \"{claim.a.b}\"\n",
	} {
		t.Run(name, func(t *testing.T) { given{toml: toml}.mustLoad(t) })
	}
}

func TestAllProblemsAreToldAtOnceInTheOrderOfTheFile(t *testing.T) {
	toml := `state_dir = 5
[listen]
http = "nowhere"
[provider.corp]
isuer = "https://sso.example.com"
client_id = "doorward"
[login.staff]
flow = "devise"
[[route]]
host = "app.example.com"
upstream = "http://127.0.0.1:3000"
allow = [{ emails = ["a"] }, { domains = ["*"] }]
headers = { set = { A = "{x}", B = "{y}" } }
`
	problems := given{toml: toml, set: []string{"listen.https=:443"}}.refused(t)
	var lines []int
	for _, p := range problems {
		lines = append(lines, p.Line)
	}
	want := []int{1, 3, 4, 5, 8, 11, 12, 12, 13, 13, 0}
	if len(lines) != len(want) {
		t.Fatalf("lines %v, want %v\n%v", lines, want, &Error{problems})
	}
	for i := range want {
		if lines[i] != want[i] {
			t.Fatalf("lines %v, want %v\n%v", lines, want, &Error{problems})
		}
	}
	if text := (&Error{problems}).Error(); !strings.Contains(text, "11 problems") {
		t.Errorf("they are not counted: %s", text)
	}
}

func TestAFloodOfProblemsIsBounded(t *testing.T) {
	var b strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&b, "k%d = 1\n", i)
	}
	if n := len((given{toml: b.String()}).refused(t)); n != maxProblems {
		t.Errorf("%d problems are told", n)
	}
}
