package flows

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/internal/seal"
	"github.com/doorward/doorward/internal/telemetry"
	"github.com/doorward/doorward/sessions"
	"github.com/doorward/doorward/sessions/store"
)

// Config is all [login.NAME] tables, what of [provider.NAME] concerns browsers, and whom Doorward itself vouches for. There
// may be no login: an API needs none.
type Config struct {
	Prefix      string // "/oauth2"
	Logins      []Login
	Callbacks   map[string]Callback // by provider name; providers without an entry have the default
	ReturnHosts []origin.Origin     // hosts beyond those of the routes that rd may name
	Cookie      sessions.Cookie
	Users       []User
	Keys        []Key
}

// Login is one [login.NAME].
type Login struct {
	Name     string
	Flow     string // "authorization_code", "implicit", "hybrid", "password", "device", "ciba"
	Provider string
	Label    string              // = NAME
	Params   map[string][]string // extra parameters: of the authorization request, or of the flow's own first request
	Scopes   []string            // nil = the provider's; fewer for cross-device logins (CD-5)

	PassParams   []string // parameters of start that go on to the provider as they came: login_hint, kc_idp_hint …
	ResponseType string   // implicit, hybrid
	ResponseMode string   // "form_post" or "fragment"

	Form bool   // password: the sign-in form; else HTTP Basic only
	OTP  string // password: the provider's name for a one-time code ("totp"); "" = none is asked for

	// MaxFailures of password is how many wrong passwords of one user are sent to the provider in 15 minutes, from
	// one network of theirs, and from all others together; in 12 hours it is twice and three times as many. 0 = 5;
	// at most 30. It must stay below what the provider locks an account after.
	MaxFailures int

	Delivery        string // ciba: "poll", "ping" or "push"
	Hint            string // ciba: "login_hint", "id_token_hint" or "login_hint_token"
	BindingMessage  string // ciba: "auto", or a text in which {code} stands for a short code
	ACRValues       []string
	RequestedExpiry time.Duration // ciba; 0 = the provider's
	UserCode        bool          // ciba: the person is asked for their user_code
	SignedRequest   bool          // ciba: the authentication request is a signed JWT
}

// Callback overrides the redirect URI of a provider.
type Callback struct {
	Path string        // provider.X.callback: an old registration, a path
	Host origin.Origin // provider.X.callback_host: one registered URI for all hosts; must be in Deps.Origins
}

// Deps are what flows are built on. All but Now, Log, Offers, SignedIn and Signals are needed.
type Deps struct {
	Providers map[string]*provider.Client
	Sessions  *sessions.Keeper
	Revoker   *Revoker
	Shared    store.Store
	Ring      *seal.Ring
	Origins   *origin.Set
	Pages     *pages.Pages
	Now       func() time.Time
	Log       *slog.Logger

	// Offers names the logins that the route of a target takes: path, query and fragment on o, as they are sent to
	// browsers. None = not known. nil = it is known of no target.
	Offers func(o origin.Origin, target string) []string

	// SignedIn is told who has just signed in, by whatever flow, before the answer is written. It must be quick. nil =
	// nobody wants to know.
	SignedIn func(ctx context.Context, who *identity.Identity)

	Signals *telemetry.Signals // is told who signs in and out, and who fails to; nil = nobody is
}

// Flows are all configured logins, logout, and their own endpoints.
type Flows struct {
	prefix      string
	cookie      sessions.Cookie // the session's
	binding     sessions.Cookie // of attempts: never for a domain, so that no neighbouring host can plant one
	logins      []*login
	byName      map[string]*login
	callbacks   map[string]callback // by provider name; of providers with logins only
	targets     map[origin.Origin]bool
	budget      *budget
	asking      asking // waiting_limits.go
	local       *localUsers
	keys        map[string]*apiKey // by name
	wrongKeys   *budget            // of addresses from which wrong ones come
	basics      map[string]*Basic  // by what they are made of; written while routes are made, before anything is served
	proofs      *sessions.Derived  // of all basics
	clientTries map[string]*tries  // by whose clients they are
	shares      shares             // of addresses in what waits to be fetched (post_share.go)
	deps        Deps
}

