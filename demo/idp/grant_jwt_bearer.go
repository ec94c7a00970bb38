package idp

import "slices"

// GrantJWTBearer is the grant type of RFC 7523 §2.1.
const GrantJWTBearer = "urn:ietf:params:oauth:grant-type:jwt-bearer"

// grantJWTBearer trades a JWT for an access token: as RFC 7523 has it, or on behalf of the person
// whose token it is, as Entra has it.
func (s *Server) grantJWTBearer(c *call, client *Client) (map[string]any, error) {
	assertion := c.form.Get("assertion")
	if assertion == "" {
		return nil, refuse("invalid_request", "assertion is missing")
	}
	switch c.form.Get("requested_token_use") {
	case "":
		return s.grantAssertion(c, client, assertion)
	case "on_behalf_of":
		return s.grantOnBehalfOf(c, client, assertion)
	}
	return nil, refuse("invalid_request", "unknown requested_token_use")
}

// grantAssertion takes a JWT that a trusted issuer, or the client itself, has signed for this provider (RFC 7523 §3).
func (s *Server) grantAssertion(c *call, client *Client, assertion string) (map[string]any, error) {
	issuer, _ := peek(assertion)["iss"].(string)
	keys := s.config.TrustedIssuers[issuer]
	if issuer == client.ID {
		keys = client.PublicKeys
	}
	p, err := s.presentForeign(assertion, keys)
	if err != nil {
		return nil, refuse("invalid_grant", "assertion: %s", err)
	}
	scopes, named, refused := client.resourceScopes(c.form.Get("scope"))
	if refused != nil {
		return nil, refused
	}
	audience, refused := client.targets(c.form)
	if refused != nil {
		return nil, refused
	}
	g := &grant{client: client, user: p.user, authTime: s.now(), scopes: scopes, machine: s.clients[p.user.Subject] != nil}
	return s.issue(issued{grant: g, scopes: scopes, audience: append(audience, named...), jkt: c.jkt, sins: c.sins})
}

// grantOnBehalfOf is Entra's on-behalf-of flow: the assertion is an access token of a person that was
// issued for this client. With StepUpClaims the person must have signed in for those claims first.
func (s *Server) grantOnBehalfOf(c *call, client *Client, assertion string) (map[string]any, error) {
	if c.form.Get("scope") == "" {
		return nil, refuse("invalid_request", "AADSTS90014: The required field 'scope' is missing from the credential.")
	}
	p, err := s.presentAccess(assertion)
	switch {
	case err != nil:
		return nil, refuse("invalid_grant", "AADSTS500133: Assertion is not within its valid time range, or is not known.")
	case !slices.Contains(p.audience(), client.ID):
		return nil, refuse("invalid_grant", "AADSTS500131: Assertion audience does not match the Client app presenting the assertion.")
	case p.grant.machine:
		return nil, refuse("invalid_grant", "AADSTS7000114: Application '%s' is not allowed to make application on-behalf-of calls.", client.ID)
	case client.StepUpClaims != "" && !sameJSON(p.grant.stepUp, client.StepUpClaims):
		refused := refuse(client.StepUpError, "AADSTS50076: Due to a configuration change made by your administrator, "+
			"or because you moved to a new location, you must use multi-factor authentication to access the resource.")
		refused.Claims = client.StepUpClaims
		return nil, refused
	}
	scopes, audience, refused := client.resourceScopes(c.form.Get("scope"))
	if refused != nil {
		return nil, refused
	}
	g := &grant{client: client, user: p.user, sid: p.grant.sid, authTime: p.grant.authTime, acr: p.grant.acr, scopes: scopes, stepUp: p.grant.stepUp}
	return s.issue(issued{grant: g, scopes: scopes, audience: audience, jkt: c.jkt, sins: c.sins})
}
