package credential

import (
	"context"
	"crypto/rand"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/secret"
)

const (
	assertionLife = time.Minute
	assertionKept = 30 * time.Second // so that the upstream gets one with half of its life before it
)

// assertion is a JWT about the caller, signed by Doorward, for upstreams that trust it: aud says which, and the JWK Set
// verifies it.
type assertion struct{}

func (assertion) ask(_ context.Context, s *Source, who *identity.Identity) (*grant, error) {
	now := s.set.now()
	token, err := s.set.signer.Sign(s.assertionClaims(who, now))
	if err != nil {
		return nil, s.refusal(err)
	}
	g := &grant{tokens: &identity.Tokens{AccessToken: secret.New(token), TokenType: "Bearer", ReceivedAt: now, Expiry: now.Add(assertionLife)}}
	g.until, g.limit = now.Add(assertionKept), s.limit(who)
	return g, nil
}

// assertionClaims are those of RFC 7519 §4.1 and what is known of the caller. sub is a person's, and idp the issuer within
// which it is unique. A machine and nobody are spoken for by the credential itself, which has no idp: a person whom their
// provider calls the same is never it. act says for which machine.
// Nothing unverified is in it: email only if the provider has verified it.
func (s *Source) assertionClaims(who *identity.Identity, now time.Time) map[string]any {
	claims := map[string]any{
		"iss": s.set.issuer, "sub": s.name, "aud": s.conf.Audience, "iat": now.Unix(), "exp": now.Add(assertionLife).Unix(), "jti": rand.Text(),
	}
	if len(s.conf.Audience) == 1 {
		claims["aud"] = s.conf.Audience[0]
	}
	if who == nil || who.Subject == "" {
		return claims
	}
	if who.Machine {
		claims["act"] = map[string]any{"iss": who.Issuer, "sub": who.Subject}
		if who.Client != "" {
			claims["client_id"] = who.Client
		}
		return claims
	}
	claims["sub"], claims["idp"] = who.Subject, who.Issuer
	if who.EmailVerified && who.Email != "" {
		claims["email"], claims["email_verified"] = who.Email, true
	}
	if len(who.Groups) > 0 {
		claims["groups"] = who.Groups
	}
	if len(who.AMR) > 0 {
		claims["amr"] = who.AMR
	}
	if !who.AuthTime.IsZero() {
		claims["auth_time"] = who.AuthTime.Unix()
	}
	for name, value := range map[string]string{"name": who.Name, "preferred_username": who.Username, "login": who.Login, "acr": who.ACR} {
		if value != "" {
			claims[name] = value
		}
	}
	return claims
}

func (assertion) steps(s *Source, who *identity.Identity) ([]Step, error) {
	about := s.assertionClaims(who, s.set.now())["sub"].(string)
	return []Step{{
		Credential: s.name,
		Note:       "a JWT signed by Doorward, 60 s, iss " + s.set.issuer + ", sub " + about + ", aud " + strings.Join(s.conf.Audience, " ") + ", kid " + s.set.signer.KeyID(),
	}}, nil
}

func (assertion) asks() bool            { return false }
func (assertion) individual() bool      { return true }
func (assertion) shared() bool          { return false }
func (assertion) personal(*Source) bool { return false }
