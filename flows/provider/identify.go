package provider

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/secret"
)

// Expect says what a login's answer must fit.
type Expect struct {
	Login        string // name for the identity
	Nonce        string // "" only with NoNonce
	NoNonce      bool   // device, CIBA, password, refresh
	MaxAge       time.Duration
	ACR          []string
	Code         secret.String      // hybrid: c_hash must fit
	State        string             // hybrid: s_hash must fit if it is there (FAPI 1)
	FrontChannel bool               // at_hash is required if there is an access token
	Pushed       string             // CIBA push: the auth_req_id that the ID token must name, with at_hash and rt_hash (CIBA §10.3.1)
	Same         *identity.Identity // refresh: issuer and subject must be these
}

// Identify is the choke point (S8): it checks the ID token of a token response in every
// respect, asks userinfo where configured, and builds the identity. Nothing else does.
//
// Where groups are looked up (see [Groups]), that is part of it: whose groups cannot be had is not signed in.
func (c *Client) Identify(ctx context.Context, r *Response, e Expect) (*identity.Identity, error) {
	if c.isGitHub() {
		return c.identifyGitHub(ctx, r, e)
	}
	if r == nil || r.IDToken.IsZero() { // TOK-5
		return nil, fail(Misbehaved, "id_token_missing", "the answer has no id_token; is openid among the scopes?")
	}
	t, err := c.idToken(ctx, &r.Tokens, e)
	if err != nil {
		return nil, err
	}
	claims := t.claims
	info, err := c.completed(ctx, claims, r.AccessToken)
	if err != nil {
		return nil, err
	}
	merge(claims, info, false)
	tokens := r.Tokens
	who, err := c.identity(claims, e.Login, &tokens)
	if err != nil {
		return nil, err
	}
	return c.grouped(ctx, who, claims, r.AccessToken, nil)
}

// completed asks userinfo if that is configured, or wanted because claims that the scopes
// promise are not in the ID token (UI-4). nil means that there is nothing to add. Without
// an access token (response_type=id_token) userinfo cannot be asked.
func (c *Client) completed(ctx context.Context, claims object, access secret.String) (object, error) {
	if access.IsZero() || c.conf.UserInfo == "never" || c.conf.UserInfo == "auto" && !c.wanting(claims) {
		return nil, nil
	}
	m, err := c.metadata(ctx)
	if err != nil {
		return nil, err
	}
	always := c.conf.UserInfo == "always"
	endpoint := c.target(m, c.authMethod(m), func(e *Endpoints) *string { return &e.UserInfo })
	if endpoint == "" {
		if always {
			return nil, fail(Misconfigured, "no_endpoint", "userinfo = \"always\", but the provider has no userinfo_endpoint")
		}
		return nil, nil
	}
	info, err := c.userInfo(ctx, endpoint, access, claims.text("sub"))
	var refused *Error
	if !always && errors.As(err, &refused) && refused.Code == "userinfo_refused" {
		// Access tokens for an API are often not for userinfo. The policy sees what there is.
		c.log.Warn("userinfo refuses the access token, so that claims are missing", "error", err)
		return nil, nil
	}
	return info, err
}

// wanting tells whether a claim that the scopes ask for is missing.
func (c *Client) wanting(claims object) bool {
	asked := func(scope string) bool { return slices.Contains(c.conf.Scopes, scope) }
	switch {
	case asked("email") && !claims.has("email"):
	case asked("profile") && !claims.has("name"):
	case asked("groups") || c.conf.GroupsClaim != "groups":
		raw, err := claims.claims()
		if err != nil {
			return false
		}
		_, ok := raw.Lookup(c.conf.GroupsClaim)
		return !ok
	default:
		return false
	}
	return true
}

// maxClaims bounds what an identity carries into a session, in bytes of JSON (P059).
const maxClaims = 128 << 10

// claims wraps an object for policies.
func (o object) claims() (*identity.Claims, error) {
	raw, err := o.marshal()
	if err != nil {
		return nil, err
	}
	if len(raw) > maxClaims {
		biggest := ""
		for name := range o {
			if biggest == "" || len(o[name]) > len(o[biggest]) {
				biggest = name
			}
		}
		return nil, fail(Misbehaved, "claims_too_large", "%d bytes of claims, at most %d; %s alone has %d: have the provider send less", len(raw), maxClaims, shown(biggest), len(o[biggest]))
	}
	return identity.NewClaims(raw), nil
}

// identity builds the one struct that everything else believes. claims have been validated.
func (c *Client) identity(o object, login string, tokens *identity.Tokens) (*identity.Identity, error) {
	claims, err := o.claims()
	if err != nil {
		return nil, err
	}
	who := &identity.Identity{
		Issuer:   c.conf.Issuer,
		Subject:  o.text("sub"),
		Provider: c.conf.Name,
		Login:    login,
		Client:   o.text("azp"),
		Email:    attribute(o.text("email")),
		Username: attribute(o.text("preferred_username")),
		Name:     attribute(o.text("name")),
		Groups:   claims.Strings(c.conf.GroupsClaim),
		Scopes:   strings.Fields(tokens.Scope),
		AMR:      claims.Strings("amr"),
		SID:      o.text("sid"),
		Claims:   claims,
		Tokens:   tokens,
	}
	if acr := claims.Strings("acr"); len(acr) > 0 {
		who.ACR = acr[0]
	}
	if at, ok, err := o.date("auth_time"); err == nil && ok {
		who.AuthTime = at
	}
	who.EmailVerified = who.Email != "" && (o.emailVerified() || c.conf.InsecureUnverifiedEmail)
	if who.Client == "" {
		who.Client = c.conf.ClientID
	}
	if tokens.Scope == "" { // as asked (RFC 6749 §5.1)
		who.Scopes = slices.Clone(c.conf.Scopes)
	}
	return who, nil
}

// emailVerified accepts true and "true", nothing else (IDT-14).
func (o object) emailVerified() bool {
	raw := string(o["email_verified"])
	return raw == "true" || raw == `"true"`
}

// attribute drops a text that cannot be shown or sent in a header: one with control
// characters, or a very long one.
func attribute(s string) string {
	if len(s) > 1024 {
		return ""
	}
	for _, r := range s {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == 0x2028 || r == 0x2029 {
			return ""
		}
	}
	return s
}
