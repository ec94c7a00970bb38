package config

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestFiveLinesProtectAnAppAndTheRestHasSafeDefaults(t *testing.T) {
	c := given{env: []string{"CORP_SECRET=a-secret-that-nobody-knows"}, toml: `[provider.corp]
issuer        = "https://sso.example.com/realms/main"
client_id     = "doorward"
client_secret = "${env:CORP_SECRET}"

[[route]]
host       = "app.example.com"
upstream   = ["http://127.0.0.1:3000"]
credential = "session"
`}.mustLoad(t)
	if c.Listen.HTTP != "127.0.0.1:4180" || c.Listen.Admin != "127.0.0.1:4181" || c.Listen.Prefix != "/oauth2" || len(c.Listen.TrustedProxies) != 0 {
		t.Errorf("listen: %+v", c.Listen)
	}
	if c.Store != "bolt" || c.Shared != "bolt" || c.StateDir != "/var/lib/doorward" || len(c.Keys) != 0 {
		t.Errorf("sessions: %s %s %s %d", c.Store, c.Shared, c.StateDir, len(c.Keys))
	}
	if s := c.Sessions(); s.InCookie || s.Idle != 8*time.Hour || s.Lifetime != 24*time.Hour || s.Cookie.Name != "doorward" || s.Cookie.SameSite != http.SameSiteLaxMode || s.Cookie.Domain != "" {
		t.Errorf("sessions: %+v", s)
	}
	p := c.Providers()
	if len(p) != 1 || p[0].Name != "corp" || p[0].ClientSecret.Reveal() != "a-secret-that-nobody-knows" || !p[0].Discovery || strings.Join(p[0].Scopes, " ") != "openid profile email" || p[0].ClockSkew != time.Minute || p[0].ClientAuth != "" {
		t.Errorf("providers: %+v", p)
	}
	if f := c.Flows(); len(f.Logins) != 1 || f.Logins[0].Name != "corp" || f.Logins[0].Provider != "corp" || f.Logins[0].Flow != "authorization_code" || f.Logins[0].Label != "corp" || f.Prefix != "/oauth2" {
		t.Errorf("logins: %+v", f)
	}
	rt := c.Proxy().Routes
	if len(rt) != 1 || rt[0].Name != "app-example-com" || rt[0].Path != "/" || rt[0].Hosts[0].String() != "https://app.example.com" || rt[0].Upstreams[0].String() != "http://127.0.0.1:3000" ||
		rt[0].Credential != "session" || rt[0].Public || fmt.Sprint(rt[0].Logins) != "[corp]" || rt[0].Headers.Profile != "oauth2-proxy" || rt[0].StripPrefix || rt[0].Methods != nil {
		t.Errorf("routes: %+v", rt)
	}
	if fmt.Sprint(c.Origins()) != "[https://app.example.com]" || len(c.Warnings()) != 0 {
		t.Errorf("%v %v", c.Origins(), c.Warnings())
	}
	if !c.Proxy().OwnCookie("__Host-doorward") || c.Proxy().OwnCookie("other") {
		t.Error("own cookies are not told from others")
	}
}

