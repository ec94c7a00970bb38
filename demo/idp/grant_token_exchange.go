package idp

import (
	"net/http"
	"slices"
	"strings"
)

// GrantTokenExchange is the grant type of RFC 8693 §2.1.
const GrantTokenExchange = "urn:ietf:params:oauth:grant-type:token-exchange"

// Token types of RFC 8693 §3.
const (
	TypeAccessToken  = "urn:ietf:params:oauth:token-type:access_token"
	TypeRefreshToken = "urn:ietf:params:oauth:token-type:refresh_token"
	TypeIDToken      = "urn:ietf:params:oauth:token-type:id_token"
	TypeJWT          = "urn:ietf:params:oauth:token-type:jwt"
)

// Exchange names whose rules a client exchanges tokens by.
type Exchange string

const (
	// RFC8693 has delegation, resources and every token type.
	RFC8693 Exchange = ""

	// Keycloak is its standard token exchange, version 2, of 26.2 and later: access tokens only, whose
	// aud must contain the client that asks; no actor, no resource; its words.
	Keycloak Exchange = "keycloak"

	// KeycloakOff is a client of Keycloak for which "Standard token exchange" is switched off.
	KeycloakOff Exchange = "keycloak_off"
)

// exchange is a checked request.
type exchange struct {
	subject, actor *presented
	kind           string // of the token that is wanted
	audience       []string
	scopes         []string
}

// grantTokenExchange trades a token for one that fits another place (RFC 8693). sub stays.
func (s *Server) grantTokenExchange(c *call, client *Client) (map[string]any, error) {
	read := s.readExchange
	if client.Exchange != RFC8693 {
		read = s.readKeycloakExchange
	}
	e, refused := read(c, client)
	if refused != nil {
		return nil, refused
	}
	if bound := e.subject.boundTo(); bound != "" && bound != c.jkt {
		return nil, refuse("invalid_request", "DPoP proof is missing")
	}
	act, refused := e.act(client)
	if refused != nil {
		return nil, refused
	}
	return s.exchanged(c, client, e, act)
}

func (s *Server) readExchange(c *call, client *Client) (*exchange, *oauthError) {
	e := &exchange{kind: c.form.Get("requested_token_type")}
	switch {
	case c.form.Get("subject_token") == "" || c.form.Get("subject_token_type") == "":
		return nil, refuse("invalid_request", "subject_token and subject_token_type are both needed")
	case c.form.Has("actor_token") != c.form.Has("actor_token_type"):
		return nil, refuse("invalid_request", "actor_token and actor_token_type go together")
	case e.kind == "":
		e.kind = TypeAccessToken
	}
	if !slices.Contains([]string{TypeAccessToken, TypeIDToken, TypeJWT, TypeRefreshToken}, e.kind) || e.kind == TypeRefreshToken && !client.ExchangeRefresh {
		return nil, refuse("invalid_request", "requested_token_type unsupported")
	}
	var err error
	// invalid_grant as most servers have it; §2.2.2 would say invalid_request.
	if e.subject, err = s.present(c.form.Get("subject_token"), c.form.Get("subject_token_type")); err != nil {
		return nil, refuse("invalid_grant", "subject_token: %s", err)
	}
	if c.form.Has("actor_token") {
		if e.actor, err = s.present(c.form.Get("actor_token"), c.form.Get("actor_token_type")); err != nil {
			return nil, refuse("invalid_grant", "actor_token: %s", err)
		}
	}
	return e, e.readTarget(c, client)
}

func (e *exchange) readTarget(c *call, client *Client) *oauthError {
	var refused *oauthError
	if e.audience, refused = client.targets(c.form); refused != nil {
		return refused
	}
	if c.form.Has("scope") {
		e.scopes, refused = client.scopes(c.form.Get("scope"))
		return refused
	}
	for _, scope := range e.subject.scopes { // as much as the client may have of what there was
		if slices.Contains(client.Scopes, scope) {
			e.scopes = append(e.scopes, scope)
		}
	}
	return nil
}

