package proxy

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/internal/telemetry"
)

// Explanation is what would become of a request, without anything being sent: for an operator who asks why.
type Explanation struct {
	Answer string // the code of the error that it would get before any route; "" = none
	Detail string

	Own     bool   // one of Doorward's own endpoints
	Route   string // or "egress NAME"
	Logins  []string
	Allowed bool
	Rule    string // that decides
	Approve bool   // the request would wait for an approval

	Target     string              // the URL that goes upstream; "" = none does
	Host       string              // the Host it is asked under, where that is not the caller's
	Itself     string              // what the route answers itself, or that it answers nothing; "" = an upstream does
	Headers    map[string][]string // that are added to it, but for the credential; tokens in them, and texts of the configuration, which may be secrets, are "…"
	Credential string
	Source     Source // nil for the built-in ones
}

// Supposed is a request that nobody sends.
type Supposed struct {
	Method string
	URL    string      // complete
	Client netip.Addr  // whose connection it comes by; the zero Addr = this machine's
	Header http.Header // what match and expressions look at; nil = none
}

// Explain judges a request of who, nil = nobody, by the rules that a real one meets: the same canonical form, table and
// policy. What a request proves (its token, its cookie) is not asked: who is who it would be, by a login of the
// route or whatever else counts there unless Login says which.
func (g *Gateway) Explain(s Supposed, who *identity.Identity) (*Explanation, error) {
	r, err := supposed(s.Method, s.URL)
	if err != nil {
		return nil, err
	}
	if s.Client.IsValid() {
		r.RemoteAddr = netip.AddrPortFrom(s.Client, 1).String()
	}
	if s.Header != nil {
		r.Header = s.Header.Clone() // which is cleaned
	}
	r.RequestURI = r.URL.RequestURI()
	w := unheard{make(http.Header)}
	req, err := g.canonical(w, r)
	if err != nil {
		return answered(err)
	}
	if g.own.holds(req.decoded) || g.resources.of(req) != nil {
		return &Explanation{Own: true}, nil
	}
	rt, err := g.routes.Find(w, req)
	if err != nil {
		return answered(err)
	}
	return g.explain(rt, req, who)
}

func (g *Gateway) explain(rt *route, req *CanonicalRequest, who *identity.Identity) (*Explanation, error) {
	e := &Explanation{Route: rt.name, Logins: rt.logins, Credential: rt.credentialName, Source: rt.source}
	if rt.public {
		who, e.Allowed, e.Rule = nil, true, "public"
	} else {
		e.Allowed, e.Rule = rt.supposedly(req, who)
	}
	if a, err := g.approvals.of(rt, req); err == nil && a != nil {
		e.Approve = true
	}
	if err := rt.explainDestination(e, req); err != nil || e.Itself != "" {
		return e, err
	}
	in := rt.injection(who)
	if in.err != nil {
		return nil, in.err
	}
	e.Headers = make(map[string][]string)
	for _, f := range in.fields {
		if set := rt.headers.sets(f.name); set != nil {
			e.Headers[f.name] = []string{set.shown(who, rt.headers.unverified)}
		} else if f.name != headerAuthorization { // the credential's affair
			e.Headers[f.name] = f.shown()
		}
	}
	if rt.assertion != nil && who != nil {
		e.Headers[rt.headers.assertion] = []string{"…"}
	}
	return e, nil
}

// explainDestination says where a request goes, or what is answered here.
func (rt *route) explainDestination(e *Explanation, req *CanonicalRequest) error {
	switch {
	case rt.answer != nil && rt.answer.redirect != nil:
		to, err := rt.answer.redirect.location(req, rt)
		e.Itself = fmt.Sprintf("%d, to %s", rt.answer.redirect.status, to)
		return err
	case rt.answer != nil:
		e.Itself = rt.answer.String()
		return nil
	case len(rt.upstreams) == 0:
		e.Itself = "no_route: this route is for forward-auth only"
		return nil
	}
	up := &rt.upstreams[0]
	path, decoded := rt.outgoing(req.Path, req.decoded, up)
	e.Target = up.address(path, decoded, req.Query)
	if host := rt.hostFor(req.site, up); host != req.site.authority {
		e.Host = host
	}
	return nil
}

func (p *headerPlan) sets(name string) *template {
	for i := range p.set {
		if p.set[i].name == name {
			return &p.set[i]
		}
	}
	return nil
}

// shown is value for a person who may not see secrets.
func (t *template) shown(who *identity.Identity, unverified bool) string {
	var b strings.Builder
	for _, p := range t.parts {
		value := "…"
		if p.placeholder && !isTokenKey(p.text) {
			if value, _ = t.lookUp(who, p.text, unverified); value == "" {
				value = "…" // what stands behind the |
			}
		}
		b.WriteString(value)
	}
	return b.String()
}

// shown is what a field holds for a person who may not see secrets.
func (f field) shown() []string {
	if f.secret {
		return []string{"…"}
	}
	return f.values
}

