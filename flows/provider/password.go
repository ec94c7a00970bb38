package provider

import (
	"context"
	"net/url"

	"github.com/doorward/doorward/internal/secret"
)

// PasswordRequest is a resource owner password credentials request (RFC 6749 §4.3).
type PasswordRequest struct {
	Username string
	Password secret.String
	Scopes   []string   // nil = the provider's
	Extra    url.Values // a second factor under the provider's name for it, such as totp
}

// Password trades a person's password for tokens. A wrong one has Kind Refused and Code invalid_grant.
func (c *Client) Password(ctx context.Context, r PasswordRequest) (*Response, error) {
	return nil, fail(Misconfigured, "no_endpoint", "not built")
}
