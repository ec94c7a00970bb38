package idp

import (
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// maxRequestAge is how far apart nbf and exp of a signed request may be (FAPI-CIBA §5.2.2).
const maxRequestAge = 3600

// authenticationParams may stand beside a signed request; everything else must be in it (CIBA §7.1.1).
func authenticationParams() []string {
	return []string{"request", "client_id", "client_secret", "client_assertion", "client_assertion_type"}
}

// requestClaims are those of a signed request that are not parameters.
func requestClaims() []string { return []string{"iss", "aud", "exp", "iat", "nbf", "jti"} }

// cibaParams returns the parameters of an authentication request, from the form or out of the JWT in it.
func (s *Server) cibaParams(c *call, client *Client) (url.Values, error) {
	signed := c.form.Has("request")
	switch {
	case !signed && client.CIBASigningAlg == "":
		return c.form, nil
	case !signed:
		return nil, refuse("invalid_request", "the client is registered to sign its requests")
	case client.CIBASigningAlg == "": // §4: then it sends no signed ones
		return nil, refuse("invalid_request", "the client is not registered to sign its requests")
	}
	for name := range c.form {
		if !slices.Contains(authenticationParams(), name) {
			return nil, refuse("invalid_request", "%s does not belong outside the signed request", name)
		}
	}
	payload, ok := verifySigned(client, c.form.Get("request"))
	if !ok {
		return nil, refuse("invalid_request", "request: malformed, or not signed by the client with %s", client.CIBASigningAlg)
	}
	return s.readRequest(client, payload)
}

func verifySigned(client *Client, raw string) ([]byte, bool) {
	jws, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(client.CIBASigningAlg)})
	if err != nil {
		return nil, false
	}
	for _, key := range client.PublicKeys {
		if payload, err := jws.Verify(key); err == nil {
			return payload, true
		}
	}
	return nil, false
}

// readRequest checks iss, aud, exp, iat, nbf and jti, all of which are required (§7.1.1), and
// returns the other members as parameters.
func (s *Server) readRequest(client *Client, payload []byte) (url.Values, error) {
	var claims assertionClaims
	members := map[string]any{}
	decoder := json.NewDecoder(strings.NewReader(string(payload)))
	decoder.UseNumber()
	if json.Unmarshal(payload, &claims) != nil || decoder.Decode(&members) != nil {
		return nil, refuse("invalid_request", "request: malformed claims")
	}
	now := s.now()
	switch {
	case claims.Issuer != client.ID:
		return nil, refuse("invalid_request", "request: iss must be the client_id")
	case !slices.Contains(claims.Audience, s.config.Issuer):
		return nil, refuse("invalid_request", "request: aud must be the issuer")
	case claims.Expires == nil || claims.Issued == nil || claims.Before == nil || claims.ID == "":
		return nil, refuse("invalid_request", "request: exp, iat, nbf and jti are all needed")
	case !now.Add(-leeway).Before(seconds(*claims.Expires)):
		return nil, refuse("invalid_request", "request: expired")
	case seconds(*claims.Before).After(now.Add(leeway)) || seconds(*claims.Issued).After(now.Add(leeway)):
		return nil, refuse("invalid_request", "request: nbf or iat is in the future")
	case *claims.Expires-*claims.Before > maxRequestAge:
		return nil, refuse("invalid_request", "request: nbf and exp are more than an hour apart")
	case !s.firstUse(client, "request "+claims.ID, seconds(*claims.Expires)):
		return nil, refuse("invalid_request", "request: jti was used before")
	}
	params := url.Values{}
	for name, value := range members {
		if slices.Contains(requestClaims(), name) {
			continue
		}
		switch v := value.(type) {
		case string:
			params.Set(name, v)
		case json.Number: // requested_expiry may be either (§7.1.1)
			n, err := strconv.ParseInt(v.String(), 10, 64)
			if err != nil {
				return nil, refuse("invalid_request", "request: %s is not a whole number", name)
			}
			params.Set(name, strconv.FormatInt(n, 10))
		default:
			return nil, refuse("invalid_request", "request: %s is neither a string nor a number", name)
		}
	}
	return params, nil
}

// requestAlgs may sign requests: asymmetric ones only (CIBA §7.1.1).
func requestAlgs() []string { return []string{"RS256", "PS256", "ES256", "ES384", "EdDSA"} }
