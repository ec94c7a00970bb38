package e2e

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// api is a resource server that believes nobody: it checks each access token by the keys of the
// issuer, with nothing of Doorward's. It answers with the token's claims, or with 401 and why.
type api struct {
	*httptest.Server
	issuer, audience string

	mu       sync.Mutex
	accepted []called
	barred   map[string]bool // tokens of which it knows that they are over
	keys     map[string]*rsa.PublicKey
}

// called is one request that it has accepted.
type called struct {
	URI    string
	Header http.Header
	Token  string
	Claims map[string]any
}

func newAPI(t *testing.T, issuer, audience string) *api {
	t.Helper()
	a := &api{issuer: issuer, audience: audience}
	a.Server = httptest.NewServer(a)
	t.Cleanup(a.Close)
	return a
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	claims, err := a.check(token)
	if a.bars(token) {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		http.Error(w, "the API bars this token", http.StatusUnauthorized)
		return
	}
	if !ok || err != nil {
		// Without error="invalid_token", at which Doorward would try once more.
		http.Error(w, fmt.Sprintf("the API refuses: %v", err), http.StatusUnauthorized)
		return
	}
	a.mu.Lock()
	a.accepted = append(a.accepted, called{r.RequestURI, r.Header.Clone(), token, claims})
	a.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(claims)
}

// all are the requests that it has accepted so far.
func (a *api) all() []called {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.accepted)
}

func (a *api) bars(token string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.barred[token]
}

// bar has the API refuse a token that is good by all that it says.
func (a *api) bar(token string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.barred = map[string]bool{token: true}
}

// check is RFC 9068 §4 for a token that is signed with RS256.
func (a *api) check(token string) (map[string]any, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, fmt.Errorf("%d parts are no JWT", len(parts))
	}
	var head struct{ Alg, Kid string }
	if err := part(parts[0], &head); err != nil {
		return nil, err
	}
	key, err := a.key(head.Kid)
	if err != nil {
		return nil, err
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if err := rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature); head.Alg != "RS256" || err != nil {
		return nil, fmt.Errorf("the signature by %s does not hold: %w", head.Alg, err)
	}
	var claims map[string]any
	if err := part(parts[1], &claims); err != nil {
		return nil, err
	}
	end, _ := claims["exp"].(float64)
	switch {
	case claims["iss"] != a.issuer:
		return nil, fmt.Errorf("it is from %v, not from %s", claims["iss"], a.issuer)
	case !slices.Contains(audiences(claims), a.audience):
		return nil, fmt.Errorf("it is for %v, not for %s", claims["aud"], a.audience)
	case time.Now().After(time.Unix(int64(end), 0)):
		return nil, errors.New("it has expired")
	}
	return claims, nil
}

// audiences is aud, which is one string or several.
func audiences(claims map[string]any) (list []string) {
	switch aud := claims["aud"].(type) {
	case string:
		return []string{aud}
	case []any:
		for _, one := range aud {
			list = append(list, fmt.Sprint(one))
		}
	}
	return list
}

// part decodes the header or the claims of a JWT.
func part(text string, into any) error {
	plain, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return err
	}
	return json.Unmarshal(plain, into)
}

// claimsOf reads a JWT without checking it.
func claimsOf(t *testing.T, token string) (claims map[string]any) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("%d parts are no JWT", len(parts))
	}
	if err := part(parts[1], &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

// key fetches the issuer's keys once.
func (a *api) key(kid string) (*rsa.PublicKey, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.keys[kid] != nil {
		return a.keys[kid], nil
	}
	var document struct {
		URI string `json:"jwks_uri"`
	}
	if err := load(a.issuer+"/.well-known/openid-configuration", &document); err != nil {
		return nil, err
	}
	var set struct {
		Keys []struct{ Kty, Kid, N, E string }
	}
	if err := load(document.URI, &set); err != nil {
		return nil, err
	}
	a.keys = make(map[string]*rsa.PublicKey)
	for _, k := range set.Keys {
		n, err := base64.RawURLEncoding.DecodeString(k.N)
		e, err2 := base64.RawURLEncoding.DecodeString(k.E)
		if k.Kty == "RSA" && err == nil && err2 == nil {
			a.keys[k.Kid] = &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
		}
	}
	if a.keys[kid] == nil {
		return nil, fmt.Errorf("the issuer has no key %q", kid)
	}
	return a.keys[kid], nil
}

func load(url string, into any) error {
	res, err := http.Get(url)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}
