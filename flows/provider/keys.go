package provider

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v4"
)

// asymmetric are the signature algorithms that are ever accepted with a published key
// (JWK-4). "none" is not among them and never will be.
func asymmetric() []string {
	return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
}

// keySet is a parsed JWK Set (RFC 7517 §5).
type keySet struct {
	keys    []publicKey
	ignored []string // why, one per key that is of no use; for people
}

type publicKey struct {
	kid, alg string // either may be ""
	key      any    // *rsa.PublicKey, *ecdsa.PublicKey, ed25519.PublicKey
}

const (
	maxKeys    = 100 // of a set; more are not read
	minRSABits = 2048
	maxRSABits = 8192
)

// parseKeys reads a JWK Set key by key: one that cannot be read or used is left out and
// the rest serves (JWK-3).
func parseKeys(body []byte) (*keySet, error) {
	o, err := parseObject(body)
	if err != nil {
		return nil, fail(Misbehaved, "bad_response", "the keys: %v", err)
	}
	var list []json.RawMessage
	if json.Unmarshal(o["keys"], &list) != nil {
		return nil, fail(Misbehaved, "bad_response", "the keys: no array %q", "keys")
	}
	set := new(keySet)
	for i, raw := range list {
		if i == maxKeys {
			set.ignored = append(set.ignored, fmt.Sprintf("%d keys beyond the first %d", len(list)-maxKeys, maxKeys))
			break
		}
		k, err := parseKey(raw)
		if err != nil {
			set.ignored = append(set.ignored, fmt.Sprintf("key %d (kid %s): %v", i+1, shown(k.kid), err))
			continue
		}
		set.keys = append(set.keys, k)
	}
	return set, nil
}

func parseKey(raw json.RawMessage) (k publicKey, err error) {
	o, err := parseObject(raw)
	if err != nil {
		return k, err
	}
	return readKey(o)
}

func readKey(o object) (k publicKey, err error) {
	k.kid, k.alg = o.text("kid"), o.text("alg")
	if use := o.text("use"); use != "" && use != "sig" {
		return k, fmt.Errorf("its use is %s, not sig", shown(use)) // JWK-1
	}
	if ops, err := o.strings("key_ops", false); err != nil || ops != nil && !slices.Contains(ops, "verify") {
		return k, fmt.Errorf("its key_ops do not name verify")
	}
	if o.has("d") || o.has("k") {
		return k, fmt.Errorf("it is a private or secret key, which everybody can read")
	}
	if k.alg != "" && !slices.Contains(asymmetric(), k.alg) && k.alg != "Ed25519" {
		return k, fmt.Errorf("its alg %s is none we use", shown(k.alg))
	}
	// Only what makes the key is read: certificates beside it (x5c, x5t) decide nothing.
	bare := make(object)
	for _, name := range []string{"kty", "crv", "x", "y", "n", "e"} {
		if o.has(name) {
			bare[name] = o[name]
		}
	}
	lean, err := json.Marshal(bare)
	if err != nil {
		return k, err
	}
	var jwk jose.JSONWebKey
	if jwk.UnmarshalJSON(lean) != nil || !jwk.Valid() {
		return k, fmt.Errorf("kty %s, crv %s is unknown or malformed", shown(o.text("kty")), shown(o.text("crv")))
	}
	k.key = jwk.Key
	return k, strong(jwk.Key)
}

func strong(key any) error {
	switch key := key.(type) {
	case *rsa.PublicKey:
		if n := key.N.BitLen(); n < minRSABits || n > maxRSABits {
			return fmt.Errorf("an RSA key of %d bits; %d to %d are used", n, minRSABits, maxRSABits)
		}
	case *ecdsa.PublicKey, ed25519.PublicKey:
	default:
		return fmt.Errorf("a key of type %T", key)
	}
	return nil
}

// fits reports whether a key can have made a signature of this algorithm. The key decides,
// never the token's header (RFC 8725 §3.1).
func (k publicKey) fits(alg string) bool {
	if k.alg != "" && k.alg != alg && !(k.alg == "Ed25519" && alg == "EdDSA") {
		return false
	}
	switch key := k.key.(type) {
	case *rsa.PublicKey:
		return alg[:2] == "RS" || alg[:2] == "PS"
	case *ecdsa.PublicKey:
		return alg == "ES256" && key.Curve == elliptic.P256() || alg == "ES384" && key.Curve == elliptic.P384() || alg == "ES512" && key.Curve == elliptic.P521()
	case ed25519.PublicKey:
		return alg == "EdDSA"
	}
	return false
}

// candidates returns the keys that a token may be signed with: those of its kid; without a
// kid, all that fit (JWK-1). Keys without a kid of their own are tried last, for any token.
// known tells whether the set has an answer for this kid at all.
func (s *keySet) candidates(kid, alg string) (keys []any, known bool) {
	var nameless []any
	for _, k := range s.keys {
		switch {
		case !k.fits(alg):
		case k.kid == kid || kid == "":
			keys = append(keys, k.key)
		case k.kid == "":
			nameless = append(nameless, k.key)
		}
	}
	known = len(keys) > 0
	return append(keys, nameless...), known
}
