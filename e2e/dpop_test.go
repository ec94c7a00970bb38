package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// holder is a client that has a key and shows with each request that it holds it (RFC 9449).
type holder struct {
	key *ecdsa.PrivateKey
	x   string
	y   string
}

func newHolder(t *testing.T) *holder {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := key.PublicKey.Bytes() // 4, x, y
	if err != nil {
		t.Fatal(err)
	}
	return &holder{key, base64.RawURLEncoding.EncodeToString(point[1:33]), base64.RawURLEncoding.EncodeToString(point[33:])}
}

// proof is for one request, with the hash of the token unless there is none yet.
func (h *holder) proof(t *testing.T, method, to, token string) string {
	t.Helper()
	return h.proofAt(t, method, to, token, time.Now())
}

func (h *holder) proofAt(t *testing.T, method, to, token string, at time.Time) string {
	t.Helper()
	claims := map[string]any{"jti": rand.Text(), "htm": method, "htu": to, "iat": at.Unix()}
	if token != "" {
		sum := sha256.Sum256([]byte(token))
		claims["ath"] = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	head := map[string]any{"typ": "dpop+jwt", "alg": "ES256", "jwk": map[string]string{"kty": "EC", "crv": "P-256", "x": h.x, "y": h.y}}
	encode := func(v any) string {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(text)
	}
	signed := encode(head) + "." + encode(claims)
	sum := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, h.key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	signature := make([]byte, 64) // RFC 7518 §3.4
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// thumbprint is jkt (RFC 7638).
func (h *holder) thumbprint() string {
	sum := sha256.Sum256(fmt.Appendf(nil, `{"crv":"P-256","kty":"EC","x":%q,"y":%q}`, h.x, h.y))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// The provider binds the token to the key; the gateway takes it from nobody else.
func TestATokenThatIsBoundToAKeyIsTakenFromWhoHoldsItAndOnce(t *testing.T) {
	w := newBearerWorld(t)
	holder, thief := newHolder(t), newHolder(t)
	for path, api := range map[string]string{"/orders": ourAPI, "/asking": opaqueAPI} {
		t.Run(path, func(t *testing.T) {
			token := w.token(t, callerID, api, "orders.read", "DPoP", holder.proof(t, http.MethodPost, w.provider.issuer+"/token", ""))
			if api == ourAPI {
				if cnf, _ := claimsOf(t, token)["cnf"].(map[string]any); cnf["jkt"] != holder.thumbprint() {
					t.Fatalf("the provider has bound the token to %v", cnf)
				}
			}
			here := w.gateway.origin + path
			get := func(scheme string, proofs ...string) reply {
				headers := []string{"Authorization", scheme + " " + token}
				for _, proof := range proofs {
					headers = append(headers, "DPoP", proof)
				}
				return call(t, here, nil, headers...)
			}
			before := len(w.app.all())
			for _, scheme := range []string{"Bearer", "DPoP"} {
				if got := get(scheme); got.Status != http.StatusUnauthorized {
					t.Errorf("%s without a proof: %d %s", scheme, got.Status, got.challenge())
				}
			}
			for name, proof := range map[string]string{
				"of another key":     thief.proof(t, http.MethodGet, here, token),
				"for another method": holder.proof(t, http.MethodPost, here, token),
				"for another path":   holder.proof(t, http.MethodGet, here+"/other", token),
				"for another host":   holder.proof(t, http.MethodGet, "https://elsewhere.example"+path, token),
				"for another token":  holder.proof(t, http.MethodGet, here, token+"x"),
				"for no token":       holder.proof(t, http.MethodGet, here, ""),
				"of an hour ago":     holder.proofAt(t, http.MethodGet, here, token, time.Now().Add(-time.Hour)),
				"that is none":       "rubbish",
			} {
				got := get("DPoP", proof)
				if got.Status != http.StatusUnauthorized || !strings.Contains(got.challenge(), "DPoP ") || !strings.Contains(got.challenge(), "algs=") {
					t.Errorf("a proof %s: %d %s", name, got.Status, got.challenge())
				}
			}
			if got := get("DPoP", holder.proof(t, http.MethodGet, here, token), holder.proof(t, http.MethodGet, here, token)); got.Status/100 != 4 {
				t.Errorf("two proofs: %d", got.Status)
			}
			if now := len(w.app.all()); now != before {
				t.Fatalf("the service was called %d times", now-before)
			}
			proof := holder.proof(t, http.MethodGet, here, token)
			// credential = "session" cannot pass on what only the caller can show: /orders has it.
			want := http.StatusOK
			if api == ourAPI {
				want = http.StatusBadGateway
			}
			if got := get("DPoP", proof); got.Status != want {
				t.Errorf("with its proof: %d %s %s", got.Status, got.challenge(), got.Body)
			}
			if got := get("Bearer", holder.proof(t, http.MethodGet, here, token)); got.Status != http.StatusUnauthorized {
				t.Errorf("with its proof, but as Bearer: %d", got.Status)
			}
			if got := get("DPoP", proof); got.Status != http.StatusUnauthorized || !strings.Contains(got.challenge(), `error="invalid_dpop_proof"`) {
				t.Errorf("with the same proof again: %d %s", got.Status, got.challenge())
			}
			if got := get("DPoP", holder.proof(t, http.MethodGet, here, token)); got.Status != want {
				t.Errorf("with a new proof: %d %s", got.Status, got.challenge())
			}
			w.gateway.keepsQuiet(t, token, proof)
		})
	}
}
