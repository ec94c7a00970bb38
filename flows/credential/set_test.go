package credential

import (
	"net/url"
	"strings"
	"testing"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/secret"
)

func TestABadCredentialIsRefusedAtTheStart(t *testing.T) {
	w := newWorld(t, nil)
	pw := secret.New("pw")
	with := func(c Config, change func(*Config)) Config { change(&c); return c }
	exchangeOf := func(name, subject string) Config {
		return Config{Name: name, Flow: "token_exchange", Provider: "corp", Audience: []string{"x"}, Subject: subject}
	}
	static := Config{Name: "key", Flow: "static", Token: secret.New("t")}
	robot := Config{Name: "robot", Flow: "password", Provider: "corp", Username: "u", Password: pw}
	obo := Config{Name: "obo", Flow: "jwt_bearer", Provider: "corp", Dialect: "entra_obo", Scopes: []string{"api://x/.default"}}
	signed := Config{Name: "signed", Flow: "assertion", Audience: []string{"x"}}
	for want, c := range map[string][]Config{
		"":                              {backup, orders, static, robot, obo, signed, exchangeOf("chain", "orders"), exchangeOf("own", "signed")},
		"credential.: name":             {with(backup, func(c *Config) { c.Name = "" })},
		"credential.session: name":      {with(backup, func(c *Config) { c.Name = "session" })},
		"credential.backup: name":       {backup, backup},
		"credential.backup: flow":       {with(backup, func(c *Config) { c.Flow = "implicit" })},
		"credential.backup: provider":   {with(backup, func(c *Config) { c.Provider = "" })},
		"no provider \"corpo\"":         {with(backup, func(c *Config) { c.Provider = "corpo" })},
		"no client_id":                  {with(backup, func(c *Config) { c.Provider = "checks" })},
		"credential.key: provider":      {with(static, func(c *Config) { c.Provider = "corp" })},
		"credential.backup: subject":    {with(backup, func(c *Config) { c.Subject = "access_token" })},
		"credential.backup: actor":      {with(backup, func(c *Config) { c.Actor = "backup" })},
		"credential.backup: scopes":     {with(backup, func(c *Config) { c.Scopes = []string{"a b"} })},
		"credential.backup: resource":   {with(backup, func(c *Config) { c.Resource = []string{"data"} })},
		"has a fragment":                {with(backup, func(c *Config) { c.Resource = []string{"https://data.test/#x"} })},
		"credential.backup: audience":   {with(backup, func(c *Config) { c.Audience = []string{""} })},
		"credential.backup: parameters": {with(backup, func(c *Config) { c.Parameters = url.Values{"scope": {"admin"}} })},
		"\"subject_token\" is set":      {with(backup, func(c *Config) { c.Parameters = url.Values{"subject_token": {"x"}} })},
		"needs a target":                {with(orders, func(c *Config) { c.Audience = nil })},
		"requested_token_type":          {with(orders, func(c *Config) { c.RequestedType = "refresh_token" })},
		"credential.orders: subject":    {with(orders, func(c *Config) { c.Subject = "nothing" })},
		"names the credential itself":   {exchangeOf("a", "a")},
		"each the subject of the other": {exchangeOf("a", "b"), exchangeOf("b", "a")},
		"at most two exchanges":         {exchangeOf("a", "b"), exchangeOf("b", "c"), exchangeOf("c", "")},
		"is a chain already":            {exchangeOf("a", "b"), exchangeOf("b", "c"), exchangeOf("c", "a")}, // a circle of three
		"is a fixed secret":             {exchangeOf("a", "key"), static},
		"credential.orders: actor":      {with(orders, func(c *Config) { c.Actor = "robot" }), robot},
		"credential.orders: dialect":    {with(orders, func(c *Config) { c.Dialect = "rfc7523" })},
		"credential.obo: dialect":       {with(obo, func(c *Config) { c.Dialect = "google" })},
		"credential.obo: audience":      {with(obo, func(c *Config) { c.Audience = []string{"x"} })},
		"credential.obo: scopes":        {with(obo, func(c *Config) { c.Scopes = nil })},
		"takes access tokens only":      {with(obo, func(c *Config) { c.Subject = "id_token" })},
		"credential.robot: password":    {with(robot, func(c *Config) { c.Password = secret.String{} })},
		"credential.robot: username":    {with(robot, func(c *Config) { c.Username = "" })},
		"credential.key: password":      {with(static, func(c *Config) { c.Password = pw })},
		"credential.key: token":         {with(static, func(c *Config) { c.Token = secret.String{} })},
		"cannot stand in a header":      {with(static, func(c *Config) { c.Token = secret.New("a\r\nX-Admin: 1") })},
		"token: it holds bytes":         {with(static, func(c *Config) { c.Cookie, c.Token = "c", secret.New("a; admin=1") })},
		"user:password":                 {with(static, func(c *Config) { c.Format = "basic" })},
		"credential.key: format":        {with(static, func(c *Config) { c.Format = "Token" })},
		"with {token} in it, once":      {with(static, func(c *Config) { c.Format = "{token}{token}" })},
		"not into a cookie":             {with(static, func(c *Config) { c.Cookie, c.Format, c.Token = "c", "basic", secret.New("a:b") })},
		"credential.key: header":        {with(static, func(c *Config) { c.Header = "Cookie" })},
		"no token can go into \"Host\"": {with(static, func(c *Config) { c.Header = "Host" })},
		"into \"X_Key\"":                {with(static, func(c *Config) { c.Header = "X_Key" })},
		"into \"X-Forwarded-User\"":     {with(static, func(c *Config) { c.Header = "X-Forwarded-User" })},
		"either into a header":          {with(static, func(c *Config) { c.Header, c.Cookie = "X-Key", "c" })},
		"credential.key: cookie":        {with(static, func(c *Config) { c.Cookie = "a b" })},
		"credential.signed: audience":   {with(signed, func(c *Config) { c.Audience = nil })},
	} {
		s, err := New(c, Deps{Providers: map[string]*provider.Client{"corp": w.client, "checks": checks(t), "nil": nil}, Ring: w.ring, Issuer: "https://app.test"})
		switch {
		case want == "" && err != nil:
			t.Errorf("a good configuration: %v", err)
		case want != "" && (err == nil || s != nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "credential.")):
			t.Errorf("%s: %v", want, err)
		}
		if err != nil && (strings.Contains(err.Error(), "X-Admin") || strings.Contains(err.Error(), "admin=1")) {
			t.Errorf("a secret is in the error: %v", err)
		}
		if s != nil {
			s.Close()
		}
	}
	if n := w.granted(); n != 0 {
		t.Error("New has asked the provider")
	}
	if _, err := New([]Config{backup}, Deps{Providers: map[string]*provider.Client{"corp": w.client}, Shared: w.shared}); err == nil {
		t.Error("tokens would lie in the store in the clear")
	}
}

