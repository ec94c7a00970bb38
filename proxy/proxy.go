package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
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
	Prefix         string   // "/oauth2"; own endpoints, never proxied
	OwnPaths       []string // own endpoints elsewhere, exact paths: provider.X.callback
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
	Methods           []string   // empty = every registered method but CONNECT and TRACE; GET includes HEAD
	Upstreams         []*url.URL // http, https, or unix (a socket's path); round robin
	Public            bool
	Logins            []string // sessions made by other logins are not accepted; none = no session is
	Accept            []string // "session", "token", "basic"; nil = session and token
	Approve           *Approve // requests that need a consent of their own; nil = none do
	Allow             []policy.Rule
	Credential        string // "none", "session", "id_token", later the name of a [credential.NAME]
	Headers           Headers
	KeepFragment      bool
	PassAuthorization bool            // only with credential "none"; but for NTLM and Negotiate, which sign in a connection that all share
	WebSocketOrigins  []origin.Origin // beyond the route's own
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
	Profile         string            // "oauth2-proxy" or "none"
	Set             map[string]string // header → template: {access_token} {id_token} {claim.NAME} {user.sub} …
	UnverifiedEmail bool              // insecure_unverified_email: addresses that nobody checked go upstream too
}

// Deps are what a Gateway is built on.
type Deps struct {
	Origins   *origin.Set
	Session   Authenticator
	Tokens    Authenticator            // tickets in Authorization; nil = no route accepts any
	Basic     map[string]Authenticator // by route name, of routes that accept basic
	Approvers map[string]Approver      // by route name, of routes with approve
	Starters  map[string]Starter       // by route name
	Sources   map[string]Source        // by credential name, for those not built in
	Own       http.Handler             // own endpoints: an http.ServeMux, or what matches like one
	Pages     *pages.Pages
	Now       func() time.Time // nil = time.Now
	Log       *slog.Logger
	Streams   Streams           // ends what lasts longer than its session; nil = nothing does
	Transport http.RoundTripper // nil = tuned transports of our own; tests over memory. It must not repeat approved requests
}

// Gateway is the inbound side: an http.Handler. It never changes after [New]; a reload
// builds another.
type Gateway struct {
	origins *origin.Set
	sites   map[origin.Origin]*site
	trust   trust
	hygiene *hygiene
	own     *ownEndpoints
	routes  *table
	proxy   forwarder
	pages   *pages.Pages

	approvals *approvals // nil where no route has approve
}

// New validates and never touches the network.
func New(c Config, d Deps) (*Gateway, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	if !strings.HasPrefix(c.Prefix, "/") || c.Prefix == "/" || strings.HasSuffix(c.Prefix, "/") {
		return nil, fmt.Errorf("listen.prefix: %q must be a path such as \"/oauth2\"", c.Prefix)
	}
	if c.OwnCookie == nil {
		return nil, errors.New("proxy: which cookies are our own is not said")
	}
	own, err := newOwnEndpoints(c.Prefix, c.OwnPaths, d.Own)
	if err != nil {
		return nil, err
	}
	g := &Gateway{origins: d.Origins, sites: newSites(d.Origins), trust: c.TrustedProxies, own: own, pages: d.Pages}
	if g.proxy, err = newForwarder(c, d); err != nil {
		return nil, err
	}
	routes := make([]*route, 0, len(c.Routes))
	for _, rc := range c.Routes {
		rt, err := newRoute(rc, c, d)
		if err != nil {
			return nil, fmt.Errorf("route.%s: %w", rc.Name, err)
		}
		routes = append(routes, rt)
	}
	if g.approvals, err = newApprovals(routes, c, d); err != nil {
		return nil, err
	}
	g.hygiene = newHygiene(routes)
	if g.routes, err = newTable(routes, g.sites); err != nil {
		return nil, err
	}
	return g, nil
}

func (d *Deps) check() error {
	if d.Now == nil {
		d.Now = time.Now
	}
	switch {
	case d.Origins == nil || len(d.Origins.All()) == 0:
		return errors.New("proxy: no host is configured")
	case d.Session == nil:
		return errors.New("proxy: nobody to ask who is calling")
	case d.Own == nil:
		return errors.New("proxy: no own endpoints")
	case d.Pages == nil:
		return errors.New("proxy: no pages")
	case d.Log == nil:
		return errors.New("proxy: no log")
	}
	return nil
}

func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := g.serve(w, r); err != nil {
		g.pages.Error(w, r, err)
	}
}

// serve is the whole path of a request. There is no other way to an upstream than through
// the last line of pass.
func (g *Gateway) serve(w http.ResponseWriter, r *http.Request) error {
	approval := given(r.Header)
	holdBody(w, r)                // forward admits it
	req, err := g.canonical(w, r) // 400, 405, 421; policy and forward take only req
	if err != nil {
		return err
	}
	if name, ok := g.approvals.holds(req); ok {
		return g.serveApproval(w, req, name) // 404
	}
	if g.own.holds(req.decoded) {
		return g.own.serve(w, req) // 404
	}
	return g.pass(w, req, approval)
}

// pass takes a canonical request upstream, if it may. approval is what it says of one.
func (g *Gateway) pass(w http.ResponseWriter, req *CanonicalRequest, approval []string) error {
	route, err := g.routes.Find(w, req) // 404, 405
	if err != nil {
		return err
	}
	if err := g.judgeDestination(req, route); err != nil { // 403
		return err
	}
	d := route.decide(w, req) // the zero value denies
	req.note(route, d)
	switch d.Outcome {
	case Login:
		return route.challenge(w, req, d) // 302, 401
	case Allow:
	default:
		return d.refusal() // 403, 503
	}
	var approved permit
	a, err := g.approvals.of(route, req)
	if err != nil {
		return err // 400
	}
	if a != nil {
		p := a.room.place(d.Who)
		defer p.leave()
		var answered bool
		if approved, answered, err = a.judge(w, req, d, approval, p); answered || err != nil {
			return err // 303; 400, 401, 403, 409, 413, 429, 503
		}
	}
	tokens, err := route.credential(req.in.Context(), d) // 401, 502, 503; never forwards without
	if err != nil {
		return err
	}
	return g.proxy.forward(w, req, route, d, tokens, approved) // 409, 502, 503
}
