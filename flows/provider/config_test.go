package provider_test

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/secret"
)

// TestBadConfigurations: each row is one mistake, and the words that must name it.
func TestBadConfigurations(t *testing.T) {
	weak := must(rsa.GenerateKey(rand.Reader, 1024))
	p224 := must(ecdsa.GenerateKey(elliptic.P224(), rand.Reader))
	chain, key := certificateFor(t, newKey(), nil)
	pemOf := func(kind, content string) secret.String {
		return secret.New(string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: []byte(content)})))
	}
	private := func(key secret.String) func(*provider.Config) {
		return func(c *provider.Config) { c.ClientSecret, c.PrivateKeyPEM = secret.String{}, key }
	}
	for name, row := range map[string]struct {
		change func(*provider.Config)
		text   string
	}{
		"no issuer":                          {func(c *provider.Config) { c.Issuer = "" }, "issuer: missing"},
		"issuer without a scheme":            {func(c *provider.Config) { c.Issuer = "sso.example.com" }, "issuer: "},
		"P109 issuer in plain http":          {func(c *provider.Config) { c.Issuer = "http://sso.example.com" }, "http is for loopback only"},
		"issuer with a query":                {func(c *provider.Config) { c.Issuer += "?a=b" }, "it has no query"},
		"issuer with an empty query":         {func(c *provider.Config) { c.Issuer += "?" }, "it has no query"},
		"issuer with a fragment":             {func(c *provider.Config) { c.Issuer += "#a" }, "has a fragment"},
		"issuer with a user":                 {func(c *provider.Config) { c.Issuer = "https://canary:pw@sso.example.com" }, "holds a user name"},
		"issuer is the document":             {func(c *provider.Config) { c.Issuer += "/.well-known/openid-configuration" }, "without /.well-known/"},
		"P109 an endpoint in plain http":     {func(c *provider.Config) { c.Endpoints.Token = "http://sso.example.com/t" }, "token_endpoint: "},
		"P109 a browser's endpoint":          {func(c *provider.Config) { c.Endpoints.Authorization = "javascript:alert(1)" }, "authorization_endpoint: "},
		"DIS-7 no discovery and no keys":     {func(c *provider.Config) { c.Discovery, c.Endpoints.Token = false, "https://x.example/t" }, "jwks_uri: needed without discovery"},
		"DIS-7 no discovery, no token":       {func(c *provider.Config) { c.Discovery, c.Endpoints.JWKS = false, "https://x.example/k" }, "token_endpoint: needed without discovery"},
		"userinfo":                           {func(c *provider.Config) { c.UserInfo = "sometimes" }, "userinfo: "},
		"access_tokens":                      {func(c *provider.Config) { c.AccessTokens = "opaque" }, "access_tokens: "},
		"assertion_audience":                 {func(c *provider.Config) { c.AssertionAudience = "x" }, "assertion_audience: "},
		"clock_skew negative":                {func(c *provider.Config) { c.ClockSkew = -time.Second }, "clock_skew: "},
		"clock_skew of an hour":              {func(c *provider.Config) { c.ClockSkew = time.Hour }, "clock_skew: "},
		"JWK-4 alg none":                     {func(c *provider.Config) { c.SigningAlgs = []string{"none"} }, "signing_algs: "},
		"JWK-4 HS256 with a short secret":    {func(c *provider.Config) { c.SigningAlgs, c.ClientSecret = []string{"HS256"}, secret.New("canary") }, "at least 32 bytes"},
		"JWK-4 HS512":                        {func(c *provider.Config) { c.SigningAlgs = []string{"HS512"} }, "signing_algs: "},
		"AUT-9 a parameter of ours":          {func(c *provider.Config) { c.AuthorizationParams = url.Values{"redirect_uri": {"x"}} }, `authorization_params: "redirect_uri"`},
		"an unknown method":                  {func(c *provider.Config) { c.ClientAuth = "magic" }, "client_auth: "},
		"CA-7 none with a secret":            {func(c *provider.Config) { c.ClientAuth = "none" }, "drop one of them"},
		"CA-1 basic without a secret":        {func(c *provider.Config) { c.ClientAuth, c.ClientSecret = "client_secret_basic", secret.String{} }, "needs a client_secret"},
		"CA-2 post without a secret":         {func(c *provider.Config) { c.ClientAuth, c.ClientSecret = "client_secret_post", secret.String{} }, "needs a client_secret"},
		"CA-3 secret_jwt with a short one":   {func(c *provider.Config) { c.ClientAuth, c.ClientSecret = "client_secret_jwt", secret.New("canary") }, "at least 32 bytes"},
		"CA-3 private_key_jwt without a key": {func(c *provider.Config) { c.ClientAuth = "private_key_jwt" }, "needs a private_key"},
		"CA-6 no certificate":                {func(c *provider.Config) { c.ClientAuth = "tls_client_auth" }, "needs a certificate and its key"},
		"CA-10 no file":                      {func(c *provider.Config) { c.ClientAuth = "assertion_file" }, "needs the path of the file"},
		"no client_id":                       {func(c *provider.Config) { c.ClientID = "" }, "client_id: missing"},
		"CA-8 an old secret alone":           {func(c *provider.Config) { c.ClientSecret, c.PreviousSecret = secret.String{}, secret.New("canary") }, "previous_secret: "},
		"CA-5 the key is no PEM":             {private(secret.New("canary")), "private_key: no key in PEM"},
		"CA-5 the key is a public one":       {private(pemOf("PUBLIC KEY", "canary")), `private_key: "PUBLIC KEY" is no private key`},
		"CA-5 the key is encrypted":          {private(pemOf("ENCRYPTED PRIVATE KEY", "canary")), "it is encrypted"},
		"CA-5 PKCS #8 that is broken":        {private(pemOf("PRIVATE KEY", "canary")), "private_key: it cannot be read"},
		"CA-5 PKCS #1 that is broken":        {private(pemOf("RSA PRIVATE KEY", "canary")), "private_key: it cannot be read"},
		"CA-5 SEC 1 that is broken":          {private(pemOf("EC PRIVATE KEY", "canary")), "private_key: it cannot be read"},
		"CA-5 RSA of 1024 bits":              {private(pkcs8(weak)), "at least 2048"},
		"CA-5 P-224":                         {private(pkcs8(p224)), "its curve"},
		"CA-5 a key that cannot sign":        {private(pkcs8(must(ecdh.X25519().GenerateKey(rand.Reader)))), "cannot sign here"},
		"CA-5 an algorithm of another key": {func(c *provider.Config) {
			private(pkcs8(newKey()))(c)
			c.PrivateKeyAlg = "RS256"
		}, "private_key_alg: this key signs with ES256"},
		"ca_file":                    {func(c *provider.Config) { c.CAPEM = []byte("canary") }, "ca_file: no certificate in PEM"},
		"certificate is no PEM":      {func(c *provider.Config) { c.CertificatePEM = []byte("canary") }, "certificate: "},
		"certificate is broken":      {func(c *provider.Config) { c.CertificatePEM = []byte(pemOf("CERTIFICATE", "canary").Reveal()) }, "certificate: "},
		"certificate of another key": {func(c *provider.Config) { c.CertificatePEM, c.CertificateKeyPEM = chain, pkcs8(newKey()) }, "do not belong together"},
		"key without a certificate":  {func(c *provider.Config) { c.CertificateKeyPEM = key }, "certificate: "},
	} {
		t.Run(name, func(t *testing.T) {
			c := provider.Config{Name: "corp", Issuer: "https://sso.example.com/realms/main", ClientID: clientID, ClientSecret: secret.New(longSecret), Discovery: true}
			row.change(&c)
			client, err := provider.New(c, provider.Deps{})
			if err == nil || client != nil || !strings.Contains(err.Error(), row.text) {
				t.Fatalf("%v; want something of %q", err, row.text)
			}
			if containsCanary(err.Error()) {
				t.Errorf("S10: %v", err)
			}
		})
	}
	_, err := provider.New(provider.Config{ClockSkew: time.Hour, UserInfo: "x"}, provider.Deps{})
	for _, key := range []string{"issuer:", "clock_skew:", "userinfo:"} {
		if !strings.Contains(err.Error(), key) {
			t.Errorf("all mistakes are told at once: %v", err)
		}
	}
}

