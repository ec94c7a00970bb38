package proxy

import (
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/doorward/doorward/internal/origin"
)

const (
	acceptNone = "none"
)

// egressTarget is one EgressTarget made ready to act. It never changes, but for the turn of its upstreams and its turnstile.
type egressTarget struct {
	name, label string
	host        string
	path        string // decoded, without a trailing slash; what is cut off
	depth       int    // segments of it
	methods     map[string]bool
	listed      []string
	slash       bool // %2F is part of a segment
	upstreams   []upstream
	turn        atomic.Uint32

	bearer  Bearer // nil: nobody is asked who they are
	session bool   // the checked token itself goes upstream
	source  Source // nil: none, or the token itself

	gate      *turnstile
	retries   int
	timeout   time.Duration
	transport http.RoundTripper
	now       func() time.Time
}

// newTargets makes each target, with the way to its upstreams.
func newTargets(c EgressConfig, d EgressDeps) (all []*egressTarget, err error) {
	self := make(map[origin.Origin]bool)
	for _, s := range c.Self {
		o, err := origin.Parse("http://" + s)
		if err != nil {
			continue // newDirectory says so
		}
		self[o] = true
		if o.Loopback() {
			for _, same := range [...]string{"localhost", "127.0.0.1", "[::1]"} {
				self[origin.Origin{Scheme: o.Scheme, Host: same, Port: o.Port}] = true
			}
		}
	}
	for _, tc := range c.Targets {
		t, err := newTarget(tc, c, d)
		if err == nil {
			err = t.callsItself(self)
		}
		if err != nil {
			return nil, fmt.Errorf("egress.%s: %w", tc.Name, err)
		}
		all = append(all, t)
	}
	return all, nil
}

func newTarget(tc EgressTarget, c EgressConfig, d EgressDeps) (*egressTarget, error) {
	t := &egressTarget{name: tc.Name, label: "egress " + tc.Name, host: tc.Host, retries: tc.Retries, timeout: tc.Timeout, now: d.Now}
	if t.timeout == 0 {
		t.timeout = responseWait
	}
	size := tc.Concurrent
	if size == 0 {
		size = turnSize
	}
	switch {
	case size < 0:
		return nil, fmt.Errorf("concurrent: %d must be at least 1", size)
	case tc.Retries < 0:
		return nil, fmt.Errorf("retries: %d must not be negative", tc.Retries)
	case t.timeout < 0:
		return nil, fmt.Errorf("timeout: %s must be positive", t.timeout)
	}
	t.gate = newTurnstile(size)
	var err error
	if t.slash, err = setEncoded(tc.Encoded); err != nil {
		return nil, err
	}
	if err := errors.Join(t.setPath(tc), t.setMethods(tc.Methods), t.setUpstreams(tc.Upstreams), t.setCaller(tc, d.Bearers), t.setCredential(tc, d.Sources)); err != nil {
		return nil, err
	}
	if t.transport = d.Transport; t.transport != nil {
		return t, nil
	}
	var roots *x509.CertPool
	if tc.RootCAs != nil {
		if roots = x509.NewCertPool(); !roots.AppendCertsFromPEM(tc.RootCAs) {
			return nil, errors.New("ca_file: it holds no certificate in PEM form")
		}
	}
	t.transport, err = newEgressTransport(tc, egressLimits{timeout: t.timeout, concurrent: size, roots: roots}, newEgressDial(socketsOfTarget(tc), c.Own, d.Resolver))
	return t, err
}

// setPath reads what is cut off. It needs a segment of its own: the listener's root is the token API's.
func (t *egressTarget) setPath(tc EgressTarget) error {
	path := tc.Path
	if path == "" {
		path = "/" + tc.Name
	}
	_, decoded, refusal := parsePath(path)
	decoded = strings.TrimSuffix(decoded, "/")
	switch {
	case refusal != "" || strings.ContainsAny(decoded, ";%"):
		return fmt.Errorf("path: %q is not a path that all servers read alike: %s", path, refusal)
	case decoded == "":
		return errors.New(`path: "/" would leave no room for others; give the target a host and call it by that`)
	case isAPI(decoded):
		return fmt.Errorf("path: %q is the token API's; set path to something else", path)
	}
	t.path, t.depth = decoded, strings.Count(decoded, "/")
	return nil
}

