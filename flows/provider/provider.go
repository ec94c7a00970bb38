package provider

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/sessions/store"
)

// Config is one [provider.NAME], validated and with every file read.
type Config struct {
	Name           string
	Issuer         string
	ClientID       string // "" = only bearer checks by JWT
	ClientSecret   secret.String
	PreviousSecret secret.String // tried once on invalid_client, while a rotation spreads (CA-8)
	ClientAuth     string        // "" = from discovery
	// private_key_jwt, tls_client_auth, assertion_file:
	PrivateKeyPEM           secret.String
	PrivateKeyID            string // kid
	PrivateKeyAlg           string // "" = by key
	AssertionAudience       string // "issuer" (default) or "token_endpoint"
	CertificatePEM          []byte // client certificate chain
	CertificateKeyPEM       secret.String
	AssertionFile           string // path, re-read at each call
	CAPEM                   []byte // further trusted roots for this provider
	Scopes                  []string
	Endpoints               Endpoints // overrides of discovery; with Issuer and these alone no discovery is made if Discovery is false
	Discovery               bool
	AccessTokens            string     // "jwt" or "introspect"
	SigningAlgs             []string   // nil = RS256 and whatever asymmetric algorithms discovery lists
	UserInfo                string     // "auto" (when wanted claims are missing), "always", "never"
	GroupsClaim             string     // dotted path; = "groups"
	AuthorizationParams     url.Values // fixed extra parameters of the authorization request
	InsecureUnverifiedEmail bool
	ClockSkew               time.Duration // = 60s
}

// Endpoints are URLs of a provider.
type Endpoints struct {
	Authorization, Token, UserInfo, JWKS, EndSession, Revocation, Introspection string
}

// Deps are what a Client is built on.
type Deps struct {
	Store store.Store // last good discovery document and keys, so that a restart survives an outage; may be nil
	Now   func() time.Time
	Log   *slog.Logger
	Dial  func(ctx context.Context, network, address string) (conn net.Conn, err error) // nil = net.Dialer; tests over memory
}

// Client is Doorward as the client of one provider.
type Client struct{}

// New validates and never touches the network.
func New(Config, Deps) (*Client, error) { panic("unbuilt") }

func (c *Client) Name() string   { panic("unbuilt") }
func (c *Client) Issuer() string { panic("unbuilt") }

// Ready discovers if need be and says why not, as a *Error of kind Unavailable or Misconfigured.
func (c *Client) Ready(ctx context.Context) error { panic("unbuilt") }

// AuthorizationRequest is what varies between two logins.
type AuthorizationRequest struct {
	RedirectURI, State, Nonce, CodeChallenge string   // S256 challenge
	ResponseType, ResponseMode               string   // "" = code, query
	Scopes                                   []string // nil = the provider's
	Extra                                    url.Values
}

// AuthorizationURL returns where to send the browser.
func (c *Client) AuthorizationURL(ctx context.Context, r AuthorizationRequest) (string, error) {
	panic("unbuilt")
}

// CheckIssuer applies RFC 9207 to the iss parameters of an authorization response (ISS-1, ISS-2, ISS-3).
func (c *Client) CheckIssuer(ctx context.Context, iss []string) error { panic("unbuilt") }

// Response is an answer of the token endpoint.
type Response struct {
	identity.Tokens
	Raw json.RawMessage
}

// Grant is the one token-endpoint client of all flows: form holds grant_type and its
// parameters, Grant adds client authentication. It never retries a request that may have
// reached the server, but for the previous secret on invalid_client.
func (c *Client) Grant(ctx context.Context, form url.Values) (*Response, error) { panic("unbuilt") }

// Expect says what a login's answer must fit.
type Expect struct {
	Login        string // name for the identity
	Nonce        string // "" only with NoNonce
	NoNonce      bool   // device, CIBA, password, refresh
	MaxAge       time.Duration
	ACR          []string
	Code         secret.String      // hybrid: c_hash must fit
	FrontChannel bool               // at_hash is required if there is an access token
	Same         *identity.Identity // refresh: issuer and subject must be these
}

// Identify is the choke point (S8): it checks the ID token of a token response in every
// respect, asks userinfo where configured, and builds the identity. Nothing else does.
func (c *Client) Identify(ctx context.Context, r *Response, e Expect) (*identity.Identity, error) {
	panic("unbuilt")
}

// Refresh implements sessions.Refresher for one provider: it wraps sessions.ErrRefused via Error kind Refused with code invalid_grant.
func (c *Client) Refresh(ctx context.Context, who *identity.Identity) (*identity.Identity, error) {
	panic("unbuilt")
}

// AccessExpect says what a bearer token must fit.
type AccessExpect struct {
	Audience []string // one of these must be in aud
}

// VerifyAccessToken checks a JWT access token (RFC 9068 and ordinary ones) by the same validate as ID tokens.
func (c *Client) VerifyAccessToken(ctx context.Context, token secret.String, e AccessExpect) (*identity.Identity, error) {
	panic("unbuilt")
}

// Revoke revokes a token (RFC 7009); a provider without the endpoint is no error.
func (c *Client) Revoke(ctx context.Context, token secret.String, hint string) error {
	panic("unbuilt")
}

// EndSession are the parameters of RP-initiated logout.
type EndSession struct {
	IDTokenHint           secret.String
	PostLogoutRedirectURI string
	State                 string
}

// EndSessionURL returns where to send the browser to log out at the provider, or "" if
// the provider has no such endpoint. A hint that would make the URL longer than 4 kB is left out (LO-1).
func (c *Client) EndSessionURL(ctx context.Context, e EndSession) (string, error) { panic("unbuilt") }

// Finding is one result of Probe.
type Finding struct {
	OK   bool
	Text string // plain words
}

// Probe asks the provider what `check --online` wants to know.
func (c *Client) Probe(ctx context.Context, redirectURIs []string) []Finding { panic("unbuilt") }

var _ = http.MethodGet
