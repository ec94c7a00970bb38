package provider

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/secret"
)

// idTokenAge is how old an ID token may be when it arrives: it was just made (IDT-8).
const idTokenAge = 10 * time.Minute

// idToken validates an ID token (OIDC Core §3.1.3.7; §3.2.2.11 and §3.3.2.12 for what came
// through the browser; CIBA §10.3.1 for what was pushed), with the tokens that came along.
func (c *Client) idToken(ctx context.Context, with *identity.Tokens, e Expect) (*jwt, error) {
	m, err := c.metadata(ctx)
	if err != nil {
		return nil, err
	}
	return c.validate(ctx, with.IDToken.Reveal(), c.algorithms(m), idTokenType,
		c.checkClient,
		c.checkFresh,
		e.checkNonce,
		func(t *jwt) error {
			return checkHash(t, "at_hash", "at_hash", with.AccessToken, e.Pushed != "" || e.FrontChannel && !with.AccessToken.IsZero())
		},
		func(t *jwt) error { return checkHash(t, "c_hash", "c_hash", e.Code, !e.Code.IsZero()) },
		func(t *jwt) error { return checkHash(t, "s_hash", "s_hash", secret.New(e.State), false) },
		func(t *jwt) error { return e.checkPushed(t, with) },
		func(t *jwt) error { return c.checkAuthTime(t, e.MaxAge) },
		e.checkACR,
		func(t *jwt) error { return c.checkSame(t, e.Same) },
	)
}

// idTokenType refuses tokens that say they are something else: at+jwt, logout+jwt, a
// request object … (RFC 8725 §3.11, IDT-16, P104).
func idTokenType(t *jwt) error {
	if !t.isPlain() {
		return fail(Misbehaved, "bad_type", "an ID token has typ JWT or none, this one %s", shown(t.typ))
	}
	if t.claims.has("events") { // a logout token with typ JWT
		return fail(Misbehaved, "bad_type", "it has the claim events: a logout token or security event")
	}
	return nil
}

// checkClient wants the token to be for us, and for nobody beside us that we were not told
// to trust (steps 3 to 5, IDT-3, IDT-4, P099, P100).
func (c *Client) checkClient(t *jwt) error {
	aud, err := t.audience()
	if err != nil {
		return err
	}
	if !slices.Contains(aud, c.conf.ClientID) || c.conf.ClientID == "" {
		return fail(Misbehaved, "bad_audience", "expected %q, got %s", c.conf.ClientID, shown(strings.Join(aud, " ")))
	}
	for _, a := range aud {
		if a != c.conf.ClientID && !slices.Contains(c.conf.TrustedAudiences, a) {
			return fail(Misbehaved, "bad_audience", "beside %q it names %s, which is not among trusted_audiences", c.conf.ClientID, shown(a))
		}
	}
	azp, err := t.str("azp")
	if err != nil {
		return err
	}
	if azp != c.conf.ClientID && (len(aud) > 1 || t.claims.has("azp")) {
		return fail(Misbehaved, "bad_azp", "expected %q, got %s", c.conf.ClientID, shown(azp))
	}
	return nil
}

// checkFresh wants iat, which is required (§2), not to be old (step 10).
func (c *Client) checkFresh(t *jwt) error {
	iat, ok, err := t.claims.date("iat")
	if err != nil || !ok {
		return fail(Misbehaved, "bad_claims", "iat: missing, or no date")
	}
	if age := c.now().Sub(iat); age > idTokenAge+c.conf.ClockSkew {
		return c.late("token_too_old", "it was issued %s ago (iat), leeway %s", age, c.conf.ClockSkew)
	}
	return nil
}

