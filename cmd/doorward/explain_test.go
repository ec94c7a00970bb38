package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/demo/idp/idptest"
)

const explainSecret = "explain-secret-90c1e7"

// explained is a configuration with everything that explain speaks of, around a provider that is not asked.
const explainedTOML = `
[provider.corp]
issuer = "https://id.example"
client_id = "gate"
client_secret = "` + explainSecret + `"
discovery = false
authorization_endpoint = "https://id.example/authorize"
token_endpoint = "https://id.example/token"
jwks_uri = "https://id.example/keys"
[credential.backup]
flow = "client_credentials"
scopes = ["data.write"]
[credential.orders]
flow = "token_exchange"
audience = ["orders"]
actor = "backup"
[credential.key]
flow = "static"
header = "X-Api-Key"
token = "` + explainSecret + `"
[[route]]
name = "shop"
host = "app.example.com"
path = "/shop"
strip_prefix = true
upstream = ["http://10.0.0.1:3000/base"]
credential = "orders"
allow = [{ groups = ["staff"] }]
require = "!user.machine"
headers = { set = { X-Token = "{access_token}" } }
[[route]]
name = "open"
host = "app.example.com"
path = "/open"
upstream = ["http://10.0.0.2"]
public = true
credential = "key"
[[route]]
name = "made"
host = "app.example.com"
path = "/made"
upstream = ["http://10.0.0.3"]
public = true
match = { query = { v = ["2"] } }
rewrite = [{ from = "/made/{a}/{rest...}", to = "/{rest...}/{a}" }]
host_header = "legacy.internal"
encoded = ["slash"]
[[route]]
name = "gone"
hosts = ["app.example.com", "old.example.com"]
path = "/gone"
redirect = { to = "https://www.example.com{path}?{query}", status = 308 }
public = true
[[route]]
name = "wiki"
host = "wiki.example.com"
[listen]
trusted_proxies = ["10.0.0.9/32"]
[[egress]]
name = "data"
host = "data.local"
upstream = ["https://data.example.net/v1"]
credential = "backup"
`

// runExplain returns the exit status and the output of "doorward explain".
func runExplain(t *testing.T, toml, claims string, args ...string) (status int, out, errs string) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "doorward.toml")
	if err := os.WriteFile(path, []byte(toml), 0o600); err != nil {
		t.Fatal(err)
	}
	args = append([]string{"explain", "--config", path}, args...)
	if claims != "" {
		as := filepath.Join(dir, "claims.json")
		if err := os.WriteFile(as, []byte(claims), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--as", as)
	}
	var o, e strings.Builder
	status = run(context.Background(), args, &o, &e)
	if strings.Contains(o.String()+e.String(), explainSecret) {
		t.Errorf("a secret is shown:\n%s%s", o.String(), e.String())
	}
	return status, o.String(), e.String()
}

