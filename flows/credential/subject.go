package credential

import (
	"context"
	"time"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/secret"
)

// subject is the token that is traded. It is never one that a request names: only what Doorward has checked or obtained
// (P139).
type subject struct {
	token  secret.String
	kind   string    // its type in the words of RFC 8693 §3
	source time.Time // as in grant
}

// subjectOf returns what is traded for who, or why there is nothing.
func (s *Source) subjectOf(ctx context.Context, who *identity.Identity) (subject, error) {
	if s.subject != nil {
		return s.firstLeg(ctx, who)
	}
	what, kind := "access token", provider.TypeAccessToken
	if s.conf.Subject == idToken {
		what, kind = "ID token", provider.TypeIDToken
	}
	token := s.brought(who)
	switch {
	case who == nil:
		return subject{}, nobody(s)
	case token.IsZero():
		return subject{}, tokenless(s, who, what)
	case s.conf.Flow == flowExchange && who.Issuer != s.client.Issuer():
		return subject{}, foreign(s, who)
	}
	if end := s.limit(who); !end.IsZero() && !end.After(s.set.now()) {
		return subject{}, ended(s, who, what) // P140
	}
	return subject{token: token, kind: kind}, nil
}

// firstLeg obtains the token that this source trades from another source, and its cache.
func (s *Source) firstLeg(ctx context.Context, who *identity.Identity) (subject, error) {
	c, err := s.subject.Token(ctx, who)
	if err != nil {
		return subject{}, err
	}
	sub := subject{token: c.Tokens.AccessToken, kind: s.subject.kind()}
	if s.subject.conf.Flow != flowAssertion { // an assertion is for one request, and what comes of it outlives it
		sub.source = c.Tokens.Expiry
	}
	return sub, nil
}

// kind is the type of what a source obtains.
func (s *Source) kind() string {
	switch {
	case s.conf.Flow == flowAssertion || s.conf.RequestedType == jwt:
		return provider.TypeJWT
	case s.conf.RequestedType == idToken:
		return provider.TypeIDToken
	}
	return provider.TypeAccessToken
}

// brought is the token that a caller came with, of the kind that this source trades; zero if there is none.
func (s *Source) brought(who *identity.Identity) secret.String {
	switch {
	case who == nil || who.Tokens == nil:
		return secret.String{}
	case s.conf.Subject == idToken:
		return who.Tokens.IDToken
	}
	return who.Tokens.AccessToken
}

// limit is the end of what a caller has shown: their session, and the token that is traded. Zero if it is not known, or if
// what is obtained is nobody's in particular.
func (s *Source) limit(who *identity.Identity) time.Time {
	if who == nil || !s.individual() {
		return time.Time{}
	}
	first := s
	for first.subject != nil {
		first = first.subject
	}
	if first.conf.Flow == flowAssertion {
		return who.Ends
	}
	token := first.brought(who)
	if token.IsZero() {
		return who.Ends
	}
	if first.conf.Subject == idToken {
		return earliest(who.Ends, jwtEnd(token))
	}
	return earliest(who.Ends, who.Tokens.Expiry, jwtEnd(token))
}

// actorToken is the token of the one who acts, zero if nobody does: impersonation (RFC 8693 §1.1).
func (s *Source) actorToken(ctx context.Context) (secret.String, error) {
	if s.actor == nil {
		return secret.String{}, nil
	}
	c, err := s.actor.Token(ctx, nil)
	if err != nil {
		return secret.String{}, err
	}
	return c.Tokens.AccessToken, nil
}
