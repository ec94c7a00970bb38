package config

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"slices"
	"strings"
	"testing"
)

// hub is a provider that is GitHub, with one route.
const hub = `[provider.hub]
issuer = "https://github.com"
client_id = "Iv1.0123456789abcdef"
client_secret = "a-secret-that-nobody-knows"
[[route]]
name = "app"
host = "app.example.com"
upstream = ["http://127.0.0.1:3000"]
allow = [{ groups = ["acme/ops"] }]
`

// google is a provider whose people's tokens may list groups.
const google = `[provider.google]
issuer = "https://accounts.google.com"
client_id = "x"
client_secret = "a-secret-that-nobody-knows"
scopes = ["openid", "email", "https://www.googleapis.com/auth/cloud-identity.groups.readonly"]
groups = { from = "google", nested = true, domains = ["example.com"] }
[[route]]
name = "app"
host = "app.example.com"
upstream = ["http://127.0.0.1:3000"]
allow = [{ groups = ["staff@example.com"] }]
`

func TestWhereGroupsComeFromIsRead(t *testing.T) {
	p := given{toml: google}.mustLoad(t).Providers()[0]
	if g := p.Groups; g.From != "google" || !g.Nested || !slices.Equal(g.Domains, []string{"example.com"}) || g.Keep != nil {
		t.Errorf("%+v", g)
	}
	p = given{toml: with(`groups = { from = "entra", url = "https://graph.microsoft.us", keep = ["a"] }`, "")}.mustLoad(t).Providers()[0]
	if g := p.Groups; g.From != "entra" || g.URL != "https://graph.microsoft.us" || !slices.Equal(g.Keep, []string{"a"}) {
		t.Errorf("%+v", g)
	}
}

func TestGitHubNeedsNothingButAClient(t *testing.T) {
	p := given{toml: hub}.mustLoad(t).Providers()[0]
	if p.Profile != "github" || strings.Join(p.Scopes, " ") != "read:org user:email" {
		t.Errorf("%s %q", p.Profile, p.Scopes)
	}
	c := given{toml: strings.Replace(hub, "[[route]]", "scopes = [\"read:user\"]\n[login.hub]\nflow = \"authorization_code\"\n[[route]]", 1)}.mustLoad(t)
	if p := c.Providers()[0]; strings.Join(p.Scopes, " ") != "read:user" {
		t.Errorf("%q: GitHub has no openid", p.Scopes)
	}
	own := strings.Replace(hub, `issuer = "https://github.com"`, "profile = \"github\"\nissuer = \"https://ghe.example.com\"", 1)
	own = strings.Replace(own, "allow = [{ groups = [\"acme/ops\"] }]\n", "", 1)
	given{toml: own}.mustLoad(t) // not everybody can have an account there
}

