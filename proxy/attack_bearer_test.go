package proxy

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/credentials"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/internal/secret"
)

// Groups J and L: tokens that come in, and tokens that go out. What a token itself can do wrong is package bearer's to find.

func TestP118NoTokenIsAPassByBeingThere(t *testing.T) {
	b := newBearerLab(t)
	for name, c := range map[string]struct {
		target string
		lines  []string
		status int
	}{
		"garbage":                    {"/api/", []string{bearerLine("garbage")}, 401},
		"access_token in the query":  {"/api/?access_token=x", nil, 400},
		"token in the query":         {"/api/?token=x", nil, 401},
		"in a form":                  {"/api/", []string{"Content-Type: application/x-www-form-urlencoded"}, 401},
		"under another name":         {"/api/", []string{"X-Access-Token: bob", "X-Auth-Token: bob", "Token: bob", "Cookie: access_token=bob; at=bob"}, 401},
		"for the proxy":              {"/api/", []string{"Proxy-Authorization: Bearer bob"}, 401},
		"already judged, they say":   {"/api/", []string{"X-Forwarded-User: bob", "X-Auth-Request-User: bob"}, 401},
		"as a password":              {"/api/", []string{authorization(basicLine("x", "bob"))}, 401},
		"as a password of a session": {"/both", []string{authorization(basicLine("x", "bob"))}, 401},
	} {
		t.Run(name, func(t *testing.T) {
			for _, method := range []string{"GET", "POST", "OPTIONS", "HEAD"} {
				b.both(t, method, c.target, c.lines, func(l *lab, a answer) {
					l.refused(a, c.status)
					if a.challenge() == "" {
						l.Error("no challenge")
					}
				})
			}
		})
	}
}

func TestP129ATokenInAQueryIsRefusedAndNeitherLoggedNorForwarded(t *testing.T) {
	b := newBearerLab(t)
	for _, query := range []string{"access_token=bob", "a=1&access_token=bob", "access%5Ftoken=bob", "Access_Token=bob", "a=1;access_token=bob", "access_token", "+access_token=bob"} {
		for _, target := range []string{"/api/x?", "/both?"} {
			b.both(t, "GET", target+query, []string{bearerLine("bob"), as("alice")}, func(l *lab, a answer) {
				l.refused(a, 400)
				l.challenged(a, `Bearer realm="app.test", error="invalid_request", error_description="A token in the query of an address is not accepted; send it in Authorization", resource_metadata="https://app.test/.well-known/oauth-protected-resource`+target[:strings.IndexAny(target[1:], "/?")+1]+`"`)
				if strings.Contains(a.body, "=bob") {
					l.Errorf("the answer repeats it: %s", a.body)
				}
			})
			b.both(t, "GET", target+query, navigation, func(l *lab, a answer) { l.refused(a, 400) })
		}
	}
	if log := b.log.String(); strings.Contains(log, "token=") || strings.Contains(log, "%5Ftoken") {
		t.Errorf("the log has it: %s", log)
	}
	if len(b.judge.take()) > 0 {
		t.Error("somebody judged one")
	}
	b.both(t, "GET", "/api/x?my_access_token=1&q=access_token", []string{bearerLine("bob")}, func(l *lab, a answer) { l.passed(a) })
}

func TestP139AClientNamesNoSubjectToken(t *testing.T) {
	var asked []*identity.Identity
	b := newBearerLab(t, func(c *Config, d *Deps) {
		for i := range c.Routes {
			if c.Routes[i].Name == "root" || c.Routes[i].Name == "api" || c.Routes[i].Name == "both" {
				c.Routes[i].Credential = "orders"
			}
		}
		d.Sources = map[string]Source{"orders": source(func(_ context.Context, who *identity.Identity) (*identity.Credential, error) {
			asked = append(asked, who)
			return bearerCredential("for-" + who.Tokens.AccessToken.Reveal()), nil
		})}
	})
	evil := []string{bearerLine("poor"), "X-Subject-Token: poor", "Subject-Token: poor", "X-Audience: admin-api"}
	b.both(t, "GET", "/x?subject_token=poor&audience=admin-api&scope=admin", append([]string{as("alice")}, evil...), func(l *lab, a answer) {
		l.passed(a).one(l, "Authorization", "Bearer for-at-alice") // P141 too: who asks chooses neither audience nor scope
	})
	b.both(t, "GET", "/api", []string{bearerLine("bob"), as("alice"), "X-Subject-Token: poor"}, func(l *lab, a answer) { l.passed(a).one(l, "Authorization", "Bearer for-bob") })
	asked = nil
	for _, line := range []string{bearerLine("garbage"), "Authorization: Bearer", bearerLine("down")} {
		for _, target := range []string{"/api", "/both"} {
			b.both(t, "GET", target, []string{line, as("alice")}, func(l *lab, a answer) { l.refused(a, 401, 503) })
		}
	}
	if len(asked) > 0 {
		t.Errorf("P140: %d tokens were exchanged that nobody had accepted", len(asked))
	}
}