func TestEveryKeyReachesThePartThatActsOnIt(t *testing.T) {
	dir := t.TempDir()
	testPrivateKey, testCertificate := newPEM(t)
	write(t, filepath.Join(dir, "ca.pem"), testCertificate, 0o644)
	write(t, filepath.Join(dir, "client.key"), testPrivateKey, 0o600)
	c := given{dir: dir, toml: `state_dir = "state"
[listen]
http = "unix:/run/doorward.sock"
admin = "[::1]:9000"
trusted_proxies = ["10.0.0.0/8", "::1/128"]
prefix = "/auth"
return_hosts = ["www.example.com"]
[sessions]
store = "cookie"
shared = "memory"
keys = ["` + testKey + `"]
idle = "1h30m"
lifetime = "12h"
cookie = { name = "gate", same_site = "none", domain = "example.com" }
[provider.corp]
issuer = "https://sso.example.com"
client_id = "doorward"
client_auth = "private_key_jwt"
private_key = "${file:client.key}"
private_key_id = "k1"
private_key_alg = "ES256"
certificate = "${file:ca.pem}"
assertion_audience = "token_endpoint"
ca_file = "ca.pem"
scopes = ["openid", "groups"]
groups_claim = "realm_access.roles"
userinfo = "never"
authorization_params = { prompt = "login", resource = ["a", "b"] }
signing_algs = ["ES256"]
trusted_audiences = ["other"]
clock_skew = "30s"
callback = "/old/callback"
callback_host = "login.example.com"
discovery = false
authorization_endpoint = "https://sso.example.com/a"
token_endpoint = "https://sso.example.com/t"
userinfo_endpoint = "https://sso.example.com/u"
jwks_uri = "https://sso.example.com/k"
end_session_endpoint = "https://sso.example.com/e"
revocation_endpoint = "https://sso.example.com/r"
insecure_unverified_email = true
[provider.file]
issuer = "https://file.example.com"
client_id = "x"
client_auth = "assertion_file"
assertion_file = "token"
[login.staff]
flow = "authorization_code"
provider = "corp"
label = "Staff"
params = { acr_values = ["high"] }
[login.others]
flow = "authorization_code"
provider = "file"
[[route]]
name = "app"
host = "app.example.com"
path = "/app"
strip_prefix = true
methods = ["GET", "POST"]
upstream = ["http://10.0.0.1:3000/base", "unix:/run/app.sock"]
login = ["staff"]
allow = [{ groups = ["a"], emails = ["a@b.example"], domains = ["b.example"], users = ["u"], scopes = ["s"], clients = ["c"], claims = { "x.y" = ["1"] } }]
credential = "none"
headers = { profile = "none", set = { X-Name = "{user.name}" } }
keep_fragment = true
pass_authorization = true
websocket_origins = ["https://www.example.com"]
insecure_unverified_email = true
[[route]]
name = "open"
path = "/assets"
upstream = ["https://assets.example.com"]
public = true
[telemetry]
log = { format = "json", level = "debug" }
`}.mustLoad(t)
	if c.StateDir != filepath.Join(dir, "state") || c.Store != "cookie" || c.Shared != "memory" || len(c.Keys) != 1 || c.Log.Format != "json" || c.Log.Level != "debug" {
		t.Errorf("%s %s %s %+v", c.StateDir, c.Store, c.Shared, c.Log)
	}
	if l := c.Listen; l.HTTP != "unix:/run/doorward.sock" || l.Admin != "[::1]:9000" || fmt.Sprint(l.TrustedProxies) != "[10.0.0.0/8 ::1/128]" || l.Prefix != "/auth" || fmt.Sprint(l.ReturnHosts) != "[https://www.example.com]" {
		t.Errorf("%+v", l)
	}
	if s := c.Sessions(); !s.InCookie || s.Idle != 90*time.Minute || s.Lifetime != 12*time.Hour || s.Cookie.Name != "gate" || s.Cookie.SameSite != http.SameSiteNoneMode || s.Cookie.Domain != "example.com" {
		t.Errorf("%+v", s)
	}
	p := c.Providers()[0]
	if p.ClientAuth != "private_key_jwt" || p.PrivateKeyPEM.Reveal()+"\n" != testPrivateKey || p.PrivateKeyID != "k1" || p.PrivateKeyAlg != "ES256" || string(p.CertificatePEM)+"\n" != testCertificate ||
		p.AssertionAudience != "token_endpoint" || string(p.CAPEM)+"\n" != testCertificate || fmt.Sprint(p.Scopes) != "[openid groups]" || p.GroupsClaim != "realm_access.roles" || p.UserInfo != "never" ||
		p.AuthorizationParams.Encode() != "prompt=login&resource=a&resource=b" || fmt.Sprint(p.SigningAlgs, p.TrustedAudiences) != "[ES256] [other]" || p.ClockSkew != 30*time.Second || p.Discovery || !p.InsecureUnverifiedEmail {
		t.Errorf("%+v", p)
	}
	if e := p.Endpoints; e.Authorization != "https://sso.example.com/a" || e.Token != "https://sso.example.com/t" || e.UserInfo != "https://sso.example.com/u" || e.JWKS != "https://sso.example.com/k" || e.EndSession != "https://sso.example.com/e" || e.Revocation != "https://sso.example.com/r" {
		t.Errorf("%+v", e)
	}
	if f := c.Providers()[1].AssertionFile; f != filepath.Join(dir, "token") {
		t.Errorf("assertion_file: %s", f)
	}
	f := c.Flows()
	if f.Prefix != "/auth" || f.Callbacks["corp"].Path != "/old/callback" || f.Callbacks["corp"].Host.String() != "https://login.example.com" || fmt.Sprint(f.ReturnHosts) != "[https://www.example.com]" || f.Cookie.Name != "gate" {
		t.Errorf("%+v", f)
	}
	if l := f.Logins[0]; len(f.Logins) != 2 || l.Name != "staff" || l.Label != "Staff" || l.Provider != "corp" || fmt.Sprint(l.Params) != "map[acr_values:[high]]" {
		t.Errorf("%+v", f.Logins)
	}
	pc := c.Proxy()
	if pc.Prefix != "/auth" || fmt.Sprint(pc.OwnPaths) != "[/old/callback]" || len(pc.TrustedProxies) != 2 {
		t.Errorf("%+v", pc)
	}
	rt := pc.Routes[0]
	if rt.Path != "/app" || !rt.StripPrefix || fmt.Sprint(rt.Methods) != "[GET POST]" || fmt.Sprint(rt.Upstreams) != "[http://10.0.0.1:3000/base unix:/run/app.sock]" || fmt.Sprint(rt.Logins) != "[staff]" ||
		fmt.Sprintf("%+v", rt.Allow) != "[{Groups:[a] Roles:[] Emails:[a@b.example] EmailFiles:[] Domains:[b.example] Users:[u] Scopes:[s] Clients:[c] Claims:map[x.y:[1]] Networks:[] Methods:[]}]" || rt.Headers.Profile != "none" || rt.Headers.Set["X-Name"] != "{user.name}" ||
		!rt.Headers.UnverifiedEmail || !rt.KeepFragment || !rt.PassAuthorization || fmt.Sprint(rt.WebSocketOrigins) != "[https://www.example.com]" {
		t.Errorf("%+v", rt)
	}
	if open := pc.Routes[1]; !open.Public || len(open.Hosts) != 0 {
		t.Errorf("%+v", open)
	}
	if fmt.Sprint(c.Origins()) != "[https://login.example.com https://app.example.com]" {
		t.Errorf("%v", c.Origins())
	}
	want := []string{"ca.pem", "client.key", "doorward.toml"} // not the assertion: it is read at each call
	for i := range want {
		want[i] = filepath.Join(dir, want[i])
	}
	if files := slices.Sorted(slices.Values(c.Files())); !slices.Equal(files, want) {
		t.Errorf("%v, want %v", files, want)
	}
}

