package idp

import (
	"crypto"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"time"
)

// Client is a registered client.
type Client struct {
	ID, Secret string
	Name       string // shown on the consent page, = ID

	RedirectURIs           []string // compared byte for byte
	PostLogoutRedirectURIs []string
	BackchannelLogoutURI   string

	AuthMethod string             // = client_secret_basic, or none without a Secret; also client_secret_post, client_secret_jwt, private_key_jwt
	PublicKeys []crypto.PublicKey // for private_key_jwt

	Grants        []string // grant types it may use, = authorization_code and refresh_token
	ResponseTypes []string // of the authorization endpoint, = code, if Grants has authorization_code; see the ResponseType constants
	Scopes        []string // it may ask for, = openid profile email groups offline_access
	Audience      []string // of its access tokens, = its ID

	// Of the machine grants: client credentials, token exchange, JWT bearer.
	Audiences        []string // that it may ask for by audience or resource, nil = any; another is invalid_target
	NoServiceAccount bool     // it may not have tokens of its own, whatever Grants says: Keycloak's "Service accounts roles" is off
	Exchange         Exchange // whose rules token exchange follows, = RFC8693
	ExchangeRefresh  bool     // it may exchange for a refresh token too
	StepUpClaims     string   // not "": what on-behalf-of wants of a person first, a JSON object for the parameter claims of the next authorization request
	StepUpError      string   // and the error that says so, = interaction_required; Entra also answers invalid_grant

	// Of its access tokens.
	AccessTokenType       string         // typ of their header, = at+jwt; "JWT" as most providers have it
	AccessTokenClaims     map[string]any // further claims; nil removes one, such as aud
	AccessTokenLifetime   time.Duration  // = the provider's
	CertificateThumbprint string         // not "": they are bound to the TLS certificate with this x5t#S256 (RFC 8705 §3.1)

	CIBADelivery         string // poll (default), ping or push
	NotificationEndpoint string // needed for ping and push
	CIBASigningAlg       string // not "": its authentication requests must be signed with it, by one of PublicKeys

	IDTokenAlg    string // = the provider's first
	UserInfoAlg   string // not "": userinfo is a signed JWT
	LeanIDToken   bool   // profile claims only from userinfo, as OIDC Core §5.4 has it for the code flow; else in the ID token too, as Keycloak does
	OpaqueTokens  bool   // access tokens that only introspection can read; else at+jwt
	NoRefresh     bool   // issue no refresh tokens
	SkipConsent   bool   // trusted: no consent page
	NoIDTokenSID  bool   // leave sid out of ID tokens
	RequireIDHint bool   // end_session without id_token_hint is refused rather than confirmed
}

func (c Client) withDefaults() Client {
	if c.Name == "" {
		c.Name = c.ID
	}
	if c.AuthMethod == "" {
		c.AuthMethod = "client_secret_basic"
		if c.Secret == "" {
			c.AuthMethod = "none"
		}
	}
	if c.Grants == nil {
		c.Grants = []string{"authorization_code", "refresh_token"}
	}
	if c.ResponseTypes == nil && slices.Contains(c.Grants, "authorization_code") {
		c.ResponseTypes = []string{"code"}
	}
	if c.CIBADelivery == "" {
		c.CIBADelivery = "poll"
	}
	if c.StepUpError == "" {
		c.StepUpError = "interaction_required"
	}
	if c.AccessTokenType == "" {
		c.AccessTokenType = "at+jwt"
	}
	if c.Scopes == nil {
		c.Scopes = []string{"openid", "profile", "email", "groups", "offline_access"}
	}
	if len(c.Audience) == 0 {
		c.Audience = []string{c.ID}
	}
	return c
}

func (c Client) validate() error {
	switch c.AuthMethod {
	case "none":
	case "client_secret_basic", "client_secret_post", "client_secret_jwt":
		if c.Secret == "" {
			return fmt.Errorf("idp: client %q: %s needs a secret", c.ID, c.AuthMethod)
		}
		if c.AuthMethod == "client_secret_jwt" && len(c.Secret) < 32 {
			return fmt.Errorf("idp: client %q: client_secret_jwt needs a secret of 32 bytes (RFC 7518 §3.2)", c.ID)
		}
	case "private_key_jwt":
		if len(c.PublicKeys) == 0 {
			return fmt.Errorf("idp: client %q: private_key_jwt needs public keys", c.ID)
		}
	default:
		return fmt.Errorf("idp: client %q: unknown authentication method %q", c.ID, c.AuthMethod)
	}
	if err := c.validateFlows(); err != nil {
		return fmt.Errorf("idp: client %q: %w", c.ID, err)
	}
	for _, uri := range c.RedirectURIs {
		if u, err := url.Parse(uri); err != nil || u.Scheme == "" || u.Fragment != "" {
			return fmt.Errorf("idp: client %q: redirect URI %q: want an absolute URL without fragment", c.ID, uri)
		}
	}
	return nil
}

// validateFlows checks what the flows of a client need.
func (c Client) validateFlows() error {
	for _, t := range c.ResponseTypes {
		if !slices.Contains(responseTypes(), t) {
			return fmt.Errorf("unknown response type %q", t)
		}
	}
	if c.StepUpClaims != "" && !json.Valid([]byte(c.StepUpClaims)) {
		return fmt.Errorf("StepUpClaims %q is no JSON", c.StepUpClaims)
	}
	switch c.CIBADelivery {
	case "poll":
	case "ping", "push":
		if u, err := url.Parse(c.NotificationEndpoint); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return fmt.Errorf("%s needs a NotificationEndpoint, not %q", c.CIBADelivery, c.NotificationEndpoint)
		}
	default:
		return fmt.Errorf("unknown delivery mode %q", c.CIBADelivery)
	}
	if c.CIBASigningAlg != "" && (!slices.Contains(requestAlgs(), c.CIBASigningAlg) || len(c.PublicKeys) == 0) {
		return fmt.Errorf("signed requests need PublicKeys and one of %v", requestAlgs())
	}
	return nil
}
