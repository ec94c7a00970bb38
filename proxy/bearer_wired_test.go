package proxy

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/demo/idp/idptest"
	verifier "github.com/doorward/doorward/flows/bearer"
	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/testnet"
	"github.com/doorward/doorward/proxy/policy"
	"github.com/doorward/doorward/sessions/store"
)

// Group J by the whole way: a client, the gateway, the verifier, a provider over HTTP. What else a token can do wrong is in
// the tests of package bearer.

const (
	ordersAPI = "https://app.test/orders"
	secondIdP = "http://127.0.0.1:9002"
)

// resourceServer is a laboratory in front of whose E two routes check the tokens of a real provider.
type resourceServer struct {
	*lab
	idp *idp.Server
	net *testnet.Network
}

func newResourceServer(t *testing.T) resourceServer {
	t.Helper()
	s := resourceServer{net: testnet.NewFor(t)}
	c := idptest.Standard()
	c.Issuer, c.AccessTokenLifetime = issuer, time.Hour
	c.Clients[0].Audience = []string{ordersAPI}
	s.idp = idptest.Serve(t, s.net, c)
	client, err := provider.New(provider.Config{
		Name: "corp", Issuer: issuer, ClientID: "doorward", ClientSecret: secret.New(idptest.Secret), Discovery: true,
	}, provider.Deps{Dial: s.net.Dial})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	kept := store.NewMemory(store.MemoryConfig{}, store.Deps{})
	t.Cleanup(func() { _ = kept.Close() })
	v, err := verifier.New(verifier.Deps{Providers: map[string]*provider.Client{"corp": client}, Shared: kept})
	if err != nil {
		t.Fatal(err)
	}
	s.lab = newLab(t, func(c *Config, d *Deps) {
		d.Bearers = map[string]Bearer{}
		for name, audience := range map[string]string{"orders": ordersAPI, "admin-api": "https://app.test/admin-api"} {
			if d.Bearers[name], err = v.Checker(verifier.Config{Issuers: []string{"corp"}, Audience: []string{audience}}); err != nil {
				t.Fatal(err)
			}
			rt := Route{Name: name, Hosts: []origin.Origin{appTest}, Path: "/" + name, Upstreams: c.Routes[0].Upstreams, Accept: []string{acceptBearer, acceptSession}, Logins: []string{"staff"}}
			if name == "orders" {
				rt.Allow = []policy.Rule{{Scopes: []string{"orders.read"}}}
			}
			d.Starters[name] = door{}
			c.Routes = append(c.Routes, rt)
		}
	})
	return s
}

func (s resourceServer) alice(changes ...func(*idp.Mint)) string {
	m := idp.Mint{User: "alice", Scopes: []string{"openid", "orders.read"}}
	for _, change := range changes {
		change(&m)
	}
	return s.idp.MustMint(m)
}