// checkNonce compares in constant time (step 11, IDT-10, P096). Where no nonce was sent
// there must be none, but for a refresh, which may repeat that of the login (§12.2).
func (e Expect) checkNonce(t *jwt) error {
	nonce, err := t.str("nonce")
	if err != nil {
		return err
	}
	want := e.Nonce
	if e.NoNonce {
		if nonce == "" {
			return nil
		}
		if e.Same == nil || e.Same.Claims == nil {
			return fail(Misbehaved, "bad_nonce", "one came though none was sent")
		}
		first, _ := e.Same.Claims.Lookup("nonce")
		if want, _ = first.(string); want == "" {
			return nil // the login sent none, or it is not known any more
		}
	}
	switch {
	case want == "":
		return fail(Misbehaved, "bad_nonce", "nothing to compare with: neither a nonce nor its absence is expected")
	case nonce == "":
		return fail(Misbehaved, "bad_nonce", "missing")
	case subtle.ConstantTimeCompare([]byte(nonce), []byte(want)) != 1:
		return fail(Misbehaved, "bad_nonce", "it is that of another login")
	}
	return nil
}

// checkHash compares at_hash, c_hash, s_hash or rt_hash with what it vouches for (§3.1.3.6,
// §3.3.2.11; FAPI 1.0 part 2 §5.2.2; CIBA §10.3.1; IDT-12, P105).
func checkHash(t *jwt, short, claim string, of secret.String, required bool) error {
	code := "bad_" + short
	hash, err := t.claims.str(claim)
	switch {
	case err != nil:
		return fail(Misbehaved, code, "%v", err)
	case hash == "" && (required || t.claims.has(claim)):
		return fail(Misbehaved, code, "missing")
	case hash == "", of.IsZero():
		return nil
	}
	want := halfHash(t.alg, of.Reveal())
	if subtle.ConstantTimeCompare([]byte(hash), []byte(want)) != 1 {
		return fail(Misbehaved, code, "it does not fit what came along")
	}
	return nil
}

// halfHash is the left half of the hash that goes with a signature algorithm.
func halfHash(alg, s string) string {
	var sum []byte
	switch {
	case strings.HasSuffix(alg, "384"):
		h := sha512.Sum384([]byte(s))
		sum = h[:]
	case strings.HasSuffix(alg, "512"), alg == "EdDSA": // Ed25519 hashes with SHA-512
		h := sha512.Sum512([]byte(s))
		sum = h[:]
	default:
		h := sha256.Sum256([]byte(s))
		sum = h[:]
	}
	return base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
}

// checkAuthTime wants the person to have proved themselves recently enough (step 13, IDT-11).
func (c *Client) checkAuthTime(t *jwt, maxAge time.Duration) error {
	if maxAge <= 0 {
		return nil
	}
	at, ok, err := t.claims.date("auth_time")
	if err != nil || !ok {
		return fail(Misbehaved, "bad_auth_time", "missing, though max_age was asked")
	}
	if age := c.now().Sub(at); age > maxAge+c.conf.ClockSkew || age < -c.conf.ClockSkew {
		return c.late("bad_auth_time", "the person proved themselves %s ago, leeway %s", age, c.conf.ClockSkew)
	}
	return nil
}

// checkACR wants one of the asked context classes (step 12).
func (e Expect) checkACR(t *jwt) error {
	if acr := t.claims.text("acr"); len(e.ACR) > 0 && !slices.Contains(e.ACR, acr) {
		return fail(Misbehaved, "bad_acr", "expected one of %q, got %s", e.ACR, shown(acr))
	}
	return nil
}

// checkSame wants a refreshed token to be of the same person (§12.2, REF-2, P083).
func (c *Client) checkSame(t *jwt, who *identity.Identity) error {
	if who == nil {
		return nil
	}
	if who.Issuer != c.conf.Issuer {
		return fail(Misbehaved, "bad_issuer", "the session is of %s", shown(who.Issuer))
	}
	if sub := t.claims.text("sub"); sub != who.Subject {
		return fail(Misbehaved, "bad_subject", "it names another person: expected %s, got %s", shown(who.Subject), shown(sub))
	}
	return nil
}
