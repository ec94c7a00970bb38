package idp

import (
	"net/http"
	"strings"
)

// serveIntrospect tells a confidential client what a token is worth (RFC 7662).
func (s *Server) serveIntrospect(c *call) error {
	c.noStore()
	client, err := s.authenticateClient(c)
	if err != nil {
		return err
	}
	if client.AuthMethod == "none" { // RFC 7662 §2.1: against scanning for tokens
		return c.invalidClient("a public client cannot introspect")
	}
	value := c.form.Get("token")
	if value == "" {
		return refuse("invalid_request", "token is missing")
	}
	c.json(http.StatusOK, s.introspect(value))
	return nil
}

func (s *Server) introspect(value string) map[string]any {
	if a := s.lookupAccess(value); a != nil {
		answer := map[string]any{
			"active": true, "token_type": "Bearer", "scope": strings.Join(a.scopes, " "), "client_id": a.grant.client.ID,
			"iss": s.config.Issuer, "sub": a.grant.user.Subject, "aud": oneOrMany(a.grant.client.Audience), "jti": a.jti,
			"iat": a.issued.Unix(), "exp": a.expires.Unix(), "username": a.grant.user.Username,
			"auth_time": a.grant.authTime.Unix(), "acr": a.grant.acr,
		}
		change(answer, profile(a.grant.user, a.scopes))
		return answer
	}
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	if r := s.state.refresh[value]; r != nil && !r.rotated && !r.grant.revoked && s.now().Before(r.expires) {
		return map[string]any{
			"active": true, "client_id": r.grant.client.ID, "iss": s.config.Issuer,
			"sub": r.grant.user.Subject, "scope": strings.Join(r.grant.scopes, " "), "exp": r.expires.Unix(),
		}
	}
	return map[string]any{"active": false}
}
