package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/credentials"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/pages"
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

// StepUp begins a login that asks the provider for more than the last one did: claims is the claims parameter of OIDC
// Core §5.5. A Starter that can implements it.
type StepUp interface {
	StepUp(w http.ResponseWriter, r *http.Request, back, claims string) error
}

// Bearer judges bearer tokens. An error is a *credentials.Refusal where the token is at fault, anything else means that
// it cannot be judged now.
type Bearer interface {
	Check(ctx context.Context, p credentials.Presented) (*identity.Identity, error)
	Alive(ctx context.Context, who *identity.Identity) (bool, error)
}

// Source yields what goes upstream for an identity; nil who = nobody, on a public route. It should have a method
//
//	Place() (header, cookie string)
//
// too, which says where that goes (header "Cookie" and a name, or a header), so that a client's own value never passes there,
// also not where nothing was obtained.
type Source interface {
	// Token's error is a *credentials.Refusal where the caller must act, else a *pages.Error.
	Token(ctx context.Context, who *identity.Identity) (*identity.Credential, error)
	// Rejected says that the upstream answered 401 invalid_token to it.
	Rejected(ctx context.Context, who *identity.Identity, refused *identity.Credential)
	// Personal sources have nothing for nobody: an anonymous request goes without.
	Personal() bool
}

// Deps are what a Gateway is built on.
type Deps struct {
	Origins   *origin.Set
	Session   Authenticator
	Tokens    Authenticator            // tickets and personal tokens in Authorization; nil = no route accepts any
	Basic     map[string]Authenticator // by route name, of routes that accept basic
	Bearers   map[string]Bearer        // by route name, of routes that accept bearer
	Keys      map[string]Authenticator // by route name, of routes that accept key: it reads the route's KeyHeader
	Approvers map[string]Approver      // by route name, of routes with approve
	Starters  map[string]Starter       // by route name
	Sources   map[string]Source        // by credential name, for those not built in
	Own       http.Handler             // own endpoints: an http.ServeMux, or what matches like one
	Pages     *pages.Pages
	Now       func() time.Time // nil = time.Now
	Log       *slog.Logger
	Posts     Keeper  // keeps forms over a login; nil = no route does
	Streams   Streams // ends what lasts longer than its session; nil = nothing does
	// Current is the gateway that a reload has put in this one's place, and nil once there is none any more: streams go on
	// only by its rules. nil = this one for ever.
	Current   func() *Gateway
	StickyKey []byte            // of the cookies of sticky sessions, the same at every replica; nil = one is made
	Transport http.RoundTripper // nil = tuned transports of our own; tests over memory. It must not repeat approved requests

	counters *counters // of all routes
	encoders *encoders // likewise

	vigil time.Duration // between two looks at a stream; 0 = vigilEvery. Tests are impatient
}

