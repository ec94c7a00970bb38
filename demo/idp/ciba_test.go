package idp_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"maps"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/demo/idp/idptest"
)

func cibaForm(pairs ...string) url.Values {
	f := form("scope", "openid profile", "login_hint", "alice")
	for i := 0; i < len(pairs); i += 2 {
		if f.Set(pairs[i], pairs[i+1]); pairs[i+1] == "" {
			f.Del(pairs[i])
		}
	}
	return f
}

func cibaPoll(started reply, pairs ...string) url.Values {
	return form(append([]string{"grant_type", idp.GrantCIBA, "auth_req_id", started.text("auth_req_id")}, pairs...)...)
}

// waiting is the only request that waits.
func (w *world) waiting() idp.PendingCIBA {
	w.t.Helper()
	all := w.PendingCIBA("")
	if len(all) != 1 {
		w.t.Fatalf("%d requests wait, want one", len(all))
	}
	return all[0]
}

func TestCIBAPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, everyFlow)
		r := w.ok(idp.CIBA, cibaForm("binding_message", "W4SCT", "acr_values", "1", "requested_expiry", "90"))
		if len(r.text("auth_req_id")) < 40 || r.json["expires_in"] != 90.0 || r.json["interval"] != 5.0 || r.header.Get("Cache-Control") != "no-store" {
			t.Errorf("answer %s", r.body)
		}
		w.wantError(w.post(idp.Token, cibaPoll(r)), 400, "authorization_pending")
		time.Sleep(4 * time.Second)
		w.wantError(w.post(idp.Token, cibaPoll(r)), 400, "slow_down")
		time.Sleep(9 * time.Second)
		w.wantError(w.post(idp.Token, cibaPoll(r)), 400, "slow_down")
		got := w.waiting()
		if got.BindingMessage != "W4SCT" || got.Username != "alice" || got.ClientID != "doorward" || got.Expires.Sub(got.Asked) != 90*time.Second {
			t.Errorf("waiting %+v", got)
		}
		if d, err := w.ApproveCIBA(t.Context(), got.ID); err != nil || d.URI != "" {
			t.Errorf("%+v %v", d, err)
		}
		w.wantError(w.post(idp.Token, cibaPoll(r, "client_id", "ping"), noHeader), 400, "invalid_grant")
		time.Sleep(15 * time.Second)
		tokens := w.ok(idp.Token, cibaPoll(r))
		_, claims := w.verify(tokens.text("id_token"))
		if claims["sub"] != "8f2c-alice" || claims["acr"] != "1" || claims["nonce"] != nil || claims[idp.ClaimAuthReqID] != nil || claims["at_hash"] != half(tokens.text("access_token")) {
			t.Errorf("claims %v", claims)
		}
		w.ok(idp.Token, refreshForm(tokens.text("refresh_token")))
		w.wantError(w.post(idp.Token, cibaPoll(r)), 400, "invalid_grant")
		if _, err := w.ApproveCIBA(t.Context(), got.ID); err == nil {
			t.Error("approved twice")
		}
	})
}

func TestCIBADeniedOrExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, everyFlow)
		r := w.ok(idp.CIBA, cibaForm())
		if _, err := w.DenyCIBA(t.Context(), w.waiting().ID); err != nil {
			t.Fatal(err)
		}
		w.wantError(w.post(idp.Token, cibaPoll(r)), 400, "access_denied")
		r = w.ok(idp.CIBA, cibaForm())
		id := w.waiting().ID
		time.Sleep(2 * time.Minute)
		w.wantError(w.post(idp.Token, cibaPoll(r)), 400, "expired_token")
		if _, err := w.ApproveCIBA(t.Context(), id); err == nil {
			t.Error("approved after it had expired")
		}
	})
}

