package idp

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Response types of the authorization endpoint (OAuth 2.0 Multiple Response Types §3, §5), as Client.ResponseTypes has them.
const (
	ResponseTypeCode             = "code"
	ResponseTypeIDToken          = "id_token"
	ResponseTypeIDTokenToken     = "id_token token"
	ResponseTypeToken            = "token"
	ResponseTypeCodeIDToken      = "code id_token"
	ResponseTypeCodeToken        = "code token"
	ResponseTypeCodeIDTokenToken = "code id_token token"
)

func responseTypes() []string {
	return []string{
		ResponseTypeCode, ResponseTypeIDToken, ResponseTypeIDTokenToken, ResponseTypeToken,
		ResponseTypeCodeIDToken, ResponseTypeCodeToken, ResponseTypeCodeIDTokenToken,
	}
}

// responseType is one of the constants, or "" if a request has none that we know.
type responseType string

// parseResponseType sorts, because the order of the values does not matter (RFC 6749 §3.1.1).
func parseResponseType(values []string) responseType {
	if len(values) != 1 {
		return ""
	}
	parts := strings.Fields(values[0])
	slices.Sort(parts)
	if t := strings.Join(parts, " "); slices.Contains(responseTypes(), t) {
		return responseType(t)
	}
	return ""
}

func (t responseType) has(part string) bool {
	return slices.Contains(strings.Fields(string(t)), part)
}

// front reports whether tokens go through the browser.
func (t responseType) front() bool { return t.has("token") || t.has("id_token") }

func (t responseType) defaultMode() string {
	if t.front() {
		return "fragment"
	}
	return "query"
}

func (c *Client) may(t responseType) bool {
	return slices.Contains(c.ResponseTypes, string(t)) && (!t.has("code") || slices.Contains(c.Grants, "authorization_code"))
}

// chooseMode refuses query for tokens: servers log it, and browsers send it on as Referer
// (Multiple Response Types §2.1, §5).
func (req *authRequest) chooseMode(mode string) *oauthError {
	switch {
	case mode == "":
	case !slices.Contains([]string{"query", "fragment", "form_post"}, mode):
		return refuse("invalid_request", "unknown response_mode")
	case mode == "query" && req.types.front():
		return refuse("invalid_request", "response_mode query is not for tokens")
	default:
		req.responseMode = mode
	}
	return nil
}

// checkFrontChannel is what OIDC Core §3.2.2.1 and §3.3.2.1 ask for beyond the code flow.
func (req *authRequest) checkFrontChannel() *oauthError {
	openid := slices.Contains(req.scopes, "openid")
	switch {
	case !req.types.has("id_token"):
		return nil
	case !openid:
		return refuse("invalid_scope", "an ID token needs the scope openid")
	case req.params.Get("nonce") == "":
		return refuse("invalid_request", "nonce is missing")
	}
	return nil
}

// issueFront puts into params what the response type promises besides the code. There is never a
// refresh token (RFC 6749 §4.2.2).
func (s *Server) issueFront(req *authRequest, g *grant, params url.Values, sins []Sin) error {
	if !req.types.front() {
		return nil
	}
	i := issued{grant: g, scopes: g.scopes, nonce: g.nonce, sins: sins, state: req.state, code: params.Get("code")}
	access := ""
	if req.types.has("token") {
		var err error
		if access, err = s.newAccessToken(i); err != nil {
			return err
		}
		params.Set("access_token", access)
		params.Set("token_type", "Bearer")
		params.Set("expires_in", strconv.FormatInt(int64(req.client.AccessTokenLifetime.Seconds()), 10))
		params.Set("scope", strings.Join(g.scopes, " "))
	}
	if req.types.has("id_token") {
		jwt, err := s.newIDToken(i, access, "")
		if err != nil {
			return err
		}
		params.Set("id_token", jwt)
	}
	return nil
}
