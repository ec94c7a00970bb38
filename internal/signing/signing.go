package signing

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"

	"github.com/go-jose/go-jose/v4"
)

// SeedSize is how many bytes make one key: 128 bits more than its order has, so that reducing them to its range leaves no
// bias that matters (FIPS 186-5 A.2.1 wants 64).
const SeedSize = 48

// Keys are P-256 keys, of which the first signs. They are safe for concurrent use.
//
// Whoever verifies keeps a JWK Set for a while: a key that signs the moment it appears is one that they do not know yet. So a new
// key is put behind the others first, where it is only published, and in front of them when no copy without it is left.
type Keys struct {
	signer jose.Signer
	kid    string
	set    []byte
}

// New makes one key of each seed, in their order. There must be at least one, each of [SeedSize] bytes.
func New(seeds [][]byte) (*Keys, error) {
	if len(seeds) == 0 {
		return nil, errors.New("signing: no seed; there must be at least one")
	}
	k := new(Keys)
	var set jose.JSONWebKeySet
	for i, seed := range seeds {
		if len(seed) != SeedSize {
			return nil, fmt.Errorf("signing: seed %d has %d bytes; it must have %d", i+1, len(seed), SeedSize)
		}
		private, err := privateKey(seed)
		if err != nil {
			return nil, fmt.Errorf("signing: seed %d: %w", i+1, err)
		}
		public := jose.JSONWebKey{Key: private.Public(), Algorithm: string(jose.ES256), Use: "sig"}
		sum, err := public.Thumbprint(crypto.SHA256) // RFC 7638
		if err != nil {
			return nil, fmt.Errorf("signing: seed %d: %w", i+1, err)
		}
		public.KeyID = base64.RawURLEncoding.EncodeToString(sum)
		set.Keys = append(set.Keys, public)
		if i > 0 {
			continue
		}
		k.kid = public.KeyID
		key := jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: private, KeyID: k.kid}}
		if k.signer, err = jose.NewSigner(key, (&jose.SignerOptions{}).WithType("JWT")); err != nil {
			return nil, fmt.Errorf("signing: %w", err)
		}
	}
	var err error
	k.set, err = json.Marshal(set)
	return k, err
}

// privateKey maps a seed to a scalar from 1 to n-1 (FIPS 186-5 A.2.1).
func privateKey(seed []byte) (*ecdsa.PrivateKey, error) {
	one := big.NewInt(1)
	most := new(big.Int).Sub(elliptic.P256().Params().N, one)
	d := new(big.Int).SetBytes(seed)
	d.Add(d.Mod(d, most), one)
	return ecdsa.ParseRawPrivateKey(elliptic.P256(), d.FillBytes(make([]byte, 32)))
}

// KeyID is the kid of the key that signs: its thumbprint (RFC 7638).
func (k *Keys) KeyID() string { return k.kid }

// Sign makes a JWT of claims, with ES256 and typ JWT, in compact form.
func (k *Keys) Sign(claims any) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	jws, err := k.signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("signing: %w", err)
	}
	return jws.CompactSerialize()
}

// JWKS is the public side of all keys as a JWK Set (RFC 7517 §5). The caller must not modify it.
func (k *Keys) JWKS() []byte { return k.set }