func TestCIBARequestsAreRefused(t *testing.T) {
	w := newWorld(t, everyFlow, func(c *idp.Config) {
		c.Users[1].CIBAUserCode = "2468"
		c.Users = append(c.Users, idp.User{Username: "gone", Disabled: true})
	})
	expired, err := w.LoginHintToken("alice", -time.Second)
	if err != nil {
		t.Fatal(err)
	}
	idToken := w.tokens().text("id_token")
	foreign, err := w.SignJWT(nil, map[string]any{"iss": w.Issuer(), "sub": "8f2c-alice", "aud": "another"}, "", "")
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		form   url.Values
		status int
		code   string
	}{
		"no scope":                        {cibaForm("scope", ""), 400, "invalid_request"},
		"no openid":                       {cibaForm("scope", "profile"), 400, "invalid_scope"},
		"a scope too many":                {cibaForm("scope", "openid admin"), 400, "invalid_scope"},
		"no hint":                         {cibaForm("login_hint", ""), 400, "invalid_request"},
		"two hints":                       {cibaForm("id_token_hint", idToken), 400, "invalid_request"},
		"an empty second hint":            {url.Values{"scope": {"openid"}, "login_hint": {"alice"}, "login_hint_token": {""}}, 400, "invalid_request"},
		"somebody unknown":                {cibaForm("login_hint", "nobody"), 400, "unknown_user_id"},
		"somebody disabled":               {cibaForm("login_hint", "gone"), 403, "access_denied"},
		"a hint token that has expired":   {cibaForm("login_hint", "", "login_hint_token", expired), 400, "expired_login_hint_token"},
		"an ID token as hint token":       {cibaForm("login_hint", "", "login_hint_token", idToken), 400, "invalid_request"},
		"an ID token of another client":   {cibaForm("login_hint", "", "id_token_hint", foreign), 400, "invalid_request"},
		"a notification token in poll":    {cibaForm("client_notification_token", notificationToken), 400, "invalid_request"},
		"a message with spaces":           {cibaForm("binding_message", "Pay 20"), 400, "invalid_binding_message"},
		"a long message":                  {cibaForm("binding_message", strings.Repeat("a", 51)), 400, "invalid_binding_message"},
		"an expiry of nothing":            {cibaForm("requested_expiry", "0"), 400, "invalid_request"},
		"a negative expiry":               {cibaForm("requested_expiry", "-5"), 400, "invalid_request"},
		"no user code":                    {cibaForm("login_hint", "bob"), 400, "missing_user_code"},
		"a wrong user code":               {cibaForm("login_hint", "bob", "user_code", "1"), 400, "invalid_user_code"},
		"signed, but not registered so":   {form("request", "e30.e30.e30"), 400, "invalid_request"},
		"a push without its bearer token": {cibaForm("client_id", "push"), 400, "invalid_request"},
		"a bearer token too short":        {cibaForm("client_id", "push", "client_notification_token", "short"), 400, "invalid_request"},
		"a bearer token too long":         {cibaForm("client_id", "push", "client_notification_token", strings.Repeat("a", 1025)), 400, "invalid_request"},
		"a bearer token with a blank":     {cibaForm("client_id", "push", "client_notification_token", notificationToken+" x"), 400, "invalid_request"},
	} {
		r := reply{}
		if tt.form.Has("client_id") {
			r = w.post(idp.CIBA, tt.form, noHeader)
		} else {
			r = w.post(idp.CIBA, tt.form)
		}
		if r.status != tt.status || r.text("error") != tt.code || r.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: got %d %s, want %d %s", name, r.status, r.body, tt.status, tt.code)
		}
	}
	if n := len(w.PendingCIBA("")); n != 0 {
		t.Errorf("%d refused requests wait on a phone", n)
	}
	w.wantError(w.post(idp.CIBA, cibaForm("client_id", "doorward"), noHeader), 401, "invalid_client")
	standard := newWorld(t)
	standard.wantError(standard.post(idp.CIBA, cibaForm()), 400, "unauthorized_client")
}

func TestEveryHintOfCIBAFindsThePerson(t *testing.T) {
	w := newWorld(t, everyFlow, func(c *idp.Config) { c.Users[0].CIBAUserCode = "2468" })
	hint, err := w.LoginHintToken("alice", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"login_hint": "Alice@Example.com", "login_hint_token": hint, "id_token_hint": w.tokens().text("id_token"),
	} {
		w.ok(idp.CIBA, form("scope", "openid", "user_code", "2468", name, value))
		got := w.waiting()
		if got.Username != "alice" {
			t.Errorf("%s: found %s", name, got.Username)
		}
		if _, err := w.DenyCIBA(t.Context(), got.ID); err != nil {
			t.Error(err)
		}
	}
}

func TestSignedCIBARequests(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, everyFlow, func(c *idp.Config) {
		c.Clients[0].CIBASigningAlg = "ES256"
		c.Clients[0].PublicKeys = append(c.Clients[0].PublicKeys, &key.PublicKey)
	})
	sign := func(with any, alg jose.SignatureAlgorithm, changes map[string]any) string {
		t.Helper()
		now := time.Now().Unix()
		claims := map[string]any{
			"iss": "doorward", "aud": w.Issuer(), "iat": now, "nbf": now, "exp": now + 60, "jti": rand.Text(),
			"scope": "openid", "login_hint": "alice", "binding_message": "W4SCT", "requested_expiry": 77,
		}
		maps.Copy(claims, changes)
		maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: with}, nil)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := jwt.Signed(signer).Claims(claims).Serialize()
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	good := sign(key, jose.ES256, nil)
	if r := w.ok(idp.CIBA, form("request", good)); r.json["expires_in"] != 77.0 || w.waiting().BindingMessage != "W4SCT" {
		t.Errorf("%s", r.body)
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	past := time.Now().Add(-time.Hour).Unix()
	for name, raw := range map[string]string{
		"replayed":             good,
		"of another key":       sign(other, jose.ES256, nil),
		"symmetric":            sign([]byte(idptest.Secret+strings.Repeat("x", 32)), jose.HS256, nil),
		"expired":              sign(key, jose.ES256, map[string]any{"exp": past}),
		"for another provider": sign(key, jose.ES256, map[string]any{"aud": "https://other.example"}),
		"of another client":    sign(key, jose.ES256, map[string]any{"iss": "ping"}),
		"without jti":          sign(key, jose.ES256, map[string]any{"jti": nil}),
		"without nbf":          sign(key, jose.ES256, map[string]any{"nbf": nil}),
		"good for a day":       sign(key, jose.ES256, map[string]any{"exp": time.Now().Add(24 * time.Hour).Unix()}),
		"with an object":       sign(key, jose.ES256, map[string]any{"acr_values": map[string]any{}}),
		"with a fraction":      sign(key, jose.ES256, map[string]any{"requested_expiry": 1.5}),
		"not a JWT":            "x",
	} {
		r := w.post(idp.CIBA, form("request", raw))
		if r.status != 400 || r.text("error") != "invalid_request" {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
	w.wantError(w.post(idp.CIBA, form("request", sign(key, jose.ES256, nil), "scope", "openid")), 400, "invalid_request")
	w.wantError(w.post(idp.CIBA, cibaForm()), 400, "invalid_request")
}
