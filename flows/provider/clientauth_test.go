package provider_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // x5t is SHA-1 by definition
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/demo/idp/idptest"
	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/secret"
)

const longSecret = "a s3cret: +%/ü& of more than 32 bytes"

// TestClientAuthentication: each row is a registration at an independent provider, which
// accepts one method and no other, and a configuration that must fit it.
func TestClientAuthentication(t *testing.T) {
	p384, p521 := must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)), must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader))
	p256 := newKey()
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	withKey := func(key crypto.Signer) func(*provider.Config) {
		return func(c *provider.Config) { c.ClientSecret, c.PrivateKeyPEM = secret.String{}, pkcs8(key) }
	}
	for name, row := range map[string]struct {
		client idp.Client
		conf   func(*provider.Config)
		method string
		strict bool
	}{
		"CA-1 DIS-6 basic, as nothing else is said": {idp.Client{Secret: longSecret}, func(*provider.Config) {}, "client_secret_basic", false},
		"CA-1 basic":                         {idp.Client{Secret: longSecret}, func(c *provider.Config) { c.ClientAuth = "client_secret_basic" }, "client_secret_basic", false},
		"CA-2 post":                          {idp.Client{Secret: longSecret, AuthMethod: "client_secret_post"}, func(c *provider.Config) { c.ClientAuth = "client_secret_post" }, "client_secret_post", false},
		"CA-3 secret_jwt":                    {idp.Client{Secret: longSecret, AuthMethod: "client_secret_jwt"}, func(c *provider.Config) { c.ClientAuth = "client_secret_jwt" }, "client_secret_jwt", true},
		"CA-3 CA-5 private_key_jwt, P-256":   {idp.Client{AuthMethod: "private_key_jwt", PublicKeys: []crypto.PublicKey{p256.Public()}}, withKey(p256), "private_key_jwt", true},
		"CA-3 CA-5 private_key_jwt, P-384":   {idp.Client{AuthMethod: "private_key_jwt", PublicKeys: []crypto.PublicKey{p384.Public()}}, withKey(p384), "private_key_jwt", true},
		"CA-3 CA-5 private_key_jwt, Ed25519": {idp.Client{AuthMethod: "private_key_jwt", PublicKeys: []crypto.PublicKey{ed.Public()}}, withKey(ed), "private_key_jwt", true},
		"CA-3 CA-5 private_key_jwt, RSA":     {idp.Client{AuthMethod: "private_key_jwt", PublicKeys: []crypto.PublicKey{rsaKey().Public()}}, withKey(rsaKey()), "private_key_jwt", true},
		"CA-4 the token endpoint as audience": {idp.Client{AuthMethod: "private_key_jwt", PublicKeys: []crypto.PublicKey{p256.Public()}}, func(c *provider.Config) {
			withKey(p256)(c)
			c.AssertionAudience = "token_endpoint"
		}, "private_key_jwt", false},
		"CA-7 none": {idp.Client{}, func(c *provider.Config) { c.ClientSecret = secret.String{} }, "none", false},
	} {
		t.Run(name, func(t *testing.T) {
			row.client.ID = "a client: +%/ü" // CA-1: encoded like the secret
			server := idptest.Start(t, idp.Config{SigningAlgs: []string{"ES256"}, Clients: []idp.Client{row.client}, StrictAssertionAudience: row.strict, Paths: idp.RandomPaths()})
			settings := provider.Config{Name: "corp", Issuer: server.Issuer(), ClientID: row.client.ID, ClientSecret: secret.New(longSecret), Discovery: true}
			row.conf(&settings)
			c := must(provider.New(settings, provider.Deps{}))
			defer c.Close()
			for range 2 { // an assertion that is used twice would be refused (jti)
				_, err := c.Grant(t.Context(), codeForm())
				wants(t, err, provider.Refused, "invalid_grant") // the client is known; only the code is not
			}
			if err := c.Revoke(t.Context(), secret.New("nothing"), "refresh_token"); err != nil {
				t.Errorf("CA-9: %v", err)
			}
			seen := server.Requests(idp.Token, idp.Revoke)
			if len(seen) != 3 {
				t.Fatalf("P111: %d requests", len(seen))
			}
			for _, q := range seen {
				if q.ClientAuth != row.method || q.ClientID != row.client.ID || len(q.Query) != 0 {
					t.Errorf("TOK-2 %s: %q of %q %v", q.Endpoint, q.ClientAuth, q.ClientID, q.Query)
				}
				if row.method == "none" && q.Header["Authorization"] != nil {
					t.Error("CA-7: an empty Basic header")
				}
			}
		})
	}
	t.Run("CA-5 P-521 and its place in the assertion", func(t *testing.T) {
		header, claims := assertionOf(t, withKey(p521))
		if header["alg"] != "ES512" || claims["sub"] != clientID {
			t.Errorf("%v %v", header, claims)
		}
	})
}