func TestP141WhoAsksChoosesNeitherAudienceNorScope(t *testing.T) {
	var got []identity.Key
	l := newLab(t, func(c *Config, d *Deps) {
		c.Routes[0].Credential = "orders"
		d.Sources = map[string]Source{"orders": source(func(ctx context.Context, who *identity.Identity) (*identity.Credential, error) {
			if r, ok := ctx.Value(http.ServerContextKey).(*http.Request); ok {
				t.Errorf("the source sees the request: %v", r)
			}
			got = append(got, who.Key())
			return bearerCredential("fetched-token"), nil
		})}
	})
	for _, target := range []string{"/x", "/x?audience=admin-api&scope=admin&resource=https://admin.test"} {
		l.both(t, "GET", target, []string{as("alice"), "X-Audience: admin-api", "X-Scope: admin"}, func(l *lab, a answer) {
			l.passed(a).one(l, "Authorization", "Bearer fetched-token")
		})
	}
	for _, k := range got {
		if k != (identity.Key{Issuer: "https://idp.test", Subject: "alice"}) {
			t.Errorf("asked for %v", k)
		}
	}
}

func TestP145NothingIsForwardedIfAnExchangeFails(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		status int
	}{
		"refused":       {&pages.Error{Code: codeCredentialRefused}, 502},
		"unavailable":   {&pages.Error{Code: codeProviderUnavailable, RetryAfter: retryAfter}, 503},
		"odd":           {errors.New("broken"), 502},
		"out of time":   {context.DeadlineExceeded, 502},
		"invalid_grant": {errSubject, 401},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBearerLab(t, func(cc *Config, d *Deps) {
				for i := range cc.Routes {
					if n := cc.Routes[i].Name; n == "root" || n == "api" {
						cc.Routes[i].Credential = "orders"
					}
				}
				d.Sources = map[string]Source{"orders": source(func(context.Context, *identity.Identity) (*identity.Credential, error) { return nil, c.err })}
			})
			for target, line := range map[string]string{"/x": as("alice"), "/api": bearerLine("bob")} {
				b.both(t, "GET", target, []string{line}, func(l *lab, a answer) { l.refused(a, c.status) })
				b.both(t, "POST", target, []string{line}, func(l *lab, a answer) { l.refused(a, c.status) })
			}
		})
	}
}

var errSubject = &credentials.Refusal{Word: credentials.InvalidToken, Description: "the provider does not exchange this token any more"}

// clientCertificate is a certificate of a client's own making, with what proxies say of it.
type clientCertificate struct {
	tls.Certificate
	x5t, hex string
}

func newClientCertificate(t *testing.T) clientCertificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "client, \"x\""}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	c := clientCertificate{Certificate: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, x5t: thumbprint(der)}
	sum, err := base64.RawURLEncoding.DecodeString(c.x5t)
	if err != nil {
		t.Fatal(err)
	}
	c.hex = hex.EncodeToString(sum)
	return c
}

func (c clientCertificate) base64() string {
	return base64.StdEncoding.EncodeToString(c.Certificate.Certificate[0])
}

func (c clientCertificate) pem() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate.Certificate[0]}))
}

