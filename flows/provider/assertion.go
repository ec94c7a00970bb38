package provider

import (
	"crypto"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // x5t is SHA-1 by definition (RFC 7515 §4.1.7); it names a certificate and protects nothing
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/doorward/doorward/internal/secret"
)

// assertionLife is how long a client assertion is good for: one request (CA-3).
const assertionLife = time.Minute

// signer makes client assertions (RFC 7523 §2.2, §3; OIDC Core §9).
type signer struct {
	key       crypto.Signer // nil = the client secret
	kid       string
	algs      []string // that the key can sign with
	x5t, x256 string   // thumbprints of the certificate, "" if there is none
}

// newSigner returns nil for methods without assertions of our own.
func newSigner(conf *Config) (*signer, error) {
	if conf.ClientAuth == authSecretJWT || conf.ClientAuth == "" {
		return &signer{}, nil // "" may become client_secret_jwt by discovery
	}
	if conf.ClientAuth != authPrivateKeyJWT {
		return nil, nil
	}
	return newKeySigner(conf)
}

// newKeySigner returns nil if there is no private_key.
func newKeySigner(conf *Config) (*signer, error) {
	if conf.PrivateKeyPEM.IsZero() {
		return nil, nil
	}
	key, err := readPrivateKey(conf.PrivateKeyPEM)
	if err != nil {
		return nil, err
	}
	s := &signer{key: key, kid: conf.PrivateKeyID, algs: algsFor(key)}
	if len(s.algs) == 0 {
		return nil, fmt.Errorf("private_key: its curve is not one of P-256, P-384, P-521")
	}
	if conf.PrivateKeyAlg != "" && !slices.Contains(s.algs, conf.PrivateKeyAlg) {
		return nil, fmt.Errorf("private_key_alg: this key signs with %s, not with %s", strings.Join(s.algs, ", "), shown(conf.PrivateKeyAlg))
	}
	if s.kid == "" {
		sum, err := (&jose.JSONWebKey{Key: key.Public()}).Thumbprint(crypto.SHA256)
		if err != nil {
			return nil, fmt.Errorf("private_key: it has no thumbprint")
		}
		s.kid = base64.RawURLEncoding.EncodeToString(sum)
	}
	cert, err := leaf(conf.CertificatePEM)
	if err != nil || cert == nil {
		return s, nil // readCertificate reports it
	}
	one, two := sha1.Sum(cert.Raw), sha256.Sum256(cert.Raw) //nolint:gosec // see the import
	s.x5t, s.x256 = base64.RawURLEncoding.EncodeToString(one[:]), base64.RawURLEncoding.EncodeToString(two[:])
	return s, nil
}

// assertion signs a new assertion. Its audience is the issuer alone, unless an old server
// wants its token endpoint named: an audience that several servers share would let one of
// them use it at the other (CA-4).
func (s *signer) assertion(conf Config, m *metadata, clientSecret secret.String, now time.Time) (string, error) {
	audience := conf.Issuer
	if conf.AssertionAudience == "token_endpoint" {
		audience = m.Token
	}
	claims := map[string]any{
		"iss": conf.ClientID, "sub": conf.ClientID, "aud": audience, "jti": rand.Text(), "iat": now.Unix(), "exp": now.Add(assertionLife).Unix(),
	}
	if s.key == nil {
		return signJWT(jose.SigningKey{Algorithm: jose.HS256, Key: []byte(clientSecret.Reveal())}, &jose.SignerOptions{}, claims)
	}
	return s.sign(claims, chooseAlg(conf.PrivateKeyAlg, s.algs, m.assertionAlgs))
}

// sign makes a JWT with the private key.
func (s *signer) sign(claims map[string]any, alg string) (string, error) {
	options := &jose.SignerOptions{}
	if s.x5t != "" { // Entra finds the key by it (CA-5)
		options = options.WithHeader("x5t", s.x5t).WithHeader("x5t#S256", s.x256)
	}
	return signJWT(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(alg), Key: jose.JSONWebKey{Key: s.key, KeyID: s.kid}}, options, claims)
}

func signJWT(key jose.SigningKey, options *jose.SignerOptions, claims map[string]any) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	signing, err := jose.NewSigner(key, options.WithType("JWT"))
	if err != nil {
		return "", fail(Misconfigured, "invalid_client", "nothing can be signed with this key")
	}
	jws, err := signing.Sign(payload)
	if err != nil {
		return "", fail(Misconfigured, "invalid_client", "nothing can be signed with this key")
	}
	return jws.CompactSerialize()
}
