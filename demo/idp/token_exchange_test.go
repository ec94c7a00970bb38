package idp_test

import (
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/demo/idp"
)

func exchangeForm(subject string, pairs ...string) url.Values {
	return form(append([]string{
		"grant_type", idp.GrantTokenExchange, "subject_token", subject, "subject_token_type", idp.TypeAccessToken,
	}, pairs...)...)
}

func TestATokenIsExchangedForAnotherAudience(t *testing.T) {
	w := newWorld(t, machines)
	first := w.tokens()
	f := exchangeForm(first.text("access_token"), "scope", "read")
	f["audience"] = []string{"billing"}
	f["resource"] = []string{ordersAPI}
	r := w.ok(idp.Token, f, as("orders"))
	if r.text("issued_token_type") != idp.TypeAccessToken || r.text("token_type") != "Bearer" || r.json["refresh_token"] != nil || r.json["expires_in"] != 300.0 {
		t.Errorf("%s", r.body)
	}
	_, claims := w.verify(r.text("access_token"))
	if claims["sub"] != "8f2c-alice" || claims["client_id"] != "orders" || claims["act"] != nil || claims["scope"] != "read" {
		t.Errorf("%v", claims)
	}
	if !reflect.DeepEqual(claims["aud"], []any{"billing", ordersAPI}) {
		t.Errorf("aud %v", claims["aud"])
	}
	t.Run("an ID token", func(t *testing.T) {
		f := exchangeForm(first.text("id_token"))
		w.wantError(w.post(idp.Token, f, as("orders")), 400, "invalid_grant")
		for _, kind := range []string{idp.TypeIDToken, idp.TypeJWT} {
			f.Set("subject_token_type", kind)
			if _, claims := w.verify(w.ok(idp.Token, f, as("orders")).text("access_token")); claims["sub"] != "8f2c-alice" {
				t.Errorf("%v", claims)
			}
		}
		f = exchangeForm(first.text("access_token"))
		f.Set("subject_token_type", idp.TypeIDToken)
		w.wantError(w.post(idp.Token, f, as("orders")), 400, "invalid_grant")
	})
	t.Run("for an ID token", func(t *testing.T) {
		r := w.ok(idp.Token, exchangeForm(first.text("access_token"), "requested_token_type", idp.TypeIDToken, "audience", "billing"), as("orders"))
		_, claims := w.verify(r.text("access_token"))
		if r.text("token_type") != "N_A" || r.text("issued_token_type") != idp.TypeIDToken || claims["aud"] != "billing" || claims["client_id"] != nil {
			t.Errorf("%s %v", r.body, claims)
		}
	})
	t.Run("its revocation does not reach what was exchanged", func(t *testing.T) {
		w.EndToken(first.text("access_token"))
		w.wantError(w.post(idp.Token, f, as("orders")), 400, "invalid_grant")
		if about := w.ok(idp.Introspect, form("token", r.text("access_token"))).json; about["active"] != true {
			t.Errorf("%v", about)
		}
	})
}

func TestActorsNest(t *testing.T) {
	w := newWorld(t, machines)
	orders := w.ok(idp.Token, clientCredentials(), as("orders")).text("access_token")
	billing := w.ok(idp.Token, clientCredentials(), as("billing")).text("access_token")
	actor := func(token string) []string {
		return []string{"actor_token", token, "actor_token_type", idp.TypeAccessToken}
	}
	one := w.ok(idp.Token, exchangeForm(w.tokens().text("access_token"), actor(orders)...), as("orders")).text("access_token")
	if _, claims := w.verify(one); !reflect.DeepEqual(claims["act"], map[string]any{"sub": "orders"}) || claims["sub"] != "8f2c-alice" {
		t.Errorf("%v", claims)
	}
	two := w.ok(idp.Token, exchangeForm(one, actor(billing)...), as("billing")).text("access_token")
	want := map[string]any{"sub": "billing", "act": map[string]any{"sub": "orders"}}
	if _, claims := w.verify(two); !reflect.DeepEqual(claims["act"], want) || claims["sub"] != "8f2c-alice" {
		t.Errorf("%v", claims)
	}
	three := w.ok(idp.Token, exchangeForm(two), as("orders")).text("access_token")
	if _, claims := w.verify(three); !reflect.DeepEqual(claims["act"], want) {
		t.Errorf("an exchange without an actor forgets who acts: %v", claims["act"])
	}
	if about := w.ok(idp.Introspect, form("token", two)).json; !reflect.DeepEqual(about["act"], want) {
		t.Errorf("introspection: %v", about["act"])
	}
}

func TestMayActNamesWhoMay(t *testing.T) {
	w := newWorld(t, machines)
	billing := w.MustMint(idp.Mint{Client: "billing"})
	try := func(mayAct any, actor string) reply {
		f := exchangeForm(w.MustMint(idp.Mint{User: "alice", Claims: map[string]any{"may_act": mayAct}}))
		if actor != "" {
			f.Set("actor_token", actor)
			f.Set("actor_token_type", idp.TypeAccessToken)
		}
		return w.post(idp.Token, f, as("billing"))
	}
	for name, mayAct := range map[string]any{
		"by name": map[string]any{"sub": "billing"}, "by name and issuer": map[string]any{"sub": "billing", "iss": w.Issuer()},
	} {
		if r := try(mayAct, billing); r.status != 200 {
			t.Errorf("%s: %s", name, r.body)
		}
		if r := try(mayAct, ""); r.status != 200 { // the client itself
			t.Errorf("%s, without actor_token: %s", name, r.body)
		}
	}
	for _, mayAct := range []any{
		map[string]any{"sub": "orders"},
		map[string]any{},
		"billing", nil, 1,
		map[string]any{"sub": "billing", "iss": "https://evil.example"},
	} {
		if mayAct == nil {
			continue // the claim would not be there
		}
		w.wantError(try(mayAct, billing), 400, "invalid_request")
		w.wantError(try(mayAct, ""), 400, "invalid_request")
	}
}

