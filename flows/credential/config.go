package credential

import (
	"context"
	"log/slog"
	"net/url"
	"time"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/seal"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/telemetry"
	"github.com/doorward/doorward/sessions/store"
)

// Values of Config.Flow.
const (
	flowClientCredentials = "client_credentials"
	flowExchange          = "token_exchange"
	flowJWTBearer         = "jwt_bearer"
	flowPassword          = "password"
	flowAssertion         = "assertion"
	flowStatic            = "static"
)

// Values of Config.Subject beside the names of credentials, and of Config.RequestedType.
const (
	accessToken = "access_token"
	idToken     = "id_token"
	jwt         = "jwt"
)

// Config is one [credential.NAME].
type Config struct {
	Name       string
	Flow       string // "client_credentials", "token_exchange", "jwt_bearer", "password", "assertion", "static"
	Provider   string // of the flows that ask one
	Scopes     []string
	Audience   []string
	Resource   []string
	Parameters url.Values // further parameters of the token request

	Subject       string // token_exchange, jwt_bearer: "access_token" (default), "id_token", or the name of another credential: a chain of two exchanges
	Actor         string // token_exchange: name of a client_credentials credential; "" = none
	RequestedType string // requested_token_type of token_exchange: "access_token", "id_token", "jwt"; "" = not asked for
	Dialect       string // jwt_bearer: "rfc7523" (default), "entra_obo"

	Username string        // password
	Password secret.String // password

	Token secret.String // static

	Header string // = Authorization; "Cookie" is not possible, see Cookie
	Cookie string // name of a cookie to send it in; "" = Header
	// Format is "Bearer {token}" (default with Authorization), "{token}" (with another header or a cookie), "basic", or a text
	// with {token}. With "basic" the token of static is "user:password"; any other becomes the password of the user "oauth2".
	Format string
}

// Deps are what a Set is built on.
type Deps struct {
	Providers map[string]*provider.Client
	Shared    store.Store // tokens for other replicas; nil = each fetches its own
	Ring      *seal.Ring  // seals what lies in Shared and makes the keys of assertions; may be nil without both
	Issuer    string      // iss of assertions: an origin of ours
	Now       func() time.Time
	Log       *slog.Logger
	MaxBytes  uint64             // of cached tokens in memory; 0 = 64 MiB
	Signals   *telemetry.Signals // is told what was obtained, and how often the cache had it; nil = nobody is
}

func (d Deps) withDefaults() Deps {
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	if d.MaxBytes == 0 {
		d.MaxBytes = defaultBytes
	}
	return d
}

// client is what of a *provider.Client is used here.
type client interface {
	Name() string
	Issuer() string
	ClientID() string
	ClientCredentials(ctx context.Context, r provider.ClientCredentialsRequest) (*provider.Response, error)
	Exchange(ctx context.Context, r provider.ExchangeRequest) (*provider.Response, error)
	JWTBearer(ctx context.Context, r provider.JWTBearerRequest) (*provider.Response, error)
	Password(ctx context.Context, r provider.PasswordRequest) (*provider.Response, error)
	Sketch(r provider.TokenRequest) (*provider.Sketch, error)
}

var _ client = (*provider.Client)(nil)
