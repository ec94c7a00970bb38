package provider

import (
	"context"
	"slices"
	"strings"
	"time"
)

// check is one condition on a token whose signature, issuer, subject and times are right.
type check func(*jwt) error

// validate is the one way in which a token becomes believed (S8), for ID tokens and access
// tokens alike: typ, algorithm, issuer, signature, subject, times, then the checks of its
// kind. Its order is that of cost, and the issuer comes before anything that asks the
// network (RS-10). Failures are *Error; Detail says what was expected and what came.
func (c *Client) validate(ctx context.Context, raw string, algs []string, typ check, checks ...check) (*jwt, error) {
	return c.validateAny(ctx, raw, algs, typ, append([]check{checkSubject, c.checkTimes}, checks...)...)
}

// validateAny is validate for what is no token about somebody: its subject and times are as its kind has them.
func (c *Client) validateAny(ctx context.Context, raw string, algs []string, typ check, checks ...check) (*jwt, error) {
	t, err := parseJWT(raw)
	if err != nil {
		return nil, err
	}
	if err := typ(t); err != nil {
		return nil, err
	}
	if !slices.Contains(algs, t.alg) { // never chosen by the token (RFC 8725 §3.1, P097)
		return nil, fail(Misbehaved, "bad_alg", "it is signed with %s; accepted: %s", shown(t.alg), strings.Join(algs, ", "))
	}
	if err := c.checkIssuerOf(t); err != nil {
		return nil, err
	}
	odd, err := c.verify(ctx, t)
	if err != nil {
		return nil, err
	}
	for _, check := range checks {
		if err := check(t); err != nil {
			return nil, err
		}
	}
	if odd != nil {
		return nil, odd
	}
	return t, nil
}

// checkIssuerOf compares byte for byte (OIDC Core §3.1.3.7 step 2, IDT-2, P099). Google may
// write its name without the scheme, as go-oidc too allows it, and nobody else.
func (c *Client) checkIssuerOf(t *jwt) error {
	iss, err := t.str("iss")
	if err != nil {
		return err
	}
	if iss == c.conf.Issuer || c.conf.Issuer == "https://accounts.google.com" && iss == "accounts.google.com" {
		return nil
	}
	return fail(Misbehaved, "bad_issuer", "expected %q, got %s", c.conf.Issuer, shown(iss))
}

// checkSubject wants what OIDC Core §2 says: 1 to 255 ASCII characters (IDT-9, P102).
// Control characters are no part of a name.
func checkSubject(t *jwt) error {
	sub, err := t.claims.str("sub")
	switch {
	case err != nil:
		return fail(Misbehaved, "bad_subject", "%v", err)
	case sub == "":
		return fail(Misbehaved, "bad_subject", "missing or empty")
	case len(sub) > 255:
		return fail(Misbehaved, "bad_subject", "%d bytes; at most 255", len(sub))
	}
	for _, b := range []byte(sub) {
		if b < ' ' || b > '~' {
			return fail(Misbehaved, "bad_subject", "%s is not printable ASCII", shown(sub))
		}
	}
	return nil
}

// checkTimes holds exp, iat and nbf against our clock, give or take the leeway (IDT-7,
// IDT-8, IDT-13, P101). exp must be there; iat is demanded by the checks of its kind.
func (c *Client) checkTimes(t *jwt) error {
	if !t.claims.has("exp") {
		return fail(Misbehaved, "bad_claims", "exp: missing, or no date")
	}
	return c.checkPeriod(t)
}

// checkPeriod is checkTimes for what may lack exp: an answer of introspection, which is of now anyhow (RFC 7662 §2.2).
func (c *Client) checkPeriod(t *jwt) error {
	now, skew := c.now(), c.conf.ClockSkew
	exp, ok, err := t.claims.date("exp")
	if err != nil {
		return fail(Misbehaved, "bad_claims", "exp: missing, or no date")
	}
	if ok && !now.Before(exp.Add(skew)) {
		return c.late("token_expired", "it ended %s ago, leeway %s", now.Sub(exp), skew)
	}
	nbf, ok, err := t.claims.date("nbf")
	if err != nil {
		return fail(Misbehaved, "bad_claims", "%v", err)
	}
	if ok && nbf.After(now.Add(skew)) {
		return c.late("token_not_yet_valid", "it is valid in %s (nbf), leeway %s", nbf.Sub(now), skew)
	}
	iat, ok, err := t.claims.date("iat")
	if err != nil {
		return fail(Misbehaved, "bad_claims", "%v", err)
	}
	if ok && iat.After(now.Add(skew)) {
		return c.late("token_not_yet_valid", "it is issued in %s (iat), leeway %s", iat.Sub(now), skew)
	}
	return nil
}

// late is a refusal because of a time, with what is known about the clocks (R21).
func (c *Client) late(code, format string, by, skew time.Duration) error {
	e := fail(Misbehaved, code, format, by.Round(time.Second), skew)
	e.Detail += c.back.skew.hint()
	return e
}
