package proxy

import (
	"net/netip"
	"net/url"
	"time"

	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/proxy/policy"
)

// Config is the part of the configuration that concerns requests.
type Config struct {
	Prefix         string   // "/oauth2"; own endpoints, never proxied
	OwnPaths       []string // own endpoints elsewhere, exact paths: provider.X.callback
	TrustedProxies []netip.Prefix
	// CertificateHeader is the header in which trusted proxies say which client certificate a caller has proved to hold:
	// Client-Cert (RFC 9440), X-Forwarded-Tls-Client-Cert (Traefik, nginx) or X-Forwarded-Client-Cert (Envoy). "" = none
	// is believed, and tokens that are bound to a certificate count on our own TLS listener only.
	CertificateHeader string
	Routes            []Route
	OwnCookie         func(name string) bool // such cookies never reach an upstream and never come from one
	RoleClients       map[string]string      // by provider, the client that Doorward is there: whose roles count (policy.Rule.Roles)

	// CookieName is the name of a cookie of ours for an origin; routes with sticky sessions need it.
	CookieName func(o origin.Origin, suffix string) string
}

// Route is one [[route]], validated.
type Route struct {
	Name              string
	Hosts             []origin.Origin // empty = every configured host
	Path              string          // prefix by segment, canonical; "/" = all
	StripPrefix       bool
	Methods           []string   // empty = every registered method but CONNECT and TRACE; GET includes HEAD
	Upstreams         []*url.URL // http, https, or unix (a socket's path); round robin
	Public            bool
	Logins            []string // sessions made by other logins are not accepted; none = no session is
	Accept            []string // "session", "token", "basic", "bearer", "key"; nil = session and token
	Bearer            BearerRules
	KeyHeader         string   // header that an API key comes in; = X-Api-Key
	Approve           *Approve // requests that need a consent of their own; nil = none do
	Allow             []policy.Rule
	Require           string // CEL; "" = nothing beyond Allow
	Credential        string // "none", "session", "id_token", or the name of a [credential.NAME]
	Headers           Headers
	KeepFragment      bool
	PassAuthorization bool            // only with credential "none"; but for NTLM and Negotiate, which sign in a connection that all share
	WebSocketOrigins  []origin.Origin // beyond the route's own

	Match       Match
	Rewrite     Rewrite
	Encoded     []string // "slash": %2F in a path is taken as part of a segment, and goes upstream as it came
	Answer      *Answer  // in the place of Upstreams; with neither the route is for forward-auth only
	Balance     Balance
	Response    Response
	Limits      Limits
	Maintenance *Maintenance
	CORS        *CORS
	Deny        []policy.Rule // refused, whatever Allow says (P207)
	DryRun      bool          // whom the policy refuses is let pass, and logged; who is nobody is not
	Hook        *Hook
	KeepPost    int64 // bytes of a form that is kept over a login; 0 = none is
	// Unauthenticated is what happens to requests of nobody: "auto" (""), "401" for all of them, or "login" also for what only
	// may be a navigation.
	Unauthenticated string
}

// BearerRules are what of a [[route]] concerns bearer tokens.
type BearerRules struct {
	Issuers  []string // issuer URLs whose tokens are taken, for the protected resource metadata (RFC 9728)
	Audience []string // for the same
	Header   string   // a header that holds the bare token, beside Authorization; "" = none
	Cookie   string   // a cookie that holds it; "" = none. It is there by itself, so cross-site requests are refused

	DPoPAlgorithms []string // of proofs, for the metadata; nil = not said
	Certificates   bool     // tokens that are bound to a client certificate can count here, for the metadata
}

// Approve is approve of a [[route]]: such requests wait for a consent on the person's phone.
type Approve struct {
	Login          string   // a ciba login
	Methods        []string // that need it
	BindingMessage string   // CEL: what both screens show
	MaxBody        int64    // bytes; more is 413
	Expires        time.Duration
}

// Headers says how the upstream learns who is calling.
type Headers struct {
	Profile         string            // one of Profiles; "" = "oauth2-proxy"
	Encoding        string            // of values, one of Encodings; "" = the profile's
	Set             map[string]string // header → template: {access_token} {id_token} {claim.NAME} {user.sub} …
	Assertion       string            // the Source, by its name in Deps.Sources, of a signed assertion beside the credential; it goes into AssertionHeader. "" = none
	UnverifiedEmail bool              // insecure_unverified_email: addresses that nobody checked go upstream too
}
