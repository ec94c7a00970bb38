package provider

import (
	"context"
	"net/url"

	"github.com/doorward/doorward/internal/identity"
)

// FrontChannel reads the tokens of an authorization response that came through the browser
// (OIDC Core §3.2.2.5, §3.3.2.5), by the rules for answers of the token endpoint. It checks none of them.
func (c *Client) FrontChannel(answer url.Values) (*Response, error) {
	return nil, fail(Misconfigured, "no_endpoint", "not built")
}

// VerifyFront checks the ID token of a hybrid response, before the code in it is used (IMP-6). The
// identity is Identify's to build, from the later token response.
func (c *Client) VerifyFront(ctx context.Context, r *Response, e Expect) (identity.Key, error) {
	return identity.Key{}, fail(Misconfigured, "no_endpoint", "not built")
}
