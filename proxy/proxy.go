package proxy

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/proxy/policy"
)

// Authenticator answers who a request comes from: yes · not mine · broken.
type Authenticator interface {
	Authenticate(w http.ResponseWriter, r *http.Request) (who *identity.Identity, ok bool, err error)
}

// Starter begins a login.
type Starter interface {
	Start(w http.ResponseWriter, r *http.Request, back string) error
	LoginURL(r *http.Request, back string) string
}

// Source yields the tokens that go upstream for an identity.
type Source interface {
	Token(ctx context.Context, who *identity.Identity) (*identity.Tokens, error)
}

// Config is the part of the configuration that concerns requests.
type Config struct {
	Prefix         string // "/oauth2"; own endpoints, never proxied
	TrustedProxies []netip.Prefix
	Routes         []Route
	OwnCookie      func(name string) bool // such cookies never reach an upstream and never come from one
}

// Route is one [[route]], validated.
type Route struct {
	Name              string
	Hosts             []origin.Origin // empty = every configured host
	Path              string          // prefix by segment, canonical; "/" = all
	StripPrefix       bool
	Methods           []string   // empty = all but CONNECT and TRACE
	Upstreams         []*url.URL // http, https; round robin
	Public            bool
	Logins            []string // sessions made by other logins are not accepted
	Allow             []policy.Rule
	Credential        string // "none", "session", "id_token", later the name of a [credential.NAME]
	Headers           Headers
	KeepFragment      bool
	PassAuthorization bool
	WebSocketOrigins  []origin.Origin // beyond the route's own
}

// Headers says how the upstream learns who is calling.
type Headers struct {
	Profile string            // "oauth2-proxy" or "none"
	Set     map[string]string // header → template: {access_token} {id_token} {claim.NAME} {user.sub} …
}

// Deps are what a Gateway is built on.
type Deps struct {
	Origins   *origin.Set
	Session   Authenticator
	Starters  map[string]Starter // by route name
	Sources   map[string]Source  // by credential name, for those not built in
	Own       http.Handler       // own endpoints below Prefix
	Pages     *pages.Pages
	Now       func() time.Time
	Log       *slog.Logger
	Transport http.RoundTripper // nil = tuned transport of our own; tests over memory
}

// Gateway is the inbound side: an http.Handler.
type Gateway struct{}

// New validates and never touches the network.
func New(Config, Deps) (*Gateway, error) { panic("unbuilt") }

func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) { panic("unbuilt") }
