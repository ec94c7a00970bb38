package idp_test

import (
	"crypto"
	"encoding/base64"
	"net/http"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/doorward/doorward/demo/idp"
)

func TestTokensAreBoundToTheKeyOfADPoPProof(t *testing.T) {
	w := newWorld(t, machines)
	key, err := idp.NewKey("ES256")
	if err != nil {
		t.Fatal(err)
	}
	jwk := jose.JSONWebKey{Key: key.Public()}
	sum, err := jwk.Thumbprint(crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	jkt := base64.RawURLEncoding.EncodeToString(sum)
	n := 0
	proof := func(change string, to any) func(*http.Request) {
		n++
		header := map[string]any{"typ": "dpop+jwt", "jwk": jwk, "kid": nil}
		claims := map[string]any{"htm": "POST", "htu": w.URL(idp.Token), "jti": "proof" + string(rune('a'+n)), "iat": time.Now().Unix()}
		for _, members := range []map[string]any{header, claims} {
			if _, there := members[change]; there {
				members[change] = to
			}
		}
		made, err := key.SignJWT(header, claims)
		if err != nil {
			t.Fatal(err)
		}
		return func(r *http.Request) { r.Header.Add("DPoP", made) }
	}
	r := w.ok(idp.Token, clientCredentials(), proof("", nil))
	_, claims := w.verify(r.text("access_token"))
	if cnf, _ := claims["cnf"].(map[string]any); r.text("token_type") != "DPoP" || cnf["jkt"] != jkt {
		t.Errorf("%s %v", r.body, claims)
	}
	bound := w.MustMint(idp.Mint{User: "alice", JKT: jkt})
	w.wantError(w.post(idp.Token, exchangeForm(bound)), 400, "invalid_request")
	w.ok(idp.Token, exchangeForm(bound), proof("", nil))
	used := proof("", nil)
	w.ok(idp.Token, clientCredentials(), used)
	other, err := idp.NewKey("ES256")
	if err != nil {
		t.Fatal(err)
	}
	for name, edit := range map[string]func(*http.Request){
		"used before": used, "two": func(r *http.Request) { proof("", nil)(r); proof("", nil)(r) },
		"another method": proof("htm", "GET"), "another URL": proof("htu", w.Issuer()), "old": proof("iat", time.Now().Add(-time.Hour).Unix()),
		"of the future": proof("iat", time.Now().Add(time.Hour).Unix()), "no jti": proof("jti", nil), "another typ": proof("typ", "JWT"),
		"another key": proof("jwk", jose.JSONWebKey{Key: other.Public()}), "no key": proof("jwk", nil),
		"garbage": func(r *http.Request) { r.Header.Set("DPoP", "garbage") },
	} {
		t.Run(name, func(t *testing.T) {
			w.wantError(w.post(idp.Token, clientCredentials(), edit), 400, "invalid_dpop_proof")
		})
	}
}
