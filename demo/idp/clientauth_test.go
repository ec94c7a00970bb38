package idp_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/demo/idp/idptest"
)

// A client is known to have been authenticated when its nonsense grant gets another error than invalid_client.
var nonsense = url.Values{"grant_type": {"nonsense"}}

func with(form url.Values, pairs ...string) url.Values {
	out := url.Values{}
	for k, v := range form {
		out[k] = v
	}
	for i := 0; i < len(pairs); i += 2 {
		out.Set(pairs[i], pairs[i+1])
	}
	return out
}

func noHeader(r *http.Request) { r.Header.Del("Authorization") }

func TestClientSecretBasic(t *testing.T) {
	w := newWorld(t)
	header := func(value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", value) }
	}
	raw := func(pair string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(pair)) }
	w.wantError(w.post(idp.Token, nonsense), 400, "unsupported_grant_type")
	w.wantError(w.post(idp.Token, with(nonsense, "client_id", "doorward")), 400, "unsupported_grant_type")
	w.wantError(w.post(idp.Token, with(nonsense, "client_id", "other")), 400, "invalid_request")
	for name, value := range map[string]string{
		"CA-1 not form-urlencoded": raw("doorward:" + idptest.Secret),
		"wrong secret":             raw("doorward:wrong"),
		"no secret":                raw("doorward:"),
		"no colon":                 raw("doorward"),
		"unknown client":           raw("nobody:x"),
		"not base64":               "Basic ###",
		"another scheme":           "Bearer abc",
		"empty":                    "Basic",
	} {
		r := w.post(idp.Token, nonsense, header(value))
		w.wantError(r, 401, "invalid_client")
		if r.header.Get("WWW-Authenticate") != `Basic realm="idp"` {
			t.Errorf("%s: no challenge", name)
		}
	}
	t.Run("by another method than registered", func(t *testing.T) {
		w.wantError(w.post(idp.Token, with(nonsense, "client_id", "doorward", "client_secret", idptest.Secret), noHeader), 401, "invalid_client")
		w.wantError(w.post(idp.Token, with(nonsense, "client_id", "doorward"), noHeader), 401, "invalid_client")
		w.wantError(w.post(idp.Token, nonsense, noHeader), 401, "invalid_client")
	})
	t.Run("TOK-2 two at once", func(t *testing.T) {
		w.wantError(w.post(idp.Token, with(nonsense, "client_id", "doorward", "client_secret", idptest.Secret)), 400, "invalid_request")
	})
}

func TestClientSecretPostAndNone(t *testing.T) {
	w := newWorld(t, func(c *idp.Config) {
		c.Clients[0].AuthMethod = "client_secret_post"
		c.Clients = append(c.Clients, idp.Client{ID: "public"})
	})
	w.wantError(w.post(idp.Token, with(nonsense, "client_id", "doorward", "client_secret", idptest.Secret), noHeader), 400, "unsupported_grant_type")
	w.wantError(w.post(idp.Token, with(nonsense, "client_id", "doorward", "client_secret", "wrong"), noHeader), 401, "invalid_client")
	w.wantError(w.post(idp.Token, nonsense), 401, "invalid_client")
	w.wantError(w.post(idp.Token, with(nonsense, "client_id", "public"), noHeader), 400, "unsupported_grant_type")
	w.wantError(w.post(idp.Token, with(nonsense, "client_id", "public", "client_secret", ""), noHeader), 401, "invalid_client")
}

