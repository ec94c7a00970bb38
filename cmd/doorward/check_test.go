package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/internal/config"
)

const checked = `state_dir = "/nowhere/that/exists"
[listen]
trusted_proxies = ["10.0.0.0/8", "::1/128"]
[sessions]
idle = "1h30m"
[provider.corp]
issuer = "https://sso.example.com/realms/main"
client_id = "doorward"
client_secret = "a-secret-that-nobody-knows"
callback_host = "login.example.com"
[provider.partner]
issuer = "https://id.partner.example"
client_id = "gate"
[provider.bare]
issuer = "https://bare.example"
[[route]]
name = "rest"
upstream = ["http://10.0.0.9"]
[[route]]
name = "everywhere"
path = "/status/page"
upstream = ["unix:/run/status.sock"]
public = true
[[route]]
name = "app"
host = "app.example.com"
upstream = ["http://10.0.0.1:3000", "http://10.0.0.2:3000"]
login = ["corp"]
allow = [{ groups = ["staff", "board"], domains = ["example.com"] }, { users = ["8f2c"], claims = { department = ["it"] } }]
credential = "session"
[[route]]
name = "api-read"
host = "app.example.com"
path = "/api/v1/"
methods = ["GET"]
strip_prefix = true
upstream = ["http://10.0.0.3"]
credential = "id_token"
[[route]]
name = "api-write"
host = "app.example.com"
path = "/api/v1"
methods = ["POST"]
upstream = ["http://10.0.0.3"]
pass_authorization = true
allow = [{ scopes = ["a", "b"] }, { emails = ["a@example.com"] }]
[[route]]
name = "h"
host = "http://localhost:4180"
path="/h"
upstream = ["http://10.0.0.4"]
headers = { profile = "none", set = { B = "x", A = "{user.sub}" } }
[[route]]
name = "assets"
host = "http://localhost:4180"
path = "/assets"
upstream = ["http://10.0.0.4"]
public = true
credential = "session"
`

const checkedOutput = `Listening         on 127.0.0.1:4180, for administration on 127.0.0.1:4181
Sessions          in a file below /nowhere/that/exists, end after 1h30m without a request, and after 24h in any case
X-Forwarded-For   is believed from: those of 10.0.0.0/8 ::1/128

Routes: the first whose path fits; if its method does not, the answer is 405
  https://login.example.com
    /status/page   all methods   everywhere: to unix:/run/status.sock
                                 anyone
    /              all methods   rest: to http://10.0.0.9
                                 everybody, signed in by corp or partner
  https://app.example.com
    /api/v1        GET           api-read: to http://10.0.0.3 without /api/v1
                                 everybody, signed in by corp or partner; sends the ID token
    /api/v1        POST          api-write: to http://10.0.0.3
                                 scope a+b, or e-mail a@example.com, signed in by corp or partner; passes the client's own Authorization
    /status/page   all methods   everywhere: to unix:/run/status.sock
                                 anyone
    /              all methods   app: to http://10.0.0.1:3000 and http://10.0.0.2:3000
                                 group staff|board and domain example.com, or user 8f2c and claim department = it, signed in by corp; sends the access token
  http://localhost:4180
    /status/page   all methods   everywhere: to unix:/run/status.sock
                                 anyone
    /assets        all methods   assets: to http://10.0.0.4
                                 anyone
    /h             all methods   h: to http://10.0.0.4
                                 everybody, signed in by corp or partner; sends no identity headers; sets A, B
    /              all methods   rest: to http://10.0.0.9
                                 everybody, signed in by corp or partner

Provider corp: https://sso.example.com/realms/main
  register for client "doorward"
    redirect URI               https://login.example.com/oauth2/callback/corp
    post-logout redirect URI   https://login.example.com/oauth2/logout/callback
    post-logout redirect URI   https://app.example.com/oauth2/logout/callback
    post-logout redirect URI   http://localhost:4180/oauth2/logout/callback
    must be allowed            grant authorization_code with PKCE

Provider partner: https://id.partner.example
  register for client "gate"
    redirect URI               https://login.example.com/oauth2/callback/partner
    redirect URI               https://app.example.com/oauth2/callback/partner
    redirect URI               http://localhost:4180/oauth2/callback/partner
    post-logout redirect URI   https://login.example.com/oauth2/logout/callback
    post-logout redirect URI   https://app.example.com/oauth2/logout/callback
    post-logout redirect URI   http://localhost:4180/oauth2/logout/callback
    must be allowed            grant authorization_code with PKCE

Provider bare: https://bare.example
  bearer tokens are checked by its keys; there is nothing to register

Warnings
  route.assets: credential = "session" has no effect on a public route: requests go upstream without
  provider.bare: nothing uses it: without a client_id it serves to check bearer tokens only, and no accept has "bearer"

configuration is good: PATH
`

