package provider_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	_ "crypto/sha512"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/doorward/doorward/flows/provider"
)

// strangers are keys that must be skipped and not stumbled over.
func strangers() []any {
	p384 := must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	return []any{
		map[string]any{"kty": "EC", "crv": "secp256k1", "kid": "k1", "x": "MBdPLNE6fXplVE1ikgKpk_UkUjU6XhqyVnoQEXy4DFI", "y": "4yvTFRcVqmGkFRQzRXNuWbvBzZUxyTFPqNm0OOR3Tn8"},
		map[string]any{"kty": "OKP", "crv": "Ed448", "kid": "k1", "x": strings.Repeat("A", 76)},
		map[string]any{"kty": "LATTICE", "kid": "k1"},
		map[string]any{"kty": "RSA", "kid": "k1", "n": "!", "e": "AQAB"},
		map[string]any{"kty": "RSA", "kid": "k1", "n": b64([]byte{0xff, 1, 1, 1}), "e": "AQAB"},
		map[string]any{"kty": "oct", "kid": "k1", "k": "c2VjcmV0"},
		map[string]any{"kid": "k1"},
		"a string", 7, nil,
		[]any{},
		jwk(&p384.PublicKey, "k1", "ES384"),
		jose.JSONWebKey{Key: newKey().Public(), KeyID: "k1", Use: "enc"},
		jose.JSONWebKey{Key: newKey(), KeyID: "k1"}, // private
	}
}

func TestKeysAreReadOneByOne(t *testing.T) {
	r := newRogue(t)
	good := jwk(&r.key.PublicKey, "k1", "ES256")
	noAlg := jose.JSONWebKey{Key: &r.key.PublicKey, KeyID: "k1"}
	nameless := jose.JSONWebKey{Key: &r.key.PublicKey}
	other := jwk(newKey().Public(), "k2", "ES256")
	third := jwk(newKey().Public(), "k3", "")
	rsaPublic := jwk(rsaKey().Public(), "k1", "")
	withCert := map[string]any{}
	_ = json.Unmarshal(must(json.Marshal(good)), &withCert)
	withCert["x5c"], withCert["key_ops"] = []string{"bm8gY2VydGlmaWNhdGU="}, []string{"verify"}
	signOnly := maps.Clone(withCert)
	signOnly["key_ops"] = []string{"sign"}
	noKid := map[string]any{"kid": nil}
	for name, row := range map[string]struct {
		keys   []any
		header map[string]any
		ok     bool
	}{
		"JWK-3 strangers before the good one":         {append(strangers(), good), nil, true},
		"JWK-3 strangers alone":                       {strangers(), nil, false},
		"JWK-1 same kid, other kty":                   {[]any{rsaPublic, good}, nil, true},
		"JWK-1 no kid in the token, one key":          {[]any{good}, noKid, true},
		"JWK-1 P122 no kid in the token, three keys":  {[]any{other, third, good, rsaPublic}, noKid, true},
		"JWK-1 no kid in the token, none fits":        {[]any{other, third, rsaPublic}, noKid, false},
		"JWK-1 the key has no kid":                    {[]any{other, nameless}, nil, true},
		"JWK-1 the key has no alg":                    {[]any{noAlg}, nil, true},
		"JWK-1 right key under another kid":           {[]any{jwk(&r.key.PublicKey, "k2", "ES256")}, nil, false},
		"JWK-1 right key for another alg":             {[]any{jwk(&r.key.PublicKey, "k1", "ES384")}, nil, false},
		"JWK-1 right key for encryption":              {[]any{jose.JSONWebKey{Key: &r.key.PublicKey, KeyID: "k1", Use: "enc"}}, nil, false},
		"JWK-1 P119 right key, with its private part": {[]any{jose.JSONWebKey{Key: r.key, KeyID: "k1"}}, nil, false},
		"JWK-1 right key, but only to sign with":      {[]any{signOnly}, nil, false},
		"JWK-1 right key for key wrapping":            {[]any{jwk(&r.key.PublicKey, "k1", "ECDH-ES")}, nil, false},
		"JWK-3 a certificate that cannot be read":     {[]any{withCert}, nil, true},
		"JWK-3 no keys":                               {[]any{}, nil, false},
		"JWK-3 the good one is the 101st":             {append(slices.Repeat([]any{other}, 100), good), nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			r.publish(row.keys...)
			_, err := r.client().Identify(t.Context(), response(r.sign(row.header, must(json.Marshal(r.claims(nil))))), ordinary)
			if row.ok && err != nil {
				t.Fatal(err)
			}
			if !row.ok {
				wants(t, err, provider.Misbehaved, "bad_signature")
			}
		})
	}
}