func TestP118ToP125TokensThatMustNotPassByTheWholeWay(t *testing.T) {
	s := newResourceServer(t)
	claim := func(name string, value any) func(*idp.Mint) {
		return func(m *idp.Mint) { m.Claims = map[string]any{name: value} }
	}
	header := func(name string, value any) func(*idp.Mint) {
		return func(m *idp.Mint) { m.Header = map[string]any{name: value} }
	}
	sign := func(how string) func(*idp.Mint) { return func(m *idp.Mint) { m.Sign = how } }
	good := s.alice()
	for name, c := range map[string]struct {
		token, target string
		status        int
		word          string
	}{
		"a good one":                        {good, "/orders/7", 200, ""},
		"P118 garbage":                      {"garbage", "/orders/7", 401, "invalid_token"},
		"P118 one letter":                   {"x", "/orders/7", 401, "invalid_token"},
		"P119 alg none":                     {s.alice(sign(idp.SignNone)), "/orders/7", 401, "invalid_token"},
		"P119 HS256 with the public key":    {s.alice(sign(idp.SignHS256PublicKey)), "/orders/7", 401, "invalid_token"},
		"P119 an embedded key":              {s.alice(sign(idp.SignEmbeddedKey)), "/orders/7", 401, "invalid_token"},
		"P119 jku":                          {s.alice(header("jku", secondIdP+"/keys")), "/orders/7", 401, "invalid_token"},
		"P120 aud of another API":           {good, "/admin-api", 401, "invalid_token"},
		"P120 aud missing":                  {s.alice(claim("aud", nil)), "/orders/7", 401, "invalid_token"},
		"P120 iss of another":               {s.alice(claim("iss", secondIdP)), "/orders/7", 401, "invalid_token"},
		"P120 exp missing":                  {s.alice(claim("exp", nil)), "/orders/7", 401, "invalid_token"},
		"P120 expired":                      {s.alice(func(m *idp.Mint) { m.Lifetime = -5 * time.Minute }), "/orders/7", 401, "invalid_token"},
		"P121 an ID token":                  {s.alice(header("typ", "JWT"), claim("nonce", "n")), "/orders/7", 401, "invalid_token"},
		"P122 kid of a file":                {s.alice(header("kid", "../../etc/passwd")), "/orders/7", 401, "invalid_token"},
		"P122 kid of a query":               {s.alice(header("kid", "k1' OR 1")), "/orders/7", 401, "invalid_token"},
		"P124 a JWE":                        {base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","p2c":1000000000,"zip":"DEF"}`)) + ".a.a.a.a", "/orders/7", 401, "invalid_token"},
		"P125 20,000 dots":                  {strings.Repeat(".", 20_000), "/orders/7", 401, "invalid_token"},
		"P125 1 MB":                         {strings.Repeat("a", 1<<20), "/orders/7", 431, ""},
		"P127 accepted there is not here":   {good, "/admin-api/x", 401, "invalid_token"},
		"RS-2 a scope is missing":           {s.alice(func(m *idp.Mint) { m.Scopes = []string{"openid"} }), "/orders/7", 403, "insufficient_scope"},
		"P140 RS-10 of an issuer elsewhere": {s.alice(claim("iss", "https://evil.test")), "/orders/7", 401, "invalid_token"},
	} {
		t.Run(name, func(t *testing.T) {
			check := func(l *lab, a answer) {
				if c.status == 200 {
					sent := l.passed(a)
					sent.one(l, "X-Forwarded-User", s.subject(t, good))
					sent.lacks(l, "Authorization")
					return
				}
				if a.StatusCode == 0 && c.status == 431 {
					l.untouched() // the connection was cut
					return
				}
				l.refused(a, c.status)
				if c.word != "" && !strings.Contains(a.challenge(), `error="`+c.word+`"`) {
					l.Errorf("challenge %s", a.challenge())
				}
				if len(c.token) > 20 && (strings.Contains(a.challenge(), c.token) || strings.Contains(a.body, c.token)) {
					l.Error("the answer repeats the token")
				}
			}
			lines := []string{bearerLine(c.token), as("root")} // P128: never by the cookie
			if len(c.token) > 60_000 {
				t.Run("h1", func(t *testing.T) {
					l := s.on(t)
					check(l, l.send("GET", c.target, lines...))
				})
				return
			}
			s.both(t, "GET", c.target, lines, check)
		})
	}
	if log := s.log.String(); strings.Contains(log, good[strings.LastIndexByte(good, '.'):]) {
		t.Error("a token is in the log")
	}
}

// subject reads sub of a token that was made here.
func (s resourceServer) subject(t *testing.T, token string) string {
	t.Helper()
	var claims struct{ Sub string }
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err == nil {
		err = json.Unmarshal(payload, &claims)
	}
	if err != nil {
		t.Fatal(err)
	}
	return claims.Sub
}

func TestRS9ATokenBoundToAKeyPassesOnlyWithAProofForThisRequest(t *testing.T) {
	s := newResourceServer(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sum, err := (&jose.JSONWebKey{Key: key.Public()}).Thumbprint(crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	token := s.alice(func(m *idp.Mint) { m.JKT = base64.RawURLEncoding.EncodeToString(sum) })
	proof := func(method, target string) string {
		ath := sha256.Sum256([]byte(token))
		claims, err := json.Marshal(map[string]any{"jti": rand.Text(), "htm": method, "htu": target, "iat": time.Now().Unix(), "ath": base64.RawURLEncoding.EncodeToString(ath[:])})
		if err != nil {
			t.Fatal(err)
		}
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, (&jose.SignerOptions{EmbedJWK: true}).WithType("dpop+jwt"))
		if err != nil {
			t.Fatal(err)
		}
		jws, err := signer.Sign(claims)
		if err != nil {
			t.Fatal(err)
		}
		text, err := jws.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		return "DPoP: " + text
	}
	line := "Authorization: DPoP " + token
	fresh := func(method, target string) []string { return []string{line, proof(method, target)} }
	for _, send := range []func(l *lab, lines ...string) answer{
		func(l *lab, lines ...string) answer { return l.send("GET", "/orders/7?a=b", lines...) },
		func(l *lab, lines ...string) answer { return l.send2("GET", "/orders/7?a=b", lines...) },
	} {
		l := s.on(t)
		once := fresh("GET", ordersAPI+"/7")
		l.passed(send(l, once...)).lacks(l, "Dpop", "Authorization")
		l.refused(send(l, once...), 401) // replayed
		l.refused(send(l, line), 401)
		l.refused(send(l, bearerLine(token), proof("GET", ordersAPI+"/7")), 401)
		l.refused(send(l, fresh("POST", ordersAPI+"/7")...), 401)
		l.refused(send(l, fresh("GET", ordersAPI+"/8")...), 401)
		l.refused(send(l, line, proof("GET", ordersAPI+"/7"), proof("GET", ordersAPI+"/7")), 400, 401)
		if a := send(l, fresh("GET", "https://evil.test/orders/7")...); !strings.HasPrefix(a.challenge(), "DPoP ") {
			l.Errorf("challenge %s", a.challenge())
		}
	}
}

func TestAProviderThatCannotBeAskedIsNoVerdict(t *testing.T) {
	s := newResourceServer(t)
	token := s.alice()
	for _, endpoint := range []string{idp.Discovery, idp.JWKS} {
		s.idp.Misbehave(idp.Dropped().On(endpoint).Always())
	}
	s.both(t, "GET", "/orders/7", []string{bearerLine(token), as("root")}, func(l *lab, a answer) {
		l.refused(a, 503)
		if a.Header.Get("Retry-After") == "" || a.code() != codeProviderUnavailable {
			l.Errorf("answer %v %s", a.Header, a.body)
		}
	})
}
