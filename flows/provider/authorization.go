package provider

import (
	"context"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/doorward/doorward/internal/secret"
)

// AuthorizationRequest is what varies between two logins.
type AuthorizationRequest struct {
	RedirectURI, State, Nonce, CodeChallenge string   // S256 challenge
	ResponseType, ResponseMode               string   // "" = code, query
	Scopes                                   []string // nil = the provider's
	Extra                                    url.Values
}

// NewVerifier returns a PKCE code verifier of 256 random bits (RFC 7636 §4.1, AUT-4).
func NewVerifier() secret.String { return secret.New(oauth2.GenerateVerifier()) }

// Challenge returns the S256 code challenge of a verifier (RFC 7636 §4.2). There is no "plain".
func Challenge(verifier secret.String) string {
	return oauth2.S256ChallengeFromVerifier(verifier.Reveal())
}

// Reserved tells whether an authorization parameter is set by Doorward alone: no
// configuration and no visitor may name it (AUT-9).
func Reserved(name string) bool {
	switch name {
	case "response_type", "response_mode", "client_id", "redirect_uri", "scope", "state", "nonce", "code_challenge", "code_challenge_method",
		"request", "request_uri", "client_secret", "client_assertion", "client_assertion_type", "code", "code_verifier", "iss":
		return true
	}
	return false
}

// AuthorizationURL returns where to send the browser. The query that the endpoint has of
// its own is kept; parameters of the request win over it, and r.Extra over those of the
// configuration. State, nonce and, where a code comes back, the challenge are never missing.
func (c *Client) AuthorizationURL(ctx context.Context, r AuthorizationRequest) (string, error) {
	if c.conf.ClientID == "" {
		return "", fail(Misconfigured, "no_client", "provider %q has no client_id: it only checks bearer tokens", c.conf.Name)
	}
	m, err := c.metadata(ctx)
	if err != nil {
		return "", err
	}
	if m.Authorization == "" {
		return "", fail(Misconfigured, "no_endpoint", "the provider has no authorization_endpoint")
	}
	responseType := r.ResponseType
	if responseType == "" {
		responseType = "code"
	}
	withCode := slices.Contains(strings.Fields(responseType), "code")
	if r.RedirectURI == "" || r.State == "" || r.Nonce == "" || withCode && r.CodeChallenge == "" {
		return "", fail(Misconfigured, "incomplete_request", "an authorization request needs redirect_uri, state, nonce and, for a code, code_challenge")
	}
	if r.ResponseMode == "query" && responseType != "code" { // a token must never stand in a URL (MultiResponse §2.1, IMP-2)
		return "", fail(Misconfigured, "incomplete_request", "response_mode query is for codes alone")
	}
	base, err := c.authorizationBase(m.Authorization, r.Extra)
	if err != nil {
		return "", err
	}
	scopes := r.Scopes
	if scopes == nil {
		scopes = c.conf.Scopes
	}
	options := []oauth2.AuthCodeOption{oauth2.SetAuthURLParam("response_type", responseType), oidc.Nonce(r.Nonce)}
	if withCode {
		options = append(options, oauth2.SetAuthURLParam("code_challenge", r.CodeChallenge), oauth2.SetAuthURLParam("code_challenge_method", "S256"))
	}
	if r.ResponseMode != "" {
		options = append(options, oauth2.SetAuthURLParam("response_mode", r.ResponseMode))
	}
	request := oauth2.Config{ClientID: c.conf.ClientID, RedirectURL: r.RedirectURI, Scopes: scopes, Endpoint: oauth2.Endpoint{AuthURL: base}}
	return request.AuthCodeURL(r.State, options...), nil
}

// authorizationBase is the endpoint with its own query and the extra parameters, without
// any that we set ourselves.
func (c *Client) authorizationBase(endpoint string, extra url.Values) (string, error) {
	u, err := url.Parse(endpoint)
	if err != nil {
		return "", fail(Misconfigured, "bad_endpoint", "the authorization_endpoint cannot be read")
	}
	query := u.Query()
	maps.Copy(query, c.conf.AuthorizationParams)
	for name, values := range extra {
		if Reserved(name) {
			return "", fail(Misconfigured, "reserved_parameter", "the authorization parameter %s is set by Doorward itself", shown(name))
		}
		query[name] = values
	}
	maps.DeleteFunc(query, func(name string, _ []string) bool { return Reserved(name) })
	u.RawQuery, u.ForceQuery = query.Encode(), false
	return u.String(), nil
}

// CheckIssuer applies RFC 9207 to the iss parameters of an authorization response, good or
// bad (ISS-1, ISS-2, ISS-3): a provider that announces iss must send it, and what is sent
// must be the configured issuer, character for character. A mismatch is Misbehaved with
// Code bad_issuer; as it came through the browser, it is answered with 400.
func (c *Client) CheckIssuer(ctx context.Context, iss []string) error {
	switch len(iss) {
	case 1:
		if iss[0] != c.conf.Issuer && !c.ofGitHub(iss[0]) {
			return fail(Misbehaved, "bad_issuer", "the response is of %s, the login was begun at %q", shown(iss[0]), c.conf.Issuer)
		}
		return nil
	case 0:
		m, err := c.metadata(ctx)
		if err != nil {
			return err
		}
		if m.issParameter {
			return fail(Misbehaved, "bad_issuer", "the response has no iss, which the provider announces to send")
		}
		return nil
	}
	return fail(Misbehaved, "bad_issuer", "the response has %d iss", len(iss))
}
