package idp

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// hintTokenType is the typ of a login_hint_token, so that no other token of ours passes for one.
const hintTokenType = "login-hint+jwt"

// hinted finds the person by exactly one hint (CIBA §7.1).
func (s *Server) hinted(client *Client, params url.Values) (*User, error) {
	var given []string
	for _, name := range []string{"login_hint", "login_hint_token", "id_token_hint"} {
		if params.Has(name) {
			given = append(given, name)
		}
	}
	if len(given) != 1 {
		return nil, refuse("invalid_request", "exactly one of login_hint, login_hint_token and id_token_hint is needed")
	}
	var (
		user *User
		err  error
	)
	switch value := params.Get(given[0]); given[0] {
	case "login_hint":
		user = s.person(value)
	case "id_token_hint":
		claims, ok := s.readHint(value)
		if !ok || !slices.Contains(claims.Audience, client.ID) {
			return nil, refuse("invalid_request", "id_token_hint was not issued here to this client")
		}
		user = s.bySubject(claims.Subject)
	default:
		if user, err = s.readHintToken(value); err != nil {
			return nil, err
		}
	}
	switch {
	case user == nil:
		return nil, refuse("unknown_user_id", "")
	case user.Disabled:
		return nil, &oauthError{Status: 403, Code: "access_denied"} // §13
	}
	return user, nil
}

// LoginHintToken makes a login_hint_token for a user. Its form is this provider's own: a JWT
// signed by the provider with typ login-hint+jwt, iss and aud the issuer, sub, exp.
func (s *Server) LoginHintToken(username string, lifetime time.Duration) (string, error) {
	user := s.users[username]
	if user == nil {
		return "", fmt.Errorf("idp: no user %q", username)
	}
	now := s.now()
	return s.sign(token{typ: hintTokenType, claims: map[string]any{
		"iss": s.config.Issuer, "aud": s.config.Issuer, "sub": user.Subject, "iat": now.Unix(), "exp": now.Add(lifetime).Unix(), "jti": random(),
	}})
}

func (s *Server) readHintToken(raw string) (*User, error) {
	wrong := refuse("invalid_request", "login_hint_token was not issued here")
	jws, err := jose.ParseSignedCompact(raw, signingAlgs())
	if err != nil || jws.Signatures[0].Protected.ExtraHeaders[jose.HeaderType] != hintTokenType {
		return nil, wrong
	}
	claims, ok := s.readHint(raw)
	if !ok || !slices.Contains(claims.Audience, s.config.Issuer) {
		return nil, wrong
	}
	var times assertionClaims
	if json.Unmarshal(jws.UnsafePayloadWithoutVerification(), &times) != nil || times.Expires == nil { // verified by readHint
		return nil, wrong
	}
	if !s.now().Before(seconds(*times.Expires)) {
		return nil, refuse("expired_login_hint_token", "")
	}
	return s.bySubject(claims.Subject), nil
}

func signingAlgs() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{"RS256", "PS256", "ES256", "EdDSA"}
}
