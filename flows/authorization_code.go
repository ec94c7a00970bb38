package flows

import (
	"context"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/identity"
)

// authorizationCode is the standard flow: RFC 6749 §4.1 with PKCE (RFC 7636) and nonce,
// always both.
type authorizationCode struct {
	client  *provider.Client
	login   string
	request request
}

func newAuthorizationCode(client *provider.Client, l Login) (flow, error) {
	q, err := newRequest(l)
	if err != nil {
		return nil, err
	}
	return &authorizationCode{client: client, login: l.Name, request: q}, nil
}

func (c *authorizationCode) authorize(ctx context.Context, a *attempt, how authorization) (string, error) {
	return c.client.AuthorizationURL(ctx, c.request.authorizationRequest(a, how))
}

func (c *authorizationCode) redeem(ctx context.Context, a *attempt, back answer) (*identity.Identity, error) {
	if back.Get("code") == "" {
		return nil, badAnswer("the answer holds neither a code nor an error")
	}
	response, err := c.client.Grant(ctx, exchange(a, back))
	if err != nil {
		return nil, err
	}
	return c.client.Identify(ctx, response, provider.Expect{Login: c.login, Nonce: a.nonce(), MaxAge: c.request.maxAge})
}