func TestMT3AClientCertificateIsBelievedOfATrustedProxyOnly(t *testing.T) {
	mine, other := newClientCertificate(t), newClientCertificate(t)
	nginx := strings.NewReplacer("+", "%2B", "\n", "%0A", " ", "%20", "/", "%2F", "=", "%3D").Replace(mine.pem())
	for name, c := range map[string]struct {
		header, line string
		ok           bool
	}{
		"RFC 9440":                   {headerClientCert, headerClientCert + ": :" + mine.base64() + ":", true},
		"not a byte sequence":        {headerClientCert, headerClientCert + ": " + mine.base64(), false},
		"Traefik":                    {headerTLSClientCert, headerTLSClientCert + ": " + url.QueryEscape(mine.base64()) + "," + url.QueryEscape(other.base64()), true},
		"nginx":                      {headerTLSClientCert, headerTLSClientCert + ": " + nginx, true},
		"a key in the place of one":  {headerTLSClientCert, headerTLSClientCert + ": " + strings.ReplaceAll(nginx, "CERTIFICATE", "PUBLIC%20KEY"), false},
		"Envoy":                      {headerXFCC, headerXFCC + `: By=spiffe://a;Hash=` + mine.hex + `;Subject="CN=a,O=\"b;c\""`, true},
		"Envoy, behind the client's": {headerXFCC, headerXFCC + `: Hash=` + other.hex + `,By=a;Hash=` + mine.hex, false},
		"P030 an open quotation mark of the client's": {headerXFCC, headerXFCC + `: Hash=` + other.hex + `;Subject=",By=a;Hash=` + mine.hex + `;Subject="CN=a"`, false},
		// Envoy writes URI and DNS of the certificate as they are, and whoever makes one writes there what they like.
		"P030 an element in the certificate's URI": {headerXFCC, headerXFCC + `: Hash=` + other.hex + `;URI=spiffe://a/,Hash=` + mine.hex, false},
		"P030 a hash in the certificate's URI":     {headerXFCC, headerXFCC + `: Hash=` + other.hex + `;URI=spiffe://a/;Hash=` + mine.hex, false},
		"P030 quotation marks in it":               {headerXFCC, headerXFCC + `: Hash=` + other.hex + `;URI=a",b",Hash=` + mine.hex, false},
		"P030 a hash in the certificate's name":    {headerXFCC, headerXFCC + `: Hash=` + other.hex + `;Subject="CN=;Hash=` + mine.hex + `"`, false},
		"P030 quotation marks of both":             {headerXFCC, headerXFCC + `: Hash=` + other.hex + `;X=",By=a;Hash=` + mine.hex + `;URI=x"`, false},
		"P030 within another name":                 {headerXFCC, headerXFCC + `: NotHash=` + mine.hex, false},
		"P030 one of them in it":                   {headerXFCC, headerXFCC + `: By="a\";Hash=` + other.hex + `;URI="x,Hash=` + mine.hex, false},
		"two hashes":                               {headerXFCC, headerXFCC + `: Hash=` + mine.hex + `;Hash=` + other.hex, false},
		"a hash that is none":                      {headerXFCC, headerXFCC + `: Hash=abc`, false},
		"a header that is not the proxy's":         {headerClientCert, headerXFCC + `: Hash=` + mine.hex, false},
		"P030 two of the proxy's header":           {headerXFCC, headerXFCC + ": Hash=" + other.hex + "\r\n" + headerXFCC + ": Hash=" + mine.hex, false},
		"no header is said to be the proxy's":      {"", headerClientCert + ": :" + mine.base64() + ":", false},
	} {
		t.Run(name, func(t *testing.T) {
			for _, trusted := range []bool{true, false} {
				b := newBearerLab(t, func(conf *Config, d *Deps) {
					conf.CertificateHeader = c.header
					if trusted {
						trusting("127.0.0.1/32")(conf, d)
					}
				})
				lines := append([]string{bearerLine("bob")}, strings.Split(c.line, "\r\n")...)
				b.both(t, "GET", "/api", lines, func(l *lab, a answer) {
					l.passed(a).lacks(l, headerClientCert, headerTLSClientCert, headerXFCC)
					want := ""
					if trusted && c.ok {
						want = mine.x5t
					}
					if shown := b.judge.take(); len(shown) != 1 || shown[0].Certificate != want {
						l.Errorf("trusted: %v; shown %+v, not %s", trusted, shown, want)
					}
				})
			}
		})
	}
}

