package idp

import "net/http"

// serveRevoke revokes a token (RFC 7009): an access token alone, a refresh token with all that
// its grant has brought. An unknown token is no error (§2.2).
func (s *Server) serveRevoke(c *call) error {
	c.noStore()
	client, err := s.authenticateClient(c)
	if err != nil {
		return err
	}
	value := c.form.Get("token")
	if value == "" {
		return refuse("invalid_request", "token is missing")
	}
	s.state.mu.Lock()
	access, refresh := s.state.access[value], s.state.refresh[value]
	var owner *Client
	switch {
	case access != nil:
		owner = access.grant.client
		access.revoked = access.revoked || owner == client
	case refresh != nil:
		owner = refresh.grant.client
		refresh.grant.revoked = refresh.grant.revoked || owner == client
	}
	s.state.mu.Unlock()
	if owner != nil && owner != client {
		return refuse("invalid_grant", "the token was issued to another client")
	}
	c.w.WriteHeader(http.StatusOK)
	return nil
}