// runCheck returns the exit status and the output of "doorward check".
func runCheck(t *testing.T, path string, args ...string) (status int, out, errs string) {
	t.Helper()
	var o, e strings.Builder
	status = run(context.Background(), append([]string{"check", "--config", path}, args...), &o, &e)
	return status, o.String(), e.String()
}

func TestCheckPrintsHowRequestsWillBeTreatedAndWhatToRegister(t *testing.T) {
	path := filepath.Join(t.TempDir(), "doorward.toml")
	if err := os.WriteFile(path, []byte(checked), 0o600); err != nil {
		t.Fatal(err)
	}
	status, out, errs := runCheck(t, path)
	if status != 0 || errs != "" {
		t.Fatalf("status %d\n%s\n%s", status, out, errs)
	}
	if want := strings.ReplaceAll(checkedOutput, "PATH", path); out != want {
		t.Errorf("got\n%s\nwant\n%s", out, want)
	}
	if _, again, _ := runCheck(t, path); again != out {
		t.Errorf("a second run says\n%s", again)
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
		t.Errorf("it wrote something: %v", left)
	}
}

// One route of the same path for every host and one that names the host: the latter is meant.
func TestCheckLeavesOutRoutesThatARequestNeverReaches(t *testing.T) {
	c := load(t, checked)
	routes := c.Proxy().Routes
	for _, o := range c.Origins() {
		var got []string
		for _, rt := range routesOf(routes, o) {
			got = append(got, rt.Name)
		}
		want := map[string]string{
			"login.example.com": "everywhere rest",
			"app.example.com":   "api-read api-write everywhere app", // "rest" stands behind "app"
			"localhost":         "everywhere assets h rest",
		}[o.Host]
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %v, want %s", o, got, want)
		}
	}
}

