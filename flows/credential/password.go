package credential

import (
	"context"
	"maps"
	"net/url"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/identity"
)

// password is the token of a service account that a provider knows as a person (RFC 6749 §4.3). It is obtained anew and
// never refreshed: the password is there.
type password struct{}

func (password) ask(ctx context.Context, s *Source, _ *identity.Identity) (*grant, error) {
	t, err := s.call(ctx, func(ctx context.Context) (*provider.Response, error) {
		return s.client.Password(ctx, s.passwordRequest())
	})
	if err != nil {
		return nil, err
	}
	return &grant{tokens: t}, nil
}

func (s *Source) passwordRequest() provider.PasswordRequest {
	extra := url.Values{}
	maps.Copy(extra, s.conf.Parameters)
	if len(s.conf.Audience) > 0 {
		extra["audience"] = s.conf.Audience
	}
	if len(s.conf.Resource) > 0 {
		extra["resource"] = s.conf.Resource
	}
	scopes := s.conf.Scopes
	if scopes == nil {
		scopes = []string{} // those of the provider are for people who sign in
	}
	return provider.PasswordRequest{Username: s.conf.Username, Password: s.conf.Password, Scopes: scopes, Extra: extra}
}

func (password) steps(s *Source, _ *identity.Identity) ([]Step, error) {
	return s.step(s.passwordRequest(), "the same token for everybody")
}

func (password) asks() bool            { return true }
func (password) individual() bool      { return false }
func (password) shared() bool          { return true }
func (password) personal(*Source) bool { return false }
