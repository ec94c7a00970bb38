package provider

import (
	"context"
	"net/url"
	"time"

	"github.com/doorward/doorward/internal/secret"
)

// CIBARequest is an authentication request (CIBA Core 1.0 §7.1).
type CIBARequest struct {
	Hint              string        // "login_hint", "login_hint_token" or "id_token_hint": exactly one goes out
	HintValue         secret.String // not a secret, but nothing for logs either
	BindingMessage    string
	UserCode          secret.String // zero = none
	ACRValues         []string
	RequestedExpiry   time.Duration // 0 = none; whole seconds
	NotificationToken secret.String // ping and push only (CIB-3)
	Scopes            []string      // nil = the provider's
	Signed            bool          // as a JWT in the parameter request (§7.1.1)
	Extra             url.Values    // [login.NAME] params
}

// CIBAAnswer is the acknowledgement (§7.3), checked and clamped: expires_in 1 s to 30 min,
// interval 1 to 60 s.
type CIBAAnswer struct {
	AuthReqID           secret.String
	ExpiresIn, Interval time.Duration
}

// BackchannelAuthentication asks a person for their consent on another device. The error of an unknown
// person has Code unknown_user_id, also where a provider says so in other words.
func (c *Client) BackchannelAuthentication(ctx context.Context, r CIBARequest) (*CIBAAnswer, error) {
	return nil, fail(Misconfigured, "no_endpoint", "not built")
}

// CIBAToken asks once whether the person has consented (§10.1). While they have not, the
// error has Code authorization_pending or slow_down.
func (c *Client) CIBAToken(ctx context.Context, authReqID secret.String) (*Response, error) {
	return nil, fail(Misconfigured, "no_endpoint", "not built")
}

// ReadPush reads what a provider delivered by push (§10.3.1): a token response, or an error of
// §12 as *Error. It checks no token: that is Identify's, with Expect.Pushed set.
func (c *Client) ReadPush(body []byte) (authReqID string, r *Response, err error) {
	return "", nil, fail(Misconfigured, "no_endpoint", "not built")
}