func load(t *testing.T, toml string) *config.Config {
	t.Helper()
	path := filepath.Join(t.TempDir(), "doorward.toml")
	if err := os.WriteFile(path, []byte(toml), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(config.Options{Path: path, Environ: []string{}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCheckWithCookiesNeedsNoStoreEither(t *testing.T) {
	path := filepath.Join(t.TempDir(), "doorward.toml")
	toml := strings.Replace(checked, "[sessions]\n", "[sessions]\nstore = \"cookie\"\nkeys = [\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\"]\n", 1)
	if err := os.WriteFile(path, []byte(toml), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, out, errs := runCheck(t, path); status != 0 || !strings.Contains(out, "in their cookies") || !strings.Contains(out, "are kept in a file below") {
		t.Errorf("status %d\n%s\n%s", status, out, errs)
	}
}

func TestCheckOfflineAsksNobody(t *testing.T) {
	s := newStack(t, "")
	s.write(s.toml)
	if status, out, errs := runCheck(t, s.path()); status != 0 {
		t.Fatalf("status %d\n%s\n%s", status, out, errs)
	}
	if n := len(s.idp.Requests(idp.Discovery)); n != 0 {
		t.Errorf("%d requests reached the provider", n)
	}
}

func TestR24CheckOnlineTellsWhetherTheProviderAgrees(t *testing.T) {
	s := newStack(t, "")
	s.write(s.toml)
	status, out, errs := runCheck(t, s.path(), "--online")
	if status != 0 || strings.Contains(out, "\n  bad ") || !strings.Contains(out, "Asking provider corp\n  ok    ") || !strings.Contains(out, "configuration is good: "+s.path()) {
		t.Errorf("status %d\n%s\n%s", status, out, errs)
	}
	s.write(strings.Replace(s.toml, clientSecret, "some-other-secret-4f1c0e9d7a5b", 1))
	status, out, errs = runCheck(t, s.path(), "--online")
	if status != 1 || !strings.Contains(out, "\n  bad   the provider does not accept client \"doorward\"") || errs != "" {
		t.Errorf("a wrong secret: status %d\n%s\n%s", status, out, errs)
	}
	if strings.Contains(out, "4f1c0e9d7a5b") {
		t.Errorf("P213: the secret is shown\n%s", out)
	}
	s.provider.Close()
	s.write(s.toml)
	status, out, _ = runCheck(t, s.path(), "--online")
	if status != 1 || !strings.Contains(out, "bad   the provider cannot be reached") {
		t.Errorf("no provider: status %d\n%s", status, out)
	}
	// Whoever only reads the end of it isn't misled.
	if lines := strings.Split(strings.TrimSpace(out), "\n"); !strings.Contains(lines[len(lines)-1], "bad") {
		t.Errorf("it ends with %q", lines[len(lines)-1])
	}
}

func TestCheckOnlineAsksForTheTokensOfItsOwn(t *testing.T) {
	const credential = "\n[credential.backup]\nflow = \"client_credentials\"\naudience = [\"data\"]\n[[egress]]\nname = \"data\"\nupstream = [\"https://data.example.net\"]\ncredential = \"backup\"\n"
	for name, c := range map[string]struct {
		change func(*idp.Client)
		status int
		says   string
	}{
		"it comes":                    {func(*idp.Client) {}, exitOK, `ok    credential backup: a token came`},
		"the service account is off":  {func(c *idp.Client) { c.NoServiceAccount = true }, exitRun, `bad   credential backup: no token came`},
		"the audience is not allowed": {func(c *idp.Client) { c.Audiences = []string{"other"} }, exitRun, `expected a token for audience "data"`},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStack(t, "", func(conf *idp.Config) {
				conf.Clients[0].Grants = append(conf.Clients[0].Grants, "authorization_code", "refresh_token", "client_credentials")
				c.change(&conf.Clients[0])
			})
			s.write(s.toml + credential)
			status, out, errs := runCheck(t, s.path(), "--online")
			if status != c.status || !strings.Contains(out, c.says) {
				t.Errorf("status %d, nothing says %q\n%s%s", status, c.says, out, errs)
			}
		})
	}
}

func TestCheckSaysWhatEachFlowNeedsAtTheProvider(t *testing.T) {
	path := filepath.Join(t.TempDir(), "doorward.toml")
	toml := `state_dir = "state"
[provider.corp]
issuer = "https://sso.example.com"
client_id = "doorward"
client_secret = "a-secret-that-nobody-knows"
[login.staff]
flow = "authorization_code"
[login.spa]
flow = "implicit"
response_type = "id_token token"
[login.mix]
flow = "hybrid"
[login.legacy]
flow = "password"
[login.tv]
flow = "device"
[login.phone]
flow = "ciba"
delivery = "ping"
[[route]]
host = "app.example.com"
upstream = ["http://127.0.0.1:3000"]
login = ["staff", "spa", "mix", "tv", "phone"]
[[route]]
host = "git.example.com"
upstream = ["http://127.0.0.1:3001"]
login = ["legacy"]
accept = ["basic", "token"]
`
	if err := os.WriteFile(path, []byte(toml), 0o600); err != nil {
		t.Fatal(err)
	}
	status, out, errs := runCheck(t, path)
	if status != exitOK {
		t.Fatalf("%d %s", status, errs)
	}
	for _, line := range []string{
		"everybody, signed in by legacy; accepts basic and token",
		"redirect URI                            https://app.example.com/oauth2/callback",
		"client notification endpoint (one of)   https://app.example.com/oauth2/ciba/notify",
		"grant authorization_code with PKCE", "grant implicit, response_type id_token token", "grants authorization_code and implicit, response_type code id_token",
		"grant password", "grant urn:ietf:params:oauth:grant-type:device_code", "grant urn:openid:params:grant-type:ciba, delivery mode ping",
		"login.tv: device: whoever talks a person into approving",
	} {
		if !strings.Contains(out, line) {
			t.Errorf("it doesn't say %q", line)
		}
	}
	if t.Failed() {
		t.Log(out)
	}
}
