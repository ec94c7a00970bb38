package flows

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/internal/seal"
	"github.com/doorward/doorward/sessions"
	"github.com/doorward/doorward/sessions/store"
)

// Config is all [login.NAME] tables and what of [provider.NAME] concerns browsers.
type Config struct {
	Prefix      string // "/oauth2"
	Logins      []Login
	Callbacks   map[string]Callback // by provider name; providers without an entry have the default
	ReturnHosts []origin.Origin     // hosts beyond those of the routes that rd may name
	Cookie      sessions.Cookie
}

// Login is one [login.NAME].
type Login struct {
	Name     string
	Flow     string // "authorization_code"
	Provider string
	Label    string
	Params   map[string][]string // extra authorization parameters
}

// Callback overrides the redirect URI of a provider.
type Callback struct {
	Path string        // provider.X.callback: an old registration, a path
	Host origin.Origin // provider.X.callback_host: one registered URI for all hosts
}

// Deps are what flows are built on.
type Deps struct {
	Providers map[string]*provider.Client
	Sessions  *sessions.Keeper
	Shared    store.Store
	Ring      *seal.Ring
	Origins   *origin.Set
	Pages     *pages.Pages
	Now       func() time.Time
	Log       *slog.Logger
}

// Flows are all configured logins, logout, and their own endpoints.
type Flows struct{}

// New validates and never touches the network.
func New(Config, Deps) (*Flows, error) { panic("unbuilt") }

// Mount registers the own endpoints on mux under the prefix, each with its exact path.
func (f *Flows) Mount(mux *http.ServeMux) { panic("unbuilt") }

// Starter begins a login for a route that offers these logins (names, at least one).
// With one redirect login it goes straight to the provider, with several to the sign-in page.
func (f *Flows) Starter(logins []string) (*Starter, error) { panic("unbuilt") }

// Starter implements proxy.Starter.
type Starter struct{}

// Start answers a navigation that needs a login. back is the canonical path and query to return to.
func (s *Starter) Start(w http.ResponseWriter, r *http.Request, back string) error { panic("unbuilt") }

// LoginURL returns the absolute URL at which a program can tell its person to sign in.
func (s *Starter) LoginURL(r *http.Request, back string) string { panic("unbuilt") }

// RedirectURIs lists every redirect URI to register at a provider (for check).
func (f *Flows) RedirectURIs(provider string) []string { panic("unbuilt") }

// PostLogoutURIs lists every post-logout redirect URI to register at a provider (for check).
func (f *Flows) PostLogoutURIs(provider string) []string { panic("unbuilt") }

// Refresher implements sessions.Refresher over the providers.
type Refresher map[string]*provider.Client

// Refresh asks the identity's own provider.
func (p Refresher) Refresh(ctx context.Context, who *identity.Identity) (*identity.Identity, error) {
	panic("unbuilt")
}
