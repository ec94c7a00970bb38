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
		return s.client.ClientCredentials(ctx, s.clientCredentialsRequest())
	})
	if err != nil {
		return nil, err
	}
	return &grant{tokens: t}, nil
}

func (s *Source) clientCredentialsRequest() provider.ClientCredentialsRequest {
	return provider.ClientCredentialsRequest{Scopes: s.conf.Scopes, Audience: s.conf.Audience, Resource: s.conf.Resource, Extra: s.conf.Parameters}
}

func (clientCredentials) steps(s *Source, _ *identity.Identity) ([]Step, error) {
	return s.step(s.clientCredentialsRequest(), "the same token for everybody")
}

func (clientCredentials) asks() bool            { return true }
func (clientCredentials) individual() bool      { return false }
func (clientCredentials) shared() bool          { return true }
func (clientCredentials) personal(*Source) bool { return false }
