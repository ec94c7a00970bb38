package idp

import (
	"crypto/sha256"
	"crypto/subtle"
	"strings"
)

// grantCode redeems an authorization code (RFC 6749 §4.1.3, RFC 7636 §4.6).
func (s *Server) grantCode(c *call, client *Client) (map[string]any, error) {
	value := c.form.Get("code")
	if value == "" {
		return nil, refuse("invalid_request", "code is missing")
	}
	granted, err := s.redeem(value, c, client)
	if err != nil {
		return nil, err
	}
	return s.issue(issued{grant: granted, scopes: granted.scopes, nonce: granted.nonce, newRefresh: true, jkt: c.jkt, sins: c.sins})
}

// redeem uses a code up. Whatever is wrong with the request, a code is never good twice, and its
// replay revokes what it has brought (RFC 6749 §4.1.2).
func (s *Server) redeem(value string, c *call, client *Client) (*grant, error) {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	code := s.state.codes[value]
	switch {
	case code == nil:
		return nil, refuse("invalid_grant", "unknown code")
	case code.grant.client != client: // not the client's to use up
		return nil, refuse("invalid_grant", "the code was issued to another client")
	case code.used:
		code.grant.revoked = true
		return nil, refuse("invalid_grant", "the code was used before; everything it brought is revoked")
	}
	code.used = true
	switch {
	case code.grant.revoked || !s.now().Before(code.expires):
		return nil, refuse("invalid_grant", "the code has expired")
	case c.form.Get("redirect_uri") != code.redirectURI:
		return nil, refuse("invalid_grant", "redirect_uri is not that of the authorization request")
	}
	return code.grant, checkVerifier(c.form.Get("code_verifier"), code.challenge)
}

func checkVerifier(verifier, challenge string) error {
	switch {
	case verifier == "":
		return refuse("invalid_grant", "code_verifier is missing")
	case len(verifier) < 43 || len(verifier) > 128 || strings.Trim(verifier, unreserved) != "": // RFC 7636 §4.1
		return refuse("invalid_grant", "code_verifier is malformed")
	}
	sum := sha256.Sum256([]byte(verifier))
	if subtle.ConstantTimeCompare([]byte(b64(sum[:])), []byte(challenge)) != 1 {
		return refuse("invalid_grant", "code_verifier does not fit code_challenge")
	}
	return nil
}