func TestWhatLookedUpGroupsCannotBeIsToldWhereItIs(t *testing.T) {
	github := func(lines string) string { return strings.Replace(hub, "[[route]]", lines+"\n[[route]]", 1) }
	for name, b := range map[string]broken{
		"an unknown source":        {with(`groups = { from = "ldap" }`, ""), `"ldap"`, "provider.corp.groups.from"},
		"an unknown key":           {with(`groups = { form = "entra" }`, ""), "form", `did you mean "from"?`},
		"an address by http":       {with(`groups = { from = "entra", url = "http://graph.example.com" }`, ""), `"http://graph`, "must be https"},
		"an address of its own":    {with(`groups = { url = "https://graph.example.com" }`, ""), `"https://graph`, "come from the claims"},
		"keep nothing":             {with(`groups = { from = "entra", keep = [] }`, ""), "keep", "leave keep out"},
		"nested groups of entra":   {with(`groups = { from = "entra", nested = true }`, ""), "true }", "no effect"},
		"two sources":              {with("groups = { from = \"entra\" }\ngroups_claim = \"roles\"", ""), `"entra"`, "groups_claim"},
		"google without its scope": {with(`groups = { from = "google" }`, ""), `"google"`, "cloud-identity.groups.readonly"},
		"an account without admin": {with(`groups = { from = "google", service_account = "{}" }`, ""), "corp]", "groups.admin: missing"},
		"an account that is none":  {with(`groups = { from = "google", service_account = "{}", admin = "a@example.com", domains = ["example.com"] }`, ""), `"{}"`, "no JSON key"},
		"teams of no GitHub":       {with(`groups = { from = "github" }`, ""), `"github"`, "profile"},
		"an unknown profile":       {with(`profile = "gitlab"`, ""), `"gitlab"`, "github"},

		"GitHub without a rule":      {strings.Replace(hub, "allow = [{ groups = [\"acme/ops\"] }]\n", "", 1), "[[route]]", "everybody can have an account"},
		"GitHub by device":           {strings.Replace(github("[login.hub]\nflow = \"device\""), "upstream", "login = [\"hub\"]\nupstream", 1), `"device"`, "authorization_code only"},
		"GitHub with max_age":        {github("[login.hub]\nflow = \"authorization_code\"\nparams = { max_age = \"300\" }"), "max_age", "when and how"},
		"GitHub's scopes in a login": {github("[login.hub]\nflow = \"authorization_code\"\nscopes = [\"openid\"]"), "scopes = [\"openid\"]", "write scopes into [provider.hub]"},
		"bearer tokens of GitHub":    {hub + "accept = [\"session\", \"bearer\"]\naudience = [\"x\"]\nissuers = [\"hub\"]\n", "issuers", "nobody can check them"},
		"GitHub and userinfo":        {github(`userinfo = "always"`), `"always"`, "it has no effect"},
		"GitHub and introspection":   {github(`access_tokens = "jwt"`), `"jwt"`, "it has no effect"},
		"GitHub without a secret":    {strings.Replace(hub, "client_secret = \"a-secret-that-nobody-knows\"\n", "", 1), "[provider.hub]", "client_secret: missing"},
		"GitHub by another spelling": {strings.Replace(hub, `"https://github.com"`, `"https://github.com/"`, 1), `"https://github.com/"`, "to the letter"},
		"GitHub by its metadata":     {strings.Replace(hub, `"https://github.com"`, `"https://github.com/login/oauth"`, 1), `"https://github.com/login/oauth"`, "to the letter"},
		"GitHub as OpenID provider":  {github(`profile = "generic"`), `"https://github.com"`, "does not speak OpenID"},
		"GitHub and Entra":           {github(`groups = { from = "entra" }`), `"entra"`, "cannot be asked"},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "GitHub without a rule" || name == "GitHub without a secret" {
				p := given{toml: b.toml}.refused(t)
				if len(p) != 1 || !strings.Contains(p[0].Text, b.says) {
					t.Errorf("%v", p)
				}
				return
			}
			b.check(t)
		})
	}
}

func TestNamesOfGroupsAreWarnedOf(t *testing.T) {
	entra := strings.Replace(with(`groups = { insecure_names = true }`, ""), "https://sso.example.com", "https://login.microsoftonline.com/72f988bf-86f1-41af-91ab-2d7cd011db47/v2.0", 1)
	if c := (given{toml: entra}).mustLoad(t); !hasWarning(c, "insecure_names", "ids") {
		t.Errorf("%q", c.Warnings())
	}
	if c := (given{toml: with(`groups = { from = "entra" }`, "")}).mustLoad(t); !hasWarning(c, "none of Entra's") || !hasWarning(c, "offline_access", "stay as they were") {
		t.Errorf("%q", c.Warnings())
	}
	if c := (given{toml: google}).mustLoad(t); !hasWarning(c, "access_type", "stay as they were") {
		t.Errorf("%q", c.Warnings())
	}
	offline := strings.Replace(google, "groups = {", "authorization_params = { access_type = \"offline\" }\ngroups = {", 1)
	if c := (given{toml: offline}).mustLoad(t); hasWarning(c, "stay as they were") {
		t.Errorf("%q", c.Warnings())
	}
}

// serviceAccount is a key file as Google makes it.
func serviceAccount(t *testing.T) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": "groups@p.iam.gserviceaccount.com", "private_key_id": "k1",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestBearerTokensAreThoseOfTheProvidersThatCanBeChecked(t *testing.T) {
	c := given{toml: strings.Replace(hub, "[[route]]", second+"[[route]]", 1) + "accept = [\"bearer\"]\naudience = [\"x\"]\n"}.mustLoad(t)
	if got := c.callers[0].Bearer.Issuers; !slices.Equal(got, []string{"second"}) {
		t.Errorf("%q", got)
	}
}
