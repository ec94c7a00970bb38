package idp

import (
	"crypto"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// presented is a token that somebody trades, or shows to act for somebody: verified, and alive.
type presented struct {
	claims map[string]any
	user   *User
	grant  *grant // that it descends from; nil of a JWT that was not issued here
	scopes []string
}

func (p *presented) text(claim string) string {
	text, _ := p.claims[claim].(string)
	return text
}

// audience is aud, as a list.
func (p *presented) audience() []string {
	var list audience
	raw, _ := json.Marshal(p.claims["aud"])
	_ = json.Unmarshal(raw, &list)
	return list
}

// boundTo returns the thumbprint of the key that the token is bound to (RFC 9449 §6.1), or "".
func (p *presented) boundTo() string {
	cnf, _ := p.claims["cnf"].(map[string]any)
	jkt, _ := cnf["jkt"].(string)
	return jkt
}

var errPresented = errors.New("the token is unknown, expired or revoked")

// present reads a token of one of the types of RFC 8693 §3.
func (s *Server) present(value, kind string) (*presented, error) {
	switch kind {
	case TypeAccessToken:
		return s.presentAccess(value)
	case TypeIDToken:
		return s.presentIDToken(value)
	case TypeJWT: // any that is signed here, or by an issuer that is trusted
		if p, err := s.presentAccess(value); err == nil {
			return p, nil
		}
		if p, err := s.presentIDToken(value); err == nil {
			return p, nil
		}
		issuer, _ := peek(value)["iss"].(string)
		return s.presentForeign(value, s.config.TrustedIssuers[issuer])
	}
	return nil, errPresented
}

func (s *Server) presentAccess(value string) (*presented, error) {
	found := s.lookupAccess(value)
	if found == nil {
		return nil, errPresented
	}
	return &presented{claims: found.claims, user: found.grant.user, grant: found.grant, scopes: found.scopes}, nil
}

// presentIDToken takes a JWT of this provider that is no access token.
func (s *Server) presentIDToken(value string) (*presented, error) {
	s.state.mu.Lock()
	_, access := s.state.access[value]
	s.state.mu.Unlock()
	if access {
		return nil, errPresented
	}
	var keys []crypto.PublicKey
	for _, key := range s.keys.all() {
		keys = append(keys, key.Public())
	}
	claims, err := s.verifyJWT(value, keys)
	if err != nil || claims["iss"] != s.config.Issuer || claims["client_id"] != nil || claims["events"] != nil {
		return nil, errPresented
	}
	p := &presented{claims: claims}
	p.user = s.whois(p.text("sub"))
	return p, nil
}

// presentForeign takes a JWT that one of these keys has signed for this provider (RFC 7523 §3).
func (s *Server) presentForeign(value string, keys []crypto.PublicKey) (*presented, error) {
	claims, err := s.verifyJWT(value, keys)
	if err != nil {
		return nil, err
	}
	p := &presented{claims: claims}
	if aud := p.audience(); !slices.Contains(aud, s.config.Issuer) && !slices.Contains(aud, s.URL(Token)) {
		return nil, errors.New("aud is not this provider")
	}
	if p.text("sub") == "" {
		return nil, errors.New("sub is missing")
	}
	p.user = s.whois(p.text("sub"))
	return p, nil
}

// whois returns who a subject is: a user, a client that acts for itself, or somebody known elsewhere.
func (s *Server) whois(subject string) *User {
	if user := s.bySubject(subject); user != nil {
		return user
	}
	if client := s.clients[subject]; client != nil {
		return serviceAccount(client)
	}
	return &User{Subject: subject, Username: subject}
}

// verifyJWT checks signature and times.
func (s *Server) verifyJWT(value string, keys []crypto.PublicKey) (map[string]any, error) {
	jws, err := jose.ParseSignedCompact(value, algorithms(false))
	if err != nil {
		return nil, errors.New("malformed JWT")
	}
	for _, key := range keys {
		payload, err := jws.Verify(key)
		if err != nil {
			continue
		}
		claims := map[string]any{}
		if json.Unmarshal(payload, &claims) != nil {
			return nil, errors.New("malformed claims")
		}
		return claims, s.checkTimes(claims)
	}
	return nil, errors.New("wrong signature")
}

func (s *Server) checkTimes(claims map[string]any) error {
	at := func(claim string) (time.Time, bool) {
		number, ok := claims[claim].(float64)
		return seconds(number), ok
	}
	now := s.now()
	if expires, ok := at("exp"); !ok || !now.Add(-leeway).Before(expires) {
		return errors.New("expired, or without exp")
	}
	for _, claim := range []string{"nbf", "iat"} {
		if from, ok := at(claim); ok && from.After(now.Add(leeway)) {
			return errors.New(claim + " is in the future")
		}
	}
	return nil
}

// peek reads the claims of a JWT without trust, to find out who should have signed it.
func peek(value string) map[string]any {
	claims := map[string]any{}
	if jws, err := jose.ParseSignedCompact(value, algorithms(false)); err == nil {
		_ = json.Unmarshal(jws.UnsafePayloadWithoutVerification(), &claims)
	}
	return claims
}

func isObject(text string) bool {
	var object map[string]any
	return json.Unmarshal([]byte(text), &object) == nil && object != nil
}

// sameJSON compares what two texts say, however they are spaced.
func sameJSON(a, b string) bool {
	var left, right any
	return json.Unmarshal([]byte(a), &left) == nil && json.Unmarshal([]byte(b), &right) == nil && reflect.DeepEqual(left, right)
}
