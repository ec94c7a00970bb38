package bearer

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"strings"
	"time"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/credentials"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/pages"
)

// markSlack is how much longer a mark stays than its proof counts: clocks of replicas differ.
const markSlack = 10 * time.Second

// binding is what the bearer of a token must show besides (cnf, RFC 7800 §3.1). The zero value is that of a token that is
// not bound; a token may be bound twice, and then needs both.
type binding struct {
	jkt         string // thumbprint of a DPoP key (RFC 9449 §6.1)
	certificate string // x5t#S256 (RFC 8705 §3.1)
}

// bindingOf reads cnf. A token that is bound in a way that nobody here can check is refused: to take it would be to take the
// binding off (RS-9).
func bindingOf(claims *identity.Claims) (b binding, err error) {
	raw, ok := claims.Map()["cnf"]
	if !ok || raw == nil {
		return b, nil
	}
	cnf, ok := raw.(map[string]any)
	if !ok {
		return b, errors.New("token's cnf is no object")
	}
	for name, to := range map[string]*string{"jkt": &b.jkt, "x5t#S256": &b.certificate} {
		value, there := cnf[name]
		if !there {
			continue
		}
		if *to, ok = value.(string); !ok || *to == "" {
			return b, errors.New("token's cnf has a member " + name + " that is no thumbprint")
		}
	}
	if b == (binding{}) {
		return b, errors.New("token is bound to a key (cnf) in a way that cannot be checked here")
	}
	return b, nil
}

// possessed checks what of the binding this one request shows. Nothing of it is ever remembered but the marks of proofs.
func (c *Checker) possessed(ctx context.Context, b binding, p credentials.Presented, now time.Time) error {
	if b.certificate != "" && subtle.ConstantTimeCompare([]byte(b.certificate), []byte(p.Certificate)) != 1 {
		if p.Certificate == "" {
			return refusal(credentials.InvalidToken, "token is bound to a client certificate (x5t#S256), and none was presented")
		}
		return refusal(credentials.InvalidToken, "token is bound to another client certificate (x5t#S256)")
	}
	dpop := isDPoP(p.Scheme)
	switch {
	case b.jkt != "" && !dpop: // a downgrade (RFC 9449 §7.2)
		return dpopRefusal(credentials.InvalidToken, "token is bound to a DPoP key (jkt), and was sent as a plain Bearer", nil)
	case b.jkt == "" && dpop: // it proves nothing, and whoever sends it believes that it does (§7.1)
		return dpopRefusal(credentials.InvalidToken, "token is not bound to a DPoP key; send it as a Bearer", nil)
	case dpop:
		return c.proved(ctx, b.jkt, p, now)
	}
	return nil
}

// proved wants exactly one proof, made for this request and this token by the key of the token, and not seen before
// (RFC 9449 §4.3, §7.1, §11.1; DP-9).
func (c *Checker) proved(ctx context.Context, jkt string, p credentials.Presented, now time.Time) error {
	if n := len(p.Proofs); n != 1 {
		if n == 0 {
			return dpopRefusal(credentials.InvalidDPoPProof, "the request has no DPoP header", nil)
		}
		return dpopRefusal(credentials.InvalidDPoPProof, "the request has more than one DPoP header", nil)
	}
	expect := provider.ProofExpect{Method: p.Method, URL: p.URL, AccessToken: p.Token, Nonces: c.nonces(now), Now: now}
	proof, err := provider.VerifyProof(p.Proofs[0], expect)
	if err != nil {
		return badProof(err, expect.Nonces)
	}
	if subtle.ConstantTimeCompare([]byte(proof.Thumbprint), []byte(jkt)) != 1 {
		return dpopRefusal(credentials.InvalidToken, "token is bound to another DPoP key than the proof is signed with", nil)
	}
	return c.mark(ctx, proof, now)
}

// mark notes that a proof was used, for all replicas. Without the store nobody knows, and nobody gets in.
func (c *Checker) mark(ctx context.Context, proof provider.ProofResult, now time.Time) error {
	name := digestOf(proof.Thumbprint, proof.JTI)
	life := max(proof.Ends.Sub(now), 0) + markSlack
	first, err := c.v.shared.Swap(ctx, "dpop:"+base64.RawURLEncoding.EncodeToString(name[:]), 0, []byte{1}, life)
	switch {
	case err != nil:
		return &pages.Error{Code: codeStore, Err: err, RetryAfter: retryAfter}
	case !first:
		return dpopRefusal(credentials.InvalidDPoPProof, "the DPoP proof was used before (jti)", nil)
	}
	return nil
}

// badProof says why a proof does not hold. Where only the nonce is missing, it brings one (RFC 9449 §9).
func badProof(err error, nonces []string) error {
	why := "the DPoP proof cannot be used"
	var e *provider.Error
	if errors.As(err, &e) && e.Detail != "" {
		why += ": " + e.Detail
	}
	if e == nil || e.Code != credentials.UseDPoPNonce || len(nonces) == 0 {
		return dpopRefusal(credentials.InvalidDPoPProof, why, err)
	}
	r := dpopRefusal(credentials.UseDPoPNonce, why, err)
	r.Nonce = nonces[0]
	return r
}

// dpopRefusal is a challenge of the scheme DPoP, which says what a proof may be signed with (RFC 9449 §7.1).
func dpopRefusal(word, description string, cause error) *credentials.Refusal {
	r := refusal(word, description)
	r.Scheme, r.Params, r.Cause = credentials.SchemeDPoP, algs(), cause
	return r
}

func algs() [][2]string { return [][2]string{{"algs", strings.Join(provider.ProofAlgs(), " ")}} }

// isDPoP compares as schemes are compared (RFC 9110 §11.1).
func isDPoP(scheme string) bool { return strings.EqualFold(scheme, credentials.SchemeDPoP) }