func checks(t testing.TB) *provider.Client {
	t.Helper()
	return must(provider.New(provider.Config{Name: "checks", Issuer: "https://checks.test", Discovery: true}, provider.Deps{}))(t)
}

func TestP141OnlyConfiguredTargetsExist(t *testing.T) {
	p := &stub{}
	write := Config{Name: "write", Flow: "client_credentials", Provider: "corp", Scopes: []string{"data.write", "data.read"}, Resource: []string{"https://data.test"}}
	set := over(t, p, nil, backup, write, orders, Config{Name: "twin", Flow: "client_credentials", Provider: "corp", Audience: []string{"twice"}},
		Config{Name: "twin2", Flow: "client_credentials", Provider: "corp", Audience: []string{"twice"}}, Config{Name: "signed", Flow: "assertion", Audience: []string{"legacy"}},
		Config{Name: "of-backup", Flow: "token_exchange", Provider: "corp", Audience: []string{"deep"}, Subject: "backup"})
	for _, c := range []struct {
		provider, target string
		person           bool
		want             string
	}{
		{"corp", "data", false, "backup"},
		{"corp", "backup", false, "backup"},
		{"corp", "data.write", false, "write"},
		{"corp", "data.write data.read", false, "write"},
		{"corp", "https://data.test", false, "write"},
		{"corp", "orders", true, "orders"},
		{"corp", "orders", false, ""},
		{"corp", "data", true, ""},
		{"corp", "twice", false, ""},
		{"corp", "twin", false, "twin"},
		{"corp", "deep", true, ""}, // trades no person's token
		{"corp", "legacy", false, ""},
		{"corp", "", false, ""},
		{"", "data", false, ""},
		{"other", "data", false, ""},
		{"corp", "admin", false, ""},
		{"corp", "data.write admin", false, ""},
	} {
		got := ""
		if s := set.ByTarget(c.provider, c.target, c.person); s != nil {
			got = s.Name()
		}
		if got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
	if n := p.asked.Load(); n != 0 {
		t.Error("to look for a target has asked the provider")
	}
}

func TestStepsTellWhatWouldBeSentAndSendNothing(t *testing.T) {
	w := newWorld(t, nil)
	chained := Config{Name: "outer", Flow: "token_exchange", Provider: "corp", Audience: []string{"archive"}, Subject: "orders", Actor: "backup", Header: "X-Token"}
	byPassword := Config{Name: "robot", Flow: "password", Provider: "corp", Username: "bob", Password: secret.New("c4nary"), Format: "basic"}
	set := w.alone(orders, backup, chained, byPassword, Config{Name: "signed", Flow: "assertion", Audience: []string{"https://legacy.internal"}}, Config{Name: "key", Flow: "static", Token: secret.New("c4nary")})
	alice := &identity.Identity{Issuer: corp, Subject: "alice", Provider: "corp"} // from claims alone: no tokens
	steps, where, err := set.Source("outer").Steps(alice)
	if err != nil || len(steps) != 3 || where != "X-Token: …" {
		t.Fatalf("%d steps, %q, %v", len(steps), where, err)
	}
	for i, want := range []struct{ name, grant, audience string }{
		{"orders", provider.GrantTokenExchange, "orders"}, {"backup", "client_credentials", "data"}, {"outer", provider.GrantTokenExchange, "archive"},
	} {
		s := steps[i]
		if s.Credential != want.name || s.Provider != "corp" || s.Request.Form.Get("grant_type") != want.grant || s.Request.Form.Get("audience") != want.audience {
			t.Errorf("%+v", s)
		}
	}
	if f := steps[2].Request.Form; f.Get("subject_token") != "…" || f.Get("actor_token") != "…" || f.Get("actor_token_type") != provider.TypeAccessToken {
		t.Errorf("%v", f)
	}
	var text strings.Builder
	for _, name := range []string{"robot", "signed", "key"} {
		steps, where, err := set.Source(name).Steps(nil)
		if err != nil || len(steps) != 1 {
			t.Fatal(name, err)
		}
		text.WriteString(where + " " + steps[0].Note + "\n")
		if r := steps[0].Request; r != nil {
			text.WriteString(r.Form.Encode())
		}
	}
	if strings.Contains(text.String(), "c4nary") || !strings.Contains(text.String(), "https://legacy.internal") || !strings.Contains(text.String(), "Authorization: Basic …") {
		t.Errorf("%s", text.String())
	}
	if _, _, err := set.Source("orders").Steps(nil); err == nil {
		t.Error("steps for nobody")
	}
	if _, _, err := set.Source("orders").Steps(&identity.Identity{Issuer: "https://other.test"}); err == nil {
		t.Error("steps for somebody of another provider")
	}
	if n := len(w.idp.Requests()); n != 0 {
		t.Errorf("%d requests were made", n)
	}
}