func TestExchangeIsRefused(t *testing.T) {
	w := newWorld(t, machines)
	good := w.MustMint(idp.Mint{User: "alice"})
	for name, test := range map[string]struct {
		form url.Values
		code string
	}{
		"no subject":          {form("grant_type", idp.GrantTokenExchange), "invalid_request"},
		"no subject type":     {form("grant_type", idp.GrantTokenExchange, "subject_token", good), "invalid_request"},
		"unknown type":        {exchangeForm(good, "subject_token_type", "urn:example"), "invalid_grant"},
		"garbage":             {exchangeForm("garbage"), "invalid_grant"},
		"expired":             {exchangeForm(w.MustMint(idp.Mint{User: "alice", Lifetime: -time.Minute})), "invalid_grant"},
		"forged":              {exchangeForm(w.MustMint(idp.Mint{User: "alice", Unknown: true})), "invalid_grant"},
		"another audience":    {exchangeForm(good, "audience", "stock"), "invalid_target"},
		"another resource":    {exchangeForm(good, "resource", "https://stock.example"), "invalid_target"},
		"another scope":       {exchangeForm(good, "scope", "admin"), "invalid_scope"},
		"an actor's type":     {exchangeForm(good, "actor_token_type", idp.TypeAccessToken), "invalid_request"},
		"an actor's token":    {exchangeForm(good, "actor_token", good), "invalid_request"},
		"a dead actor":        {exchangeForm(good, "actor_token", "x", "actor_token_type", idp.TypeAccessToken), "invalid_grant"},
		"for a refresh token": {exchangeForm(good, "requested_token_type", idp.TypeRefreshToken), "invalid_request"},
		"for anything":        {exchangeForm(good, "requested_token_type", "urn:example"), "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) { w.wantError(w.post(idp.Token, test.form, as("orders")), 400, test.code) })
	}
}

func TestKeycloaksRulesOfExchange(t *testing.T) {
	w := newWorld(t, machines, func(c *idp.Config) {
		c.Clients[len(c.Clients)-2].Exchange = idp.Keycloak
		c.Clients[len(c.Clients)-1].Exchange = idp.KeycloakOff
	})
	mine := w.MustMint(idp.Mint{User: "alice", Audience: []string{"account", "orders"}})
	f := exchangeForm(mine, "audience", "billing", "resource", "ignored", "actor_token", "ignored")
	_, claims := w.verify(w.ok(idp.Token, f, as("orders")).text("access_token"))
	if claims["aud"] != "billing" || claims["act"] != nil || claims["sub"] != "8f2c-alice" {
		t.Errorf("%v", claims)
	}
	w.ok(idp.Token, exchangeForm(w.MustMint(idp.Mint{Client: "orders", User: "alice", Audience: []string{"billing"}})), as("orders")) // its own
	for name, test := range map[string]struct {
		client, code, words string
		status              int
		form                url.Values
	}{
		"the requester is not in aud": {"orders", "access_denied", "Client is not within the token audience", 403, exchangeForm(w.MustMint(idp.Mint{User: "alice"}))},
		"an unavailable audience":     {"orders", "invalid_request", "Requested audience not available: stock", 400, exchangeForm(mine, "audience", "stock")},
		"switched off":                {"billing", "invalid_request", "Standard token exchange is not enabled for the requested client", 400, exchangeForm(mine)},
		"an ID token":                 {"orders", "invalid_request", "Parameter 'subject_token' supports access tokens only", 400, exchangeForm(mine, "subject_token_type", idp.TypeIDToken)},
		"no token":                    {"orders", "invalid_request", "Parameter 'subject_token' required for standard token exchange", 400, form("grant_type", idp.GrantTokenExchange)},
		"a dead token":                {"orders", "invalid_request", "Invalid token", 400, exchangeForm("dead")},
		"a JWT":                       {"orders", "invalid_request", "requested_token_type unsupported", 400, exchangeForm(mine, "requested_token_type", idp.TypeJWT)},
		"another scope":               {"orders", "invalid_scope", "Invalid scopes: admin", 400, exchangeForm(mine, "scope", "admin")},
		"impersonation":               {"orders", "invalid_request", "Parameter 'requested_subject' is not supported for standard token exchange", 400, exchangeForm(mine, "requested_subject", "bob")},
	} {
		t.Run(name, func(t *testing.T) {
			r := w.post(idp.Token, test.form, as(test.client))
			w.wantError(r, test.status, test.code)
			if r.text("error_description") != test.words {
				t.Errorf("says %q", r.text("error_description"))
			}
		})
	}
}

func TestAnExchangeForARefreshToken(t *testing.T) {
	w := newWorld(t, machines, func(c *idp.Config) {
		orders := &c.Clients[len(c.Clients)-2]
		orders.ExchangeRefresh, orders.Grants = true, append(orders.Grants, "refresh_token")
	})
	r := w.ok(idp.Token, exchangeForm(w.MustMint(idp.Mint{User: "alice"}), "requested_token_type", idp.TypeRefreshToken), as("orders"))
	if r.text("token_type") != "N_A" || r.text("issued_token_type") != idp.TypeRefreshToken || strings.Contains(r.text("access_token"), ".") {
		t.Errorf("%s", r.body)
	}
	w.ok(idp.Token, refreshForm(r.text("access_token")), as("orders"))
}