// login is one configured login, ready to act.
type login struct {
	name, label, provider string
	kind                  string // its flow, as configured
	client                *provider.Client
	flow                  flow          // of those that go through the provider's pages; else nil
	front                 *frontChannel // flow, if it is one
	device                *device       // or one of these
	ciba                  *ciba         //
	password              *password     //
	pass                  []string      // parameters of a visitor that go on with it (pass.go)
	optIn                 bool          // it acts only where a route names it
	named                 bool          // a route does: set while routes are made, before anything is served
	basicOnly             bool          // no browser can begin it
}

// New validates and never touches the network.
func New(c Config, d Deps) (*Flows, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	if !strings.HasPrefix(c.Prefix, "/") || len(c.Prefix) < 2 || strings.HasSuffix(c.Prefix, "/") || cleanPath(c.Prefix) != nil {
		return nil, fmt.Errorf("prefix: %q must be a path such as \"/oauth2\"", c.Prefix)
	}
	f := &Flows{prefix: c.Prefix, cookie: c.Cookie, binding: sessions.Cookie{Name: c.Cookie.Name}, byName: make(map[string]*login), targets: make(map[origin.Origin]bool), basics: make(map[string]*Basic), clientTries: make(map[string]*tries), deps: d}
	if f.deps.Now == nil {
		f.deps.Now = time.Now
	}
	if f.deps.Log == nil {
		f.deps.Log = slog.New(slog.DiscardHandler)
	}
	for _, o := range slices.Concat(d.Origins.All(), c.ReturnHosts) {
		f.targets[o] = true
	}
	if err := f.addLogins(c.Logins); err != nil {
		return nil, err
	}
	if err := f.addCallbacks(c.Callbacks); err != nil {
		return nil, err
	}
	if err := f.addUsers(c.Users); err != nil {
		return nil, err
	}
	if err := f.addKeys(c.Keys); err != nil {
		return nil, err
	}
	f.budget, f.asking = newBudget(f.deps.Now, f.callbacks), newAsking(f.logins)
	return f, nil
}

func (d Deps) check() error {
	switch {
	case d.Sessions == nil:
		return errors.New("flows: no session keeper")
	case d.Revoker == nil:
		return errors.New("flows: no revoker")
	case d.Shared == nil:
		return errors.New("flows: no shared store")
	case d.Ring == nil:
		return errors.New("flows: no keys")
	case d.Origins == nil || len(d.Origins.All()) == 0:
		return errors.New("flows: no host is configured at which a login could end")
	case d.Pages == nil:
		return errors.New("flows: no pages")
	}
	return nil
}

func (f *Flows) addLogins(logins []Login) error {
	for _, l := range logins {
		client := f.deps.Providers[l.Provider]
		switch {
		case l.Name == "":
			return errors.New("login: a login without a name")
		case f.byName[l.Name] != nil:
			return fmt.Errorf("login.%s: there are two of this name", l.Name)
		case client == nil:
			return fmt.Errorf("login.%s: provider: there is no provider %q", l.Name, l.Provider)
		}
		made, err := newLogin(client, l)
		if err != nil {
			return fmt.Errorf("login.%s: %w", l.Name, err)
		}
		f.logins = append(f.logins, made)
		f.byName[l.Name] = made
	}
	return nil
}

func newLogin(client *provider.Client, l Login) (*login, error) {
	made := &login{
		name: l.Name, label: cmp.Or(l.Label, l.Name), provider: l.Provider, kind: l.Flow, client: client, pass: l.PassParams,
		optIn: l.Flow != "authorization_code" && l.Flow != "hybrid", basicOnly: l.Flow == "password" && !l.Form,
	}
	return made, made.setFlow(l)
}

