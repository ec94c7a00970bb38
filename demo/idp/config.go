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

	// TrustedIssuers are other issuers whose JWTs the JWT bearer grant takes (RFC 7523 §3), with the keys that they sign by.
	TrustedIssuers map[string][]crypto.PublicKey

	KeepAnswers bool // record what was answered too, for the demo to show

	Control bool // serve POST /_control/misbehave and its like, for tests in another process; never on by default

	Now        func() time.Time // = time.Now
	HTTPClient *http.Client     // for back-channel logout, ping and push; = one with a deadline of 5 s; never follows redirects
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
		or(&c.Clients[i].AccessTokenLifetime, c.AccessTokenLifetime)
	}
	for i := range c.Users {
		if c.Users[i].Subject == "" {
			c.Users[i].Subject = c.Users[i].Username
		}
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