func TestExplainSaysWhatWouldBecomeOfARequest(t *testing.T) {
	const alice = `{"iss":"https://id.example","sub":"alice","groups":["staff"],"email":"a@b.example","email_verified":true}`
	for name, c := range map[string]struct {
		claims string
		args   []string
		want   string
	}{
		"a person and an exchange": {alice, []string{"https://app.example.com/shop/cart?x=1"}, `GET https://app.example.com/shop/cart?x=1
  route        shop
  caller       alice of https://id.example, a person, e-mail a@b.example, groups staff
  rule         allow[0], require: may pass
  upstream     http://10.0.0.1:3000/base/cart?x=1
  header       X-Forwarded-Email: a@b.example
  header       X-Forwarded-Groups: staff
  header       X-Forwarded-User: alice
  header       X-Token: …
  credential   orders
    1. backup: POST https://id.example/token, client_secret_basic
         grant_type=client_credentials
         scope=data.write
    2. orders: POST https://id.example/token, client_secret_basic
         actor_token=…
         actor_token_type=urn:ietf:params:oauth:token-type:access_token
         audience=orders
         grant_type=urn:ietf:params:oauth:grant-type:token-exchange
         subject_token=…
         subject_token_type=urn:ietf:params:oauth:token-type:access_token
    and it goes upstream as Authorization: Bearer …
`},
		"somebody whom no rule lets in": {`{"sub":"bob"}`, []string{"https://app.example.com/shop"}, `GET https://app.example.com/shop
  route    shop
  caller   bob of https://id.example, a person
  rule     refused: no rule matched: allowed are members of staff
`},
		"a machine": {`{"sub":"m","client_id":"m","groups":["staff"]}`, []string{"https://app.example.com/shop"}, `GET https://app.example.com/shop
  route    shop
  caller   m of https://id.example, a machine, client m, groups staff
  rule     refused: require
`},
		"nobody": {"", []string{"https://app.example.com/shop"}, `GET https://app.example.com/shop
  route    shop
  caller   nobody
  rule     nobody is signed in: a browser is sent to sign in, a program gets 401
`},
		"a public route with a key": {"", []string{"https://app.example.com/open/a"}, `GET https://app.example.com/open/a
  route        open
  caller       nobody
  rule         public: may pass
  upstream     http://10.0.0.2/open/a
  credential   key
    1. key: a fixed secret from the configuration
    and it goes upstream as X-Api-Key: …
`},
		"outbound, by path": {"", []string{"http://127.0.0.1:4182/data/files/1"}, `GET http://127.0.0.1:4182/data/files/1
  route        egress data
  caller       nobody
  rule         any local caller: may pass
  upstream     https://data.example.net/v1/files/1
  credential   backup
    1. backup: POST https://id.example/token, client_secret_basic
         grant_type=client_credentials
         scope=data.write
    and it goes upstream as Authorization: Bearer …
`},
		"outbound, of no target": {"", []string{"http://127.0.0.1:4182/nope/1"}, `GET http://127.0.0.1:4182/nope/1
  answer   no_such_target: No [[egress]] of the configuration stands for this address; nothing was sent.
`},
		"a path that is ambiguous": {alice, []string{"https://app.example.com/shop/..%2fopen"}, `GET https://app.example.com/shop/..%2fopen
  answer   bad_request: The path holds a slash in encoded form (%2f), which servers read differently.
`},
		"a method that no route has, at a host of nobody": {"", []string{"-X", "POST", "https://nope.example/"}, `POST https://nope.example/
  answer   unknown_host: This host is not served here.
`},
		"an encoded slash, by a match, rewritten": {"", []string{"https://app.example.com/made/a%2fb/c?v=2"}, `GET https://app.example.com/made/a%2fb/c?v=2
  route        made
  caller       nobody
  rule         public: may pass
  upstream     http://10.0.0.3/c/a%2fb?v=2
  host         legacy.internal
  credential   none
`},
		"a redirect": {"", []string{"https://app.example.com/gone/x?y"}, `GET https://app.example.com/gone/x?y
  route    gone
  caller   nobody
  rule     public: may pass
  answer   308, to https://www.example.com/gone/x?y
`},
		"a route for forward-auth only": {alice, []string{"https://wiki.example.com/x"}, `GET https://wiki.example.com/x
  route        wiki
  for          other proxies, which ask about it; a request to Doorward itself gets 404 (no_route)
  caller       alice of https://id.example, a person, e-mail a@b.example, groups staff
  rule         signed in: may pass
  header       X-Forwarded-Email: a@b.example
  header       X-Forwarded-Groups: staff
  header       X-Forwarded-User: alice
  credential   none
`},
		"an own endpoint": {"", []string{"https://app.example.com/oauth2/sign_in"}, `GET https://app.example.com/oauth2/sign_in
  route   none: this is an endpoint of Doorward's own
`},
	} {
		t.Run(name, func(t *testing.T) {
			status, out, errs := runExplain(t, explainedTOML, c.claims, c.args...)
			if status != exitOK || out != c.want {
				t.Errorf("status %d\n%s%s\nwant\n%s", status, out, errs, c.want)
			}
		})
	}
}

