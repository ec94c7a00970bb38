package provider_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/secret"
)

func TestAClientIsProvedByItsOwnIDAndSecret(t *testing.T) {
	for name, settings := range map[string]func(*provider.Config){
		"a provider where we have a secret":        nil,
		"a provider that we know by bearer checks": func(c *provider.Config) { c.ClientID, c.ClientSecret, c.Scopes = "", secret.String{}, nil },
		"a provider where we have a key": func(c *provider.Config) {
			c.ClientSecret, c.PrivateKeyPEM = secret.String{}, pkcs8(newKey())
		},
		"a secret that is changing": func(c *provider.Config) { c.PreviousSecret = secret.New("the-one-before") },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, _ *rogue) {
				v := machines(t, nil, settings)
				who, err := v.client.ProveClient(t.Context(), "backup: +%/", secret.New("s: +%&=ü"), []string{"read"})
				if err != nil {
					t.Fatal(err)
				}
				if who.Issuer != v.Issuer() || who.Subject != "backup: +%/" || !who.Machine || who.Client != who.Subject || fmt.Sprint(who.Scopes) != "[read]" || who.Provider != "corp" || who.Login != "" {
					t.Errorf("%+v", who)
				}
				if !who.Ends.Equal(time.Now().Add(5*time.Minute)) || who.Tokens.AccessToken.IsZero() || who.Claims == nil {
					t.Errorf("%s %+v", who.Ends, who.Tokens)
				}
				q := v.Last(idp.Token)
				id, password, _ := (&http.Request{Header: q.Header}).BasicAuth()
				if id, _ = url.QueryUnescape(id); id != who.Subject || q.Form.Encode() != "grant_type=client_credentials&scope=read" {
					t.Errorf("CA-1: %q %v", id, q.Form)
				}
				if password, _ = url.QueryUnescape(password); password != "s: +%&=ü" {
					t.Error("CA-1: the secret that went out is not the one that came in")
				}
				// P111: a wrong one is theirs to mend, and no other secret is tried in its place.
				before := v.Count(idp.Token)
				_, err = v.client.ProveClient(t.Context(), "backup: +%/", secret.New("wrong-canary"), nil)
				if e := wants(t, err, provider.Refused, "invalid_client"); v.Count(idp.Token) != before+1 || containsCanary(e.Error()) {
					t.Errorf("%d requests, %v", v.Count(idp.Token)-before, e)
				}
				_, err = v.client.ProveClient(t.Context(), "nobody", secret.New("wrong-canary"), nil)
				wants(t, err, provider.Refused, "invalid_client")
				_, err = v.client.ProveClient(t.Context(), "orders", secret.New("orders-secret"), nil) // known, but not for this grant
				wants(t, err, provider.Refused, "unauthorized_client")
				if strings.Contains(v.log.String(), "wrong-canary") {
					t.Error("S10: a secret in the log")
				}
			})
		})
	}
}

// TestAWrongSecretIsOneWhateverTheProviderCallsIt: Keycloak has one word for it where it knows the client, and one where it
// does not. Taken at its word it would tell callers which clients there are, and the operator to allow a grant.
func TestAWrongSecretIsOneWhateverTheProviderCallsIt(t *testing.T) {
	for text, row := range map[string]struct{ said, means string }{
		"Invalid client or Invalid client credentials":    {"unauthorized_client", "invalid_client"},
		"Invalid client secret":                           {"unauthorized_client", "invalid_client"},
		"Invalid client":                                  {"invalid_client", "invalid_client"},
		"Client not enabled to retrieve service account":  {"unauthorized_client", "unauthorized_client"},
		"Public client not allowed to retrieve something": {"unauthorized_client", "unauthorized_client"},
	} {
		t.Run(text, func(t *testing.T) {
			r := newRogue(t)
			r.on("/token", answerJSON(401, string(must(json.Marshal(map[string]string{"error": row.said, "error_description": text})))))
			_, err := r.client().ProveClient(t.Context(), "backup", secret.New("wrong-canary"), nil)
			wants(t, err, provider.Refused, row.means)
			_, err = r.client().ClientCredentials(t.Context(), provider.ClientCredentialsRequest{})
			wants(t, err, provider.Misconfigured, row.means)
			c, before := r.client(conf(func(c *provider.Config) { c.PreviousSecret = secret.New("the-one-before-canary") })), len(r.seen("/token"))
			_, err = c.ClientCredentials(t.Context(), provider.ClientCredentialsRequest{})
			wants(t, err, provider.Misconfigured, row.means)
			tries := map[string]int{"invalid_client": 2, "unauthorized_client": 1}[row.means] // CA-8
			if got := len(r.seen("/token")) - before; got != tries {
				t.Errorf("%d requests, not %d", got, tries)
			}
		})
	}
}

