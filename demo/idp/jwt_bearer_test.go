package idp_test

import (
	"crypto"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/demo/idp"
)

func oboForm(assertion, scope string) url.Values {
	return form("grant_type", idp.GrantJWTBearer, "assertion", assertion, "requested_token_use", "on_behalf_of", "scope", scope)
}

func TestOnBehalfOf(t *testing.T) {
	w := newWorld(t, machines)
	alice := w.MustMint(idp.Mint{User: "alice", Audience: []string{"billing"}})
	_, claims := w.verify(w.ok(idp.Token, oboForm(alice, "api://stock/.default"), as("billing")).text("access_token"))
	if claims["sub"] != "8f2c-alice" || claims["aud"] != "api://stock" || claims["client_id"] != "billing" {
		t.Errorf("%v", claims)
	}
	ended := w.MustMint(idp.Mint{User: "alice", Audience: []string{"billing"}})
	w.EndToken(ended)
	for name, test := range map[string]struct {
		form        url.Values
		code, words string
	}{
		"another audience": {oboForm(w.MustMint(idp.Mint{User: "alice"}), "openid"), "invalid_grant", "AADSTS500131"},
		"ended":            {oboForm(ended, "openid"), "invalid_grant", "AADSTS500133"},
		"a machine's":      {oboForm(w.MustMint(idp.Mint{Client: "billing"}), "openid"), "invalid_grant", "AADSTS7000114"},
		"an ID token":      {oboForm(w.tokens().text("id_token"), "openid"), "invalid_grant", "AADSTS500133"},
		"no scope":         {oboForm(alice, ""), "invalid_request", "AADSTS90014"},
		"another scope":    {oboForm(alice, "admin"), "invalid_scope", "admin"},
		"another use":      {form("grant_type", idp.GrantJWTBearer, "assertion", alice, "requested_token_use", "x"), "invalid_request", "requested_token_use"},
		"nothing":          {form("grant_type", idp.GrantJWTBearer), "invalid_request", "assertion"},
	} {
		t.Run(name, func(t *testing.T) {
			r := w.post(idp.Token, test.form, as("billing"))
			w.wantError(r, 400, test.code)
			if !strings.Contains(r.text("error_description"), test.words) {
				t.Errorf("says %q", r.text("error_description"))
			}
		})
	}
}

func TestOnBehalfOfWantsMoreOfThePersonFirst(t *testing.T) {
	const wanted = `{"access_token":{"acrs":{"essential":true,"value":"c1"}}}`
	for _, code := range []string{"interaction_required", "invalid_grant"} {
		t.Run(code, func(t *testing.T) {
			w := newWorld(t, machines, func(c *idp.Config) {
				c.Clients[0].StepUpClaims = wanted
				if code != "interaction_required" {
					c.Clients[0].StepUpError = code
				}
			})
			r := w.post(idp.Token, oboForm(w.tokens().text("access_token"), "api://stock/.default"))
			w.wantError(r, 400, code)
			if r.text("claims") != wanted || !strings.Contains(r.text("error_description"), "AADSTS50076") {
				t.Fatalf("%s", r.body)
			}
			if got := w.tokens(); w.post(idp.Token, oboForm(got.text("access_token"), "openid")).status != 400 {
				t.Error("another login without the claims is enough")
			}
			stepped := w.tokens("claims", ` {"access_token":{"acrs":{"value":"c1","essential":true}}}`) // as a client may have spaced it
			if got := w.Last(idp.Authorize).Query.Get("claims"); !strings.Contains(got, "c1") {
				t.Errorf("recorded %q", got)
			}
			if got := w.Last(idp.Login); got.Status != 303 {
				t.Error("nobody was asked for the password again")
			}
			w.ok(idp.Token, oboForm(stepped.text("access_token"), "api://stock/.default"))
			w.ok(idp.Token, oboForm(w.ok(idp.Token, refreshForm(stepped.text("refresh_token"))).text("access_token"), "openid"))
		})
	}
	t.Run("claims that are none", func(t *testing.T) {
		w := newWorld(t, machines)
		if got := answer(t, w.browser.Open(t, w.authorizeURL("claims", "[]"))); got.Get("error") != "invalid_request" {
			t.Errorf("%v", got)
		}
	})
}

func TestAnAssertionIsTradedForAnAccessToken(t *testing.T) {
	key, err := idp.NewKey("ES256")
	if err != nil {
		t.Fatal(err)
	}
	other, err := idp.NewKey("ES256")
	if err != nil {
		t.Fatal(err)
	}
	const workload = "https://workload.example"
	w := newWorld(t, machines, func(c *idp.Config) {
		c.TrustedIssuers = map[string][]crypto.PublicKey{workload: {key.Public()}}
		c.Clients[len(c.Clients)-1].PublicKeys = []crypto.PublicKey{other.Public()}
	})
	now := time.Now()
	sign := func(k idp.Key, change string, to any) string {
		claims := map[string]any{"iss": workload, "sub": "8f2c-alice", "aud": w.Issuer(), "exp": now.Add(time.Minute).Unix(), "iat": now.Unix()}
		if claims[change] = to; to == nil {
			delete(claims, change)
		}
		jwt, err := k.SignJWT(nil, claims)
		if err != nil {
			t.Fatal(err)
		}
		return jwt
	}
	post := func(assertion string) reply {
		return w.post(idp.Token, form("grant_type", idp.GrantJWTBearer, "assertion", assertion, "audience", "stock"), as("billing"))
	}
	for name, assertion := range map[string]string{
		"of a trusted issuer": sign(key, "nonce", "n"), "for the token endpoint": sign(key, "aud", []string{w.URL(idp.Token)}),
		"about somebody known elsewhere": sign(key, "sub", "stranger"), "of the client's own": sign(other, "iss", "billing"),
	} {
		r := post(assertion)
		if r.status != 200 {
			t.Errorf("%s: %s", name, r.body)
			continue
		}
		_, claims := w.verify(r.text("access_token"))
		if sub := claims["sub"]; claims["aud"] != "stock" || sub != "8f2c-alice" && sub != "stranger" {
			t.Errorf("%s: %v", name, claims)
		}
	}
	for name, assertion := range map[string]string{
		"another signer": sign(other, "nonce", "n"), "another issuer": sign(key, "iss", "https://evil.example"),
		"another audience": sign(key, "aud", "stock"), "no audience": sign(key, "aud", nil), "no sub": sign(key, "sub", nil),
		"expired": sign(key, "exp", now.Add(-time.Minute).Unix()), "no exp": sign(key, "exp", nil),
		"from tomorrow": sign(key, "nbf", now.Add(time.Hour).Unix()), "garbage": "a.b.c", "own iss, others' key": sign(key, "iss", "billing"),
	} {
		t.Run(name, func(t *testing.T) { w.wantError(post(assertion), 400, "invalid_grant") })
	}
}