func TestEveryAlgorithmWeAcceptWorks(t *testing.T) {
	r := newRogue(t)
	_, edKey, _ := ed25519.GenerateKey(rand.Reader)
	keys := map[string]any{
		"RS256": rsaKey(), "RS384": rsaKey(), "RS512": rsaKey(), "PS256": rsaKey(), "PS384": rsaKey(), "PS512": rsaKey(), "ES256": r.key,
		"ES384": must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)), "ES512": must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader)), "EdDSA": edKey,
	}
	r.set("id_token_signing_alg_values_supported", slices.Collect(maps.Keys(keys)))
	for alg, key := range keys {
		t.Run("IDT-6 "+alg, func(t *testing.T) {
			public := jose.JSONWebKey{Key: key, KeyID: "k9"}
			r.publish(public.Public())
			signer := must(jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(alg), Key: jose.JSONWebKey{Key: key, KeyID: "k9"}}, nil))
			token := must(must(signer.Sign(must(json.Marshal(r.claims(nil))))).CompactSerialize())
			if _, err := r.client().Identify(t.Context(), response(token), ordinary); err != nil {
				t.Fatal(err)
			}
			sign := func(hash string) string {
				return must(must(signer.Sign(must(json.Marshal(r.claims(map[string]any{"at_hash": hash}))))).CompactSerialize())
			}
			if _, err := r.client().Identify(t.Context(), response(sign(halfHash(alg, "access-1"))), ordinary); err != nil {
				t.Errorf("IDT-12 IMP-5: %v", err)
			}
			_, err := r.client().Identify(t.Context(), response(sign(halfHash(alg, "access-2"))), ordinary)
			wants(t, err, provider.Misbehaved, "bad_at_hash")
		})
	}
}

// halfHash is written down here once more, from the words of OIDC Core §3.1.3.6.
func halfHash(alg, s string) string {
	h := map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512, "DSA": crypto.SHA512}[alg[len(alg)-3:]].New()
	h.Write([]byte(s))
	sum := h.Sum(nil)
	return b64(sum[:len(sum)/2])
}

func TestJWK6ETagsOfKeys(t *testing.T) {
	r := newRogue(t)
	var sent []string
	r.on("/keys", func(w http.ResponseWriter, q *http.Request) {
		sent = append(sent, q.Header.Get("If-None-Match"))
		w.Header().Set("ETag", `"v1"`)
		if len(sent) > 1 {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		answerJSON(200, string(must(json.Marshal(map[string]any{"keys": r.keys}))))(w, q)
	})
	c := r.client()
	for range 3 {
		if _, err := c.Identify(t.Context(), response(r.idToken(nil)), ordinary); err != nil {
			t.Fatal(err)
		}
		r.pass(61 * time.Minute)
	}
	if !slices.Equal(sent, []string{"", `"v1"`, `"v1"`}) {
		t.Errorf("%q", sent)
	}
	r.on("/keys", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) })
	_, err := r.client().Identify(t.Context(), response(r.idToken(nil)), ordinary)
	wants(t, err, provider.Unavailable, "keys_unavailable") // not modified, but nothing was there
}