func TestAClientIsProvedInTheBodyWhereTheProviderTakesNothingElse(t *testing.T) {
	r := newRogue(t)
	r.set("token_endpoint_auth_methods_supported", []string{"client_secret_post", "private_key_jwt"})
	r.on("/token", answerJSON(200, `{"access_token":"opaque","token_type":"Bearer","expires_in":60}`))
	who, err := r.client().ProveClient(t.Context(), "backup", secret.New("theirs"), nil)
	if err != nil || who.Subject != "backup" || !who.Machine {
		t.Fatal(err)
	}
	q := r.seen("/token")[0]
	if _, _, basic := q.BasicAuth(); basic || q.PostForm.Get("client_id") != "backup" || q.PostForm.Get("client_secret") != "theirs" {
		t.Errorf("%v %v", q.Header, q.PostForm)
	}
}

// TestWhoAProvedClientIs: each row is a token that comes for it.
func TestWhoAProvedClientIs(t *testing.T) {
	r := newRogue(t)
	own := func(changes map[string]any) string {
		all := map[string]any{"sub": "svc-1", "client_id": "backup", "aud": "storage"}
		for name, value := range changes {
			all[name] = value
		}
		return r.access(nil, all)
	}
	forger := &rogue{t: t, url: r.url, key: newKey()}
	for name, row := range map[string]struct {
		token   string
		subject string
		code    string
	}{
		"a JWT of this provider":                 {own(nil), "svc-1", ""},
		"an opaque token":                        {"opaque", "backup", ""},
		"a JWT of another issuer":                {own(map[string]any{"iss": "https://graph.example"}), "backup", ""},
		"SEC-7 a JWT that another key signed":    {forger.access(nil, map[string]any{"client_id": "backup"}), "", "bad_signature"},
		"SEC-7 a JWT of another client":          {own(map[string]any{"client_id": "other"}), "", "bad_azp"},
		"P120 a JWT that has ended":              {own(map[string]any{"exp": r.now().Unix() - 100}), "", "token_expired"},
		"P119 a JWT with alg none":               {r.access(map[string]any{"alg": "none"}, nil), "", "bad_alg"},
		"P119 a JWT by the client secret":        {r.access(map[string]any{"alg": "HS256"}, nil), "", "bad_alg"},
		"P121 an ID token":                       {r.idToken(map[string]any{"azp": "backup"}), "", "not_an_access_token"},
		"P102 a JWT without sub":                 {own(map[string]any{"sub": nil}), "", "bad_subject"},
		"SEC-7 claims of an opaque one are ours": {"e30." + b64([]byte(`{"sub":"root"}`)) + ".x", "backup", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r.on("/token", answerJSON(200, string(must(json.Marshal(map[string]any{"access_token": row.token, "token_type": "Bearer", "refresh_token": "refresh-canary"})))))
			who, err := r.client(conf(func(c *provider.Config) { c.SigningAlgs = []string{"ES256", "HS256"} })).ProveClient(t.Context(), "backup", secret.New("theirs"), []string{"write"})
			if row.code != "" {
				wants(t, err, provider.Misbehaved, row.code)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if who.Issuer != r.url || who.Subject != row.subject || !who.Machine || who.Client != "backup" || !who.Tokens.RefreshToken.IsZero() || len(who.Scopes) == 0 {
				t.Errorf("%+v", who)
			}
		})
	}
	r.on("/token", answerJSON(200, string(must(json.Marshal(map[string]any{"access_token": own(nil), "token_type": "Bearer"})))))
	r.on("/keys", answerJSON(503, ""))
	_, err := r.client().ProveClient(t.Context(), "backup", secret.New("theirs"), nil)
	wants(t, err, provider.Unavailable, "keys_unavailable") // not: another subject for a while
}

