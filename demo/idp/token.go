package idp

import (
	"net/http"
	"slices"
)

// grantType turns a token request of an authenticated client into the members of the answer.
type grantType func(c *call, client *Client) (map[string]any, error)

// grantTypes is the registry of grants. A further one is a line here and a file grant_NAME.go.
func (s *Server) grantTypes() map[string]grantType {
	return map[string]grantType{
		"authorization_code": s.grantCode,
		"refresh_token":      s.grantRefresh,
		"password":           s.grantPassword,
		GrantDevice:          s.grantDevice,
		GrantCIBA:            s.grantCIBA,
		"client_credentials": s.grantClientCredentials,
		GrantTokenExchange:   s.grantTokenExchange,
		GrantJWTBearer:       s.grantJWTBearer,
	}
}

// serveToken is the token endpoint: everything that all grants share (RFC 6749 §3.2).
func (s *Server) serveToken(c *call) error {
	c.noStore()
	client, err := s.authenticateClient(c)
	if err != nil {
		return err
	}
	name := c.form.Get("grant_type")
	grant := s.grants[name]
	switch {
	case name == "":
		return refuse("invalid_request", "grant_type is missing")
	case grant == nil:
		return refuse("unsupported_grant_type", "")
	case !slices.Contains(client.Grants, name):
		return refuse("unauthorized_client", "the client may not use this grant")
	}
	if err := c.checkDPoP(); err != nil {
		return err
	}
	members, err := grant(c, client)
	if err != nil {
		return err
	}
	c.json(http.StatusOK, members)
	return nil
}

// checkForm refuses what no back-channel endpoint may get: parameters in the URL, where logs
// would see them, and parameters twice (RFC 6749 §3.2). repeatable ones are excepted.
func (c *call) checkForm(repeatable ...string) error {
	if len(c.query) > 0 {
		return refuse("invalid_request", "parameters belong into the body")
	}
	for name, values := range c.form {
		if len(values) > 1 && !slices.Contains(repeatable, name) {
			return refuse("invalid_request", "%s is given more than once", name)
		}
	}
	return nil
}
