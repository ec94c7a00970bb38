package idp

import (
	"io"
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
	answer := s.introspect(value)
	if accepts(c.r, introspectionJWT) {
		return s.introspectSigned(c, client, answer)
	}
	c.json(http.StatusOK, answer)
	return nil
}

// introspectionJWT is the media type, and the typ, of a signed answer (RFC 9701 §5).
const introspectionJWT = "token-introspection+jwt"

// introspectSigned answers a JWT for the client that asks. Set changes what it says about the token; Claims, JOSE and Sign change the JWT.
func (s *Server) introspectSigned(c *call, client *Client, about map[string]any) error {
	for _, sin := range c.sins {
		sin.edit(about)
	}
	about = clean(about)
	c.noteAnswer(about)
	claims := map[string]any{"iss": s.config.Issuer, "aud": client.ID, "iat": s.now().Unix(), "token_introspection": about}
	jwt, err := s.sign(token{typ: introspectionJWT, claims: claims, sins: c.sins, secret: client.Secret})
	if err != nil {
		return err
	}
	c.w.Header().Set("Content-Type", "application/"+introspectionJWT)
	_, _ = io.WriteString(c.w, jwt)
	return nil
}

// accepts reports whether a request asks for application/kind.
func accepts(r *http.Request, kind string) bool {
	return strings.Contains(strings.Join(r.Header.Values("Accept"), ","), "application/"+kind)
}

func (s *Server) introspect(value string) map[string]any {
	if a := s.lookupAccess(value); a != nil {
		answer := map[string]any{"active": true, "token_type": "Bearer"}
		change(answer, a.claims)
		if cnf, ok := a.claims["cnf"].(map[string]any); ok && cnf["jkt"] != nil {
			answer["token_type"] = "DPoP"
		}
		if answer["username"] = a.grant.user.Username; a.grant.machine { // RFC 7662 §2.2: of a person
			answer["username"] = nil
		}
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
