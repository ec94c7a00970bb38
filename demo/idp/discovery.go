package idp

import (
	"maps"
	"net/http"
	"slices"
)

// serveDiscovery answers the document of OpenID Discovery and of RFC 8414, which share their members.
func (s *Server) serveDiscovery(c *call) error {
	c.w.Header().Set("Cache-Control", "no-cache")
	c.w.Header().Set("Access-Control-Allow-Origin", "*")
	document := s.metadata()
	change(document, s.flowMetadata())
	c.json(http.StatusOK, document)
	return nil
}

func (s *Server) metadata() map[string]any {
	methods := []string{"client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt"}
	return map[string]any{
		"issuer":                                           s.config.Issuer,
		"authorization_endpoint":                           s.URL(Authorize),
		"token_endpoint":                                   s.URL(Token),
		"jwks_uri":                                         s.URL(JWKS),
		"userinfo_endpoint":                                s.URL(UserInfo),
		"introspection_endpoint":                           s.URL(Introspect),
		"revocation_endpoint":                              s.URL(Revoke),
		"end_session_endpoint":                             s.URL(EndSession),
		"scopes_supported":                                 []string{"openid", "profile", "email", "groups", "offline_access"},
		"response_modes_supported":                         []string{"query", "fragment", "form_post"},
		"subject_types_supported":                          []string{"public"},
		"acr_values_supported":                             s.config.ACRValues,
		"id_token_signing_alg_values_supported":            s.keys.algs,
		"userinfo_signing_alg_values_supported":            s.keys.algs,
		"token_endpoint_auth_methods_supported":            append([]string{"none"}, methods...),
		"token_endpoint_auth_signing_alg_values_supported": assertionAlgs(),
		"introspection_endpoint_auth_methods_supported":    methods,
		"introspection_signing_alg_values_supported":       s.keys.algs,
		"revocation_endpoint_auth_methods_supported":       append([]string{"none"}, methods...),
		"claims_supported": []string{
			"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "azp", "sid", "at_hash", "c_hash", "s_hash",
			"name", "preferred_username", "email", "email_verified", "groups",
		},
		"code_challenge_methods_supported":               []string{"S256"},
		"authorization_response_iss_parameter_supported": !s.config.OmitIss,
		"backchannel_logout_supported":                   true,
		"backchannel_logout_session_supported":           true,
		"claims_parameter_supported":                     slices.ContainsFunc(s.config.Clients, func(c Client) bool { return c.StepUpClaims != "" }),
		"request_parameter_supported":                    false,
		"request_uri_parameter_supported":                false, // true is the default of the specification
	}
}

// flowMetadata announces what there is beside the code flow: of the front channel what some client
// may use, RFC 8628 §4, CIBA §4.
func (s *Server) flowMetadata() map[string]any {
	grants := slices.Collect(maps.Keys(s.grants))
	types := []string{}
	for _, t := range responseTypes() {
		if slices.ContainsFunc(s.config.Clients, func(c Client) bool { return c.may(responseType(t)) }) {
			types = append(types, t)
			if responseType(t).front() && !slices.Contains(grants, "implicit") {
				grants = append(grants, "implicit")
			}
		}
	}
	slices.Sort(grants)
	return map[string]any{
		"response_types_supported":      types,
		"grant_types_supported":         grants,
		"device_authorization_endpoint": s.URL(Device),

		"backchannel_authentication_endpoint":                             s.URL(CIBA),
		"backchannel_token_delivery_modes_supported":                      []string{"poll", "ping", "push"},
		"backchannel_user_code_parameter_supported":                       slices.ContainsFunc(s.config.Users, func(u User) bool { return u.CIBAUserCode != "" }),
		"backchannel_authentication_request_signing_alg_values_supported": requestAlgs(),
	}
}
