package idp

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// assertionLifetime is how far ahead an assertion may expire: they are made for one request.
const assertionLifetime = 5 * time.Minute

// leeway is for clocks that differ.
const leeway = 10 * time.Second

func assertionAlgs() []string {
	return []string{"RS256", "PS256", "ES256", "ES384", "EdDSA", "HS256", "HS384", "HS512"}
}

func algorithms(prefixHS bool) []jose.SignatureAlgorithm {
	var out []jose.SignatureAlgorithm
	for _, alg := range assertionAlgs() {
		if strings.HasPrefix(alg, "HS") == prefixHS {
			out = append(out, jose.SignatureAlgorithm(alg))
		}
	}
	return out
}

type assertionClaims struct {
	Issuer   string   `json:"iss"`
	Subject  string   `json:"sub"`
	Audience audience `json:"aud"`
	ID       string   `json:"jti"`
	Expires  *float64 `json:"exp"`
	Issued   *float64 `json:"iat"`
	Before   *float64 `json:"nbf"`
}

// audience is a string or a list of them.
type audience []string

func (a *audience) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*a = audience{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(a))
}

// assertionKind reads, without trust, whom an assertion speaks for and which method it is.
func assertionKind(assertion string) (subject, method string) {
	for _, hs := range []bool{true, false} {
		jws, err := jose.ParseSignedCompact(assertion, algorithms(hs))
		if err != nil {
			continue
		}
		var claims assertionClaims
		_ = json.Unmarshal(jws.UnsafePayloadWithoutVerification(), &claims)
		if hs {
			return claims.Subject, "client_secret_jwt"
		}
		return claims.Subject, "private_key_jwt"
	}
	return "", "private_key_jwt"
}

// checkAssertion verifies a client assertion (RFC 7523 §3, OIDC Core §9).
func (s *Server) checkAssertion(client *Client, endpoint, assertion string) error {
	payload, err := verifyAssertion(client, assertion)
	if err != nil {
		return err
	}
	var claims assertionClaims
	if err := json.Unmarshal(payload, &claims); err != nil {
		return errors.New("client_assertion: malformed claims")
	}
	now := s.now()
	switch {
	case claims.Issuer != client.ID || claims.Subject != client.ID:
		return errors.New("client_assertion: iss and sub must be the client_id")
	case !s.isAudience(claims.Audience, endpoint):
		return fmt.Errorf("client_assertion: aud %v is not this provider", []string(claims.Audience))
	case claims.Expires == nil || !now.Add(-leeway).Before(seconds(*claims.Expires)):
		return errors.New("client_assertion: expired, or without exp")
	case seconds(*claims.Expires).After(now.Add(assertionLifetime + leeway)):
		return errors.New("client_assertion: exp is too far ahead")
	case claims.Issued != nil && seconds(*claims.Issued).After(now.Add(leeway)):
		return errors.New("client_assertion: iat is in the future")
	case claims.Before != nil && seconds(*claims.Before).After(now.Add(leeway)):
		return errors.New("client_assertion: nbf is in the future")
	case claims.ID == "":
		return errors.New("client_assertion: jti is missing")
	}
	if !s.firstUse(client, claims.ID, seconds(*claims.Expires)) {
		return errors.New("client_assertion: jti was used before")
	}
	return nil
}

// firstUse reports whether a client's jti is new, and remembers it until the JWT that bears it has expired.
func (s *Server) firstUse(client *Client, jti string, expires time.Time) bool {
	now := s.now()
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	s.state.sweep(now)
	mark := client.ID + "\x00" + jti
	if until, seen := s.state.assertions[mark]; seen && now.Before(until) {
		return false
	}
	s.state.assertions[mark] = expires.Add(leeway)
	return true
}

func verifyAssertion(client *Client, assertion string) ([]byte, error) {
	shared := client.AuthMethod == "client_secret_jwt"
	jws, err := jose.ParseSignedCompact(assertion, algorithms(shared))
	if err != nil {
		return nil, errors.New("client_assertion: malformed, or signed with an algorithm of another method")
	}
	typ, _ := jws.Signatures[0].Protected.ExtraHeaders[jose.HeaderType].(string)
	if typ != "" && !strings.EqualFold(typ, "JWT") && typ != "client-authentication+jwt" {
		return nil, fmt.Errorf("client_assertion: typ %q", typ)
	}
	if shared {
		if payload, err := jws.Verify([]byte(client.Secret)); err == nil {
			return payload, nil
		}
	} else {
		for _, key := range client.PublicKeys {
			if payload, err := jws.Verify(key); err == nil {
				return payload, nil
			}
		}
	}
	return nil, errors.New("client_assertion: wrong signature")
}

// isAudience: one value, the issuer; unless StrictAssertionAudience the token endpoint as of old,
// and the backchannel authentication endpoint where that was asked (CIBA §7.1).
func (s *Server) isAudience(aud audience, endpoint string) bool {
	switch {
	case len(aud) != 1:
		return false
	case aud[0] == s.config.Issuer:
		return true
	case s.config.StrictAssertionAudience:
		return false
	}
	return aud[0] == s.URL(Token) || endpoint == CIBA && aud[0] == s.URL(CIBA)
}

func seconds(v float64) time.Time {
	return time.Unix(0, 0).Add(time.Duration(v * float64(time.Second)))
}
