package provider

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
)

const (
	keysAge   = time.Hour
	keysStale = 24 * time.Hour // while none can be had anew
)

// keyring finds the keys of the provider and remembers which kids it does not have. It
// follows jwks_uri if discovery comes to name another one.
type keyring struct {
	document func(uri string) *document[*keySet]

	mu      sync.Mutex
	uri     string
	keys    *document[*keySet]
	unknown map[string]time.Time // kid → asked in vain at; a fetch does not change it for a while
}

const (
	unknownFor  = 30 * time.Second
	maxUnknown  = 256
	longestKid  = 1 << 10
	unknownHint = "no published key has this kid"
)

// at returns the document of keys under a URI.
func (r *keyring) at(uri string) *document[*keySet] {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.keys == nil || r.uri != uri {
		r.uri, r.keys, r.unknown = uri, r.document(uri), make(map[string]time.Time)
	}
	return r.keys
}

func (r *keyring) inVain(kid string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	at, ok := r.unknown[kid]
	return ok && now.Sub(at) < unknownFor && !now.Before(at)
}

func (r *keyring) remember(kid string, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.unknown) >= maxUnknown {
		clear(r.unknown) // it saves fetches, which the cool-down bounds anyhow
	}
	r.unknown[kid] = now
}

func (c *Client) newKeys(uri string) *document[*keySet] {
	return &document[*keySet]{
		name: "keys",
		get: func(ctx context.Context, etag string) (*answer, error) {
			header := http.Header{"Accept": {"application/jwk-set+json, application/json"}}
			if etag != "" {
				header.Set("If-None-Match", etag)
			}
			a, err := c.back.getFrom(ctx, "jwks_uri", uri, header)
			if err != nil || a.status != http.StatusOK && a.status != http.StatusNotModified {
				c.doubtDiscovery()
			}
			return a, err
		},
		parse:  parseKeys,
		maxAge: keysAge, stale: keysStale,
		shelf: shelf{c.store, c.ring, shelfKey("keys", c.conf.Issuer, uri)},
		now:   c.now, log: c.log,
	}
}

// keys returns the document of the provider's keys.
func (c *Client) keys(ctx context.Context) (*document[*keySet], error) {
	m, err := c.metadata(ctx)
	if err != nil {
		return nil, err
	}
	if m.JWKS == "" {
		return nil, fail(Misconfigured, "no_endpoint", "the provider names no jwks_uri, so that nothing it signs can be checked")
	}
	return c.keyring.at(m.JWKS), nil
}

// signature is the oidc.KeySet of one verification: it is asked by go-oidc's verifier and
// keeps the typed reason of a refusal, of which go-oidc only keeps the text.
type signature struct {
	client *Client
	token  *jwt
	asked  bool
	err    error
}

var _ oidc.KeySet = (*signature)(nil)

// VerifySignature implements oidc.KeySet.
func (s *signature) VerifySignature(ctx context.Context, raw string) ([]byte, error) {
	payload, err := s.client.verifySignature(ctx, raw, s.token.alg, s.token.kid)
	s.asked, s.err = true, err
	return payload, err
}

// verify checks the signature of a token through go-oidc's verifier. What go-oidc says
// about the claims of a token that is signed well (odd) is for later: our own checks say
// more precisely what is wrong with them.
func (c *Client) verify(ctx context.Context, t *jwt) (odd, err error) {
	s := &signature{client: c, token: t}
	_, err = oidc.NewVerifier(c.conf.Issuer, s, &oidc.Config{
		SupportedSigningAlgs: []string{t.alg},
		// validate checks all three itself: typed, with leeway, and further than go-oidc does.
		SkipClientIDCheck: true, SkipExpiryCheck: true, SkipIssuerCheck: true,
	}).Verify(ctx, t.raw)
	switch {
	case s.err != nil:
		return nil, s.err
	case !s.asked:
		return nil, fail(Misbehaved, "malformed_token", "it is no compact JWS")
	case err != nil:
		return fail(Misbehaved, "bad_claims", "a claim is of the wrong type"), nil
	}
	return nil, nil
}

// verifySignature finds the key. A token that no key fits makes us fetch the keys anew, at
// most once per cool-down and never for a kid that was just looked for in vain (JWK-2, P123).
func (c *Client) verifySignature(ctx context.Context, raw, alg, kid string) ([]byte, error) {
	jws, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)})
	if err != nil {
		return nil, fail(Misbehaved, "malformed_token", "it is no compact JWS")
	}
	if alg == "HS256" {
		return c.verifySecret(jws)
	}
	doc, err := c.keys(ctx)
	if err != nil {
		return nil, err
	}
	have, err := doc.current(ctx)
	if err != nil {
		return nil, keysUnavailable(err)
	}
	payload, known := have.value.verify(jws, alg, kid)
	if payload != nil {
		return payload, nil
	}
	if known || !c.keyring.inVain(kid, c.now()) {
		newer, err := doc.again(ctx, have)
		if err != nil && !known { // with a key of that kid at hand, the token is to blame
			return nil, keysUnavailable(err)
		}
		if err == nil && newer != have {
			if payload, known = newer.value.verify(jws, alg, kid); payload != nil {
				return payload, nil
			}
			if !known {
				c.keyring.remember(kid, c.now())
			}
		}
	}
	if !known {
		return nil, fail(Misbehaved, "bad_signature", "%s (%s, alg %s)", unknownHint, shown(kid), alg)
	}
	return nil, fail(Misbehaved, "bad_signature", "it does not fit the published key %s (alg %s)", shown(kid), alg)
}

func (s *keySet) verify(jws *jose.JSONWebSignature, alg, kid string) (payload []byte, known bool) {
	keys, known := s.candidates(kid, alg)
	for _, k := range keys {
		if payload, err := jws.Verify(k); err == nil {
			return payload, true
		}
	}
	return nil, known
}

// verifySecret checks a MAC with the client secret, which New has found long enough and
// the configuration has asked for (JWK-4).
func (c *Client) verifySecret(jws *jose.JSONWebSignature) ([]byte, error) {
	for _, s := range c.secrets() {
		if key := []byte(s.Reveal()); len(key) >= minMACSecret {
			if payload, err := jws.Verify(key); err == nil {
				return payload, nil
			}
		}
	}
	return nil, fail(Misbehaved, "bad_signature", "it does not fit the client secret (alg HS256)")
}

// keysUnavailable says that a token cannot be judged. That is never the token's fault: were
// an answer of the provider that is no key set taken for a bad token (Misbehaved), a refresh
// would end the session, and a good bearer token would get 401.
func keysUnavailable(err error) error {
	var e *Error
	if errors.As(err, &e) && e.Kind == Misconfigured {
		return err
	}
	u := &Error{Kind: Unavailable, Code: "keys_unavailable", Detail: "the signature cannot be checked just now", Err: err}
	if e != nil {
		u.RetryAfter = e.RetryAfter
	}
	return u
}

// algorithms returns the allow-list for ID tokens: the configured one, or RS256 (OIDC Core
// §3.1.3.7 step 7) and whatever asymmetric algorithm the provider announces. That discovery
// lists "none" or HS256 helps nobody (P097).
func (c *Client) algorithms(m *metadata) []string {
	if len(c.conf.SigningAlgs) > 0 {
		return c.conf.SigningAlgs
	}
	out := []string{"RS256"}
	for _, alg := range asymmetric() {
		if alg != "RS256" && slices.Contains(m.idTokenAlgs, alg) {
			out = append(out, alg)
		}
	}
	return out
}
