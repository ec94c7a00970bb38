package credentials

import (
	"net/http"
	"strings"
)

// Words of error in a challenge: RFC 6750 §3.1, RFC 9449 §7.1 and §8, RFC 9470 §3; the last is that of Entra and OpenID.
const (
	InvalidRequest     = "invalid_request"
	InvalidToken       = "invalid_token"
	InsufficientScope  = "insufficient_scope"
	InvalidDPoPProof   = "invalid_dpop_proof"
	UseDPoPNonce       = "use_dpop_nonce"
	InsufficientClaims = "insufficient_claims"
)

// Refusal is why what somebody presented does not count. It is the caller's fault, and they are told. Nothing in it is
// secret; Cause is for the log.
type Refusal struct {
	Scheme      string      // of the challenge: "Bearer", or "DPoP" where a proof is wanted; "" = Bearer
	Word        string      // error of the challenge, one of the above
	Description string      // error_description: one sentence
	Params      [][2]string // further parameters of the challenge, in order: scope, claims, algs …
	Nonce       string      // DPoP-Nonce header of the answer; "" = none
	Cause       error
}

func (r *Refusal) Error() string {
	s := r.Word
	if r.Description != "" {
		s += ": " + r.Description
	}
	if r.Cause != nil {
		s += ": " + r.Cause.Error()
	}
	return s
}

func (r *Refusal) Unwrap() error { return r.Cause }

// Status is the one that belongs to the word (RFC 6750 §3.1).
func (r *Refusal) Status() int {
	switch r.Word {
	case InvalidRequest:
		return http.StatusBadRequest
	case InsufficientScope:
		return http.StatusForbidden
	}
	return http.StatusUnauthorized
}

// Challenge is the value of WWW-Authenticate (RFC 9110 §11.6.1): the scheme, the realm, then what the refusal says and
// whatever more is given, each as name and value. A value with bytes that a quoted string cannot hold loses them.
func (r *Refusal) Challenge(realm string, more ...[2]string) string {
	scheme := r.Scheme
	if scheme == "" {
		scheme = "Bearer"
	}
	var b strings.Builder
	b.WriteString(scheme + " realm=" + quoted(realm))
	params := append([][2]string{{"error", r.Word}, {"error_description", r.Description}}, r.Params...)
	for _, p := range append(params, more...) {
		if p[1] != "" {
			b.WriteString(", " + p[0] + "=" + quoted(p[1]))
		}
	}
	return b.String()
}

// quoted is a quoted string of what RFC 6750 §3 allows in one: no quotes and backslashes, and only visible ASCII and
// spaces.
func quoted(s string) string {
	return `"` + strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return -1
		}
		return r
	}, s) + `"`
}