func TestTheFileIsFoundInTheOrderOfTheContract(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for _, name := range []string{"flag", "variable", "doorward"} {
		write(t, filepath.Join(dir, name+".toml"), strings.Replace(minimal, `"app"`, `"`+name+`"`, 1), 0o600)
	}
	for _, c := range []struct {
		options Options
		want    string
	}{
		{Options{Path: "flag.toml", Environ: []string{"DOORWARD_CONFIG=variable.toml"}}, "flag.toml"},
		{Options{Environ: []string{"DOORWARD_CONFIG=variable.toml"}}, "variable.toml"},
		{Options{Environ: []string{}}, "doorward.toml"},
	} {
		conf, err := Load(c.options)
		if err != nil {
			t.Fatal(err)
		}
		if conf.Path != c.want || conf.Proxy().Routes[0].Name+".toml" != c.want {
			t.Errorf("read %s, want %s", conf.Path, c.want)
		}
	}
}

func TestWithoutAFileTheErrorNamesThePlacesUnlessTheRestIsEnough(t *testing.T) {
	t.Chdir(t.TempDir())
	if _, err := os.Stat("/etc/doorward/doorward.toml"); err == nil {
		t.Fatal("this test cannot be run on a machine where Doorward is installed")
	}
	_, err := Load(Options{Environ: []string{"HOME=/root", "DOORWARD_PORT=tcp://10.0.0.1:80"}})
	for _, part := range []string{"--config", "DOORWARD_CONFIG", "doorward.toml", "/etc/doorward/doorward.toml"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%v does not name %s", err, part)
		}
	}
	c, err := Load(Options{
		Set: []string{"provider.corp.client_id=doorward", "route.app.host=app.example.com"},
		Environ: []string{
			"DOORWARD_PROVIDER_CORP_ISSUER=https://sso.example.com", "DOORWARD_PROVIDER_CORP_CLIENT_SECRET=a-secret-that-nobody-knows",
			"DOORWARD_ROUTE_APP_UPSTREAM=http://127.0.0.1:3000", `DOORWARD_ROUTE_APP_ALLOW=[{ groups = ["staff"] }]`, "DOORWARD_LOGIN_MY_STAFF_FLOW=authorization_code",
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	rt := c.Proxy().Routes
	if c.Path != "" || len(rt) != 1 || rt[0].Name != "app" || rt[0].Allow[0].Groups[0] != "staff" || c.Providers()[0].ClientID != "doorward" || c.Flows().Logins[0].Name != "my-staff" || len(c.Warnings()) != 0 || len(c.Files()) != 0 {
		t.Errorf("%+v %+v %v", rt, c.Flows().Logins, c.Warnings())
	}
}

func TestAFileThatIsNamedMustBeThereAndReadable(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "large.toml"), "#", 0o600)
	if err := os.Truncate(filepath.Join(dir, "large.toml"), maxConfiguration+1); err != nil {
		t.Fatal(err)
	}
	for name, says := range map[string]string{"none.toml": "no such file", "": "directory", "large.toml": "larger than the limit of 16 MiB; one route can have many hosts"} {
		path := filepath.Join(dir, name)
		for _, o := range []Options{{Path: path, Environ: []string{}}, {Environ: []string{"DOORWARD_CONFIG=" + path}}, {Path: path, Set: []string{"listen.http=:1"}, Environ: []string{}}} {
			if _, err := Load(o); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), says) {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
}

func TestStateDirFollowsSystemdThenXDG(t *testing.T) {
	for want, env := range map[string][]string{
		"/var/lib/doorward":       nil,
		"/var/lib/private/x":      {"STATE_DIRECTORY=/var/lib/private/x:/var/lib/y", "XDG_STATE_HOME=/home/a/.state"},
		"/home/a/.state/doorward": {"XDG_STATE_HOME=/home/a/.state"},
		"/data":                   {"STATE_DIRECTORY=/x", "DOORWARD_STATE_DIR=/data"},
	} {
		if c := (given{toml: minimal, env: env}).mustLoad(t); c.StateDir != want {
			t.Errorf("%v: %s, want %s", env, c.StateDir, want)
		}
	}
}

func TestRoutesWithoutANameGetOneThatIsTheirsAlone(t *testing.T) {
	head := `[provider.corp]
issuer = "https://sso.example.com"
client_id = "doorward"
`
	route := func(host, path, method string) string {
		s := "[[route]]\nupstream = [\"http://127.0.0.1:3000\"]\nmethods = [\"" + method + "\"]\n"
		if host != "" {
			s += "host = \"" + host + "\"\n"
		}
		return s + "path = \"" + path + "\"\n"
	}
	c := given{env: []string{"HOST=env.example.com"}, toml: head +
		route("app.example.com", "/", "GET") + route("app.example.com", "/", "POST") + route("app.example.com", "/a-b/C", "GET") +
		route("http://localhost:4180", "/", "GET") + route("http://127.0.0.1:4180", "/", "GET") + route("", "/", "GET") + route("", "/x", "GET") +
		route("${env:HOST}", "/", "GET") + strings.Replace(route("app.example.com", "/y", "GET"), "[[route]]", "[[route]]\nname = \"any\"", 1)}.mustLoad(t)
	var got []string
	for _, rt := range c.Proxy().Routes {
		got = append(got, rt.Name)
	}
	want := "app-example-com app-example-com-2 app-example-com-a-b-c localhost-4180 host-127-0-0-1-4180 any-2 any-x env-example-com any"
	if strings.Join(got, " ") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, " "), want)
	}
}

func TestAConfigCannotBePrinted(t *testing.T) {
	c := given{toml: minimal + "[sessions]\nkeys = [\"" + testKey + "\"]\n"}.mustLoad(t)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		if s := fmt.Sprintf(verb, c); strings.Contains(s, "0123") || strings.Contains(s, "30313233") || strings.Contains(s, "48 49") || strings.Contains(s, "nobody-knows") {
			t.Errorf("%s shows a secret: %s", verb, s)
		}
	}
}
