package proxy

import (
	"cmp"
	"log"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/pages"
)

// forwarder sends requests upstream through [httputil.ReverseProxy].
type forwarder struct {
	lanes     *lanes
	buffers   *buffers
	errorLog  *log.Logger
	pages     *pages.Pages
	ownCookie func(name string) bool
	streams   Streams // may be nil
	vigil     time.Duration
	log       *slog.Logger

	gateway *Gateway        // whose this is
	current func() *Gateway // that answers requests by now; may be nil: always this one
}

func newForwarder(c Config, d Deps) forwarder {
	return forwarder{
		lanes:     newLanes(c, d),
		buffers:   newBuffers(),
		errorLog:  newErrorLog(d.Log),
		pages:     d.Pages,
		ownCookie: c.OwnCookie,
		streams:   d.Streams,
		vigil:     cmp.Or(d.vigil, vigilEvery),
		log:       d.Log,
	}
}

// visit is one request on its way to an upstream and back. What the way needs to know is
// held here and not in context values: that is cheaper (performance.md), and typed.
type visit struct {
	forwarder *forwarder
	req       *CanonicalRequest
	route     *route
	upstream  *upstream
	injection *injection
	who       *identity.Identity   // nil: anonymous
	claim     claim                // what they proved themselves by
	pass      *identity.Credential // from a Source; nil = none
	assertion *identity.Credential // about the caller, signed; nil = none
	refused   *identity.Credential // that the upstream did not take
	body      *body
	attempts  *attempts // nil where the route has one upstream that nobody watches
	pulse     *pulse    // nil = no limit on idleness
	proxy     httputil.ReverseProxy
	reply     reply
}

// forward sends what was judged to the upstream. The decision must be an Allow: that it is
// a parameter, and nothing else leads here, is what keeps a request from falling through. An
// approval is used up when nothing but the upstream can fail any more.
func (f *forwarder) forward(w http.ResponseWriter, req *CanonicalRequest, rt *route, d Decision, pass, assertion *identity.Credential, approved permit) error {
	if d.Outcome != Allow {
		return d.refusal()
	}
	v := &visit{forwarder: f, req: req, route: rt, upstream: &rt.upstreams[0], injection: rt.injection(d.Who), who: d.Who, claim: d.claim, pass: pass, assertion: assertion}
	if err := v.injection.err; err != nil {
		return &pages.Error{Code: codeCredentialRefused, Detail: "What the application behind this address must learn about you fits in no header.", Err: err}
	}
	transport := rt.lane.transport
	if rt.lane.only2 && req.in.Header["Upgrade"] != nil { // a WebSocket: HTTP/2 has none of this kind
		transport = rt.lane.once
	}
	if approved.needed() {
		transport = rt.lane.once
		if err := approved.spend(req.in.Context()); err != nil {
			return err // 409, 503
		}
	}
	if rt.balance != nil {
		v.attempts = rt.balance.begin(v, transport, approved.needed())
		defer v.attempts.leave()
		transport = v.attempts
	}
	if pass != nil {
		transport = &secondTry{visit: v, way: transport, never: approved.needed()}
	}
	v.reply = reply{ResponseWriter: w, visit: v, own: said(w.Header())}
	v.proxy = httputil.ReverseProxy{
		Rewrite:        v.rewrite,
		ModifyResponse: v.modifyResponse,
		ErrorHandler:   v.fail,
		Transport:      transport,
		BufferPool:     f.buffers,
		ErrorLog:       f.errorLog,
	}
	req.record.Upstream = v.upstream.display
	admitBody(w, req.in)
	in := req.in
	if rt.timeouts.Idle|rt.timeouts.Total != 0 {
		var end func()
		in, end = v.bound(in)
		defer end()
	}
	v.proxy.ServeHTTP(&v.reply, in)
	v.cleanTrailers(w.Header())
	return nil
}

// started is when the request came.
func (v *visit) started() time.Time {
	if s := v.req.record.Start; !s.IsZero() {
		return s
	}
	return v.route.now()
}

// grpcType begins the content types of gRPC: "application/grpc", "application/grpc+proto" …
const grpcType = "application/grpc"

// rewrite makes the outgoing request from the canonical one. ReverseProxy has removed
// hop-by-hop headers by now, so no "Connection: Authorization" of a client can take away
// what is set here (P025, P026).
func (v *visit) rewrite(pr *httputil.ProxyRequest) {
	v.rewriteURL(pr.Out)
	if pr.Out.Body != nil {
		v.body = &body{ReadCloser: pr.Out.Body, pulse: v.pulse, client: v.reply.ResponseWriter}
		pr.Out.Body = v.body
	}
	pr.Out.Trailer = nil // P033: what comes behind a body was judged by nobody
	h := pr.Out.Header
	stripCookies(h, v.route.withheldCookie)
	for _, name := range v.route.withheld {
		delete(h, name)
	}
	if !v.route.passAuthorization || connectionBound(h[headerAuthorization]) || carriesTicket(h[headerAuthorization]) {
		delete(h, headerAuthorization) // P027
	}
	if v.req.destination.encoded != "" {
		h[headerDestination] = []string{v.destination()}
	}
	if v.route.lane.plural && strings.HasPrefix(h.Get("Content-Type"), grpcType) {
		h["Te"] = []string{"trailers"} // gRPC's status comes behind the body; servers want to know that nothing on the way loses it
	}
	v.setForwarded(h)
	for _, f := range v.injection.fields {
		h[f.name] = f.values
	}
	if v.pass != nil {
		carry(h, v.pass)
	}
	if v.assertion != nil {
		carry(h, v.assertion)
	}
	v.req.record.Forwarding(h)
}

// rewriteURL builds the URL anew: no part of the client's survives by not being looked at.
func (v *visit) rewriteURL(out *http.Request) {
	u := out.URL
	u.Scheme, u.Host = v.upstream.scheme, v.upstream.host
	u.RawPath, u.Path = v.route.outgoing(v.req.Path, v.req.decoded, v.upstream)
	u.RawQuery, u.ForceQuery = v.req.Query, v.req.hasQuery
	u.Opaque, u.User, u.Fragment, u.RawFragment = "", nil, "", ""
	out.Host = v.route.hostFor(v.req.site, v.upstream)
}

// setForwarded writes the forwarding headers; the client's own are gone since canonical.
func (v *visit) setForwarded(h http.Header) {
	site := v.req.site
	h["X-Forwarded-Proto"], h["X-Forwarded-Host"], h["X-Forwarded-Port"] = site.forwardedProto, site.forwardedHost, site.forwardedPort
	if v.route.stripped != nil {
		h["X-Forwarded-Prefix"] = v.route.stripped
	}
	values := make([]string, 3) // one allocation for what differs from request to request
	if v.req.client != "" {
		values[0], values[1] = v.req.client, v.req.client
		if v.req.via != "" {
			values[0] += ", " + v.req.via
		}
		h["X-Forwarded-For"], h["X-Real-Ip"] = values[0:1:1], values[1:2:2]
	}
	if h["X-Request-Id"] == nil && v.req.record.Reference != "" {
		values[2] = v.req.record.Reference
		h["X-Request-Id"] = values[2:3:3]
	}
}
