package provider

import (
	"fmt"
	"strconv"
	"time"
)

// Kind sorts failures by what must be answered (spec-digest §30).
type Kind int

const (
	Unavailable   Kind = iota // cannot be reached, 5xx, 429, not discovered yet: 503 with Retry-After
	Refused                   // the token endpoint said no (Code): invalid_grant, access_denied …
	Misbehaved                // bad token, wrong sub, bad JSON, wrong iss: 502 (a callback parameter of the browser's: 400)
	Misconfigured             // invalid_client, unauthorized_client, unsupported…: 502, the operator must act
)

func (k Kind) String() string {
	switch k {
	case Unavailable:
		return "unavailable"
	case Refused:
		return "refused"
	case Misbehaved:
		return "misbehaved"
	case Misconfigured:
		return "misconfigured"
	}
	return "Kind(" + strconv.Itoa(int(k)) + ")"
}

// Error is every failure of a Client.
//
// Code is the OAuth error code that the provider sent, under its registered name where a provider
// has a word of its own for it, or one of these words of ours:
//
//	unreachable timeout canceled tls_untrusted server_error rate_limited   the connection (Unavailable)
//	redirect_refused too_large bad_status bad_response                     the answer
//	issuer_mismatch bad_discovery bad_endpoint no_endpoint no_client       what discovery and configuration give
//	assertion_unreadable reserved_parameter incomplete_request             what we were told to send
//	malformed_token bad_type bad_alg bad_signature keys_unavailable        the token as such
//	bad_issuer bad_audience bad_azp bad_subject bad_claims                 whose it is
//	token_expired token_not_yet_valid token_too_old                        its times
//	bad_nonce bad_at_hash bad_c_hash bad_s_hash bad_auth_time bad_acr      the login it belongs to
//	bad_auth_req_id bad_rt_hash                                            the CIBA request that a push answers
//	not_an_access_token token_bound inactive                               a bearer token of the wrong kind, or one that ended
//	id_token_missing userinfo_refused userinfo_subject claims_too_large    the identity
//	groups_refused too_many_groups foreign_page                            the groups that are looked up
//	invalid_dpop_proof use_dpop_nonce                                      a DPoP proof that somebody sends us
//	no_refresh_token                                                       nothing to refresh with
type Error struct {
	Kind       Kind
	Code       string        // OAuth error code, or a word of ours ("bad_nonce", "bad_signature", "bad_issuer" …)
	Detail     string        // for the log: what was expected and what came; never a token
	RetryAfter time.Duration // with Unavailable; 0 = not known
	Interval   time.Duration // with slow_down, where the provider names a new one (GitHub); 0 = not said
	Groups     bool          // a person's groups could not be looked up
	Claims     string        // with interaction_required: the claims parameter that the next authorization request must carry (Entra); "" = none
	Err        error
}

func (e *Error) Error() string {
	s := "provider: " + e.Code
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

func fail(k Kind, code, format string, args ...any) *Error {
	return &Error{Kind: k, Code: code, Detail: fmt.Sprintf(format, args...)}
}

// shown makes foreign text fit for a log line: quoted, ASCII, at most 100 bytes of it.
func shown(s string) string {
	const most = 100
	if len(s) > most {
		return strconv.QuoteToASCII(s[:most]) + "…"
	}
	return strconv.QuoteToASCII(s)
}

// word makes foreign text usable as a Code: a short OAuth error code (RFC 6749 §5.2), or nothing.
func word(s string) string {
	if len(s) > 64 {
		return ""
	}
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return ""
		}
	}
	return s
}
