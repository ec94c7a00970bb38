package idp

import (
	"net/http"
	"slices"
)

// grantPassword trades a password for tokens (RFC 6749 §4.3), with Keycloak's statuses and words.
func (s *Server) grantPassword(c *call, client *Client) (map[string]any, error) {
	scopes, refused := client.scopes(c.form.Get("scope"))
	if refused != nil {
		return nil, refused
	}
	if c.form.Get("username") == "" {
		return nil, &oauthError{Status: http.StatusUnauthorized, Code: "invalid_request", Description: "Missing parameter: username"}
	}
	user := s.authenticate(c.form.Get("username"), c.form.Get("password"), c.form.Get(s.config.OTPParameter))
	switch {
	case user == nil:
		return nil, &oauthError{Status: http.StatusUnauthorized, Code: "invalid_grant", Description: "Invalid user credentials"}
	case user.Disabled:
		return nil, refuse("invalid_grant", "Account disabled")
	}
	s.state.mu.Lock()
	s.state.sweep(s.now())
	g := s.newGrant(client, s.newSession(user, s.config.ACRValues[0]), scopes)
	s.state.mu.Unlock()
	return s.issue(issued{grant: g, scopes: scopes, newRefresh: true, jkt: c.jkt, sins: c.sins})
}

// newGrant is what a person's consent in a session brings a client; mu is held.
func (s *Server) newGrant(client *Client, session *session, scopes []string) *grant {
	session.clients[client.ID] = true
	return &grant{
		client: client, user: session.user, sid: session.id, authTime: session.authTime, acr: session.acr,
		scopes: scopes, offline: slices.Contains(scopes, "offline_access"),
	}
}
