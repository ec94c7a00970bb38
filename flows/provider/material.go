package provider

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	"github.com/doorward/doorward/internal/secret"
)

func readRoots(ca []byte) (*x509.CertPool, error) {
	if len(bytes.TrimSpace(ca)) == 0 {
		return nil, nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(ca) {
		return nil, errors.New("ca_file: no certificate in PEM in it")
	}
	return pool, nil
}

// readCertificate reads the certificate that is shown in TLS, if there is a key for it.
func readCertificate(chain []byte, key secret.String) (*tls.Certificate, error) {
	if key.IsZero() {
		if _, err := leaf(chain); err != nil {
			return nil, fmt.Errorf("certificate: %w", err)
		}
		return nil, nil
	}
	cert, err := tls.X509KeyPair(chain, []byte(key.Reveal()))
	if err != nil {
		return nil, errors.New("certificate: certificate and key cannot be read in PEM, or do not belong together")
	}
	return &cert, nil
}

// leaf returns the first certificate of a chain in PEM, or nil if there is no chain.
func leaf(chain []byte) (*x509.Certificate, error) {
	if len(bytes.TrimSpace(chain)) == 0 {
		return nil, nil
	}
	block, _ := pem.Decode(chain)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errors.New("no certificate in PEM in it")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, errors.New("the first certificate cannot be read")
	}
	return cert, nil
}

// readPrivateKey reads PKCS #8, PKCS #1 or SEC 1 in PEM. No error holds any of it.
func readPrivateKey(text secret.String) (crypto.Signer, error) {
	block, _ := pem.Decode([]byte(text.Reveal()))
	if block == nil {
		return nil, errors.New("private_key: no key in PEM in it")
	}
	var key any
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case "ENCRYPTED PRIVATE KEY":
		return nil, errors.New("private_key: it is encrypted; write it without a passphrase into a file that only Doorward can read")
	default:
		return nil, fmt.Errorf("private_key: %s is no private key", shown(block.Type))
	}
	if err != nil {
		return nil, errors.New("private_key: it cannot be read")
	}
	switch key := key.(type) {
	case *rsa.PrivateKey:
		if key.N.BitLen() < minRSABits {
			return nil, fmt.Errorf("private_key: an RSA key of %d bits; at least %d are needed", key.N.BitLen(), minRSABits)
		}
		return key, nil
	case *ecdsa.PrivateKey:
		return key, nil
	case ed25519.PrivateKey:
		return key, nil
	}
	return nil, fmt.Errorf("private_key: a key of type %T cannot sign here", key)
}

// algsFor lists the algorithms with which a key can sign, the usual one first.
func algsFor(key crypto.Signer) []string {
	switch key := key.(type) {
	case *rsa.PrivateKey:
		return []string{"RS256", "PS256", "RS384", "PS384", "RS512", "PS512"}
	case *ecdsa.PrivateKey:
		switch key.Curve {
		case elliptic.P256():
			return []string{"ES256"}
		case elliptic.P384():
			return []string{"ES384"}
		case elliptic.P521():
			return []string{"ES512"}
		}
	case ed25519.PrivateKey:
		return []string{"EdDSA"}
	}
	return nil
}

// chooseAlg returns the configured algorithm, or the first that the provider announces, or
// the usual one.
func chooseAlg(configured string, able, announced []string) string {
	if configured != "" {
		return configured
	}
	for _, alg := range able {
		if slices.Contains(announced, alg) {
			return alg
		}
	}
	return able[0]
}