// assertionOf returns what a client sends as its assertion.
func assertionOf(t *testing.T, change func(*provider.Config)) (header, claims map[string]any) {
	t.Helper()
	r := newRogue(t)
	r.set("token_endpoint_auth_signing_alg_values_supported", []string{"ES512", "PS256", "ES256"})
	r.on("/token", answerJSON(200, tokens))
	if _, err := r.client(conf(change)).Grant(t.Context(), codeForm()); err != nil {
		t.Fatal(err)
	}
	form := r.seen("/token")[0].PostForm
	if form.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" || form.Get("client_id") != clientID || form.Has("client_secret") {
		t.Errorf("%v", form)
	}
	return opened(t, form.Get("client_assertion"))
}

func opened(t *testing.T, token string) (header, claims map[string]any) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("%d parts", len(parts))
	}
	for i, to := range []*map[string]any{&header, &claims} {
		if err := json.Unmarshal(must(base64.RawURLEncoding.DecodeString(parts[i])), to); err != nil {
			t.Fatal(err)
		}
	}
	return header, claims
}

func TestCA3TheAssertion(t *testing.T) {
	key := newKey()
	chain, _ := certificateFor(t, key, nil)
	leaf := must(x509.ParseCertificate(decoded(chain)))
	one, two := sha1.Sum(leaf.Raw), sha256.Sum256(leaf.Raw) //nolint:gosec // see the import
	header, claims := assertionOf(t, func(c *provider.Config) {
		c.ClientSecret, c.PrivateKeyPEM, c.PrivateKeyID, c.CertificatePEM = secret.String{}, pkcs8(key), "my-key", chain
	})
	if header["alg"] != "ES256" || header["kid"] != "my-key" || header["typ"] != "JWT" || header["x5t"] != b64(one[:]) || header["x5t#S256"] != b64(two[:]) {
		t.Errorf("CA-5: %v", header)
	}
	iat, exp := claims["iat"].(float64), claims["exp"].(float64)
	if claims["iss"] != clientID || claims["sub"] != clientID || exp-iat != 60 || len(claims["jti"].(string)) < 22 || len(claims) != 6 {
		t.Errorf("%v", claims)
	}
	if aud, ok := claims["aud"].(string); !ok || !strings.HasPrefix(aud, "http://127.0.0.1:") || strings.HasSuffix(aud, "/token") {
		t.Errorf("CA-4: aud is the issuer, one string: %v", claims["aud"])
	}
	header, _ = assertionOf(t, func(c *provider.Config) { c.ClientSecret, c.PrivateKeyPEM = secret.String{}, pkcs8(key) })
	if thumb := must((&jose.JSONWebKey{Key: key.Public()}).Thumbprint(crypto.SHA256)); header["kid"] != b64(thumb) || header["x5t"] != nil {
		t.Errorf("CA-5: without a name, the key's is its thumbprint: %v", header)
	}
	for alg, want := range map[string]string{"": "PS256", "RS512": "RS512"} { // announced, or as configured
		header, _ = assertionOf(t, func(c *provider.Config) {
			c.ClientSecret, c.PrivateKeyPEM, c.PrivateKeyAlg = secret.String{}, pkcs1(), alg
		})
		if header["alg"] != want {
			t.Errorf("CA-5: %q: %v", alg, header)
		}
	}
	header, _ = assertionOf(t, func(c *provider.Config) { c.ClientAuth = "client_secret_jwt" })
	if header["alg"] != "HS256" || header["kid"] != nil {
		t.Errorf("%v", header)
	}
}

