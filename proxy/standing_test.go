package proxy

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/credentials"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/proxy/policy"
)

// presence is a Streams that says who alice is by now.
type presence struct {
	who    atomic.Pointer[identity.Identity]
	broken atomic.Bool
}

func (p *presence) Alive(r *http.Request, who *identity.Identity) (bool, error) {
	now, err := p.Current(r, who)
	return now != nil, err
}

func (p *presence) Current(r *http.Request, _ *identity.Identity) (*identity.Identity, error) {
	if p.broken.Load() {
		return nil, errors.New("the store does not answer")
	}
	if r.Header.Get("Cookie") == "" {
		return nil, nil
	}
	return p.who.Load(), nil
}

// lasting is a laboratory whose gateway a reload can replace.
type lasting struct {
	*lab
	session *presence
	config  Config
	deps    Deps
	current atomic.Pointer[Gateway]
	ended   chan struct{}
	begun   chan struct{}
}

func newLasting(t *testing.T, change func(*Config, *Deps)) *lasting {
	t.Helper()
	s := &lasting{session: &presence{}, ended: make(chan struct{}), begun: make(chan struct{})}
	s.session.who.Store(inGroups("staff"))
	s.lab = newLab(t, func(c *Config, d *Deps) {
		d.Streams, d.Current, d.vigil = s.session, s.current.Load, impatience
		d.Session.(people)["alice"] = s.session.who.Load()
		ruled := Route{Name: "ruled", Hosts: []origin.Origin{appTest}, Path: "/ruled", Upstreams: c.Routes[0].Upstreams, Logins: []string{"staff"}, Allow: []policy.Rule{{Groups: []string{"staff"}}}}
		api := Route{Name: "api", Hosts: []origin.Origin{appTest}, Path: "/api", Upstreams: c.Routes[0].Upstreams, Accept: []string{acceptBearer}, Allow: []policy.Rule{{Scopes: []string{"read"}}}}
		c.Routes = append(c.Routes, ruled, api)
		d.Starters["ruled"], d.Bearers = door{}, map[string]Bearer{"api": accepting{tokenOf("bob", "t", func(w *identity.Identity) { w.Scopes = []string{"read"} })}}
		if change != nil {
			change(c, d)
		}
		s.config, s.deps = *c, *d
	})
	s.current.Store(s.g)
	s.e.streams(func(w http.ResponseWriter, r *http.Request) {
		defer close(s.ended)
		if r.Header.Get("Upgrade") != "" {
			close(s.begun)
			echoSocket(w, r)
			return
		}
		switch r.URL.RawQuery {
		case "large":
			w.Header().Set("Content-Length", "10000000")
		case "grpc":
			w.Header().Set("Content-Type", "application/grpc")
		default:
			w.Header().Set("Content-Type", "text/event-stream")
		}
		rc := http.NewResponseController(w)
		_ = rc.EnableFullDuplex()
		_, _ = io.WriteString(w, "E")
		_ = rc.Flush()
		close(s.begun)
		if r.URL.RawQuery == "grpc" {
			_, _ = io.Copy(io.Discard, r.Body) // while the client may send, only this notices the end
			return
		}
		<-r.Context().Done()
	})
	return s
}

func inGroups(groups ...string) *identity.Identity {
	return someone("alice", func(w *identity.Identity) { w.Groups = groups })
}

// reload puts another configuration in the place of the one that serves.
func (s *lasting) reload(t *testing.T, change func(*Config)) {
	t.Helper()
	c := s.config
	c.Routes = append([]Route(nil), c.Routes...)
	change(&c)
	next, err := New(c, s.deps)
	if err != nil {
		t.Fatal(err)
	}
	s.current.Store(next)
}

func (c *Config) route(name string) *Route {
	for i := range c.Routes {
		if c.Routes[i].Name == name {
			return &c.Routes[i]
		}
	}
	return nil
}

func dropRoute(c *Config, name string) {
	for i := range c.Routes {
		if c.Routes[i].Name == name {
			c.Routes = append(c.Routes[:i:i], c.Routes[i+1:]...)
			return
		}
	}
}

// ends expects that a stream ends within so long after what happens, and that the log says why.
func (s *lasting) ends(t *testing.T, c net.Conn, why string, happens func()) {
	t.Helper()
	within(t, s.begun, "the stream to begin")
	happens()
	began := time.Now()
	_, _ = io.Copy(io.Discard, bufio.NewReader(c))
	if lasted := time.Since(began); lasted > vigilEvery {
		t.Errorf("it went on for %s", lasted)
	}
	within(t, s.ended, "E to see the end")
	if !strings.Contains(s.log.String(), "stream ended with "+why) {
		t.Errorf("the log does not say %q:\n%s", why, s.log)
	}
}

