package idp_test

import (
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/doorward/doorward/demo/idp"
)

const ordersAPI = "https://orders.example/api"

// machines registers what the machine grants need: doorward may do everything, orders and billing are
// services, and ping is public.
func machines(c *idp.Config) {
	everyFlow(c)
	c.Clients[0].Grants = append(slices.Clone(c.Clients[0].Grants), "client_credentials", idp.GrantTokenExchange, idp.GrantJWTBearer)
	grants := []string{"client_credentials", idp.GrantTokenExchange, idp.GrantJWTBearer}
	c.Clients = append(
		c.Clients,
		idp.Client{ID: "orders", Secret: "orders-secret", Grants: grants, Audiences: []string{"billing", ordersAPI}, Scopes: []string{"read", "write", "openid"}},
		idp.Client{ID: "billing", Secret: "billing-secret", Grants: grants},
	)
}

// as authenticates another client.
func as(id string) func(*http.Request) {
	return func(r *http.Request) { r.SetBasicAuth(id, id+"-secret") }
}

func clientCredentials(pairs ...string) url.Values {
	return form(append([]string{"grant_type", "client_credentials"}, pairs...)...)
}

func TestAClientGetsATokenOfItsOwn(t *testing.T) {
	w := newWorld(t, machines)
	f := clientCredentials("scope", "read write")
	f["audience"], f["resource"] = []string{"billing"}, []string{ordersAPI}
	r := w.ok(idp.Token, f, as("orders"))
	header, claims := w.verify(r.text("access_token"))
	if header.ExtraHeaders["typ"] != "at+jwt" || claims["sub"] != "orders" || claims["client_id"] != "orders" || claims["scope"] != "read write" {
		t.Errorf("%v %v", header, claims)
	}
	if aud, _ := claims["aud"].([]any); len(aud) != 2 || aud[0] != "billing" || aud[1] != ordersAPI {
		t.Errorf("aud %v", claims["aud"])
	}
	if claims["sid"] != nil || claims["auth_time"] != nil || r.json["refresh_token"] != nil || r.text("token_type") != "Bearer" {
		t.Errorf("a machine is not signed in: %s", r.body)
	}
	_, claims = w.verify(w.ok(idp.Token, clientCredentials(), as("orders")).text("access_token"))
	if _, named := claims["scope"]; claims["aud"] != "orders" || named {
		t.Errorf("without any target and scope: %v", claims)
	}
	_, claims = w.verify(w.ok(idp.Token, clientCredentials("scope", "api://stock/.default"), as("billing")).text("access_token"))
	if claims["aud"] != "api://stock" || claims["scope"] != "api://stock/.default" {
		t.Errorf("a scope that names a resource: %v", claims)
	}
}

func TestClientCredentialsAreRefused(t *testing.T) {
	w := newWorld(t, machines, func(c *idp.Config) {
		c.Clients = append(
			c.Clients,
			idp.Client{ID: "off", Secret: "off-secret", Grants: []string{"client_credentials"}, NoServiceAccount: true},
			idp.Client{ID: "other", Secret: "other-secret"},
			idp.Client{ID: "public", Grants: []string{"client_credentials"}},
		)
	})
	for name, test := range map[string]struct {
		client string
		form   url.Values
		status int
		code   string
	}{
		"another scope":      {"orders", clientCredentials("scope", "admin"), 400, "invalid_scope"},
		"another audience":   {"orders", clientCredentials("audience", "stock"), 400, "invalid_target"},
		"another resource":   {"orders", clientCredentials("resource", "https://stock.example"), 400, "invalid_target"},
		"a relative one":     {"billing", clientCredentials("resource", "stock"), 400, "invalid_target"},
		"one with fragment":  {"billing", clientCredentials("resource", "https://stock.example/#a"), 400, "invalid_target"},
		"an empty fragment":  {"billing", clientCredentials("resource", "https://stock.example/#"), 400, "invalid_target"},
		"an empty audience":  {"billing", clientCredentials("audience", ""), 400, "invalid_target"},
		"no service account": {"off", clientCredentials(), 401, "unauthorized_client"},
		"not registered":     {"other", clientCredentials(), 400, "unauthorized_client"},
		"scope out of reach": {"orders", clientCredentials("scope", "api://stock/.default"), 400, "invalid_scope"},
	} {
		t.Run(name, func(t *testing.T) { w.wantError(w.post(idp.Token, test.form, as(test.client)), test.status, test.code) })
	}
	t.Run("a public client", func(t *testing.T) {
		r := w.post(idp.Token, clientCredentials("client_id", "public"), func(r *http.Request) { r.Header.Del("Authorization") })
		w.wantError(r, 401, "unauthorized_client")
	})
	t.Run("wrong secret", func(t *testing.T) {
		r := w.post(idp.Token, clientCredentials(), func(r *http.Request) { r.SetBasicAuth("orders", "billing-secret") })
		w.wantError(r, 401, "invalid_client")
	})
}

func TestAccessTokensAreWhatTheClientIsRegisteredFor(t *testing.T) {
	w := newWorld(t, machines, func(c *idp.Config) {
		c.Clients[len(c.Clients)-1].AccessTokenType = "JWT"
		c.Clients[len(c.Clients)-1].AccessTokenClaims = map[string]any{"aud": nil, "scp": []string{"a", "b"}}
		c.Clients[len(c.Clients)-1].AccessTokenLifetime = 42 * time.Second
		c.Clients[len(c.Clients)-1].CertificateThumbprint = "thumb"
		c.Clients[len(c.Clients)-2].OpaqueTokens = true
	})
	r := w.ok(idp.Token, clientCredentials(), as("billing"))
	header, claims := w.verify(r.text("access_token"))
	if _, there := claims["aud"]; header.ExtraHeaders["typ"] != "JWT" || there || claims["scp"] == nil {
		t.Errorf("%v %v", header, claims)
	}
	if cnf, _ := claims["cnf"].(map[string]any); cnf["x5t#S256"] != "thumb" {
		t.Errorf("bound to %v", claims["cnf"])
	}
	if r.json["expires_in"] != 42.0 || claims["exp"].(float64)-claims["iat"].(float64) != 42 {
		t.Errorf("lifetime: %s", r.body)
	}
	opaque := w.ok(idp.Token, clientCredentials("scope", "read"), as("orders")).text("access_token")
	about := w.ok(idp.Introspect, form("token", opaque)).json
	if about["active"] != true || about["sub"] != "orders" || about["client_id"] != "orders" || about["aud"] != "orders" || about["scope"] != "read" || about["username"] != nil {
		t.Errorf("an opaque token is %v", about)
	}
}
