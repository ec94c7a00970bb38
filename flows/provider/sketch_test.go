package provider_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/secret"
)

// TestASketchShowsWhatIsSent: every kind of request, by every method of client authentication, once shown and once sent.
func TestASketchShowsWhatIsSent(t *testing.T) {
	requests := map[string]struct {
		sketch provider.TokenRequest
		send   func(*testing.T, *provider.Client) error
	}{}
	own := provider.ClientCredentialsRequest{Scopes: []string{"read", "write"}, Audience: []string{"a", "b"}, Resource: []string{"https://a.example"}, Extra: url.Values{"tenant": {"t1"}, "api_key": {"canary-key"}}}
	exchange := provider.ExchangeRequest{
		Subject: secret.New("canary-subject"), SubjectType: provider.TypeAccessToken, Actor: secret.New("canary-actor"), RequestedType: provider.TypeAccessToken,
		Scopes: []string{"read"}, Audience: []string{"a", "b"}, Extra: url.Values{"requested_issuer": {"other"}, "ticket_token": {"canary-ticket"}},
	}
	bearer := provider.JWTBearerRequest{Assertion: secret.New("canary-assertion"), Dialect: provider.DialectEntraOBO, Scopes: []string{"api://a/.default"}}
	password := provider.PasswordRequest{Username: "alice", Password: secret.New("canary-password"), Scopes: []string{"openid"}, Extra: url.Values{"second": {"canary-123456"}}}
	type request = struct {
		sketch provider.TokenRequest
		send   func(*testing.T, *provider.Client) error
	}
	requests["client credentials"] = request{own, func(t *testing.T, c *provider.Client) error {
		_, err := c.ClientCredentials(t.Context(), own)
		return err
	}}
	requests["exchange"] = request{exchange, func(t *testing.T, c *provider.Client) error { _, err := c.Exchange(t.Context(), exchange); return err }}
	requests["JWT bearer"] = request{bearer, func(t *testing.T, c *provider.Client) error { _, err := c.JWTBearer(t.Context(), bearer); return err }}
	requests["password"] = request{password, func(t *testing.T, c *provider.Client) error { _, err := c.Password(t.Context(), password); return err }}
	for kind, q := range requests {
		for method, change := range eachMethod() {
			t.Run(kind+" "+method, func(t *testing.T) {
				r := newRogue(t)
				r.on("/token", answerJSON(200, traded("T", nil)))
				c := r.client(conf(change))
				if err := q.send(t, c); err != nil {
					t.Fatal(err)
				}
				s, err := c.Sketch(q.sketch)
				if err != nil {
					t.Fatal(err)
				}
				sent := r.seen("/token")[0].PostForm
				if s.URL != r.url+"/token" || s.ClientAuth != method || len(s.Form) != len(sent) || r.count("/token") != 1 {
					t.Errorf("%s by %s:\n%v, sent\n%v", s.URL, s.ClientAuth, s.Form, sent)
				}
				for name, values := range sent {
					shown := s.Form[name]
					if len(shown) != len(values) {
						t.Errorf("%s: %v, sent %v", name, shown, values)
						continue
					}
					secretly := strings.Contains(fmt.Sprint(values), "canary") || name == "client_secret" || name == "client_assertion"
					for i := range values {
						if secretly && shown[i] != "…" || !secretly && shown[i] != values[i] {
							t.Errorf("%s: %q, sent %q", name, shown[i], values[i])
						}
					}
				}
			})
		}
	}
}

func TestASketchTouchesNoNetwork(t *testing.T) {
	r := newRogue(t)
	c := r.client()
	s, err := c.Sketch(provider.ExchangeRequest{SubjectType: provider.TypeAccessToken, Audience: []string{"orders"}})
	if err != nil {
		t.Fatal(err)
	}
	if s.URL != "" || s.ClientAuth != "" || s.Form.Get("subject_token") != "…" || s.Form.Get("audience") != "orders" || s.Form.Has("client_id") {
		t.Errorf("before discovery: %+v", s)
	}
	if r.count(wellKnown) != 0 {
		t.Error("it discovered")
	}
	s, err = r.client(conf(func(c *provider.Config) {
		c.ClientAuth, c.Endpoints.Token = "client_secret_post", "http://127.0.0.1:1/token"
	})).Sketch(provider.ClientCredentialsRequest{})
	if err != nil || s.URL != "http://127.0.0.1:1/token" || s.ClientAuth != "client_secret_post" || s.Form.Get("client_secret") != "…" || s.Form.Get("client_id") != clientID {
		t.Errorf("what the configuration tells: %+v %v", s, err)
	}
	for name, q := range map[string]provider.TokenRequest{
		"reserved_parameter": provider.ClientCredentialsRequest{Extra: url.Values{"scope": {"admin"}}},
		"incomplete_request": provider.ExchangeRequest{},
	} {
		_, err := c.Sketch(q)
		wants(t, err, provider.Misconfigured, name)
	}
	_, err = r.client(conf(func(c *provider.Config) { c.ClientID, c.ClientSecret = "", secret.String{} })).Sketch(provider.ClientCredentialsRequest{})
	wants(t, err, provider.Misconfigured, "no_client")
	_, err = r.client(conf(func(c *provider.Config) { c.ClientSecret, c.AssertionFile = secret.String{}, "/nowhere/token" })).Sketch(provider.ClientCredentialsRequest{})
	wants(t, err, provider.Misconfigured, "assertion_unreadable")
}
