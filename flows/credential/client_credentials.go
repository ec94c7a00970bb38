package credential

import (
	"context"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/identity"
)

// clientCredentials is a token of Doorward's own, the same whoever calls (RFC 6749 §4.4).
type clientCredentials struct{}

func (clientCredentials) ask(ctx context.Context, s *Source, _ *identity.Identity) (*grant, error) {
	t, err := s.call(ctx, func(ctx context.Context) (*provider.Response, error) {
		return s.client.ClientCredentials(ctx, s.conf.ClientCredentials())
	})
	if err != nil {
		return nil, err
	}
	return &grant{tokens: t}, nil
}

// ClientCredentials is the token request of a credential whose flow is client_credentials.
func (c Config) ClientCredentials() provider.ClientCredentialsRequest {
	return provider.ClientCredentialsRequest{Scopes: c.Scopes, Audience: c.Audience, Resource: c.Resource, Extra: c.Parameters}
}

func (clientCredentials) steps(s *Source, _ *identity.Identity) ([]Step, error) {
	return s.step(s.conf.ClientCredentials(), "the same token for everybody")
}

func (clientCredentials) asks() bool            { return true }
func (clientCredentials) individual() bool      { return false }
func (clientCredentials) shared() bool          { return true }
func (clientCredentials) personal(*Source) bool { return false }