// goesOn expects that a stream outlives two looks at it.
func (s *lasting) goesOn(t *testing.T) {
	t.Helper()
	within(t, s.begun, "the stream to begin")
	select {
	case <-s.ended:
		t.Errorf("the stream has ended:\n%s", s.log)
	case <-time.After(5 * impatience):
	}
}

func TestP084P180AStreamEndsWhenARefreshTakesTheGroupAway(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]string{
		"an event stream":  request("GET", "/ruled/x", as("alice"), "Connection: keep-alive"),
		"a large download": request("GET", "/ruled/x?large", as("alice"), "Connection: keep-alive"),
		"a WebSocket":      socketRequest("/ruled/x", as("alice"), "Origin: https://app.test"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newLasting(t, nil)
			c := s.write(open)
			s.ends(t, c, "the right to it: no rule matched", func() { s.session.who.Store(inGroups("guests")) })
		})
	}
	t.Run("a call of gRPC over HTTP/2", func(t *testing.T) {
		t.Parallel()
		s := newLasting(t, nil)
		h := s.h2()
		h.headers(1, false, ":method: POST", ":scheme: https", ":authority: app.test", ":path: /ruled/x?grpc", "cookie: __Host-doorward=alice", "content-type: application/grpc")
		within(t, s.begun, "the stream to begin")
		began := time.Now()
		s.session.who.Store(inGroups("guests"))
		h.read(1) // to its end
		if lasted := time.Since(began); lasted > vigilEvery {
			t.Errorf("it went on for %s", lasted)
		}
		within(t, s.ended, "E to see the end")
	})
}

func TestP180AStreamEndsWhenAReloadTakesTheRightToIt(t *testing.T) {
	t.Parallel()
	bearer := request("GET", "/api/x", bearerLine("bob"), "Connection: keep-alive")
	session := request("GET", "/ruled/x", as("alice"), "Connection: keep-alive")
	open := request("GET", "/public/x", "Connection: keep-alive")
	for name, c := range map[string]struct {
		open   string
		change func(*Config)
		why    string
	}{
		"a stricter allow":                 {session, func(c *Config) { c.route("ruled").Allow = []policy.Rule{{Groups: []string{"admin"}}} }, "the right to it: no rule matched"},
		"a deny":                           {session, func(c *Config) { c.route("ruled").Deny = []policy.Rule{{Users: []string{"alice"}}} }, "the right to it: deny[0]"},
		"a require":                        {session, func(c *Config) { c.route("ruled").Require = `user.machine` }, "the right to it: require"},
		"another login":                    {session, func(c *Config) { c.route("ruled").Logins = []string{"other"} }, "the right to it: login"},
		"no session counts":                {session, func(c *Config) { c.route("ruled").Accept = []string{acceptToken} }, "its session"},
		"no route":                         {session, func(c *Config) { dropRoute(c, "ruled") }, "its route"}, // there is one for "/"
		"another path":                     {session, func(c *Config) { c.route("ruled").Path = "/elsewhere" }, "its route"},
		"another method":                   {session, func(c *Config) { c.route("ruled").Methods = []string{"POST"} }, "its route"},
		"a public route, gone":             {open, func(c *Config) { dropRoute(c, "public") }, "its route"},
		"a public route, not public":       {open, func(c *Config) { rt := c.route("public"); rt.Public, rt.Logins = false, []string{"staff"} }, "the right to it: its route is not public any more"},
		"a bearer token, stricter":         {bearer, func(c *Config) { c.route("api").Allow = []policy.Rule{{Scopes: []string{"write"}}} }, "the right to it: no rule matched"},
		"a bearer token, not accepted":     {bearer, func(c *Config) { rt := c.route("api"); rt.Accept, rt.Logins = nil, []string{"staff"} }, "its session"},
		"everything, nothing is left":      {session, nil, "its route"},
		"a public stream, nothing is left": {open, nil, "its route"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newLasting(t, func(_ *Config, d *Deps) {
				d.Tokens = always{}
				for _, rt := range []string{"public", "api"} {
					d.Starters[rt] = door{}
				}
			})
			s.ends(t, s.write(c.open), c.why, func() {
				if c.change == nil {
					s.current.Store(nil)
					return
				}
				s.reload(t, c.change)
			})
		})
	}
}

