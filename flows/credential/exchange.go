package credential

import (
	"context"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/secret"
)

// exchange trades the caller's token for one that is for the upstream (RFC 8693). If it fails, nothing goes upstream: the
// caller's own token least of all (P145).
type exchange struct{}

func (exchange) ask(ctx context.Context, s *Source, who *identity.Identity) (*grant, error) {
	sub, err := s.subjectOf(ctx, who)
	if err != nil {
		return nil, err
	}
	actor, err := s.actorToken(ctx)
	if err != nil {
		return nil, err
	}
	t, err := s.call(ctx, func(ctx context.Context) (*provider.Response, error) {
		return s.client.Exchange(ctx, s.exchangeRequest(sub, actor, who))
	})
	if err == nil {
		err = checkType(t.IssuedTokenType, s.requestedType())
	}
	if err != nil {
		s.doubtFirstLeg(ctx, who, sub, err)
		return nil, err
	}
	return &grant{tokens: t, source: sub.source, limit: s.limit(who)}, nil
}

func (s *Source) exchangeRequest(sub subject, actor secret.String, who *identity.Identity) provider.ExchangeRequest {
	r := provider.ExchangeRequest{
		Subject: sub.token, SubjectType: sub.kind, Actor: actor, RequestedType: s.requestedType(),
		Scopes: s.conf.Scopes, Audience: s.conf.Audience, Resource: s.conf.Resource, Extra: s.conf.Parameters,
	}
	if s.actor != nil {
		r.ActorType = provider.TypeAccessToken
	}
	if s.individual() && (s.subject == nil || s.subject.conf.Flow != flowAssertion) {
		r.Same = who
	}
	return r
}

// requestedType is what is asked for, in the words of RFC 8693 §3.
func (s *Source) requestedType() string {
	switch s.conf.RequestedType {
	case accessToken:
		return provider.TypeAccessToken
	case idToken:
		return provider.TypeIDToken
	case jwt:
		return provider.TypeJWT
	}
	return ""
}

// checkType is the last look at what came, before it is cached: a token of another kind would be handed to the upstream as
// what it is not (P144).
func checkType(issued, requested string) error {
	if requested == "" {
		requested = provider.TypeAccessToken
	}
	if issued != requested {
		return &provider.Error{Kind: provider.Misbehaved, Code: "bad_response", Detail: "expected issued_token_type " + requested + ", and another came"}
	}
	return nil
}

// doubtFirstLeg drops the token of a chain's first leg that the second provider does not take, so that the next attempt
// begins with another. Which of the two providers is wrong is the operator's to find out.
func (s *Source) doubtFirstLeg(ctx context.Context, who *identity.Identity, sub subject, err error) {
	if said, ok := err.(*provider.Error); !ok || said.Kind != provider.Refused || s.subject == nil { //nolint:errorlint // as in failed
		return
	}
	s.subject.Rejected(ctx, who, &identity.Credential{Tokens: &identity.Tokens{AccessToken: sub.token}})
}

func (exchange) steps(s *Source, who *identity.Identity) ([]Step, error) {
	steps, err := s.stepsBefore(who)
	if err != nil {
		return nil, err
	}
	var actor secret.String
	if s.actor != nil {
		actor = secret.New("actor") // a sketch hides it
	}
	own, err := s.step(s.exchangeRequest(s.sketched(), actor, who), s.subjectNote())
	return append(steps, own...), err
}

func (exchange) asks() bool       { return true }
func (exchange) individual() bool { return true }
func (exchange) shared() bool     { return true }

// personal is an exchange whose first token is the caller's.
func (exchange) personal(s *Source) bool { return s.subject == nil || s.subject.Personal() }