// CheckLogin validates one login by itself as [New] does, for whoever reads a configuration: the error begins with
// the key that is wrong ("binding_message: …"). client is the login's provider, and is not asked anything.
func CheckLogin(client *provider.Client, l Login) error {
	switch {
	case l.Name == "":
		return errors.New("name: a login without a name")
	case client == nil:
		return fmt.Errorf("provider: there is no provider %q", l.Provider)
	}
	_, err := newLogin(client, l)
	return err
}

// Mount registers the own endpoints on mux under the prefix, each with its exact path.
func (f *Flows) Mount(mux *http.ServeMux) {
	for _, e := range f.endpoints() {
		mux.Handle(e.path, f.tellFailures(e, f.deps.Pages.Handle(e.serve)))
	}
	mux.Handle(f.prefix+"/static", f.static())
	mux.Handle(f.prefix+"/static/", f.static())
}

// static serves the files of our pages. Whatever else there is below the path gets a page of
// ours: neither the mux's redirect to a directory nor the bare 404 of [http.StripPrefix].
func (f *Flows) static() http.Handler {
	files := f.deps.Pages.Static()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, _ := strings.CutPrefix(r.URL.Path, f.prefix+"/static")
		u := *r.URL
		u.Path, u.RawPath = strings.TrimPrefix(name, "/"), ""
		r = r.WithContext(r.Context()) // a shallow copy
		r.URL = &u
		files.ServeHTTP(w, r)
	})
}

type handler = func(w http.ResponseWriter, r *http.Request, here origin.Origin) error

// endpoint is one own path. Its methods are checked here and not in the mux's pattern,
// because there "GET" would let HEAD in, and a HEAD must not consume a code (P108).
type endpoint struct {
	path    string
	methods []string
	handle  handler
	origins *origin.Set
}

func (f *Flows) endpoints() []endpoint {
	get, getOrPost, post := []string{http.MethodGet}, []string{http.MethodGet, http.MethodPost}, []string{http.MethodPost}
	own := func(path string, methods []string, handle handler) endpoint {
		return endpoint{f.prefix + path, methods, handle, f.deps.Origins}
	}
	all := []endpoint{
		own("/start", get, f.start),
		own("/sign_in", get, f.signIn),
		own("/sign_out", getOrPost, f.signOut),
		own(signedOutPath, get, f.signedOut),
		own("/userinfo", get, f.userinfo),
		own("/session", get, f.session),
		own(signedInPath, get, f.signedInPage),
		own("/session/refresh", post, f.sessionRefresh),
	}
	all = append(all, f.wonderwall()...)
	all = append(all, f.deviceEndpoints()...)
	all = append(all, f.cibaEndpoints()...)
	all = append(all, f.passwordEndpoints()...)
	for name, c := range f.callbacks {
		methods := get
		if f.takesPosts(name) {
			methods = getOrPost // of others a POST is 405: off means off (P108, P117)
		}
		all = append(all, endpoint{c.path, methods, f.callback(name), f.deps.Origins})
	}
	return all
}

func (e endpoint) serve(w http.ResponseWriter, r *http.Request) error {
	here, ok := e.origins.Lookup(r.Host)
	if !ok {
		return &pages.Error{Code: codeUnknownHost}
	}
	if !slices.Contains(e.methods, r.Method) {
		w.Header().Set("Allow", strings.Join(e.methods, ", "))
		return &pages.Error{Code: codeMethod}
	}
	return e.handle(w, r, here)
}

// Wait returns when the revocations have ended that answers left behind; none takes longer
// than ten seconds. Call it once no request is served any more and the Keeper is closed.
func (f *Flows) Wait() { f.deps.Revoker.Wait() }

// redirect answers with a Location and nothing else: the body that [http.Redirect] writes would repeat
// it, and it may hold a state or an ID token. No cache keeps it, and no Referer tells the
// next site where the browser came from (AUT-8, P112, P188).
func redirect(w http.ResponseWriter, status int, location string) error {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Location", location)
	w.WriteHeader(status)
	return nil
}
