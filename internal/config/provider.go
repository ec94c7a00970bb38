package config

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/flows"
	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/origin"
)

func providerKeys() *spec {
	return &spec{form: namedTables, keys: map[string]*spec{
		"issuer":        {form: text},
		"client_id":     {form: text},
		"client_secret": {form: secretText},
		"client_auth": {form: word, words: []string{
			"none", "client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth", "assertion_file",
		}},
		"private_key":        {form: secretText},
		"private_key_id":     {form: text},
		"private_key_alg":    {form: text},
		"certificate":        {form: text},
		"certificate_key":    {form: secretText},
		"assertion_file":     {form: text},
		"assertion_audience": {form: word, words: []string{"issuer", "token_endpoint"}},
		"ca_file":            {form: text},

		"scopes":               {form: list},
		"authorization_params": {form: params},
		"userinfo":             {form: word, words: []string{"auto", "always", "never"}},
		"groups_claim":         {form: text},
		"signing_algs":         {form: list},
		"trusted_audiences":    {form: list},
		"clock_skew":           {form: text},

		"callback":      {form: text},
		"callback_host": {form: text},

		"discovery":              {form: boolean},
		"authorization_endpoint": {form: text},
		"token_endpoint":         {form: text},
		"userinfo_endpoint":      {form: text},
		"jwks_uri":               {form: text},
		"end_session_endpoint":   {form: text},
		"revocation_endpoint":    {form: text},

		"device_authorization_endpoint":       {form: text},
		"backchannel_authentication_endpoint": {form: text},

		"insecure_unverified_email": {form: boolean},

		"introspection_endpoint": {form: text},
		"access_tokens":          {form: word, words: []string{"jwt", "introspect"}},
		"signed_introspection":   {form: boolean},
		"audience_claim":         {form: word, words: audienceClaims()},
		"profile":                {form: word, words: []string{"generic", "github"}},
		"groups":                 groupsKeys(),
	}}
}

// readProviders reads each [provider.NAME], in the order of the file.
func (c *composer) readProviders() {
	all := c.root.table("provider")
	if all.node == nil {
		if c.signsIn() {
			c.l.report(place{}, aValue, "provider: there is none; write [provider.NAME] with issuer and client_id: nobody could sign in")
		}
		return
	}
	c.c.callbacks = make(map[string]flows.Callback)
	for _, name := range all.node.keys {
		if all.value(name) == nil {
			continue
		}
		t := all.table(name)
		conf := t.provider(name)
		c.c.providers = append(c.c.providers, conf)
		c.readCallback(t, name)
		t.checkProvider(conf, c.signsIn())
	}
	if c.signsIn() && !slices.ContainsFunc(c.c.providers, func(p provider.Config) bool { return p.ClientID != "" }) && len(c.l.problems) == 0 {
		c.l.blame(all.node, "provider: none has a client_id: nobody could sign in")
	}
}

func (t table) provider(name string) provider.Config {
	return provider.Config{
		Name:                    name,
		Issuer:                  t.text("issuer"),
		Profile:                 t.profile(),
		ClientID:                t.filled("client_id", ""),
		ClientSecret:            t.secret("client_secret"),
		ClientAuth:              t.text("client_auth"),
		PrivateKeyPEM:           t.secret("private_key"),
		PrivateKeyID:            t.text("private_key_id"),
		PrivateKeyAlg:           t.text("private_key_alg"),
		AssertionAudience:       t.textOr("assertion_audience", "issuer"),
		CertificatePEM:          []byte(t.text("certificate")),
		CertificateKeyPEM:       t.secret("certificate_key"),
		AssertionFile:           t.assertionFile(),
		CAPEM:                   t.caFile(),
		Scopes:                  t.providerScopes(),
		Endpoints:               t.endpoints(),
		Discovery:               t.boolean("discovery", true),
		AccessTokens:            t.textOr("access_tokens", "jwt"),
		SignedIntrospection:     t.boolean("signed_introspection", false),
		AudienceClaim:           t.textOr("audience_claim", "aud"),
		SigningAlgs:             t.list("signing_algs"),
		TrustedAudiences:        t.list("trusted_audiences"),
		UserInfo:                t.textOr("userinfo", "auto"),
		GroupsClaim:             t.filled("groups_claim", "groups"),
		Groups:                  t.groups(),
		AuthorizationParams:     t.params("authorization_params"),
		InsecureUnverifiedEmail: t.boolean("insecure_unverified_email", false),
		ClockSkew:               t.duration("clock_skew", time.Minute, time.Second, 5*time.Minute),
	}
}

