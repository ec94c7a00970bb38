package idp

import (
	"slices"
	"strings"
)

// grantRefresh renews tokens (RFC 6749 §6). With RotateRefresh every answer brings a new refresh
// token, and an old one that comes again revokes the whole family (RFC 9700 §4.14.2).
func (s *Server) grantRefresh(c *call, client *Client) (map[string]any, error) {
	value := c.form.Get("refresh_token")
	if value == "" {
		return nil, refuse("invalid_request", "refresh_token is missing")
	}
	granted, scopes, err := s.useRefresh(value, c, client)
	if err != nil {
		return nil, err
	}
	// No nonce in the ID token of a refresh (OIDC Core §12.2).
	return s.issue(issued{grant: granted, scopes: scopes, newRefresh: s.config.RotateRefresh, jkt: c.jkt, sins: c.sins})
}

// useRefresh checks and rotates in one step, so that of two requests with one token only one wins.
func (s *Server) useRefresh(value string, c *call, client *Client) (*grant, []string, error) {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	token := s.state.refresh[value]
	switch {
	case token == nil:
		return nil, nil, refuse("invalid_grant", "unknown refresh token")
	case token.grant.client != client:
		return nil, nil, refuse("invalid_grant", "the refresh token was issued to another client")
	case token.rotated:
		token.grant.revoked = true
		return nil, nil, refuse("invalid_grant", "the refresh token was used before; its family is revoked")
	case token.grant.revoked:
		return nil, nil, refuse("invalid_grant", "the grant was revoked")
	case !s.now().Before(token.expires):
		return nil, nil, refuse("invalid_grant", "the refresh token has expired")
	}
	scopes := token.grant.scopes
	if c.form.Has("scope") {
		scopes = strings.Fields(c.form.Get("scope"))
		for _, scope := range scopes {
			if !slices.Contains(token.grant.scopes, scope) { // a subset only (RFC 6749 §6)
				return nil, nil, refuse("invalid_scope", "the scope %s was not granted", scope)
			}
		}
	}
	token.rotated = s.config.RotateRefresh
	return token.grant, scopes, nil
}
