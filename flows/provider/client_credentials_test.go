package provider_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/demo/idp/idptest"
	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/secret"
)

// machines is a client at the independent provider that may use the grants without a page. It is called in a bubble.
func machines(t *testing.T, change func(*idp.Config), settings func(*provider.Config)) *visit {
	t.Helper()
	return visiting(t, func(c *idp.Config) {
		c.Clients = append(c.Clients,
			idp.Client{ID: "orders", Secret: "orders-secret"},
			idp.Client{ID: "backup: +%/", Secret: "s: +%&=ü", Grants: []string{"client_credentials"}, Audience: []string{"storage"}, Scopes: []string{"read", "write"}},
		)
		c.Clients[0].Grants = []string{"authorization_code", "refresh_token", "client_credentials", idp.GrantTokenExchange, idp.GrantJWTBearer}
		c.Clients[0].Scopes = []string{"openid", "profile", "email", "groups", "read"}
		if change != nil {
			change(c)
		}
	}, settings)
}

func TestClientCredentialsAskForJustWhatIsConfigured(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *rogue) {
		v := machines(t, nil, nil)
		r, err := v.client.ClientCredentials(t.Context(), provider.ClientCredentialsRequest{
			Scopes: []string{"read", "email"}, Audience: []string{"orders", "stock"}, Resource: []string{"https://a.example/x?y=1", "urn:example:b"}, Extra: url.Values{"tenant": {"t1"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		want := url.Values{
			"grant_type": {"client_credentials"}, "scope": {"read email"}, "audience": {"orders", "stock"},
			"resource": {"https://a.example/x?y=1", "urn:example:b"}, "tenant": {"t1"},
		}
		if q := v.Last(idp.Token); q.Form.Encode() != want.Encode() || q.ClientAuth != "client_secret_basic" || v.Count(idp.Token) != 1 {
			t.Errorf("CC-1 CC-5 RI-1: %s %v", q.ClientAuth, q.Form)
		}
		_, claims := opened(t, r.AccessToken.Reveal())
		if claims["sub"] != "doorward" || r.TokenType != "Bearer" || !r.Expiry.Equal(time.Now().Add(5*time.Minute)) {
			t.Errorf("%v %+v", claims, r.Tokens)
		}
		if _, err = v.client.ClientCredentials(t.Context(), provider.ClientCredentialsRequest{}); err != nil || v.Last(idp.Token).Form.Has("scope") {
			t.Errorf("scopes of the login went along: %v, %v", v.Last(idp.Token).Form, err)
		}
	})
}

func TestCC1WhatComesBesideAnAccessTokenOfOurOwnIsDropped(t *testing.T) {
	r := newRogue(t)
	r.on("/token", answerJSON(200, tokens))
	got, err := r.client().ClientCredentials(t.Context(), provider.ClientCredentialsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if !got.RefreshToken.IsZero() || !got.IDToken.IsZero() || strings.Contains(string(got.Raw), "refresh-1") || strings.Contains(string(got.Raw), "a.b.c") {
		t.Errorf("%s", string(got.Raw))
	}
	var rest map[string]any
	if err := json.Unmarshal(got.Raw, &rest); err != nil || rest["access_token"] != "access-1" || got.AccessToken.Reveal() != "access-1" {
		t.Errorf("%v %v", rest, err)
	}
}

// TestP144WhatIsNoAccessTokenIsNoneOfOurOwn: issued_token_type, which makes N_A possible, has no place in this answer.
func TestP144WhatIsNoAccessTokenIsNoneOfOurOwn(t *testing.T) {
	r := newRogue(t)
	r.on("/token", answerJSON(200, traded("T", map[string]any{"token_type": "N_A", "issued_token_type": provider.TypeIDToken})))
	got, err := r.client().ClientCredentials(t.Context(), provider.ClientCredentialsRequest{})
	if wants(t, err, provider.Misbehaved, "bad_response"); got != nil {
		t.Errorf("%+v", got)
	}
}

func TestCA9ClientCredentialsAuthenticateTheClient(t *testing.T) {
	for method, change := range eachMethod() {
		t.Run(method, func(t *testing.T) {
			r := newRogue(t)
			r.on("/token", answerJSON(200, tokens))
			must(r.client(conf(change)).ClientCredentials(t.Context(), provider.ClientCredentialsRequest{Scopes: []string{"a"}}))
			authenticated(t, r.seen("/token")[0], method)
		})
	}
}

// TestWhatIsNoTargetIsNotSent: each row is a request that would be refused or misunderstood.
func TestWhatIsNoTargetIsNotSent(t *testing.T) {
	r := newRogue(t)
	c := r.client()
	for name, q := range map[string]provider.ClientCredentialsRequest{
		"RI-1 a resource with a fragment":       {Resource: []string{"https://a.example/#x"}},
		"RI-1 a resource with an empty one":     {Resource: []string{"https://a.example/#"}},
		"RI-1 a resource that is no URI":        {Resource: []string{"https://a.example/", "orders"}},
		"RI-1 a resource that is a path":        {Resource: []string{"/orders"}},
		"RI-1 an empty resource":                {Resource: []string{""}},
		"RI-1 a resource with a space":          {Resource: []string{"https://a.example/a b"}},
		"RI-1 a resource with a line break":     {Resource: []string{"https://a.example/\n"}},
		"RI-1 a resource of 2 kB and more":      {Resource: []string{"https://a.example/" + long(2<<10)}},
		"P141 an extra audience":                {Extra: url.Values{"audience": {"admin"}}},
		"P141 an extra scope":                   {Extra: url.Values{"scope": {"admin"}}},
		"P141 an extra resource":                {Extra: url.Values{"resource": {"https://admin.example"}}},
		"TOK-2 an extra client_id":              {Extra: url.Values{"client_id": {"other"}}},
		"P141 an extra grant_type":              {Extra: url.Values{"grant_type": {"password"}}},
		"P139 an extra subject_token":           {Extra: url.Values{"subject_token": {"x"}}},
		"P139 an extra assertion":               {Extra: url.Values{"assertion": {"x"}}},
		"P139 an extra requested_token_use":     {Extra: url.Values{"requested_token_use": {"on_behalf_of"}}},
		"P139 an extra actor_token":             {Extra: url.Values{"actor_token": {"x"}}},
		"an extra requested_token_type as well": {Extra: url.Values{"requested_token_type": {"x"}}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.ClientCredentials(t.Context(), q)
			if e, ok := err.(*provider.Error); !ok || e.Kind != provider.Misconfigured || e.Code != "incomplete_request" && e.Code != "reserved_parameter" {
				t.Errorf("%v", err)
			}
		})
	}
	if r.count("/token") != 0 {
		t.Error("asked all the same")
	}
	for _, name := range []string{"grant_type", "client_secret", "client_assertion", "username", "password", "refresh_token", "assertion", "subject_token_type", "actor_token", "scope", "audience"} {
		if !provider.ReservedGrant(name) {
			t.Errorf("%s may be overwritten", name)
		}
	}
	if provider.ReservedGrant("tenant") || provider.ReservedGrant("requested_subject") {
		t.Error("a parameter of a provider's own is refused")
	}
	for _, uri := range []string{"https://api.example", "https://api.example/x?y", "urn:example:x", "api://guid"} {
		if err := provider.CheckResource(uri); err != nil {
			t.Errorf("%s: %v", uri, err)
		}
	}
}

// TestSinsOfClientCredentials: what a provider can answer, and how that is refused; no code = it is tolerated.
func TestSinsOfClientCredentials(t *testing.T) {
	const misbehaved, unavailable, misconfigured = provider.Misbehaved, provider.Unavailable, provider.Misconfigured
	for sin, row := range map[string]struct {
		kind provider.Kind
		code string
	}{
		"n_a": {misbehaved, "bad_response"}, "mac": {misbehaved, "bad_response"}, "dpop": {misbehaved, "bad_response"}, "no_token_type": {misbehaved, "bad_response"},
		"empty_access": {misbehaved, "bad_response"}, "no_access": {misbehaved, "bad_response"}, "number_access": {misbehaved, "bad_response"}, "control_access": {misbehaved, "bad_response"},
		"huge_access": {misbehaved, "too_large"}, "no_expires_in": {}, "text_expires_in": {}, "zero_expires_in": {}, "negative_expires": {misbehaved, "bad_response"}, "huge_expires_in": {},
		"word_expires_in": {misbehaved, "bad_response"}, "refresh_token": {}, "other_scope": {}, "html": {misbehaved, "bad_response"}, "garbage": {misbehaved, "bad_response"},
		"list": {misbehaved, "bad_response"}, "null": {misbehaved, "bad_response"}, "empty_body": {misbehaved, "bad_response"}, "oversize": {misbehaved, "too_large"},
		"server_error": {unavailable, "server_error"}, "bad_gateway": {unavailable, "server_error"}, "unavailable": {unavailable, "server_error"}, "too_many": {unavailable, "rate_limited"},
		"slow": {}, "hang": {unavailable, "timeout"}, "drop": {unavailable, "unreachable"}, "lost": {unavailable, "unreachable"}, "redirect": {misbehaved, "redirect_refused"},
		"invalid_grant": {misconfigured, "invalid_grant"}, "invalid_client": {misconfigured, "invalid_client"}, "invalid_scope": {misconfigured, "invalid_scope"},
		"invalid_target": {misconfigured, "invalid_target"}, "unauthorized": {misconfigured, "unauthorized_client"}, "unsupported_grant": {misconfigured, "unsupported_grant_type"},
		"denied": {misconfigured, "access_denied"}, "echoed": {misconfigured, "invalid_request"}, "off": {misconfigured, "unauthorized_client"},
	} {
		t.Run("P144 P145 "+sin, func(t *testing.T) {
			inBubble(t, func(t *testing.T, _ *rogue) {
				v := machines(t, nil, nil)
				v.Misbehave(idp.Named("client_credentials_" + sin))
				r, err := v.client.ClientCredentials(t.Context(), provider.ClientCredentialsRequest{Scopes: []string{"read"}})
				if row.code == "" {
					if err != nil || r.AccessToken.IsZero() || !r.RefreshToken.IsZero() {
						t.Fatal(err)
					}
					return
				}
				wants(t, err, row.kind, row.code)
				if r != nil || v.Count(idp.Token) != 1 {
					t.Errorf("TOK-7: %d requests", v.Count(idp.Token))
				}
			})
		})
	}
}

func TestAPreviousSecretServesClientCredentialsToo(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *rogue) {
		v := machines(t, nil, func(c *provider.Config) {
			c.ClientSecret, c.PreviousSecret = secret.New("the-next-one"), secret.New(idptest.Secret)
		})
		if _, err := v.client.ClientCredentials(t.Context(), provider.ClientCredentialsRequest{}); err != nil || v.Count(idp.Token) != 2 {
			t.Errorf("CA-8: %v after %d requests", err, v.Count(idp.Token))
		}
	})
}