// readKeycloakExchange follows StandardTokenExchangeProvider of Keycloak 26, in its order and words.
func (s *Server) readKeycloakExchange(c *call, client *Client) (*exchange, *oauthError) {
	form := c.form
	for _, name := range []string{"requested_subject", "requested_issuer", "subject_issuer"} {
		if form.Has(name) {
			return nil, refuse("invalid_request", "Parameter '%s' is not supported for standard token exchange", name)
		}
	}
	switch {
	case client.Exchange == KeycloakOff:
		return nil, refuse("invalid_request", "Standard token exchange is not enabled for the requested client")
	case form.Get("subject_token") == "":
		return nil, refuse("invalid_request", "Parameter 'subject_token' required for standard token exchange")
	case form.Get("subject_token_type") == "":
		return nil, refuse("invalid_request", "Parameter 'subject_token_type' required for standard token exchange")
	case form.Get("subject_token_type") != TypeAccessToken:
		return nil, refuse("invalid_request", "Parameter 'subject_token' supports access tokens only")
	}
	subject, err := s.presentAccess(form.Get("subject_token"))
	switch {
	case err != nil:
		return nil, refuse("invalid_request", "Invalid token")
	case client.AuthMethod == "none":
		return nil, refuse("invalid_client", "Public client is not allowed to exchange token")
	case subject.text("client_id") != client.ID && !slices.Contains(subject.audience(), client.ID):
		return nil, &oauthError{Status: http.StatusForbidden, Code: "access_denied", Description: "Client is not within the token audience"}
	}
	e := &exchange{subject: subject, kind: form.Get("requested_token_type")}
	if e.kind == "" {
		e.kind = TypeAccessToken
	}
	if e.kind != TypeAccessToken && e.kind != TypeIDToken && (e.kind != TypeRefreshToken || !client.ExchangeRefresh) {
		return nil, refuse("invalid_request", "requested_token_type unsupported")
	}
	var refused *oauthError
	if e.scopes, refused = client.scopes(form.Get("scope")); refused != nil {
		return nil, refuse("invalid_scope", "Invalid scopes: %s", form.Get("scope"))
	}
	e.audience = form["audience"]
	if missing := slices.DeleteFunc(slices.Clone(e.audience), client.reaches); len(missing) > 0 {
		return nil, refuse("invalid_request", "Requested audience not available: %s", strings.Join(missing, ", "))
	}
	return e, nil
}

// exchanged makes the answer (RFC 8693 §2.2.1). The new token dies neither with the old one nor by its revocation.
func (s *Server) exchanged(c *call, client *Client, e *exchange, act map[string]any) (map[string]any, error) {
	from := e.subject
	g := &grant{client: client, user: from.user, authTime: s.now(), scopes: e.scopes}
	if from.grant != nil {
		g.sid, g.authTime, g.acr, g.machine, g.stepUp = from.grant.sid, from.grant.authTime, from.grant.acr, from.grant.machine, from.grant.stepUp
	}
	i := issued{grant: g, scopes: e.scopes, audience: e.audience, jkt: c.jkt, sins: c.sins, newRefresh: e.kind == TypeRefreshToken}
	if act != nil {
		i.claims = map[string]any{"act": act}
	}
	answer, err := s.issue(i)
	if err != nil {
		return nil, err
	}
	switch e.kind {
	case TypeIDToken:
		if answer["access_token"], err = s.newIDToken(i, "", ""); err != nil {
			return nil, err
		}
		answer["token_type"], answer["expires_in"] = "N_A", int64(s.config.IDTokenLifetime.Seconds())
	case TypeRefreshToken:
		answer["access_token"], answer["token_type"] = answer["refresh_token"], "N_A"
		delete(answer, "refresh_token")
	}
	delete(answer, "id_token")
	answer["issued_token_type"] = e.kind
	return answer, nil
}