// checkProvider asks the provider's own constructor, which knows what fits together. Where
// something is wrong already, it gets what it wants instead, so that each problem is told once.
func (t table) checkProvider(conf provider.Config, signsIn bool) {
	if t.value("issuer") == nil && t.given("issuer") {
		conf.Issuer = "https://issuer.invalid"
	}
	if t.value("client_auth") == nil {
		conf.ClientAuth = ""
	}
	for _, key := range []string{"client_id", "client_secret", "private_key", "certificate", "certificate_key", "assertion_file", "ca_file"} {
		if t.given(key) && t.value(key) == nil {
			return // what is to be held against the rest is not known
		}
	}
	warnOfAudienceClaim(t, conf)
	t.checkGitHub(conf)
	t.warnOfGroups(conf)
	if signsIn && !conf.Discovery && conf.ClientID != "" && !t.given("authorization_endpoint") {
		t.wrong("authorization_endpoint", "needed without discovery: people are sent there to sign in")
	}
	_, err := provider.New(conf, provider.Deps{})
	t.foreign(err)
	if placeholder(conf.ClientSecret) {
		t.wrong("client_secret", "this is what an example has in the place of a secret")
	}
	if n := len(conf.ClientSecret.Reveal()); 0 < n && n < 16 {
		t.l.warn("%s: %d characters can be guessed; have the provider make a longer one", join(t.path, "client_secret"), n)
	}
}

func (t table) scopes() []string {
	scopes := t.list("scopes")
	if scopes == nil {
		return []string{"openid", "profile", "email"}
	}
	if !slices.Contains(scopes, "openid") {
		t.wrong("scopes", `without "openid" the provider sends no ID token, and nobody can sign in`)
	}
	return scopes
}

func (t table) endpoints() provider.Endpoints {
	return provider.Endpoints{
		Authorization: t.text("authorization_endpoint"), Token: t.text("token_endpoint"), UserInfo: t.text("userinfo_endpoint"),
		JWKS: t.text("jwks_uri"), EndSession: t.text("end_session_endpoint"), Revocation: t.text("revocation_endpoint"), Introspection: t.text("introspection_endpoint"),
		DeviceAuthorization: t.text("device_authorization_endpoint"), BackchannelAuthentication: t.text("backchannel_authentication_endpoint"),
	}
}

// assertionFile is read anew at each call, so it is not watched, and may be missing now.
func (t table) assertionFile() string {
	if f := t.filled("assertion_file", ""); f != "" {
		return t.l.beside(f)
	}
	return ""
}

func (t table) caFile() []byte {
	path := t.filled("ca_file", "")
	if path == "" {
		return nil
	}
	pem, err := t.l.file(t.l.beside(path), false)
	if err != nil {
		t.wrong("ca_file", "%s", err)
		t.value("ca_file").bad = true
		return nil
	}
	if strings.TrimSpace(pem) == "" {
		t.wrong("ca_file", "%s is empty", path)
	}
	return []byte(pem)
}

// readCallback reads what overrides the redirect URI of a provider.
func (c *composer) readCallback(t table, name string) {
	var over flows.Callback
	if p := t.filled("callback", ""); p != "" {
		if why := checkOwnPath(p); why != "" {
			t.wrong("callback", "%s: %s", t.value("callback").shown(), why)
		} else if over.Path = p; c.paths[p] != "" {
			t.wrong("callback", "%q is the callback of provider %q already; each needs its own, or an answer of one could be taken for another's", p, c.paths[p])
		} else {
			c.paths[p] = name
		}
	}
	if o, ok := t.origin("callback_host"); ok {
		if !o.Secure() && !o.Loopback() {
			t.wrong("callback_host", "%q: a redirect URI is https, or on this machine", o)
		} else if c.addOrigin(t, "callback_host", o) {
			over.Host = o
		}
	}
	if over != (flows.Callback{}) {
		c.c.callbacks[name] = over
	}
}

// openIssuer tells whether everybody who likes can have an account at an issuer, so that "signed
// in" says nothing about who it is.
func openIssuer(issuer string) bool {
	u, err := url.Parse(issuer)
	if err != nil {
		return false
	}
	switch host := strings.ToLower(u.Hostname()); host {
	case "accounts.google.com", "appleid.apple.com", "account.apple.com", "github.com", "gitlab.com", "login.live.com", "www.facebook.com",
		"www.linkedin.com", "id.twitch.tv", "access.line.me", "api.login.yahoo.com", "login.yahoo.co.jp", "discord.com":
		return true
	case "login.microsoftonline.com", "sts.windows.net":
		tenant, _, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
		// The last is the tenant of all personal accounts.
		return slices.Contains([]string{"common", "organizations", "consumers", "9188040d-6c67-4c5b-b112-36a304b66dad"}, tenant)
	}
	return false
}

// addOrigin adds a host under which Doorward is reached.
func (c *composer) addOrigin(t table, key string, o origin.Origin) bool {
	added, err := c.hosts.Add(o)
	if err != nil {
		t.wrong(key, "%s", err)
		return false
	}
	if added {
		c.c.origins = append(c.c.origins, o)
	}
	return true
}