func TestWhatIsNoClientIsNotAskedAbout(t *testing.T) {
	r := newRogue(t)
	c := r.client()
	for name, row := range map[string][2]string{
		"no id": {"", "s"}, "no secret": {"id", ""}, "an id with a line break": {"canary\n", "s"}, "a secret that is no text": {"id", "canary\xff"},
		"P125 an id of 256 bytes": {long(256), "s"}, "an id that is not ASCII": {"bäckup", "s"}, "P125 a secret of 4 kB and one": {"id", long(4<<10 + 1)},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.ProveClient(t.Context(), row[0], secret.New(row[1]), nil)
			if e := wants(t, err, provider.Refused, "invalid_client"); containsCanary(e.Error()) {
				t.Error(e)
			}
		})
	}
	if r.count("/token") != 0 {
		t.Error("asked all the same")
	}
}

// TestAProviderInTroubleProvesNobody: neither a yes nor a no.
func TestAProviderInTroubleProvesNobody(t *testing.T) {
	for name, row := range map[string]struct {
		answer http.HandlerFunc
		kind   provider.Kind
		code   string
	}{
		"503":           {answerJSON(503, ""), provider.Unavailable, "server_error"},
		"429":           {answerJSON(429, ""), provider.Unavailable, "rate_limited"},
		"a redirect":    {redirect(307), provider.Misbehaved, "redirect_refused"},
		"HTML":          {answerJSON(200, "<html>"), provider.Misbehaved, "bad_response"},
		"no token":      {answerJSON(200, `{}`), provider.Misbehaved, "bad_response"},
		"endless":       {endless, provider.Misbehaved, "too_large"},
		"a scope of it": {answerJSON(400, `{"error":"invalid_scope"}`), provider.Misconfigured, "invalid_scope"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRogue(t)
			r.on("/token", row.answer)
			who, err := r.client().ProveClient(t.Context(), "backup", secret.New("theirs"), nil)
			if wants(t, err, row.kind, row.code); who != nil || r.count("/token") != 1 {
				t.Error("asked more than once, or proved")
			}
		})
	}
}

// TestOurCertificateProvesNobodyElse: a connection that shows it could have the provider take anybody who names our id for us.
func TestOurCertificateProvesNobodyElse(t *testing.T) {
	ca := newAuthority(t)
	chain, key := certificateFor(t, newKey(), ca)
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	var shown []int
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		shown = append(shown, len(q.TLS.PeerCertificates))
		if len(q.TLS.PeerCertificates) == 0 {
			answerJSON(401, `{"error":"invalid_client"}`)(w, q)
			return
		}
		answerJSON(200, `{"access_token":"T","token_type":"Bearer"}`)(w, q)
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{must(tls.X509KeyPair(chain, []byte(key.Reveal())))}, ClientCAs: pool, ClientAuth: tls.VerifyClientCertIfGiven}
	server.StartTLS()
	t.Cleanup(server.Close)
	ours, oursKey := certificateFor(t, newKey(), ca)
	c := must(provider.New(provider.Config{
		Name: "corp", Issuer: server.URL, ClientID: clientID, CertificatePEM: ours, CertificateKeyPEM: oursKey, CAPEM: ca.pem,
		Endpoints: provider.Endpoints{Token: server.URL + "/token", JWKS: server.URL + "/keys"},
	}, provider.Deps{}))
	t.Cleanup(c.Close)
	_, err := c.ProveClient(t.Context(), clientID, secret.New("a guess"), nil)
	wants(t, err, provider.Refused, "invalid_client")
	if _, err := c.ClientCredentials(t.Context(), provider.ClientCredentialsRequest{}); err != nil {
		t.Fatalf("our own request shows it: %v", err)
	}
	if fmt.Sprint(shown) != "[0 1]" {
		t.Errorf("certificates shown: %v", shown)
	}
}
