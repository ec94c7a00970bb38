package provider

import (
	"context"
	"time"

	"github.com/doorward/doorward/internal/secret"
)

// DeviceRequest is a device authorization request (RFC 8628 §3.1).
type DeviceRequest struct {
	Scopes   []string      // nil = the provider's
	Verifier secret.String // its S256 challenge is sent where the server announces PKCE (DEV-3); zero = none
}

// DeviceCode is the answer to one, checked and clamped (RFC 8628 §3.2, S16): expires_in 1 s to
// 30 min, interval 1 to 60 s, the texts short and printable, the URIs https (or http on
// loopback) and nothing else.
type DeviceCode struct {
	DeviceCode              secret.String
	UserCode                string
	VerificationURI         string
	VerificationURIComplete string // "" if the provider gave none, or none that may be shown
	ExpiresIn, Interval     time.Duration
}

// DeviceAuthorization asks for codes, authenticated as at the token endpoint (CA-9).
func (c *Client) DeviceAuthorization(ctx context.Context, r DeviceRequest) (*DeviceCode, error) {
	return nil, fail(Misconfigured, "no_endpoint", "not built")
}

// DeviceToken asks once whether the person has approved (RFC 8628 §3.4). While they have not,
// the error has Code authorization_pending or slow_down.
func (c *Client) DeviceToken(ctx context.Context, code, verifier secret.String) (*Response, error) {
	return nil, fail(Misconfigured, "no_endpoint", "not built")
}