// TestDIS6TheMethodComesFromDiscovery: it is decided beforehand, never found out by trying.
func TestDIS6TheMethodComesFromDiscovery(t *testing.T) {
	for name, row := range map[string]struct {
		announced any
		secret    string
		want      string
	}{
		"nothing":                            {nil, longSecret, "Basic"},
		"basic among others":                 {[]string{"client_secret_post", "client_secret_basic"}, longSecret, "Basic"},
		"post":                               {[]string{"private_key_jwt", "client_secret_post"}, longSecret, "client_secret"},
		"secret_jwt":                         {[]string{"client_secret_jwt"}, longSecret, "client_assertion"},
		"secret_jwt, but the secret is weak": {[]string{"client_secret_jwt"}, "short", "Basic"},
		"nothing that we could do":           {[]string{"tls_client_auth"}, longSecret, "Basic"},
	} {
		t.Run("DIS-6 P111 "+name, func(t *testing.T) {
			r := newRogue(t)
			r.set("token_endpoint_auth_methods_supported", row.announced)
			r.on("/token", answerJSON(401, `{"error":"invalid_client"}`))
			_, err := r.client(conf(func(c *provider.Config) { c.ClientSecret = secret.New(row.secret) })).Grant(t.Context(), codeForm())
			wants(t, err, provider.Misconfigured, "invalid_client")
			if r.count("/token") != 1 {
				t.Fatalf("%d requests", r.count("/token"))
			}
			q := r.seen("/token")[0]
			var used []string
			if strings.HasPrefix(q.Header.Get("Authorization"), "Basic ") {
				used = append(used, "Basic")
			}
			for _, name := range []string{"client_secret", "client_assertion"} {
				if q.PostForm.Has(name) {
					used = append(used, name)
				}
			}
			if !slices.Equal(used, []string{row.want}) {
				t.Errorf("TOK-2: %v, want %s alone", used, row.want)
			}
		})
	}
}