func TestExplainSaysWhatIsWrongWithWhatItIsAsked(t *testing.T) {
	for name, c := range map[string]struct{ claims, url, says string }{
		"no URL":              {"", "app.example.com", "is not a complete URL"},
		"claims of another":   {`{"iss":"https://evil.example","sub":"a"}`, "https://app.example.com/", `no provider has the issuer "https://evil.example"`},
		"claims without sub":  {`{"groups":[]}`, "https://app.example.com/", "no sub"},
		"claims that are not": {`["a"]`, "https://app.example.com/", "--as"},
	} {
		t.Run(name, func(t *testing.T) {
			status, _, errs := runExplain(t, explainedTOML, c.claims, c.url)
			if status != exitRun || !strings.Contains(errs, c.says) {
				t.Errorf("status %d, %s", status, errs)
			}
		})
	}
}

func TestExplainLiveMakesTheRequestAndShowsWhatTheTokenIsGoodFor(t *testing.T) {
	conf := idptest.Every()
	conf.Clients[0].Secret = explainSecret
	provider := idptest.Start(t, conf)
	toml := fmt.Sprintf("[provider.corp]\nissuer = %q\nclient_id = \"doorward\"\nclient_secret = %q\n"+
		"[credential.backup]\nflow = \"client_credentials\"\naudience = [\"data\"]\n"+
		"[credential.orders]\nflow = \"token_exchange\"\naudience = [\"orders\"]\n"+
		"[[egress]]\nname = \"data\"\nupstream = [\"https://data.example.net\"]\ncredential = \"backup\"\n"+
		"[[egress]]\nname = \"orders\"\nupstream = [\"https://orders.example.net\"]\naccept = [\"bearer\"]\naudience = [\"doorward\"]\ncredential = \"orders\"\n",
		provider.Issuer(), explainSecret)

	before := len(provider.Requests(idp.Token))
	if status, _, errs := runExplain(t, toml, "", "http://127.0.0.1:4182/data/"); status != exitOK {
		t.Fatal(errs)
	}
	if n := len(provider.Requests(idp.Token)); n != before {
		t.Fatal("a token was asked for without --live")
	}

	_, out, errs := runExplain(t, toml, "", "--live", "http://127.0.0.1:4182/data/")
	if !strings.Contains(out, "live: a token of type Bearer came") || !strings.Contains(out, `aud = `) || !strings.Contains(out, "data") {
		t.Errorf("got\n%s%s", out, errs)
	}

	token := provider.MustMint(idp.Mint{Client: "doorward", User: "alice", Audience: []string{"doorward"}})
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, claims := range map[string]string{"as": `{"sub":"8f2c-alice"}`, "of the token": ""} {
		_, out, errs = runExplain(t, toml, claims, "--live", "--subject-token", file, "http://127.0.0.1:4182/orders/")
		if !strings.Contains(out, `sub = "8f2c-alice"`) || !strings.Contains(out, "orders") || strings.Contains(out+errs, token) {
			t.Errorf("claims %s: got\n%s%s", name, out, errs)
		}
	}
}

// liveTOML is a configuration around a provider that is asked.
func liveTOML(t *testing.T) (p *idp.Server, toml string) {
	conf := idptest.Every()
	conf.Clients[0].Secret = explainSecret
	p = idptest.Start(t, conf)
	return p, fmt.Sprintf("[provider.corp]\nissuer = %q\nclient_id = \"doorward\"\nclient_secret = %q\n"+
		"[credential.backup]\nflow = \"client_credentials\"\naudience = [\"data\"]\n"+
		"[credential.orders]\nflow = \"token_exchange\"\naudience = [\"orders\"]\n"+
		"[credential.fixed]\nflow = \"static\"\nheader = \"X-Api-Key\"\ntoken = %q\n"+
		"[[egress]]\nname = \"data\"\nupstream = [\"https://data.example.net\"]\ncredential = \"backup\"\n"+
		"[[egress]]\nname = \"fixed\"\nupstream = [\"https://fixed.example.net\"]\ncredential = \"fixed\"\n"+
		"[[egress]]\nname = \"orders\"\nupstream = [\"https://orders.example.net\"]\naccept = [\"bearer\"]\naudience = [\"doorward\"]\ncredential = \"orders\"\n",
		p.Issuer(), explainSecret, explainSecret)
}

