package main

import (
	"log/slog"
	"net/http"
	"slices"

	"github.com/doorward/doorward/flows"
	"github.com/doorward/doorward/flows/bearer"
	"github.com/doorward/doorward/flows/credential"
	"github.com/doorward/doorward/internal/config"
	"github.com/doorward/doorward/internal/credentials"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/seal"
	"github.com/doorward/doorward/proxy"
	"github.com/doorward/doorward/sessions"
)

// What the proxy asks for only if it is there. Without one of these a caller's own value could pass for a credential, or a
// person would be sent away who could go on; so that it is there is not left to chance.
var (
	_ interface {
		Place() (header, cookie string)
	} = (*credential.Source)(nil)
	_ proxy.Renewer = (*sessions.Keeper)(nil)
	_ proxy.StepUp  = (*flows.Starter)(nil)

	_ proxy.Present       = (*sessions.Keeper)(nil)
	_ proxy.Present       = ownTokens{}
	_ proxy.Present       = (*flows.Basic)(nil)
	_ proxy.Present       = (*flows.Keys)(nil)
	_ proxy.BearerPresent = (*bearer.Checker)(nil)
	_ proxy.Keeper        = (*flows.Kept)(nil)
)

// purposeSticky is of the key of the cookies that keep a browser with one upstream: the same at every replica.
const purposeSticky seal.Purpose = "proxy: sticky"

// inbound makes the public side: own endpoints and routes.
func (g *graph) inbound(st *state, ring *seal.Ring, log *slog.Logger) error {
	pc := g.config.Proxy()
	if len(pc.Routes) == 0 {
		g.handler = noRoutes{g.pages}
		return nil
	}
	own := http.NewServeMux()
	g.flows.Mount(own)
	if g.personal != nil {
		g.personal.Mount(own)
	}
	if keys := g.credentials.JWKS(); keys != nil {
		own.Handle("GET "+pc.Prefix+"/jwks.json", keySet(keys))
	}
	d := proxy.Deps{
		Origins: g.origins, Session: g.keeper, Streams: g.keeper, Current: func() *proxy.Gateway { return st.gateway(g) }, Tokens: g.tokens(), Own: own, Pages: g.pages, Log: log, Posts: g.flows.Kept(),
		Starters: make(map[string]proxy.Starter), Basic: make(map[string]proxy.Authenticator), Approvers: make(map[string]proxy.Approver),
		Bearers: make(map[string]proxy.Bearer), Keys: make(map[string]proxy.Authenticator), Sources: g.sources(),
		StickyKey: ring.Derive(purposeSticky, 32)[0],
	}
	for _, route := range pc.Routes {
		if route.Public {
			continue
		}
		if err := g.serveRoute(route, &d); err != nil {
			return configError("route."+route.Name, err)
		}
	}
	gateway, err := proxy.New(pc, d)
	if err != nil {
		return configError("route", err)
	}
	g.gateway, g.handler = gateway, gateway
	return g.askable()
}

// serveRoute gives a route those who say who is calling, and what of the flows it needs.
func (g *graph) serveRoute(route proxy.Route, d *proxy.Deps) (err error) {
	caller := g.config.Caller(route.Name)
	if len(route.Logins) > 0 {
		if d.Starters[route.Name], err = g.flows.Starter(route.Logins); err != nil {
			return err
		}
	}
	if slices.Contains(route.Accept, "bearer") {
		if d.Bearers[route.Name], err = g.verifier.Checker(caller.Bearer); err != nil {
			return err
		}
	}
	if slices.Contains(route.Accept, "basic") {
		if d.Basic[route.Name], err = g.basic(route, caller); err != nil {
			return err
		}
	}
	if slices.Contains(route.Accept, "key") {
		if d.Keys[route.Name], err = g.flows.Keys(route.KeyHeader, caller.Keys); err != nil {
			return err
		}
	}
	if route.Approve != nil {
		if d.Approvers[route.Name], err = g.flows.Approver(route.Approve.Login); err != nil {
			return err
		}
	}
	return nil
}

// basic is who tries user names and passwords for a route.
func (g *graph) basic(route proxy.Route, caller config.Caller) (proxy.Authenticator, error) {
	switch caller.Basic {
	case "users":
		return g.flows.BasicUsers(caller.Users)
	case "client_credentials":
		return g.flows.BasicClients(caller.Bearer.Issuers[0], nil)
	}
	return g.flows.Basic(g.passwordLogin(route))
}

// passwordLogin is the one login by which a route tries user names and passwords.
func (g *graph) passwordLogin(route proxy.Route) string {
	for _, l := range g.config.Flows().Logins {
		if l.Flow == "password" && slices.Contains(route.Logins, l.Name) {
			return l.Name
		}
	}
	return ""
}

// tokens is who knows the tokens that Doorward itself has handed out; nil if there are none.
func (g *graph) tokens() proxy.Authenticator {
	t := ownTokens{}
	if g.config.Store != "cookie" { // there are no tickets then
		t.tickets = g.keeper.Tickets()
	}
	if g.personal != nil {
		t.personal = g.personal
	}
	if t == (ownTokens{}) {
		return nil
	}
	return t
}

// ownTokens tells tickets and personal tokens apart by their prefix. It is a proxy.Authenticator and proxy.Streams.
type ownTokens struct{ tickets, personal tokenKeeper }

type tokenKeeper interface {
	proxy.Authenticator
	proxy.Streams
	proxy.Present
}

func (t ownTokens) keeper(r *http.Request) tokenKeeper {
	if slices.ContainsFunc(r.Header["Authorization"], holdsPersonal) {
		return t.personal
	}
	return t.tickets
}

// holdsPersonal reports whether an Authorization header is a personal token, as Bearer or as the password of Basic.
func holdsPersonal(line string) bool {
	if token, ok := credentials.Bearer(line); ok {
		return credentials.IsPersonal(token)
	}
	var buf [256]byte
	_, password, _, valid := credentials.Basic(line, buf[:])
	return valid && credentials.IsPersonal(password)
}

// Authenticate asks the one who has handed the token out.
func (t ownTokens) Authenticate(w http.ResponseWriter, r *http.Request) (*identity.Identity, bool, error) {
	if k := t.keeper(r); k != nil {
		return k.Authenticate(w, r)
	}
	return nil, false, nil
}

// Current asks the one who has handed the token out.
func (t ownTokens) Current(r *http.Request, who *identity.Identity) (*identity.Identity, error) {
	if k := t.keeper(r); k != nil {
		return k.Current(r, who)
	}
	return nil, nil
}

// Alive asks the one who has handed the token out.
func (t ownTokens) Alive(r *http.Request, who *identity.Identity) (bool, error) {
	if k := t.keeper(r); k != nil {
		return k.Alive(r, who)
	}
	return false, nil
}

// keySet serves the public keys of the assertions that go upstream (RFC 7517 §8.5.2). Whoever verifies one may keep them
// for some minutes: a new key of sessions.keys is published as soon as it is configured, before anything is signed by it only
// if it stands second for a while.
type keySet []byte

func (k keySet) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/jwk-set+json")
	w.Header().Set("Cache-Control", "public, max-age=300")
	_, _ = w.Write(k)
}
