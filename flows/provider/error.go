package provider

import "time"

// Kind sorts failures by what must be answered (spec-digest §30).
type Kind int

const (
	Unavailable   Kind = iota // cannot be reached, 5xx, 429, not discovered yet: 503 with Retry-After
	Refused                   // the token endpoint said no (Code): invalid_grant, access_denied …
	Misbehaved                // bad token, wrong sub, bad JSON, wrong iss: 502 (a callback parameter of the browser's: 400)
	Misconfigured             // invalid_client, unauthorized_client, unsupported…: 502, the operator must act
)

// Error is every failure of a Client.
type Error struct {
	Kind       Kind
	Code       string        // OAuth error code, or a word of ours ("bad_nonce", "bad_signature", "bad_issuer" …)
	Detail     string        // for the log: what was expected and what came; never a token
	RetryAfter time.Duration // with Unavailable
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