func TestTheHeaderOfCertificatesIsOneThatIsRead(t *testing.T) {
	config, deps := ingredients(t)
	for name, ok := range map[string]bool{"X-Forwarded-TLS-Client-Cert": true, "client-cert": true, "": true, "X-Ssl-Client-Cert": false} {
		config.CertificateHeader = name
		if _, err := New(config, deps); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestMT3TheCertificateOfOurOwnListenerIsTheCallersUnlessAProxyStandsBetween(t *testing.T) {
	mine := newClientCertificate(t)
	for proxied, want := range map[bool]string{false: mine.x5t, true: ""} {
		b := newBearerLab(t, func(c *Config, d *Deps) {
			if proxied {
				trusting("127.0.0.1/32")(c, d)
			}
		})
		server := httptest.NewUnstartedServer(b.g)
		server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
		server.EnableHTTP2 = true
		server.StartTLS()
		for _, certificates := range [][]tls.Certificate{{mine.Certificate}, nil} {
			transport := server.Client().Transport.(*http.Transport).Clone()
			transport.TLSClientConfig.Certificates = certificates
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/api", http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			r.Host = "app.test"
			r.Header.Set("Authorization", "Bearer bob")
			r.Header.Set(headerClientCert, ":"+newClientCertificate(t).base64()+":")
			res, err := transport.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			expected := want
			if certificates == nil {
				expected = ""
			}
			if shown := b.judge.take(); len(shown) != 1 || shown[0].Certificate != expected {
				t.Errorf("proxied: %v; shown %+v", proxied, shown)
			}
			transport.CloseIdleConnections()
		}
		server.Close()
	}
}

func FuzzForwardedCertificate(f *testing.F) {
	f.Add(":YQ==:")
	f.Add("-----BEGIN%20CERTIFICATE-----%0AYQ%3D%3D%0A-----END%20CERTIFICATE-----%0A")
	f.Add(`Hash=0000000000000000000000000000000000000000000000000000000000000000;Subject="a\",b"`)
	f.Add(`,";\"`)
	f.Fuzz(func(t *testing.T, line string) {
		p := possession{header: headerXFCC}
		for _, found := range []string{ofClientCert(line), ofEscaped(line), ofXFCC(line), p.forwarded(&http.Request{Header: http.Header{headerXFCC: {line}}})} {
			if found != "" && len(found) != 43 {
				t.Errorf("%q gives %q", line, found)
			}
		}
	})
}

func FuzzTokenInQuery(f *testing.F) {
	for _, s := range []string{"access_token=x", "a&access%5ftoken", ";;&", "%", "a=access_token"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, query string) {
		values, err := url.ParseQuery(query)
		if err == nil && values.Has("access_token") && !tokenInQuery(query) {
			t.Errorf("%q holds one", query)
		}
	})
}

// fixed is a Source whose tokens come in turn.
type fixed struct {
	header   string
	values   []string // each until it is rejected
	personal bool
	n        int
	rejected []string
	subjects []string
}

func (f *fixed) Token(_ context.Context, who *identity.Identity) (*identity.Credential, error) {
	subject := "nobody"
	if who != nil {
		subject = who.Subject
	}
	f.subjects = append(f.subjects, subject)
	if f.n >= len(f.values) {
		return nil, &pages.Error{Code: codeCredentialRefused}
	}
	value := f.values[f.n]
	_, token, _ := strings.Cut(value, " ")
	if f.header == "Cookie" {
		_, token, _ = strings.Cut(value, "=")
	}
	return &identity.Credential{Name: "orders", Tokens: &identity.Tokens{AccessToken: secret.New(token)}, Header: f.header, Values: []string{value}}, nil
}

func (f *fixed) Rejected(_ context.Context, _ *identity.Identity, refused *identity.Credential) {
	f.rejected = append(f.rejected, refused.Values[0])
	f.n++
}

func (f *fixed) Personal() bool { return f.personal }

func (f *fixed) Place() (header, cookie string) {
	if f.header == "Cookie" {
		cookie, _, _ = strings.Cut(f.values[0], "=")
	}
	return f.header, cookie
}