func TestClientAssertions(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	const secret = "a secret of at least thirty-two bytes"
	configure := func(method string, strict bool) func(*idp.Config) {
		return func(c *idp.Config) {
			c.StrictAssertionAudience = strict
			c.Clients[0].AuthMethod, c.Clients[0].Secret = method, secret
			c.Clients[0].PublicKeys = []crypto.PublicKey{&key.PublicKey}
		}
	}
	assertion := func(w *world, alg jose.SignatureAlgorithm, signKey any, edit map[string]any) url.Values {
		t.Helper()
		now := time.Now().Unix()
		claims := map[string]any{"iss": "doorward", "sub": "doorward", "aud": w.Issuer(), "jti": rand.Text(), "iat": now, "exp": now + 60}
		typ := "JWT"
		for name, value := range edit {
			claims[name] = value
			if value == nil {
				delete(claims, name)
			}
			if name == "typ" {
				typ = value.(string)
			}
		}
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: signKey}, (&jose.SignerOptions{}).WithType(jose.ContentType(typ)))
		if err != nil {
			t.Fatal(err)
		}
		compact, err := jwt.Signed(signer).Claims(claims).Serialize()
		if err != nil {
			t.Fatal(err)
		}
		return with(nonsense, "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "client_assertion", compact)
	}
	for _, method := range []string{"private_key_jwt", "client_secret_jwt"} {
		t.Run("CA-3 "+method, func(t *testing.T) {
			w := newWorld(t, configure(method, false))
			alg, good, bad := jose.ES256, any(key), any(stranger)
			if method == "client_secret_jwt" {
				alg, good, bad = jose.HS256, []byte(secret), []byte("another secret of thirty-two bytes!!")
			}
			form := assertion(w, alg, good, nil)
			w.wantError(w.post(idp.Token, form, noHeader), 400, "unsupported_grant_type")
			if last := w.Last(idp.Token); last.ClientAuth != method || last.ClientID != "doorward" {
				t.Errorf("recorded %+v", last)
			}
			w.wantError(w.post(idp.Token, form, noHeader), 401, "invalid_client") // jti replay
			for _, accepted := range []map[string]any{
				{"aud": w.URL(idp.Token)}, {"aud": []string{w.Issuer()}}, {"typ": "client-authentication+jwt"}, {"iat": nil},
			} {
				w.wantError(w.post(idp.Token, assertion(w, alg, good, accepted), noHeader), 400, "unsupported_grant_type")
			}
			now := time.Now().Unix()
			for _, refused := range []map[string]any{
				{"aud": "https://other.test"},
				{"aud": nil},
				{"aud": []string{w.Issuer(), "https://other.test"}},
				{"exp": now - 60},
				{"exp": nil},
				{"exp": now + 3600},
				{"iat": now + 3600},
				{"nbf": now + 3600},
				{"jti": nil},
				{"iss": "other"},
				{"iss": nil},
				{"typ": "at+jwt"},
				{"exp": "soon"},
			} {
				if r := w.post(idp.Token, assertion(w, alg, good, refused), noHeader); r.status != 401 {
					t.Errorf("%v: %d %s", refused, r.status, r.body)
				}
			}
			w.wantError(w.post(idp.Token, assertion(w, alg, bad, nil), noHeader), 401, "invalid_client")
			w.wantError(w.post(idp.Token, with(assertion(w, alg, good, nil), "client_id", "doorward"), noHeader), 400, "unsupported_grant_type")
			w.wantError(w.post(idp.Token, with(assertion(w, alg, good, nil), "client_id", "other"), noHeader), 401, "invalid_client")
			w.wantError(w.post(idp.Token, with(assertion(w, alg, good, nil), "client_assertion_type", "x"), noHeader), 401, "invalid_client")
			w.wantError(w.post(idp.Token, with(assertion(w, alg, good, nil), "client_assertion", "a.b.c"), noHeader), 401, "invalid_client")
			w.wantError(w.post(idp.Token, assertion(w, alg, good, nil)), 400, "invalid_request") // and Basic
		})
	}
	t.Run("CA-4 the issuer only, when strict", func(t *testing.T) {
		w := newWorld(t, configure("private_key_jwt", true))
		w.wantError(w.post(idp.Token, assertion(w, jose.ES256, key, nil), noHeader), 400, "unsupported_grant_type")
		w.wantError(w.post(idp.Token, assertion(w, jose.ES256, key, map[string]any{"aud": w.URL(idp.Token)}), noHeader), 401, "invalid_client")
	})
	t.Run("the backchannel authentication endpoint as audience is good there only", func(t *testing.T) {
		w := newWorld(t, configure("private_key_jwt", false))
		there := map[string]any{"aud": w.URL(idp.CIBA)}
		w.wantError(w.post(idp.CIBA, assertion(w, jose.ES256, key, there), noHeader), 400, "unauthorized_client") // authenticated
		w.wantError(w.post(idp.Token, assertion(w, jose.ES256, key, there), noHeader), 401, "invalid_client")
	})
	t.Run("an HS256 assertion is not private_key_jwt", func(t *testing.T) {
		w := newWorld(t, configure("private_key_jwt", false))
		w.wantError(w.post(idp.Token, assertion(w, jose.HS256, []byte(secret), nil), noHeader), 401, "invalid_client")
	})
}