func TestP123AStormOfUnknownKeysAndBadSignatures(t *testing.T) {
	for name, header := range map[string]func(i int) map[string]any{
		"P123 JWK-2 random kids":    func(i int) map[string]any { return map[string]any{"kid": fmt.Sprint("random-", i)} },
		"P123 JWK-2 bad signatures": func(int) map[string]any { return nil },
		"P123 JWK-2 no kid":         func(int) map[string]any { return map[string]any{"kid": nil} },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRogue(t)
			c := r.client()
			forger := &rogue{t: t, key: newKey()}
			payload := must(json.Marshal(r.claims(nil)))
			var wg sync.WaitGroup
			for i := range 200 {
				wg.Go(func() {
					_, err := c.Identify(t.Context(), response(forger.sign(header(i), payload)), ordinary)
					if e, ok := err.(*provider.Error); !ok || e.Kind != provider.Misbehaved || e.Code != "bad_signature" {
						t.Errorf("%v", err)
					}
				})
			}
			wg.Wait()
			if n := r.count("/keys"); n > 2 {
				t.Errorf("200 bad tokens caused %d fetches", n)
			}
			r.pass(9 * time.Second)
			_, _ = c.Identify(t.Context(), response(forger.sign(header(1), payload)), ordinary)
			if n := r.count("/keys"); n > 2 {
				t.Errorf("%d fetches within the cool-down", n)
			}
			if _, err := c.Identify(t.Context(), response(r.idToken(nil)), ordinary); err != nil {
				t.Errorf("the storm shut out a good token: %v", err)
			}
		})
	}
}

func TestJWK2ANewKeyIsFoundAtOnce(t *testing.T) {
	r := newRogue(t)
	c := r.client()
	if _, err := c.Identify(t.Context(), response(r.idToken(nil)), ordinary); err != nil {
		t.Fatal(err)
	}
	old := r.idToken(nil)
	r.key = newKey()
	r.publish(jwk(&r.key.PublicKey, "k2", "ES256"))
	rotated := r.sign(map[string]any{"kid": "k2"}, must(json.Marshal(r.claims(nil))))
	if _, err := c.Identify(t.Context(), response(rotated), ordinary); err != nil {
		t.Fatalf("rotation just before signing: %v", err)
	}
	if r.count("/keys") != 2 {
		t.Errorf("%d fetches", r.count("/keys"))
	}
	_, err := c.Identify(t.Context(), response(old), ordinary)
	wants(t, err, provider.Misbehaved, "bad_signature") // a key that was withdrawn vouches no more

	// The same kid looked for in vain is not looked for again for a while, another one is.
	stranger := r.sign(map[string]any{"kid": "k3"}, must(json.Marshal(r.claims(nil))))
	for range 3 {
		r.pass(11 * time.Second)
		_, _ = c.Identify(t.Context(), response(stranger), ordinary)
	}
	if n := r.count("/keys"); n != 3 {
		t.Errorf("%d fetches for one unknown kid in 33 s", n)
	}
	r.publish(jwk(&r.key.PublicKey, "k3", "ES256"))
	r.pass(11 * time.Second)
	stranger = r.sign(map[string]any{"kid": "k3"}, must(json.Marshal(r.claims(nil))))
	if _, err := c.Identify(t.Context(), response(stranger), ordinary); err != nil {
		t.Errorf("a kid that was unknown half a minute ago stays unknown: %v", err)
	}
}

func TestJWK2UnknownKeysDuringAnOutage(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rogue) {
		c := r.client()
		if _, err := c.Identify(t.Context(), response(r.idToken(nil)), ordinary); err != nil {
			t.Fatal(err)
		}
		r.on("/keys", answerJSON(503, ""))
		for i := range 20 {
			r.pass(11 * time.Second)
			_, err := c.Identify(t.Context(), response(r.sign(map[string]any{"kid": fmt.Sprint("x", i)}, must(json.Marshal(r.claims(nil))))), ordinary)
			wants(t, err, provider.Unavailable, "keys_unavailable")
		}
		if n := r.count("/keys"); n > 14 {
			t.Errorf("%d fetches: the back-off is not heeded", n)
		}
	})
}

