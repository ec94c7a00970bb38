package provider

import (
	"context"
	"net/url"

	"github.com/doorward/doorward/internal/secret"
)

// ClientCredentialsRequest asks for a token of our own (RFC 6749 §4.4).
type ClientCredentialsRequest struct {
	Scopes   []string   // nil = none is named
	Audience []string   // each as a parameter of its own (RFC 8693 §2.1, Auth0)
	Resource []string   // absolute URIs without fragment (RFC 8707 §2)
	Extra    url.Values // further parameters; none may be ReservedGrant
}

// ClientCredentials gets a token of our own. A refresh token or ID token that comes along is dropped (CC-1).
//
// Whatever the provider refuses is Misconfigured, as nobody but the operator has a part in it.
func (c *Client) ClientCredentials(ctx context.Context, r ClientCredentialsRequest) (*Response, error) {
	form, err := r.form(c)
	if err != nil {
		return nil, err
	}
	got, err := c.trade(ctx, form)
	if err != nil {
		return nil, ours(err)
	}
	got.alone()
	return got, nil
}

func (r ClientCredentialsRequest) form(*Client) (url.Values, error) {
	return target{r.Scopes, r.Audience, r.Resource, r.Extra}.form("client_credentials")
}

// ours makes a refusal the operator's business.
func ours(err error) error {
	if e, ok := err.(*Error); ok && e.Kind == Refused {
		e.Kind = Misconfigured
	}
	return err
}

// alone drops what came beside the access token: nothing of it may go upstream, or be kept for want of a user (TX-8).
func (r *Response) alone() {
	r.RefreshToken, r.IDToken = secret.String{}, secret.String{}
	if o, err := parseObject(r.Raw); err == nil && (o.has("refresh_token") || o.has("id_token")) {
		delete(o, "refresh_token")
		delete(o, "id_token")
		r.Raw, _ = o.marshal()
	}
}
