package demo

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"math/big"
)

// jwk is a public key of RFC 7517.
type jwk struct {
	Kid, Kty, Alg, Crv, N, E, X, Y string
}

// verify checks a signature by the algorithm that the key is for, whatever the token says it is.
func (k jwk) verify(alg, input string, signature []byte) error {
	digest := sha256.Sum256([]byte(input))
	wrong := errors.New("by nobody whom the provider knows")
	switch {
	case k.Alg != alg:
		return wrong
	case alg == "RS256":
		n, e := number(k.N), number(k.E)
		if n.BitLen() < 2048 || !e.IsInt64() || e.Int64() > 1<<31-1 {
			return wrong
		}
		if rsa.VerifyPKCS1v15(&rsa.PublicKey{N: n, E: int(e.Int64())}, crypto.SHA256, digest[:], signature) != nil {
			return wrong
		}
		return nil
	case alg == "ES256" && k.Crv == "P-256" && len(signature) == 64:
		public, err := k.point()
		if err != nil || !ecdsa.Verify(public, digest[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])) {
			return wrong
		}
		return nil
	}
	return wrong
}

// point is refused unless it lies on the curve.
func (k jwk) point() (*ecdsa.PublicKey, error) {
	x, y := number(k.X), number(k.Y)
	if x.BitLen() > 256 || y.BitLen() > 256 {
		return nil, errors.New("no point of the curve")
	}
	raw := make([]byte, 65)
	raw[0] = 4
	x.FillBytes(raw[1:33])
	y.FillBytes(raw[33:])
	return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), raw)
}

func number(text string) *big.Int {
	raw, _ := base64.RawURLEncoding.DecodeString(text) // 0 is no key
	return new(big.Int).SetBytes(raw)
}
