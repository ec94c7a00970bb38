package proxy

import (
	"context"
	"net/http"
	"time"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/telemetry"
)

// hookEvery is how often a stream has the decision hook asked again at most: an answer costs a request to somebody else.
const hookEvery = 10 * time.Second

// Streams tells whether the session that a request came with is still there. Asked once a
// second for each long answer, it must cost little; it is no activity.
type Streams interface {
	Alive(r *http.Request, who *identity.Identity) (bool, error)
}

// Present tells also who somebody is by now: a refresh may have taken a group from them since a stream began. A Streams that
// can implements it.
type Present interface {
	// Current returns the same caller with the claims of now; nil = what r came with does not count any more.
	Current(r *http.Request, who *identity.Identity) (*identity.Identity, error)
}

// BearerPresent is what a [Bearer] implements for the same, if its tokens can come to say something else.
type BearerPresent interface {
	Current(ctx context.Context, who *identity.Identity) (*identity.Identity, error)
}

// What ends a stream, for the log.
const (
	whySession = "its session"
	whyRoute   = "its route"
	whyPolicy  = "the right to it: "
)

// standing is what a stream goes on by. It is judged by the configuration of now, whichever began it (P084).
type standing struct {
	visit *visit

	// what the decision hook was last asked about, and when
	asked *identity.Identity
	of    *route
	at    time.Time
}

// ended says what has ended the stream; "" = nothing. An error means that it cannot be known.
func (s *standing) ended() (why string, err error) {
	v := s.visit
	g := v.forwarder.now()
	if g == nil {
		return whyRoute, nil
	}
	rt, req := g.again(v)
	switch {
	case rt == nil:
		return whyRoute, nil
	case rt.public:
		return "", nil
	case v.who == nil:
		return whyPolicy + "its route is not public any more", nil
	}
	who, err := rt.present(g, v)
	switch {
	case err != nil: // who they were has to do
		who = v.who
	case who == nil:
		return whySession, nil
	}
	if !rt.accepts(who, v.claim) {
		return whyPolicy + "login", nil
	}
	verdict := rt.judgeHere(req, who)
	if verdict.outcome == Allow && s.due(rt, who) {
		verdict = s.askAgain(rt, req, who, verdict)
	}
	if verdict.outcome == Deny && !rt.lets(verdict) {
		return whyPolicy + verdict.rule, nil
	}
	return "", err
}

// due reports whether it is time for the decision hook: at once where who they are or the rules have changed, else
// when its last answer does not count any more.
func (s *standing) due(rt *route, who *identity.Identity) bool {
	if rt.hook == nil {
		return false
	}
	return s.asked != who || s.of != rt || rt.now().Sub(s.at) >= max(hookEvery, rt.hook.cache)
}

// askAgain asks the decision hook. Thousands of streams may have to at once, and there are few places for them: one that gets none
// in time tries again at its next look.
func (s *standing) askAgain(rt *route, req *CanonicalRequest, who *identity.Identity, so verdict) verdict {
	late := time.NewTimer(rt.hook.timeout)
	defer late.Stop()
	select {
	case rt.hook.again <- struct{}{}:
		defer func() { <-rt.hook.again }()
	case <-late.C:
		return so
	}
	s.asked, s.of, s.at = who, rt, rt.now()
	return rt.askHook(req, who, so)
}

// now is the gateway that answers requests by now; nil = there is none any more.
func (f *forwarder) now() *Gateway {
	if f.current == nil {
		return f.gateway
	}
	return f.current()
}

// again takes a request that another configuration let in to its route of this one. It must be the one of the same name:
// another has another upstream, and nobody has let the request go there. nil = there is none.
func (g *Gateway) again(v *visit) (*route, *CanonicalRequest) {
	if g == v.forwarder.gateway {
		return v.route, v.req
	}
	req := *v.req
	if req.site = g.sites[req.Origin]; req.site == nil {
		return nil, nil
	}
	req.record = &telemetry.Record{} // that of the request is being written elsewhere
	rt, err := g.routes.Find(unheard{make(http.Header)}, &req)
	if err != nil || rt.name != v.route.name || rt.forwardAuthOnly() || rt.answer != nil {
		return nil, nil
	}
	if _, _, refusal := parsePath(req.Path); refusal != "" && !rt.slash {
		return nil, nil
	}
	return rt, &req
}

// present returns who a request came from as they are now, nil if that does not count any more: by those who vouch for them
// on the route by now.
func (rt *route) present(g *Gateway, v *visit) (*identity.Identity, error) {
	streams, accepted := rt.streams(g, v.claim)
	switch {
	case !accepted:
		return nil, nil
	case streams == nil: // they cannot say
		return v.who, nil
	}
	return current(streams, v.req.in, v.who)
}

func current(s Streams, r *http.Request, who *identity.Identity) (*identity.Identity, error) {
	if p, ok := s.(Present); ok {
		return p.Current(r, who)
	}
	if alive, err := s.Alive(r, who); !alive || err != nil {
		return nil, err
	}
	return who, nil
}

// streams is who knows whether what let a request in still would. Deps.Streams speaks for the cookie only; for
// who came by something else it is whoever vouches for them, if they can say.
func (rt *route) streams(g *Gateway, by claim) (s Streams, accepted bool) {
	var a Authenticator
	switch by {
	case noClaim:
		return g.proxy.streams, rt.callers.session != nil
	case bearerTicket, basicTicket:
		a = rt.callers.tokens
	case password:
		a = rt.callers.basic
	case apiKey:
		a = rt.callers.keys
	case bearerToken, bearerCookie:
		if rt.callers.bearer == nil {
			return nil, false
		}
		return bearerStreams{rt.callers.bearer}, true
	}
	s, _ = a.(Streams)
	return s, a != nil
}

func (v *visit) streams() Streams {
	s, _ := v.route.streams(v.forwarder.gateway, v.claim)
	return s
}