func TestExplainLiveWithoutATokenSaysThatOneIsNeeded(t *testing.T) {
	p, toml := liveTOML(t)
	status, _, errs := runExplain(t, toml, `{"sub":"8f2c-alice"}`, "--live", "http://127.0.0.1:4182/orders/")
	if status != exitRun || !strings.Contains(errs, "--subject-token") || len(p.Requests(idp.Token)) != 0 {
		t.Errorf("status %d, %s", status, errs)
	}
	status, out, errs := runExplain(t, toml, `{"sub":"8f2c-alice"}`, "--live", "http://127.0.0.1:4182/data/")
	if status != exitOK || !strings.Contains(out, "live: a token of type Bearer came") {
		t.Errorf("status %d, %s%s", status, out, errs)
	}
}

func TestExplainRefusesATokenOfAnotherThanTheClaims(t *testing.T) {
	p, toml := liveTOML(t)
	token := p.MustMint(idp.Mint{Client: "doorward", User: "alice", Audience: []string{"doorward"}})
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	status, _, errs := runExplain(t, toml, `{"sub":"77aa-bob"}`, "--live", "--subject-token", file, "http://127.0.0.1:4182/orders/")
	if status != exitRun || !strings.Contains(errs, "--subject-token") || !strings.Contains(errs, `"8f2c-alice"`) || !strings.Contains(errs, `"77aa-bob"`) || strings.Contains(errs, token) {
		t.Errorf("status %d, %s", status, errs)
	}
	if n := len(p.Requests(idp.Token)); n != 0 {
		t.Errorf("the provider was asked %d times", n)
	}
}

func TestExplainLiveNamesTheEndpointThatWasReallyAsked(t *testing.T) {
	p, toml := liveTOML(t)
	_, out, errs := runExplain(t, toml, "", "--live", "http://127.0.0.1:4182/data/")
	if !strings.Contains(out, "1. backup: POST "+p.URL(idp.Token)+", client_secret_basic\n") || strings.Contains(out, "discovery") {
		t.Errorf("got\n%s%s", out, errs)
	}
	_, out, _ = runExplain(t, toml, "", "http://127.0.0.1:4182/data/")
	if !strings.Contains(out, "named by its discovery document") {
		t.Errorf("without --live nobody is asked:\n%s", out)
	}
}

func TestExplainLiveShowsTheRequestThatIsRefusedToo(t *testing.T) {
	_, toml := liveTOML(t)
	toml = strings.Replace(toml, `client_id = "doorward"`, `client_id = "stranger"`, 1)
	status, out, errs := runExplain(t, toml, "", "--live", "http://127.0.0.1:4182/data/")
	if status != exitRun || !strings.Contains(out, "audience=data") || !strings.Contains(errs, "the token was not obtained") {
		t.Errorf("status %d\n%s%s", status, out, errs)
	}
}

func TestExplainLiveSaysOfAFixedSecretThatNobodyIsAsked(t *testing.T) {
	_, toml := liveTOML(t)
	status, out, errs := runExplain(t, toml, "", "--live", "http://127.0.0.1:4182/fixed/")
	if status != exitOK || strings.Contains(out, "of type") || !strings.Contains(out, "live: a fixed secret from the configuration, for which nobody is asked\n") {
		t.Errorf("status %d\n%s%s", status, out, errs)
	}
}