func TestAStreamGoesOnWhileNothingForbidsIt(t *testing.T) {
	t.Parallel()
	session := request("GET", "/ruled/x", as("alice"), "Connection: keep-alive")
	for name, c := range map[string]struct {
		open    string
		happens func(*testing.T, *lasting)
	}{
		"a reload of the same": {session, func(t *testing.T, s *lasting) { s.reload(t, func(*Config) {}) }},
		"a wider allow": {session, func(t *testing.T, s *lasting) {
			s.reload(t, func(c *Config) { c.route("ruled").Allow = nil })
			s.session.who.Store(inGroups("guests"))
		}},
		"public by now": {session, func(t *testing.T, s *lasting) {
			s.reload(t, func(c *Config) {
				rt := c.route("ruled")
				rt.Public, rt.Allow, rt.Logins = true, nil, nil
			})
			s.session.who.Store(nil)
		}},
		"a dry run": {session, func(t *testing.T, s *lasting) {
			s.reload(t, func(c *Config) { c.route("ruled").DryRun = true })
			s.session.who.Store(inGroups("guests"))
		}},
		"an outage of the store": {session, func(_ *testing.T, s *lasting) { s.session.broken.Store(true) }},
		"a refresh":              {session, func(_ *testing.T, s *lasting) { s.session.who.Store(inGroups("staff", "more")) }},
		"a public route":         {request("GET", "/public/x", "Connection: keep-alive"), func(t *testing.T, s *lasting) { s.reload(t, func(*Config) {}) }},
		"a bearer token":         {request("GET", "/api/x", bearerLine("bob"), "Connection: keep-alive"), func(t *testing.T, s *lasting) { s.reload(t, func(*Config) {}) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newLasting(t, nil)
			s.write(c.open)
			within(t, s.begun, "the stream to begin")
			c.happens(t, s)
			s.goesOn(t)
		})
	}
}

func TestAnOutageOfTheStoreKeepsNobodyWhomAReloadRefuses(t *testing.T) {
	t.Parallel()
	s := newLasting(t, nil)
	c := s.write(request("GET", "/ruled/x", as("alice"), "Connection: keep-alive"))
	s.ends(t, c, "the right to it: no rule matched", func() {
		s.session.broken.Store(true)
		s.reload(t, func(c *Config) { c.route("ruled").Allow = []policy.Rule{{Groups: []string{"admin"}}} })
	})
}

func TestADecisionIsAskedAgainAboutAStreamOnceClaimsChange(t *testing.T) {
	t.Parallel()
	d := newDecider(t)
	s := newLasting(t, func(c *Config, _ *Deps) { c.route("ruled").Hook = &Hook{URL: d.URL, Cache: time.Hour} })
	c := s.write(request("GET", "/ruled/x", as("alice"), "Connection: keep-alive"))
	within(t, s.begun, "the stream to begin")
	select { // an answer that counts is not asked for again
	case <-s.ended:
		t.Fatal("the stream has ended")
	case <-time.After(2 * impatience):
	}
	if d.asked() != 1 {
		t.Errorf("asked %d times", d.asked())
	}
	d.says(`{"result":false}`)
	s.ends(t, c, "the right to it: decision", func() { s.session.who.Store(inGroups("staff", "suspended")) })
}

// fading is a Bearer whose provider says something else after a while.
type fading struct {
	first *identity.Identity
	now   atomic.Pointer[identity.Identity]
}

func (f *fading) Check(context.Context, credentials.Presented) (*identity.Identity, error) {
	return f.first, nil
}

func (f *fading) Alive(context.Context, *identity.Identity) (bool, error) { return true, nil }

func (f *fading) Current(context.Context, *identity.Identity) (*identity.Identity, error) {
	return f.now.Load(), nil
}

func TestP084AStreamOfAnOpaqueTokenEndsWhenTheProviderTakesTheScopeBack(t *testing.T) {
	t.Parallel()
	scoped := func(scopes ...string) *identity.Identity {
		return tokenOf("bob", "t", func(w *identity.Identity) { w.Scopes = scopes })
	}
	b := &fading{first: scoped("read")}
	b.now.Store(b.first)
	s := newLasting(t, func(_ *Config, d *Deps) { d.Bearers["api"] = b })
	c := s.write(request("GET", "/api/x", bearerLine("bob"), "Connection: keep-alive"))
	s.ends(t, c, "the right to it: no rule matched", func() { b.now.Store(scoped("other")) })
}

func BenchmarkStanding(b *testing.B) {
	g := gatewayOverMemory(b).(*Gateway)
	who := someone("alice", func(w *identity.Identity) { w.Groups = []string{"staff"} })
	req := &CanonicalRequest{Method: "GET", Path: "/a", decoded: "/a", site: &site{authority: "app.test"}, in: typical()}
	s := &standing{visit: &visit{forwarder: &g.proxy, req: req, route: g.routes.hosts[appTest].routes[0], who: who}}
	b.ReportAllocs()
	for b.Loop() {
		if why, err := s.ended(); why != "" || err != nil {
			b.Fatal(why, err)
		}
	}
}
