package idp

import (
	"io"
	"net/http"
	"slices"
	"strings"
)

// serveUserInfo answers who an access token belongs to (OIDC Core §5.3). The token is taken from
// the Authorization header only, never from the query.
func (s *Server) serveUserInfo(c *call) error {
	c.noStore()
	header := c.r.Header.Get("Authorization")
	scheme, value, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Bearer") || value == "" {
		return &oauthError{Status: http.StatusUnauthorized, Code: "invalid_token", Challenge: `Bearer realm="idp"`}
	}
	found := s.lookupAccess(value)
	switch {
	case found == nil:
		return &oauthError{Status: http.StatusUnauthorized, Code: "invalid_token", Challenge: `Bearer realm="idp", error="invalid_token"`}
	case !slices.Contains(found.scopes, "openid"):
		return &oauthError{Status: http.StatusForbidden, Code: "insufficient_scope", Challenge: `Bearer realm="idp", error="insufficient_scope", scope="openid"`}
	}
	c.noteClient(found.grant.client.ID, "")
	claims := profile(found.grant.user, found.scopes)
	claims["sub"] = found.grant.user.Subject
	client := found.grant.client
	if client.UserInfoAlg == "" {
		c.json(http.StatusOK, claims)
		return nil
	}
	claims["iss"], claims["aud"] = s.config.Issuer, client.ID
	for _, sin := range c.sins {
		change(claims, sin.Set)
	}
	jwt, err := s.sign(token{typ: "JWT", alg: client.UserInfoAlg, claims: claims, sins: about(c.sins, false), secret: client.Secret})
	if err != nil {
		return err
	}
	c.w.Header().Set("Content-Type", "application/jwt")
	_, _ = io.WriteString(c.w, jwt)
	return nil
}

// lookupAccess returns a live access token, or nil.
func (s *Server) lookupAccess(value string) *accessToken {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	found := s.state.access[value]
	if found == nil || found.revoked || found.grant.revoked || !s.now().Before(found.expires) {
		return nil
	}
	return found
}