func TestCA8ANewSecretFallsBackToTheOldOnce(t *testing.T) {
	register := func(t *testing.T, method, registered string, confidential func(*provider.Config)) (*idp.Server, *provider.Client, *lines) {
		server := idptest.Start(t, idp.Config{SigningAlgs: []string{"ES256"}, Clients: []idp.Client{{ID: clientID, Secret: registered, AuthMethod: method}}})
		settings := provider.Config{
			Name: "corp", Issuer: server.Issuer(), ClientID: clientID, Discovery: true, ClientAuth: method,
			ClientSecret: secret.New("the new secret, of 32 bytes and more"), PreviousSecret: secret.New("the old secret, of 32 bytes and more"),
		}
		if confidential != nil {
			confidential(&settings)
		}
		var log lines
		c := must(provider.New(settings, provider.Deps{Log: log.logger()}))
		t.Cleanup(c.Close)
		return server, c, &log
	}
	for _, method := range []string{"client_secret_basic", "client_secret_post", "client_secret_jwt"} {
		t.Run("CA-8 "+method, func(t *testing.T) {
			server, c, log := register(t, method, "the old secret, of 32 bytes and more", nil)
			_, err := c.Grant(t.Context(), codeForm())
			wants(t, err, provider.Refused, "invalid_grant")
			if n := server.Count(idp.Token); n != 2 {
				t.Errorf("%d requests", n)
			}
			if !strings.Contains(log.String(), "previous client secret") || strings.Contains(log.String(), "32 bytes") {
				t.Errorf("%s", log)
			}
			if err := c.Revoke(t.Context(), secret.New("x"), ""); err != nil {
				t.Errorf("CA-9: %v", err)
			}

			server, c, _ = register(t, method, "the new secret, of 32 bytes and more", nil)
			_, err = c.Grant(t.Context(), codeForm())
			wants(t, err, provider.Refused, "invalid_grant")
			if n := server.Count(idp.Token); n != 1 {
				t.Errorf("the provider knows the new one, yet there were %d requests", n)
			}

			server, c, _ = register(t, method, "neither of the two, with 32 bytes too", nil)
			_, err = c.Grant(t.Context(), codeForm())
			wants(t, err, provider.Misconfigured, "invalid_client")
			if n := server.Count(idp.Token); n != 2 {
				t.Errorf("TOK-6: %d requests", n)
			}
		})
	}
	t.Run("P111 a method without a secret is not tried twice", func(t *testing.T) {
		key := newKey()
		server, c, _ := register(t, "client_secret_basic", "x", func(s *provider.Config) { s.ClientAuth, s.PrivateKeyPEM = "private_key_jwt", pkcs8(key) })
		_, err := c.Grant(t.Context(), codeForm())
		wants(t, err, provider.Misconfigured, "invalid_client")
		if n := server.Count(idp.Token); n != 1 {
			t.Errorf("%d requests", n)
		}
	})
	t.Run("TOK-7 nothing but invalid_client has it tried again", func(t *testing.T) {
		r := newRogue(t)
		c := r.client(conf(func(c *provider.Config) { c.PreviousSecret = secret.New("the old one") }))
		for _, answer := range []http.HandlerFunc{
			answerJSON(400, `{"error":"invalid_grant"}`), answerJSON(500, `{"error":"invalid_client"}`), answerJSON(401, `invalid_client`), answerJSON(200, tokens),
			func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401); _, _ = w.Write([]byte("<html>")) }, cut,
		} {
			before := r.count("/token")
			r.on("/token", answer)
			_, _ = c.Grant(t.Context(), codeForm())
			if n := r.count("/token") - before; n != 1 {
				t.Errorf("%d requests", n)
			}
		}
	})
}

func TestCA10TheAssertionFileIsReadAtEachCall(t *testing.T) {
	r := newRogue(t)
	r.on("/token", answerJSON(200, tokens))
	file := filepath.Join(t.TempDir(), "token")
	c := r.client(conf(func(c *provider.Config) { c.ClientSecret, c.AssertionFile = secret.String{}, file }))
	_, err := c.Grant(t.Context(), codeForm())
	if e := wants(t, err, provider.Misconfigured, "assertion_unreadable"); !strings.Contains(e.Error(), file) {
		t.Errorf("which file? %v", e)
	}
	for _, content := range []string{"e30.first.sig", "e30.second.sig\n"} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Grant(t.Context(), codeForm()); err != nil {
			t.Fatal(err)
		}
		seen := r.seen("/token")
		form := seen[len(seen)-1].PostForm
		if form.Get("client_assertion") != strings.TrimSpace(content) || form.Get("client_id") != clientID || form.Get("client_assertion_type") == "" {
			t.Errorf("%v", form)
		}
	}
	before := r.count("/token")
	for name, content := range map[string]string{"empty": "", "no JWT": "secret-canary", "a line break inside": "a.b\n.c", "too large": "a.b." + long(65<<10)} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := c.Grant(t.Context(), codeForm())
		if e := wants(t, err, provider.Misconfigured, "assertion_unreadable"); strings.Contains(e.Error(), "canary") {
			t.Errorf("%s: S10: %v", name, e)
		}
	}
	if r.count("/token") != before {
		t.Error("a request went out without its assertion")
	}
}

