package idp_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/doorward/doorward/demo/idp"
)

func signedIntrospection(r *http.Request) {
	r.Header.Set("Accept", "application/token-introspection+jwt")
}

func TestIntrospectionIsSignedIfThatIsAsked(t *testing.T) {
	w := newWorld(t, machines)
	token := w.MustMint(idp.Mint{User: "alice", Scopes: []string{"read"}, JKT: "thumb"})
	r := w.ok(idp.Introspect, form("token", token), signedIntrospection)
	if got := r.header.Get("Content-Type"); got != "application/token-introspection+jwt" {
		t.Errorf("content type %q", got)
	}
	header, claims := w.verify(r.body)
	if header.ExtraHeaders["typ"] != "token-introspection+jwt" || claims["iss"] != w.Issuer() || claims["aud"] != "doorward" || claims["iat"] == nil || claims["exp"] != nil || claims["sub"] != nil {
		t.Errorf("%v %v", header, claims)
	}
	about, _ := claims["token_introspection"].(map[string]any)
	if cnf, _ := about["cnf"].(map[string]any); about["active"] != true || about["sub"] != "8f2c-alice" || cnf["jkt"] != "thumb" || about["token_type"] != "DPoP" {
		t.Errorf("%v", about)
	}
	_, claims = w.verify(w.ok(idp.Introspect, form("token", "unknown"), signedIntrospection).body)
	if about, _ := claims["token_introspection"].(map[string]any); about["active"] != false || len(about) != 1 {
		t.Errorf("of an unknown token it says %v", about)
	}
	t.Run("sins", func(t *testing.T) {
		w.Misbehave(idp.Named("introspect_text_active"), idp.Named("introspect_signed_iss"), idp.Named("introspect_signed_typ"))
		_, claims := w.verify(w.ok(idp.Introspect, form("token", token), signedIntrospection).body)
		if about, _ := claims["token_introspection"].(map[string]any); about["active"] != "true" {
			t.Errorf("%v", claims)
		}
		if _, claims := w.verify(w.ok(idp.Introspect, form("token", token), signedIntrospection).body); claims["iss"] != "https://evil.example" {
			t.Errorf("%v", claims)
		}
		if header, _ := w.verify(w.ok(idp.Introspect, form("token", token), signedIntrospection).body); header.ExtraHeaders["typ"] != "JWT" {
			t.Errorf("%v", header)
		}
		if w.Pending() != 0 {
			t.Error("not all were committed")
		}
	})
}

func TestMintedTokens(t *testing.T) {
	w := newWorld(t, machines)
	key, err := idp.NewKey("ES256")
	if err != nil {
		t.Fatal(err)
	}
	active := func(token string) bool { return w.ok(idp.Introspect, form("token", token)).json["active"] == true }
	token := w.MustMint(idp.Mint{
		User: "alice", Audience: []string{"orders", "stock"}, Scopes: []string{"read", "write"}, Certificate: "thumb",
		Claims: map[string]any{"roles": []string{"r"}, "azp": nil}, Header: map[string]any{"typ": "JWT", "x": 1},
	})
	header, claims := w.verify(token)
	if header.ExtraHeaders["typ"] != "JWT" || header.ExtraHeaders["x"] != 1.0 || claims["azp"] != nil || claims["roles"] == nil || claims["scope"] != "read write" {
		t.Errorf("%v %v", header, claims)
	}
	if cnf, _ := claims["cnf"].(map[string]any); cnf["x5t#S256"] != "thumb" || !active(token) {
		t.Errorf("%v", claims)
	}
	if !w.EndToken(token) || w.EndToken(token) || active(token) {
		t.Error("it does not end")
	}
	if expired := w.MustMint(idp.Mint{Lifetime: -time.Minute}); active(expired) {
		t.Error("expired and active")
	} else if _, claims := w.verify(expired); claims["exp"].(float64) >= float64(time.Now().Unix()) || claims["iat"].(float64) >= claims["exp"].(float64) {
		t.Errorf("%v", claims)
	}
	if opaque := w.MustMint(idp.Mint{Opaque: true}); len(opaque) != 52 || !active(opaque) {
		t.Errorf("opaque %q", opaque)
	}
	if unknown := w.MustMint(idp.Mint{Unknown: true}); active(unknown) {
		t.Error("an unknown token is known")
	}
	if active(w.MustMint(idp.Mint{Key: &key})) || active(w.MustMint(idp.Mint{Sign: idp.SignWrongKey})) || !active(w.MustMint(idp.Mint{Sign: idp.SignFreshKey})) {
		t.Error("a forgery is active, or a token by a new key is not")
	}
	foreign := w.MustMint(idp.Mint{Key: &key, Header: map[string]any{"kid": nil}, Claims: map[string]any{"aud": nil}})
	if _, err := w.SignJWT(nil, nil, "none of ours", ""); err == nil || foreign == "" {
		t.Error("an unknown algorithm signs")
	}
	for _, m := range []idp.Mint{{Client: "x"}, {User: "x"}, {Alg: "RS256"}, {Sign: "x"}} {
		if _, err := w.Mint(m); err == nil {
			t.Errorf("%+v is minted", m)
		}
	}
	one, two := w.MustMint(idp.Mint{User: "bob"}), w.MustMint(idp.Mint{User: "bob"})
	if alice := w.MustMint(idp.Mint{User: "alice"}); w.EndSubject("77aa-bob") != 2 || active(one) || active(two) || !active(alice) {
		t.Error("not all of bob's end, or others' too")
	}
}
