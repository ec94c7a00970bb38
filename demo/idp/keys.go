package idp

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"net/http"
	"slices"
	"sync"

	"github.com/go-jose/go-jose/v4"
)

// Key is a signing key. Make one with NewKey; tests that start many providers share one by Config.Keys.
type Key struct {
	ID, Alg string
	private crypto.Signer
}

// NewKey makes a key with a random ID for RS256, PS256, ES256 or EdDSA (Ed25519).
func NewKey(alg string) (Key, error) {
	k := Key{ID: rand.Text()[:12], Alg: alg}
	var err error
	switch alg {
	case "RS256", "PS256":
		k.private, err = rsa.GenerateKey(rand.Reader, 2048)
	case "ES256":
		k.private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "EdDSA":
		_, k.private, err = ed25519.GenerateKey(rand.Reader)
	default:
		err = fmt.Errorf("idp: unknown signing algorithm %q: want RS256, PS256, ES256 or EdDSA", alg)
	}
	return k, err
}

// Public returns the public half.
func (k Key) Public() crypto.PublicKey { return k.private.Public() }

// keyring holds the published keys, the newest of each algorithm first, and one key of each
// algorithm that is published nowhere, for forgeries.
type keyring struct {
	mu        sync.Mutex
	published []Key
	strangers map[string]Key
	algs      []string // in the order of the configuration
}

func newKeyring(c Config) (*keyring, error) {
	r := &keyring{strangers: map[string]Key{}}
	for _, k := range c.Keys {
		if k.private == nil {
			return nil, fmt.Errorf("idp: key %q was not made by NewKey", k.ID)
		}
		r.published = append(r.published, k)
	}
	if len(c.Keys) == 0 {
		for _, alg := range c.SigningAlgs {
			k, err := NewKey(alg)
			if err != nil {
				return nil, err
			}
			r.published = append(r.published, k)
		}
	}
	for _, k := range r.published {
		if !slices.Contains(r.algs, k.Alg) {
			r.algs = append(r.algs, k.Alg)
		}
	}
	return r, nil
}

// signer returns the key that signs with alg now; "" is the first algorithm.
func (r *keyring) signer(alg string) (Key, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if alg == "" {
		alg = r.algs[0]
	}
	for _, k := range r.published {
		if k.Alg == alg {
			return k, nil
		}
	}
	return Key{}, fmt.Errorf("idp: no key for %s", alg)
}

// stranger returns the unpublished key of alg.
func (r *keyring) stranger(alg string) (Key, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if k, ok := r.strangers[alg]; ok {
		return k, nil
	}
	k, err := NewKey(alg)
	if err == nil {
		r.strangers[alg] = k
	}
	return k, err
}

// rotate makes a new key for each algorithm and puts it first.
func (r *keyring) rotate() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var fresh []Key
	for _, alg := range r.algs {
		k, err := NewKey(alg)
		if err != nil {
			return err
		}
		fresh = append(fresh, k)
	}
	r.published = append(fresh, r.published...)
	return nil
}

func (r *keyring) all() []Key {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.published)
}

// RotateKeys makes a new key for every algorithm, which signs from now on; the old ones stay
// published until WithdrawKey.
func (s *Server) RotateKeys() error { return s.keys.rotate() }

// WithdrawKey stops publishing a key; tokens that it has signed can no longer be checked. The
// last key of an algorithm cannot be withdrawn.
func (s *Server) WithdrawKey(kid string) error {
	s.keys.mu.Lock()
	defer s.keys.mu.Unlock()
	i := slices.IndexFunc(s.keys.published, func(k Key) bool { return k.ID == kid })
	if i < 0 {
		return fmt.Errorf("idp: no key %q", kid)
	}
	alg, count := s.keys.published[i].Alg, 0
	for _, k := range s.keys.published {
		if k.Alg == alg {
			count++
		}
	}
	if count == 1 {
		return fmt.Errorf("idp: key %q is the last for %s: rotate first", kid, alg)
	}
	s.keys.published = slices.Delete(slices.Clone(s.keys.published), i, i+1)
	return nil
}

// Keys returns the published keys, of each algorithm the signing one first.
func (s *Server) Keys() []Key { return s.keys.all() }

// serveJWKS answers the key set (RFC 7517 §5).
func (s *Server) serveJWKS(c *call) error {
	keys := []any{}
	for _, sin := range c.sins {
		keys = append(keys, sin.Prepend...)
	}
	for _, k := range s.keys.all() {
		keys = append(keys, jose.JSONWebKey{Key: k.Public(), KeyID: k.ID, Algorithm: k.Alg, Use: "sig"})
	}
	c.w.Header().Set("Cache-Control", "no-cache")
	c.json(http.StatusOK, map[string]any{"keys": keys})
	return nil
}