// TestCA6MutualTLS: a provider that knows its client by a certificate of the connection
// (RFC 8705), at the alias and not at the ordinary endpoint.
func TestCA6MutualTLS(t *testing.T) {
	ca := newAuthority(t)
	clientKey := newKey()
	chain, keyPEM := certificateFor(t, clientKey, ca)
	r := newRogue(t)
	strict := serveTLS(t, ca, true, http.HandlerFunc(r.serve))
	plain := serveTLS(t, ca, false, http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) {
		t.Errorf("the ordinary endpoint was asked: %s", q.URL.Path)
	}))
	var names []string
	answer := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, q *http.Request) {
			names = append(names, q.TLS.PeerCertificates[0].Subject.CommonName)
			answerJSON(200, body)(w, q)
		}
	}
	r.on("/token", answer(tokens))
	r.on("/revoke", answer(""))
	r.on("/userinfo", answer(`{"sub":"alice","email":"a@b.c"}`))
	for _, name := range []string{"token_endpoint", "revocation_endpoint", "userinfo_endpoint"} {
		r.set(name, plain+"/never")
	}
	r.set("mtls_endpoint_aliases", map[string]any{"token_endpoint": strict + "/token", "revocation_endpoint": strict + "/revoke", "userinfo_endpoint": strict + "/userinfo"})
	for _, method := range []string{"tls_client_auth", "self_signed_tls_client_auth", ""} {
		names = nil
		c := r.client(conf(func(c *provider.Config) {
			c.ClientSecret, c.ClientAuth, c.CertificatePEM, c.CertificateKeyPEM, c.CAPEM = secret.String{}, method, chain, keyPEM, ca.pem
			c.UserInfo = "always"
		}))
		if _, err := c.Grant(t.Context(), codeForm()); err != nil {
			t.Fatal(err)
		}
		if err := c.Revoke(t.Context(), secret.New("R"), ""); err != nil {
			t.Errorf("MT-1: %v", err)
		}
		if who, err := c.Identify(t.Context(), response(r.idToken(nil)), ordinary); err != nil || who.Email != "a@b.c" {
			t.Errorf("RFC 8705 §5: userinfo at the alias: %v %v", who, err)
		}
		if !slices.Equal(names, []string{"doorward", "doorward", "doorward"}) {
			t.Errorf("%v", names)
		}
		seen := r.seen("/token")
		if q := seen[len(seen)-1]; q.PostForm.Get("client_id") != clientID || q.PostForm.Has("client_secret") || q.PostForm.Has("client_assertion") || q.Header["Authorization"] != nil {
			t.Errorf("TOK-2: %v %v", q.PostForm, q.Header)
		}
	}
	// Without the certificate the same endpoint gives nothing, and an override is taken as it is.
	c := r.client(conf(func(c *provider.Config) { c.CAPEM, c.Endpoints.Token = ca.pem, strict+"/token" }))
	_, err := c.Grant(t.Context(), codeForm())
	wants(t, err, provider.Unavailable, "unreachable")
	c = r.client(conf(func(c *provider.Config) {
		c.ClientSecret, c.CertificatePEM, c.CertificateKeyPEM, c.CAPEM = secret.String{}, chain, keyPEM, ca.pem
		c.Endpoints.Token = strict + "/other"
	}))
	r.on("/other", answer(tokens))
	if _, err := c.Grant(t.Context(), codeForm()); err != nil || r.count("/other") != 1 {
		t.Errorf("an overridden endpoint has no alias: %v", err)
	}
}

func TestP200TheCertificateIsCheckedAndTheCAFileHelps(t *testing.T) {
	ca := newAuthority(t)
	r := newRogue(t)
	at := serveTLS(t, ca, false, http.HandlerFunc(r.serve))
	r.set("issuer", at)
	here := func(c *provider.Config) { c.Issuer = at }
	wants(t, r.client(conf(here)).Ready(t.Context()), provider.Unavailable, "tls_untrusted")
	if r.count(wellKnown) != 0 {
		t.Error("it was asked all the same")
	}
	if err := r.client(conf(here), conf(func(c *provider.Config) { c.CAPEM = ca.pem })).Ready(t.Context()); err != nil {
		t.Errorf("with the CA: %v", err)
	}
}
