package idp

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"
)

// token is a JWT about to be signed. It is built by hand and not by a JOSE library, so that
// sins can make what a library refuses to make.
type token struct {
	typ    string
	alg    string // "" = the provider's first
	claims map[string]any
	sins   []Sin  // of this request; those that concern this token have been chosen
	secret string // the client's, for SignHS256Secret
}

// sign returns the compact form, after every sin has had its way.
func (s *Server) sign(t token) (string, error) {
	how, header, raw := "", map[string]any{}, ""
	for _, sin := range t.sins {
		if sin.Sign != "" {
			how = sin.Sign
		}
		change(header, sin.JOSE)
		change(t.claims, sin.Claims)
		for claim, seconds := range sin.Shift {
			if at, ok := t.claims[claim].(int64); ok {
				t.claims[claim] = at + int64(seconds)
			}
		}
		raw += sin.RawClaims
	}
	claims := clean(t.claims)
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	if raw != "" {
		payload = []byte("{" + raw + "," + string(payload[1:]))
	}
	return s.signPayload(payload, t.typ, header, t.alg, how, t.secret)
}

// SignJWT signs any claims by the signing key of alg ("" = the first) or in the way of a Sign
// constant. header is added to alg, kid and typ; null removes. It is for tests that need a token no provider would issue.
func (s *Server) SignJWT(header, claims map[string]any, alg, how string) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	return s.signPayload(payload, "JWT", header, alg, how, "")
}

func (s *Server) signPayload(payload []byte, typ string, changes map[string]any, alg, how, secret string) (string, error) {
	if how == SignFreshKey {
		if err := s.RotateKeys(); err != nil {
			return "", err
		}
	}
	key, err := s.keys.signer(alg)
	if err != nil {
		return "", err
	}
	header := map[string]any{"alg": key.Alg, "kid": key.ID, "typ": typ}
	signWith, err := s.forge(how, key, header, secret)
	if err != nil {
		return "", err
	}
	change(header, changes)
	return compact(clean(header), json.RawMessage(payload), signWith)
}

// compact is the compact serialization of RFC 7515 §3.1. A payload that is raw stays as it is.
func compact(header map[string]any, payload any, signWith func([]byte) ([]byte, error)) (string, error) {
	head, err := json.Marshal(header)
	if err != nil {
		return "", err
	}
	body, raw := payload.(json.RawMessage)
	if !raw {
		if body, err = json.Marshal(payload); err != nil {
			return "", err
		}
	}
	input := b64(head) + "." + b64(body)
	signature, err := signWith([]byte(input))
	if err != nil {
		return "", err
	}
	return input + "." + b64(signature), nil
}

// forge returns what makes the signature, and changes the header to fit.
func (s *Server) forge(how string, key Key, header map[string]any, secret string) (func([]byte) ([]byte, error), error) {
	var none []byte
	switch how {
	case "", SignFreshKey:
		return key.sign, nil
	case SignNone:
		header["alg"] = "none"
		return func([]byte) ([]byte, error) { return none, nil }, nil
	case SignEmpty:
		return func([]byte) ([]byte, error) { return none, nil }, nil
	case SignCorrupt:
		return func(input []byte) ([]byte, error) {
			sig, err := key.sign(input)
			if err == nil {
				sig[len(sig)/2] ^= 1
			}
			return sig, err
		}, nil
	case SignHS256Secret:
		header["alg"] = "HS256"
		delete(header, "kid")
		return hs256([]byte(secret)), nil
	case SignHS256PublicKey:
		der, err := x509.MarshalPKIXPublicKey(key.Public())
		header["alg"] = "HS256"
		return hs256(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), err
	case SignWrongKey, SignUnknownKey, SignEmbeddedKey:
		other, err := s.keys.stranger(key.Alg)
		if how != SignWrongKey {
			header["kid"] = other.ID
		}
		if how == SignEmbeddedKey && err == nil {
			header["jwk"] = jose.JSONWebKey{Key: other.Public(), KeyID: other.ID, Algorithm: other.Alg}
		}
		return other.sign, err
	}
	return nil, fmt.Errorf("idp: unknown way to sign %q", how)
}

// sign makes the JWS signature of RFC 7518 §3.
func (k Key) sign(input []byte) ([]byte, error) {
	digest := sha256.Sum256(input)
	switch private := k.private.(type) {
	case *rsa.PrivateKey:
		if k.Alg == "PS256" {
			return rsa.SignPSS(rand.Reader, private, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		}
		return rsa.SignPKCS1v15(rand.Reader, private, crypto.SHA256, digest[:])
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, private, digest[:])
		if err != nil {
			return nil, err
		}
		sig := make([]byte, 64)
		r.FillBytes(sig[:32])
		s.FillBytes(sig[32:])
		return sig, nil
	case crypto.Signer: // Ed25519
		return private.Sign(rand.Reader, input, crypto.Hash(0))
	}
	return nil, errors.New("idp: no key")
}

func hs256(secret []byte) func([]byte) ([]byte, error) {
	return func(input []byte) ([]byte, error) {
		mac := hmac.New(sha256.New, secret)
		mac.Write(input)
		return mac.Sum(nil), nil
	}
}

// halfHash is at_hash, c_hash and the like: the left half of the hash that belongs to alg (OIDC
// Core §3.1.3.6), which is SHA-512 for Ed25519.
func halfHash(alg, value string) string {
	if alg == "EdDSA" {
		sum := sha512.Sum512([]byte(value))
		return b64(sum[:32])
	}
	sum := sha256.Sum256([]byte(value))
	return b64(sum[:16])
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// change sets members. A nil stays as a mark that clean removes, so that a later change cannot be lost.
func change(members, changes map[string]any) {
	for name, value := range changes {
		members[name] = value
	}
}

// clean returns the members that are not nil.
func clean(members map[string]any) map[string]any {
	out := make(map[string]any, len(members))
	for name, value := range members {
		if value != nil {
			out[name] = value
		}
	}
	return out
}
