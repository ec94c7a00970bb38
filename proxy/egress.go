package proxy

import (
	"errors"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/internal/telemetry"
)

// EgressConfig is the outbound side: every [[egress]], and how local applications reach it.
type EgressConfig struct {
	// Self holds the authorities ("127.0.0.1:4182") under which the listener itself is addressed: by path, and for the
	// token API. A loopback address may be written as localhost, too.
	Self []string
	// Own are the addresses that Doorward itself listens at. A name of an upstream that leads to one is not dialled; an
	// unspecified address means every address of this machine.
	Own     []netip.AddrPort
	Targets []EgressTarget
}

// EgressTarget is one [[egress]], validated.
type EgressTarget struct {
	Name       string
	Host       string        // "data.local": addressed by Host, and as a proxy in absolute form; "" = by path, and by the upstream's own address through the proxy
	Path       string        // "/data": addressed below the listener's own address, and cut off; "" = /NAME
	Upstreams  []*url.URL    // http, https, or unix; round robin
	Accept     string        // "none" or "bearer"; "" = none
	Credential string        // "none", "session" (the checked bearer token itself), or the name of a [credential.NAME]; "" = none
	Methods    []string      // nil = as for routes, without COPY and MOVE, whose second address is not translated here
	Concurrent int           // requests at a time; more wait for up to 5 s, then 503; 0 = 256
	Retries    int           // further attempts at safe requests without a body that never reached the upstream or were answered 502, 503, 504; 0 = none
	Timeout    time.Duration // to the first byte of the answer, over all attempts; from the end of the body, if there is one; 0 = two minutes
	RootCAs    []byte        // PEM: the only authorities that vouch for the upstream; nil = the system's
	Encoded    []string      // "slash": %2F in a path is taken as part of a segment, and goes upstream as it came
}

// EgressDeps are what an Egress is built on.
type EgressDeps struct {
	Bearers   map[string]Bearer // by target name, of targets that accept bearer
	Sources   map[string]Source // by credential name
	API       http.Handler      // the token API; nil = none. It is asked for /token and /introspect, what lies below them, and the same under /api/v1, of Self only
	Pages     *pages.Pages
	Now       func() time.Time // nil = time.Now
	Log       *slog.Logger
	Current   func() *Egress    // that a reload has put in this one's place, nil once there is none any more; nil = this one for ever
	Resolver  *net.Resolver     // nil = the system's
	Transport http.RoundTripper // nil = tuned transports of our own; tests over memory
}

// Egress is the outbound side: an http.Handler for the egress listener. It never changes after [NewEgress].
type Egress struct {
	directory *directory
	targets   []*egressTarget
	current   func() *Egress // may be nil
	api       http.Handler
	pages     *pages.Pages
	buffers   *buffers
	errorLog  *log.Logger
	log       *slog.Logger
}

// NewEgress validates and never touches the network. Errors begin with "egress.NAME: key".
func NewEgress(c EgressConfig, d EgressDeps) (*Egress, error) {
	if d.Now == nil {
		d.Now = time.Now
	}
	switch {
	case d.Pages == nil:
		return nil, errors.New("egress: no pages")
	case d.Log == nil:
		return nil, errors.New("egress: no log")
	}
	targets, err := newTargets(c, d)
	if err != nil {
		return nil, err
	}
	e := &Egress{targets: targets, current: d.Current, api: d.API, pages: d.Pages, buffers: newBuffers(), errorLog: newErrorLog(d.Log), log: d.Log}
	if e.directory, err = newDirectory(c.Self, targets); err != nil {
		return nil, err
	}
	return e, nil
}

func (e *Egress) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w, r = holdBody(w, r) // forward admits it
	whole := false
	defer leaveBody(w, &whole)
	if err := e.serve(w, r); err != nil {
		e.pages.Error(w, r, err)
	}
	whole = true
}

// serve is the whole path of an outgoing request. There is no other way to an upstream than through the last line of
// pass.
func (e *Egress) serve(w http.ResponseWriter, r *http.Request) error {
	c := &call{in: r, record: telemetry.From(w)}
	c.record.Outcome = Deny.String()
	if a, ok := peerAddress(r.RemoteAddr); ok {
		c.record.Client = a.String()
	}
	if err := refuseBrowser(r.Header); err != nil {
		return err // 403
	}
	err := e.directory.find(w, c)
	c.record.Host, c.record.Path = c.authority, c.asked // of what was not found too, as far as it could be read
	if err != nil {
		return err // 400, 403, 405
	}
	c.record.Known(r)
	if c.target == nil {
		return e.serveAPI(w, c)
	}
	return e.pass(w, c)
}

// serveAPI answers for the token API. It gets the request as it was judged: of a target in absolute form, the path.
func (e *Egress) serveAPI(w http.ResponseWriter, c *call) error {
	if e.api == nil {
		return noSuchTarget(c.authority + c.asked)
	}
	c.record.Route, c.record.Outcome = "own", "own"
	r := *c.in
	r.Host = c.authority
	r.URL = &url.URL{Path: c.decoded, RawPath: c.encoded, RawQuery: c.query, ForceQuery: c.hasQuery && c.query == ""}
	e.api.ServeHTTP(w, &r)
	return nil
}

// pass sends a request to its target, if it may.
func (e *Egress) pass(w http.ResponseWriter, c *call) error {
	t := c.target
	c.record.Route = t.label
	if !t.methods[c.in.Method] {
		return methodNotAllowed(w, t.allowed())
	}
	who, err := t.identify(w, c) // 400, 401, 403, 503; nil: nobody is asked
	if err != nil {
		return left(w, c, err)
	}
	if who != nil {
		c.record.Subject, c.record.Provider, c.record.Who = who.Subject, who.Provider, who
	}
	ctx := c.in.Context()
	if err := t.gate.enter(ctx); err != nil {
		c.record.Outcome = Unavailable.String()
		return left(w, c, err) // 503
	}
	defer t.gate.leave()
	pass, err := t.credential(ctx, who) // 401, 502, 503; nothing is ever sent without
	if err != nil {
		return left(w, c, c.told(w, err, noCredential(err)))
	}
	c.record.Outcome = Allow.String()
	return e.forward(w, c, who, pass) // 502, 503, 504
}

// left leaves a caller without an answer who has hung up.
func left(w http.ResponseWriter, c *call, err error) error {
	if c.in.Context().Err() == nil {
		return err
	}
	c.record.Code = "client_closed"
	w.WriteHeader(statusClientClosed)
	return nil
}
