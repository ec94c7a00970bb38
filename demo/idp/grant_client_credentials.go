package idp

import "net/http"

// grantClientCredentials gives a client a token of its own (RFC 6749 §4.4): sub is the client_id
// (RFC 9068 §2.2), and there is no refresh token. Statuses and words are Keycloak's.
func (s *Server) grantClientCredentials(c *call, client *Client) (map[string]any, error) {
	switch {
	case client.AuthMethod == "none":
		return nil, &oauthError{Status: http.StatusUnauthorized, Code: "unauthorized_client", Description: "Public client not allowed to retrieve service account"}
	case client.NoServiceAccount:
		return nil, &oauthError{Status: http.StatusUnauthorized, Code: "unauthorized_client", Description: "Client not enabled to retrieve service account"}
	}
	scopes, named, refused := client.resourceScopes(c.form.Get("scope"))
	if refused != nil {
		return nil, refused
	}
	audience, refused := client.targets(c.form)
	if refused != nil {
		return nil, refused
	}
	own := &grant{client: client, user: serviceAccount(client), authTime: s.now(), scopes: scopes, machine: true}
	return s.issue(issued{grant: own, scopes: scopes, audience: append(audience, named...), jkt: c.jkt, sins: c.sins})
}

// serviceAccount is the user that a client is when it acts for itself.
func serviceAccount(client *Client) *User {
	return &User{Subject: client.ID, Username: "service-account-" + client.ID}
}
