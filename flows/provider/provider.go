package provider

import (
	"context"
	"log/slog"
	"net"
	"net/url"
	"time"

	"github.com/doorward/doorward/internal/seal"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/telemetry"
	"github.com/doorward/doorward/sessions/store"
)

// Config is one [provider.NAME], validated and with every file read.
type Config struct {
	Name           string
	Issuer         string
	Profile        string // "generic" or "github" (OAuth only, without discovery and ID tokens); "" = by issuer
	ClientID       string // "" = only bearer checks by JWT
	ClientSecret   secret.String
	PreviousSecret secret.String // tried once on invalid_client, while a rotation spreads (CA-8)
	ClientAuth     string        // "" = from discovery
	// private_key_jwt, tls_client_auth, assertion_file; the private key signs CIBA requests too, whatever the method:
	PrivateKeyPEM           secret.String
	PrivateKeyID            string // kid; "" = the key's thumbprint (RFC 7638)
	PrivateKeyAlg           string // "" = by key
	AssertionAudience       string // "issuer" (default) or "token_endpoint"
	CertificatePEM          []byte // client certificate chain; without CertificateKeyPEM it only gives private_key_jwt its x5t headers
	CertificateKeyPEM       secret.String
	AssertionFile           string // path, re-read at each call
	CAPEM                   []byte // further trusted roots for this provider
	Scopes                  []string
	Endpoints               Endpoints // overrides of discovery; with Issuer and these alone no discovery is made if Discovery is false
	Discovery               bool
	AccessTokens            string     // "jwt" or "introspect"
	SignedIntrospection     bool       // answers of introspection must be signed (RFC 9701)
	AudienceClaim           string     // of access tokens: "aud" (default), "azp", "client_id" or "resource", for providers that write no aud
	SigningAlgs             []string   // nil = RS256 and whatever asymmetric algorithms discovery lists
	TrustedAudiences        []string   // audiences beside ours that an ID token may name, if its azp is ours (IDT-3); none by default
	UserInfo                string     // "auto" (when wanted claims are missing), "always", "never"
	GroupsClaim             string     // dotted path; = "groups"
	Groups                  Groups     // looked up after the login, where claims do not hold them
	AuthorizationParams     url.Values // fixed extra parameters of the authorization request
	InsecureUnverifiedEmail bool
	ClockSkew               time.Duration // = 60s
}

// Endpoints are URLs of a provider.
type Endpoints struct {
	Authorization, Token, UserInfo, JWKS, EndSession, Revocation, Introspection string
	DeviceAuthorization, BackchannelAuthentication                              string
}

// Deps are what a Client is built on.
type Deps struct {
	Store store.Store // last good discovery document and keys, so that a restart survives an outage; may be nil
	// Ring seals what lies in Store: without it, whoever can write to a shared store can give
	// us keys of theirs as the provider's. nil only where the store is this machine's own.
	Ring *seal.Ring
	Now  func() time.Time
	Log  *slog.Logger
	Dial func(ctx context.Context, network, address string) (conn net.Conn, err error) // nil = net.Dialer; tests over memory

	Signals *telemetry.Signals // is told of each request to the provider; nil = nobody is
}

// Client is Doorward as the client of one provider. It is safe for concurrent use.
type Client struct {
	conf     Config
	signer   *signer // private_key_jwt and client_secret_jwt; nil with other methods
	requests *signer // signed requests; nil without a private key

	back      *backchannel
	plain     *backchannel         // shows no client certificate: for requests in the name of others
	discovery *document[*metadata] // nil without discovery
	fixed     *metadata            // without discovery
	keyring   *keyring
	directory *directory // the service account that lists groups; nil = there is none
	lookUps   *lookUps

	store store.Store
	ring  *seal.Ring
	now   func() time.Time
	log   *slog.Logger
}

// New validates and never touches the network.
func New(conf Config, deps Deps) (*Client, error) {
	conf = conf.withDefaults()
	parts, err := conf.check()
	if err != nil {
		return nil, err
	}
	c := &Client{conf: conf, signer: parts.signer, requests: parts.requests, store: deps.Store, ring: deps.Ring, now: deps.Now, log: deps.Log}
	if c.now == nil {
		c.now = time.Now
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	c.log = c.log.With("provider", conf.Name)
	u, _ := url.Parse(conf.Issuer) // check has parsed it
	saw := witness{deps.Signals, conf.Name}
	c.back = newBackchannel(parts.roots, parts.certificate, deps.Dial, u.Hostname(), c.now, saw)
	if c.plain = c.back; parts.certificate != nil {
		c.plain = newBackchannel(parts.roots, nil, deps.Dial, u.Hostname(), c.now, saw)
	}
	c.keyring, c.lookUps = &keyring{document: c.newKeys}, newLookUps()
	if !conf.Groups.ServiceAccount.IsZero() {
		if c.directory, err = newDirectory(conf.Groups); err != nil {
			return nil, err
		}
	}
	if !conf.Discovery {
		c.fixed = new(metadata)
		c.fixed.override(conf.Endpoints)
		return c, nil
	}
	c.discovery = &document[*metadata]{
		name: "discovery document",
		get:  c.getDiscovery,
		parse: func(body []byte) (*metadata, error) {
			return parseMetadata(&c.conf, body)
		},
		maxAge: discoveryAge,
		shelf:  shelf{c.store, c.ring, shelfKey("discovery", conf.Issuer)},
		now:    c.now, log: c.log,
	}
	return c, nil
}

func (c *Client) Name() string   { return c.conf.Name }
func (c *Client) Issuer() string { return c.conf.Issuer }

// ClientID is the name under which the provider knows us.
func (c *Client) ClientID() string { return c.conf.ClientID }

// Close gives idle connections back. The Client still works afterwards; a reload closes
// the one that it replaces.
func (c *Client) Close() {
	c.back.client.CloseIdleConnections()
	c.plain.client.CloseIdleConnections()
}

// secrets returns the client secrets in the order in which they are tried.
func (c *Client) secrets() []secret.String {
	if c.conf.PreviousSecret.IsZero() {
		return []secret.String{c.conf.ClientSecret}
	}
	return []secret.String{c.conf.ClientSecret, c.conf.PreviousSecret}
}