func TestJWK6KeysOutliveAnOutage(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"503": answerJSON(503, ""), "404": answerJSON(404, ""), "garbage": answerJSON(200, "<html>"), "no array": answerJSON(200, `{"keys":{}}`),
		"P110 a redirect": http.RedirectHandler("http://127.0.0.1:1/", http.StatusTemporaryRedirect).ServeHTTP, "P058 endless": endless, "P058 it hangs": hang,
	} {
		t.Run("JWK-6 "+name, func(t *testing.T) { inBubble(t, func(t *testing.T, r *rogue) { outliveOutage(t, r, answer) }) })
	}
}

func outliveOutage(t *testing.T, r *rogue, answer http.HandlerFunc) {
	c := r.client()
	identify := func() error {
		_, err := c.Identify(t.Context(), response(r.idToken(nil)), ordinary)
		return err
	}
	if err := identify(); err != nil {
		t.Fatal(err)
	}
	r.on("/keys", answer)
	for range 12 {
		r.pass(2 * time.Hour)
		if err := identify(); err != nil {
			t.Fatalf("keys of less than a day ago are dropped: %v", err)
		}
	}
	if n := r.count("/keys"); n < 12 {
		t.Errorf("they were looked for %d times in a day", n)
	}
	// With keys that are old but known, a bad signature is the token's fault; with an unknown
	// kid nobody can say, and that must not end a session or refuse a good bearer token.
	r.pass(20 * time.Second)
	_, err := c.Identify(t.Context(), response(r.sign(map[string]any{"kid": "new"}, must(json.Marshal(r.claims(nil))))), ordinary)
	if e := wants(t, err, provider.Unavailable, "keys_unavailable"); e.RetryAfter <= 0 {
		t.Error("no word on when to come again")
	}
	forger := &rogue{t: t, key: newKey()}
	_, err = c.Identify(t.Context(), response(forger.sign(nil, must(json.Marshal(r.claims(nil))))), ordinary)
	wants(t, err, provider.Misbehaved, "bad_signature")
	r.pass(2 * time.Hour)
	wants(t, identify(), provider.Unavailable, "keys_unavailable") // more than a day old: they vouch for nobody
	r.on("/keys", nil)
	r.pass(time.Minute)
	if err := identify(); err != nil {
		t.Errorf("it does not recover: %v", err)
	}
}

func TestKeysAreFetchedAnewEveryHour(t *testing.T) {
	r := newRogue(t)
	c := r.client()
	for range 10 {
		if _, err := c.Identify(t.Context(), response(r.idToken(nil)), ordinary); err != nil {
			t.Fatal(err)
		}
		r.pass(20 * time.Minute)
	}
	if n := r.count("/keys"); n != 4 {
		t.Errorf("%d fetches in 3 h 20", n)
	}
}

func TestKeysFollowTheDiscoveryDocument(t *testing.T) {
	r := newRogue(t)
	c := r.client()
	if _, err := c.Identify(t.Context(), response(r.idToken(nil)), ordinary); err != nil {
		t.Fatal(err)
	}
	r.set("jwks_uri", r.url+"/moved")
	r.on("/moved", answerJSON(200, string(must(json.Marshal(map[string]any{"keys": r.keys})))))
	r.on("/keys", answerJSON(404, ""))
	r.pass(25 * time.Hour)
	if _, err := c.Identify(t.Context(), response(r.idToken(nil)), ordinary); err != nil {
		t.Fatal(err)
	}
	r.set("jwks_uri", nil)
	r.pass(25 * time.Hour)
	_, err := c.Identify(t.Context(), response(r.idToken(nil)), ordinary)
	wants(t, err, provider.Misconfigured, "no_endpoint")
}
