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
	methods := []string{"client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt"}
	c.json(http.StatusOK, map[string]any{
		"issuer":                                           s.config.Issuer,
		"authorization_endpoint":                           s.URL(Authorize),
		"token_endpoint":                                   s.URL(Token),
		"jwks_uri":                                         s.URL(JWKS),
		"userinfo_endpoint":                                s.URL(UserInfo),
		"introspection_endpoint":                           s.URL(Introspect),
		"revocation_endpoint":                              s.URL(Revoke),
		"end_session_endpoint":                             s.URL(EndSession),
		"scopes_supported":                                 []string{"openid", "profile", "email", "groups", "offline_access"},
		"response_types_supported":                         []string{"code"},
		"response_modes_supported":                         []string{"query", "fragment", "form_post"},
		"grant_types_supported":                            slices.Sorted(maps.Keys(s.grants)),
		"subject_types_supported":                          []string{"public"},
		"acr_values_supported":                             s.config.ACRValues,
		"id_token_signing_alg_values_supported":            s.keys.algs,
		"userinfo_signing_alg_values_supported":            s.keys.algs,
		"token_endpoint_auth_methods_supported":            append([]string{"none"}, methods...),
		"token_endpoint_auth_signing_alg_values_supported": assertionAlgs(),
		"introspection_endpoint_auth_methods_supported":    methods,
		"revocation_endpoint_auth_methods_supported":       append([]string{"none"}, methods...),
		"claims_supported": []string{
			"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "azp", "sid", "at_hash",
			"name", "preferred_username", "email", "email_verified", "groups",
		},
		"code_challenge_methods_supported":               []string{"S256"},
		"authorization_response_iss_parameter_supported": !s.config.OmitIss,
		"backchannel_logout_supported":                   true,
		"backchannel_logout_session_supported":           true,
		"claims_parameter_supported":                     false,
		"request_parameter_supported":                    false,
		"request_uri_parameter_supported":                false, // true is the default of the specification
	})
	return nil
}