func TestGoodConfigurations(t *testing.T) {
	ec := secret.New(string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: must(x509.MarshalECPrivateKey(newKey()))})))
	for name, change := range map[string]func(*provider.Config){
		"five lines protect an app":         func(*provider.Config) {},
		"a public client":                   func(c *provider.Config) { c.ClientSecret = secret.String{} },
		"bearer tokens alone":               func(c *provider.Config) { c.ClientID, c.ClientSecret = "", secret.String{} },
		"a key in SEC 1":                    func(c *provider.Config) { c.ClientSecret, c.PrivateKeyPEM = secret.String{}, ec },
		"a key in PKCS #1":                  func(c *provider.Config) { c.ClientSecret, c.PrivateKeyPEM = secret.String{}, pkcs1() },
		"http on loopback, for development": func(c *provider.Config) { c.Issuer = "http://localhost:8080/realms/main" },
		"introspection needs no keys": func(c *provider.Config) {
			c.Discovery, c.AccessTokens = false, "introspect"
			c.Endpoints = provider.Endpoints{Token: "https://x.example/t", Introspection: "https://x.example/i"}
		},
		"an endpoint in the inner network": func(c *provider.Config) { c.Endpoints.Token = "https://10.0.0.5/token" },
	} {
		c := provider.Config{Name: "corp", Issuer: "https://sso.example.com/realms/main", ClientID: clientID, ClientSecret: secret.New("x"), Discovery: true}
		change(&c)
		client, err := provider.New(c, provider.Deps{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		client.Close()
	}
}