// supposedly asks login list, deny, allow and require, in the order of decide. The decision hook is not asked.
func (rt *route) supposedly(req *CanonicalRequest, who *identity.Identity) (bool, string) {
	a := rt.callers.accept
	byLogin := a.session || a.token || a.basic
	switch {
	case a.bearer && tokenInQuery(req.Query):
		return false, "a token in the query of an address is not accepted"
	case who == nil:
	case who.Login != "" && !(byLogin && slices.Contains(rt.logins, who.Login)):
		return false, fmt.Sprintf("a session of login %q does not count here", who.Login)
	case who.Login == "" && a.bearer && !a.key && !byLogin && rt.issuers != nil && !slices.Contains(rt.issuers, who.Issuer):
		return false, "tokens of " + who.Issuer + " do not count here"
	}
	v := rt.judgeHere(req, who)
	rule := v.rule
	if v.err != nil {
		rule = v.err.Error()
	}
	switch {
	case v.outcome != Allow && rt.lets(v):
		return true, v.dry()
	case v.outcome != Allow:
		return false, rule
	case rt.require != nil:
		rule += ", " + ruleRequire
	}
	if rt.hook != nil {
		rule += ", if the decision hook agrees, which is not asked now"
	}
	return true, rule
}

// Explain judges an outgoing request of who. ok is false if the URL is no address of an [[egress]]: by path, by host, or in
// the absolute form of a proxy. What names the listener itself is answered as the listener would.
func (e *Egress) Explain(method, target string, who *identity.Identity) (x *Explanation, ok bool, err error) {
	r, err := supposed(method, target)
	if err != nil {
		return nil, false, err
	}
	if e.directory.lookup("", r.Host) == nil && e.directory.lookup(r.URL.Scheme, r.Host) == nil {
		return nil, false, nil // whatever its path is: it may be a route's
	}
	for _, form := range []string{r.URL.RequestURI(), target} {
		r.RequestURI = form
		c := &call{in: r, record: &telemetry.Record{}}
		var no *pages.Error
		switch err := e.directory.find(unheard{make(http.Header)}, c); {
		case errors.As(err, &no) && no.Code == codeNoSuchTarget:
			continue
		case err != nil:
			x, err = answered(err)
			return x, true, err
		case c.target == nil:
			return &Explanation{Own: true}, true, nil
		case !c.target.methods[method]:
			x, err = answered(methodNotAllowed(unheard{make(http.Header)}, c.target.allowed()))
			return x, true, err
		}
		return c.explain(who), true, nil
	}
	if at := e.directory.lookup("", r.Host); at != nil && at.self {
		x, err = answered(noSuchTarget(target))
		return x, true, err
	}
	return nil, false, nil
}

func (c *call) explain(who *identity.Identity) *Explanation {
	t, up := c.target, c.upstream
	if up == nil {
		up = &t.upstreams[0]
	}
	path, decoded := c.encoded, c.decoded
	if !c.whole {
		path, decoded = up.base+path, up.decodedBase+decoded
	}
	x := &Explanation{Route: t.label, Allowed: true, Rule: "any local caller", Target: up.address(path, decoded, c.query), Credential: credentialNone, Source: t.source}
	if t.bearer != nil {
		x.Rule = "whoever brings a bearer token that counts"
		x.Allowed = who != nil && who.Login == ""
	}
	switch {
	case t.session:
		x.Credential = credentialSession
	case t.source != nil:
		x.Credential = ""
		if named, ok := t.source.(interface{ Name() string }); ok {
			x.Credential = named.Name()
		}
	}
	return x
}

// address is a URL at an upstream, for a person.
func (up *upstream) address(path, decoded, query string) string {
	u := url.URL{Scheme: up.scheme, Host: up.host, Path: decoded, RawPath: path, RawQuery: query}
	if up.socket != "" {
		u.Scheme, u.Host = "unix", ""
		return "unix:" + up.socket + " " + u.RequestURI()
	}
	return u.String()
}

// supposed makes the request that somebody asks about.
func supposed(method, target string) (*http.Request, error) {
	u, err := url.Parse(target)
	if err != nil || u.Host == "" || u.User != nil {
		return nil, fmt.Errorf("%q is not a complete URL, such as https://app.example.com/path", target)
	}
	return &http.Request{
		Method: method, URL: u, Host: u.Host, Header: make(http.Header),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, RemoteAddr: "127.0.0.1:1",
	}, nil
}

func answered(err error) (*Explanation, error) {
	var e *pages.Error
	if !errors.As(err, &e) {
		return nil, err
	}
	return &Explanation{Answer: e.Code, Detail: e.Detail}, nil
}

// unheard is a ResponseWriter of an answer that nobody gets.
type unheard struct{ header http.Header }

func (u unheard) Header() http.Header         { return u.header }
func (u unheard) Write(b []byte) (int, error) { return len(b), nil }
func (u unheard) WriteHeader(int)             {}