// setMethods lets pass what routes let pass, but for the methods that name a second address: it would have to be judged
// and translated like the first.
func (t *egressTarget) setMethods(list []string) error {
	var as route
	if err := as.setMethods(list); err != nil {
		return err
	}
	if i := slices.IndexFunc(list, namesDestination); i >= 0 {
		return fmt.Errorf("methods: %s names a second address, which is not translated here", list[i])
	}
	t.listed, t.methods = as.listed, maps.Clone(as.methods)
	maps.DeleteFunc(t.methods, func(m string, _ bool) bool { return namesDestination(m) })
	return nil
}

// allowed is the Allow header.
func (t *egressTarget) allowed() string {
	if t.listed == nil {
		return anyMethod
	}
	return strings.Join(slices.Sorted(maps.Keys(t.methods)), ", ")
}

func (t *egressTarget) setUpstreams(list []*url.URL) error {
	var as route
	if len(list) == 0 {
		return errors.New("upstream: at least one is needed")
	}
	if err := as.setUpstreams(Route{Upstreams: list}); err != nil {
		return err
	}
	for i, up := range as.upstreams {
		if up.socket != "" {
			continue
		}
		o, err := origin.Parse(up.scheme + "://" + up.host)
		if err != nil {
			return fmt.Errorf("upstream: %q: its host cannot be used: %w", list[i], err)
		}
		if metadataName(o.Host) {
			return fmt.Errorf("upstream: %s is a metadata service, which hands out this machine's own credentials; if that is meant, write its address", o.Host)
		}
	}
	t.upstreams = as.upstreams
	return nil
}

// callsItself refuses an upstream that is this very listener: each request would make another, without end.
func (t *egressTarget) callsItself(self map[origin.Origin]bool) error {
	for _, up := range t.upstreams {
		if up.socket == "" && up.scheme == "http" && self[originOf(&up)] {
			return fmt.Errorf("upstream: %s is the egress listener itself", up.display)
		}
	}
	return nil
}

func (t *egressTarget) setCaller(tc EgressTarget, bearers map[string]Bearer) error {
	switch tc.Accept {
	case "", acceptNone:
		return nil
	case acceptBearer:
		if t.bearer = bearers[tc.Name]; t.bearer == nil {
			return errors.New("accept: \"bearer\": there is nobody who checks tokens for this target")
		}
		return nil
	}
	return fmt.Errorf("accept: %q is not one of %q, %q", tc.Accept, acceptNone, acceptBearer)
}

func (t *egressTarget) setCredential(tc EgressTarget, sources map[string]Source) error {
	bearer := tc.Accept == acceptBearer
	switch tc.Credential {
	case "", credentialNone:
		return nil
	case credentialSession:
		if !bearer {
			return errors.New(`credential: "session" is the token that the application was called with, so accept = ["bearer"] is needed`)
		}
		t.session = true
		return nil
	case credentialIDToken:
		return errors.New(`credential: "id_token" is the session's of a person, and nobody signs in here`)
	}
	switch t.source = sources[tc.Credential]; {
	case t.source == nil:
		return fmt.Errorf("credential: there is no credential %q", tc.Credential)
	case t.source.Personal() && !bearer:
		return fmt.Errorf("credential: %q needs to know for whom, so accept = [\"bearer\"] is needed", tc.Credential)
	}
	return nil
}

// next is the upstream whose turn it is.
func (t *egressTarget) next() *upstream {
	if len(t.upstreams) == 1 {
		return &t.upstreams[0]
	}
	return &t.upstreams[int(t.turn.Add(1)%uint32(len(t.upstreams)))]
}

// originOf is where an upstream is: what a token for it is bound to (S15). It was parsed once before.
func originOf(up *upstream) origin.Origin {
	o, _ := origin.Parse(up.scheme + "://" + up.host)
	return o
}

// authorityOf is the Host that an upstream is asked under: its own. A socket has none.
func authorityOf(up *upstream) string {
	if up.socket != "" {
		return "localhost"
	}
	return up.host
}