// Gateway is the inbound side: an http.Handler. It never changes after [New]; a reload
// builds another.
type Gateway struct {
	origins *origin.Set
	sites   map[origin.Origin]*site
	trust   trust
	hygiene *hygiene
	own     *ownEndpoints
	auth    *forwardAuth
	routes  *table
	proxy   forwarder
	pages   *pages.Pages

	balanced []*route // that have upstreams, in the order of the configuration
	watch    watchers

	approvals *approvals // nil where no route has approve
	kept      *kept      // nil where no route keeps forms

	crossOrigin bool      // some route answers preflights
	resources   resources // nil where no route accepts bearer
	possession  possession
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
	c.CertificateHeader = http.CanonicalHeaderKey(c.CertificateHeader)
	if err := checkCertificateHeader(c.CertificateHeader); err != nil {
		return nil, err
	}
	own, err := newOwnEndpoints(c.Prefix, c.OwnPaths, d.Own)
	if err != nil {
		return nil, err
	}
	g := &Gateway{origins: d.Origins, sites: newSites(d.Origins), trust: c.TrustedProxies, own: own, pages: d.Pages}
	g.proxy = newForwarder(c, d)
	g.proxy.gateway, g.proxy.current = g, d.Current
	routes := make([]*route, 0, len(c.Routes))
	for _, rc := range c.Routes {
		rt, err := newRoute(rc, c, d)
		if err != nil {
			return nil, fmt.Errorf("route.%s: %w", rc.Name, err)
		}
		if len(rt.upstreams) > 0 {
			if rt.lane, err = g.proxy.lanes.of(rc); err != nil {
				return nil, fmt.Errorf("route.%s: %w", rc.Name, err)
			}
			g.balanced = append(g.balanced, rt)
			g.watch.probers = append(g.watch.probers, rt.probers()...)
		}
		g.crossOrigin = g.crossOrigin || rt.cors != nil
		routes = append(routes, rt)
	}
	g.watch.follow(g, d.Current)
	if g.approvals, err = newApprovals(routes, c, d); err != nil {
		return nil, err
	}
	g.kept = newKept(routes, c, d)
	g.hygiene = newHygiene(routes)
	if err := g.hygiene.leaves(routes); err != nil {
		return nil, err
	}
	if err := g.hygiene.matchable(routes); err != nil {
		return nil, err
	}
	if g.resources, err = newMetadata(routes, c, g.sites); err != nil {
		return nil, err
	}
	if g.resources != nil { // nobody else looks at certificates
		g.possession = possession{c.TrustedProxies, c.CertificateHeader}
	}
	if g.routes, err = newTable(routes, g.sites); err != nil {
		return nil, err
	}
	if g.auth, err = newForwardAuth(g, c, d); err != nil {
		return nil, err
	}
	return g, nil
}

func (d *Deps) check() error {
	d.counters, d.encoders = newCounters(d.Now), newEncoders()
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
	w, r = holdBody(w, r) // forward admits it
	whole := false
	defer leaveBody(w, &whole)
	if err := g.serve(w, r); err != nil {
		g.pages.Error(w, r, err)
	}
	whole = true
}

// serve is the whole path of a request. There is no other way to an upstream than through
// the last line of pass.
func (g *Gateway) serve(w http.ResponseWriter, r *http.Request) error {
	if q, ok := g.auth.asked(r); ok {
		return g.auth.answer(w, r, q) // 302, 401, 403, 503
	}
	approval, back := given(r.Header), g.auth.returnTarget(r)
	req, err := g.canonical(w, r) // 400, 405, 421; policy and forward take only req
	if err != nil {
		return err
	}
	req.record.Known(r)
	if name, ok := g.approvals.holds(req); ok {
		return g.serveApproval(w, req, name) // 404
	}
	if id, ok := g.kept.holds(req); ok {
		return g.kept.show(w, req, id) // 404, 405, 410, 503
	}
	if g.own.holds(req.decoded) {
		if err := g.auth.returnTo(req, back); err != nil {
			return err // 400
		}
		return g.own.serve(w, req) // 404
	}
	if document := g.resources.of(req); document != nil {
		return serveMetadata(w, req, document) // 405
	}
	if id, ok := g.kept.sent(req); ok {
		return g.sendKept(w, req, id) // 403, 410, 503, and what follows
	}
	return g.pass(w, req, approval)
}

// pass takes a canonical request upstream, if it may. approval is what it says of one.
func (g *Gateway) pass(w http.ResponseWriter, req *CanonicalRequest, approval []string) error {
	if g.preflight(w, req) {
		return nil // 204
	}
	route, place, err := g.enter(w, req, nil)
	if err != nil {
		return err // 403, 404, 405, 413, 429, 503
	}
	defer place.leave()
	d, err := route.admit(w, req, nil)
	if err != nil {
		return err // 403, 429, 503
	}
	if d.Outcome == Login {
		return route.challenge(w, req, d) // 302, 303, 401
	}
	if route.answer != nil {
		return route.serveLocal(w, req, d)
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
	with, d, err := route.prove(w, req, d, nil)
	if err != nil { // never forwards without
		return route.without(w, req, d, err) // 302, 401, 502, 503
	}
	return g.proxy.forward(w, req, route, d, with.credential, with.assertion, approved) // 409, 502, 503
}
