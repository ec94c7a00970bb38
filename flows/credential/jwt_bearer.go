package credential

import (
	"context"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/identity"
)

// jwtBearer trades a JWT for an access token (RFC 7523 §2.1), also one of another provider: that is how a chain crosses
// domains. In Entra's dialect it is the on-behalf-of flow.
type jwtBearer struct{}

func (jwtBearer) ask(ctx context.Context, s *Source, who *identity.Identity) (*grant, error) {
	sub, err := s.subjectOf(ctx, who)
	if err != nil {
		return nil, err
	}
	t, err := s.call(ctx, func(ctx context.Context) (*provider.Response, error) {
		return s.client.JWTBearer(ctx, s.jwtBearerRequest(sub, who))
	})
	if err != nil {
		s.doubtFirstLeg(ctx, who, sub, err)
		return nil, err
	}
	return &grant{tokens: t, source: sub.source, limit: s.limit(who)}, nil
}

func (s *Source) jwtBearerRequest(sub subject, who *identity.Identity) provider.JWTBearerRequest {
	r := provider.JWTBearerRequest{
		Assertion: sub.token, Dialect: s.conf.Dialect, Scopes: s.conf.Scopes, Audience: s.conf.Audience, Resource: s.conf.Resource, Extra: s.conf.Parameters,
	}
	if s.individual() && (s.subject == nil || s.subject.conf.Flow != flowAssertion) {
		r.Same = who
	}
	return r
}

func (jwtBearer) steps(s *Source, who *identity.Identity) ([]Step, error) {
	steps, err := s.stepsBefore(who)
	if err != nil {
		return nil, err
	}
	own, err := s.step(s.jwtBearerRequest(s.sketched(), who), s.subjectNote())
	return append(steps, own...), err
}

func (jwtBearer) asks() bool              { return true }
func (jwtBearer) individual() bool        { return true }
func (jwtBearer) shared() bool            { return true }
func (jwtBearer) personal(s *Source) bool { return exchange{}.personal(s) }
