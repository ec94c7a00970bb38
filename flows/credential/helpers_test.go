package credential

import (
	"crypto"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/secret"
)

// claims reads a JWT without verifying it.
func claims(t testing.TB, token string) (c map[string]any) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("no JWT: %d parts", len(parts))
	}
	payload := must(base64.RawURLEncoding.DecodeString(parts[1]))(t)
	if err := json.Unmarshal(payload, &c); err != nil {
		t.Fatal(err)
	}
	if aud, ok := c["aud"].([]any); ok && len(aud) == 1 {
		c["aud"] = aud[0]
	}
	return c
}

// verified reads a JWT and verifies it with a JWK Set.
func verified(t testing.TB, set []byte, token string) map[string]any {
	t.Helper()
	var keys jose.JSONWebKeySet
	if err := json.Unmarshal(set, &keys); err != nil {
		t.Fatal(err)
	}
	jws := must(jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.ES256}))(t)
	if _, err := jws.Verify(keys); err != nil {
		t.Fatal(err)
	}
	return claims(t, token)
}

// trusted are the keys of the world's provider, for another one that believes it.
func trusted(t testing.TB, w *world) map[string][]crypto.PublicKey {
	t.Helper()
	response := must(w.net.Client().Get(w.idp.URL(idp.JWKS)))(t) //nolint:noctx // in memory
	defer func() { _ = response.Body.Close() }()
	var keys jose.JSONWebKeySet
	if err := json.NewDecoder(response.Body).Decode(&keys); err != nil {
		t.Fatal(err)
	}
	var public []crypto.PublicKey
	for _, k := range keys.Keys {
		public = append(public, k.Key)
	}
	return map[string][]crypto.PublicKey{corp: public}
}

// copyOf is another identity with the same content: an identity itself must not be copied, because of its memo.
func copyOf(who *identity.Identity) *identity.Identity {
	return &identity.Identity{
		Issuer: who.Issuer, Subject: who.Subject, Provider: who.Provider, Login: who.Login, Machine: who.Machine, Client: who.Client, Email: who.Email,
		EmailVerified: who.EmailVerified, Username: who.Username, Name: who.Name, Groups: who.Groups, Session: who.Session, Ends: who.Ends, Tokens: who.Tokens,
	}
}

func canary() (secret.String, error) { return secret.New("c4nary-of-the-robot"), nil }
