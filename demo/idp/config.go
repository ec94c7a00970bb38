package idp

import (
	"crypto"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Config is what a Server is made of. Only Issuer is required.
type Config struct {
	Issuer  string // outside URL, byte for byte as it stands in tokens; a path and a trailing slash are allowed
	Clients []Client
	Users   []User

	Paths Paths // = Keycloak's, below the issuer's path; see RandomPaths

	// SigningAlgs gets one key each at New; the first signs unless a client says otherwise.
	// RS256 (default), PS256, ES256, EdDSA. Keys, if given, are used instead.
	SigningAlgs []string
	Keys        []Key

	CodeLifetime         time.Duration // = 60s
	AccessTokenLifetime  time.Duration // = 5m
	IDTokenLifetime      time.Duration // = 5m
	RefreshTokenLifetime time.Duration // = 30m, from each rotation
	SessionLifetime      time.Duration // of the single sign-on at the provider, = 10h

	DeviceCodeLifetime time.Duration // = 10m
	DevicePollInterval time.Duration // = 5s; negative: none is announced, and 5s kept to (RFC 8628 §3.2)
	CIBALifetime       time.Duration // of a request without requested_expiry, = 2m
	CIBAPollInterval   time.Duration // = 5s; negative as above
	BindingMessage     string        // regular expression that a binding_message must match, = Keycloak's, which allows no spaces

	OTPParameter string        // of the password grant, = "totp" as Keycloak has it
	LockAfter    int           // wrong passwords, one-time codes or user codes in a row after which a user is locked out; 0 = never
	LockFor      time.Duration // = 1m

	RotateRefresh bool     // every refresh answers with a new refresh token, and the reuse of an old one revokes the family
	ACRValues     []string // announced and understood; what a sign-in without acr_values gets comes first. = "0", "1"

	StrictAssertionAudience bool // client assertions must name the issuer and nothing else (rfc7523bis); else the token endpoint is good as well
	OmitIss                 bool // neither announce nor send the iss parameter of RFC 9207

	ShowPasswords bool // list users and passwords on the login page: for a demo

	KeepAnswers bool // record what was answered too, for the demo to show

	Control bool // serve POST /_control/misbehave and its like, for tests in another process; never on by default

	Now        func() time.Time // = time.Now
	HTTPClient *http.Client     // for back-channel logout, ping and push; = one with a deadline of 5 s; never follows redirects
}

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

// User is a person who can sign in.
type User struct {
	Subject            string // = Username
	Username, Password string
	Name, Email        string
	EmailVerified      bool
	Groups             []string
	Disabled           bool           // can't sign in
	OTP                string         // not "": the one-time code that the password grant and the login page want besides the password
	CIBAUserCode       string         // not "": what a CIBA request must bring as user_code
	Claims             map[string]any // further claims, in the ID token and userinfo
}

// Paths are the endpoints below the issuer's path.
type Paths struct {
	Authorize, Token, JWKS, UserInfo, Introspect, Revoke, EndSession, Device, CIBA string
}

// KeycloakPaths are the default.
func KeycloakPaths() Paths {
	const base = "/protocol/openid-connect"
	return Paths{
		Authorize: base + "/auth", Token: base + "/token", JWKS: base + "/certs", UserInfo: base + "/userinfo",
		Introspect: base + "/token/introspect", Revoke: base + "/revoke", EndSession: base + "/logout",
		Device: base + "/auth/device", CIBA: base + "/ext/ciba/auth",
	}
}

// RandomPaths are different each time: a client that guesses paths rather than reading the
// discovery document fails (DIS-3).
func RandomPaths() Paths {
	p := func() string { return "/" + rand.Text()[:10] }
	return Paths{Authorize: p(), Token: p(), JWKS: p(), UserInfo: p(), Introspect: p(), Revoke: p(), EndSession: p(), Device: p(), CIBA: p()}
}

func (c Config) withDefaults() Config {
	or := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	or(&c.CodeLifetime, time.Minute)
	or(&c.AccessTokenLifetime, 5*time.Minute)
	or(&c.IDTokenLifetime, 5*time.Minute)
	or(&c.RefreshTokenLifetime, 30*time.Minute)
	or(&c.SessionLifetime, 10*time.Hour)
	or(&c.DeviceCodeLifetime, 10*time.Minute)
	or(&c.DevicePollInterval, defaultInterval)
	or(&c.CIBALifetime, 2*time.Minute)
	or(&c.CIBAPollInterval, defaultInterval)
	or(&c.LockFor, time.Minute)
	if c.BindingMessage == "" {
		c.BindingMessage = `^[a-zA-Z0-9-._+/!?#]{1,50}$`
	}
	if c.OTPParameter == "" {
		c.OTPParameter = "totp"
	}
	if c.Paths == (Paths{}) {
		c.Paths = KeycloakPaths()
	}
	if len(c.SigningAlgs) == 0 {
		c.SigningAlgs = []string{"RS256"}
	}
	if len(c.ACRValues) == 0 {
		c.ACRValues = []string{"0", "1"}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	client := http.Client{Timeout: 5 * time.Second}
	if c.HTTPClient != nil {
		client = *c.HTTPClient
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.HTTPClient = &client
	c.Clients, c.Users = slices.Clone(c.Clients), slices.Clone(c.Users)
	for i := range c.Clients {
		c.Clients[i] = c.Clients[i].withDefaults()
	}
	for i := range c.Users {
		if c.Users[i].Subject == "" {
			c.Users[i].Subject = c.Users[i].Username
		}
	}
	return c
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
	if c.Scopes == nil {
		c.Scopes = []string{"openid", "profile", "email", "groups", "offline_access"}
	}
	if len(c.Audience) == 0 {
		c.Audience = []string{c.ID}
	}
	return c
}

func (c Config) validate() error {
	var errs []error
	issuer, err := url.Parse(c.Issuer)
	if err != nil || issuer.Host == "" || issuer.Scheme != "http" && issuer.Scheme != "https" || issuer.RawQuery != "" || issuer.Fragment != "" {
		errs = append(errs, fmt.Errorf("idp: issuer %q: want an http or https URL without query and fragment", c.Issuer))
	}
	seen := map[string]bool{}
	for _, client := range c.Clients {
		if client.ID == "" || seen[client.ID] {
			errs = append(errs, fmt.Errorf("idp: client %q: every client needs an ID of its own", client.ID))
		}
		seen[client.ID] = true
		errs = append(errs, client.validate())
	}
	clear(seen)
	for _, user := range c.Users {
		if user.Username == "" || seen[user.Username] {
			errs = append(errs, fmt.Errorf("idp: user %q: every user needs a name of their own", user.Username))
		}
		seen[user.Username] = true
	}
	for _, path := range c.Paths.all() {
		if !strings.HasPrefix(path, "/") {
			errs = append(errs, fmt.Errorf("idp: endpoint path %q: want a leading slash", path))
		}
	}
	return errors.Join(errs...)
}

func (p Paths) all() []string {
	return []string{p.Authorize, p.Token, p.JWKS, p.UserInfo, p.Introspect, p.Revoke, p.EndSession, p.Device, p.CIBA}
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
