package proxy

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/pages"
)

// Explanation is what would become of a request, without anything being sent: for an operator who asks why.
type Explanation struct {
	Answer string // the code of the error that it would get, whatever a rule says; "" = none
	Detail string

	Own       bool   // one of Doorward's own endpoints
	Route     string // or "egress NAME"; "" = Answer comes before any
	AskedOnly bool   // other proxies ask about the route; a request to Doorward itself gets 404
	Logins    []string
	Begins    bool // a browser with nobody at it is sent to sign in
	Allowed   bool
	Rule      string // that decides
	Approve   bool   // the request would wait for an approval
	Limits    []string

	Target     string              // the URL that goes upstream; "" = none does
	Others     []string            // where it may go in the place of Target: the upstreams share the requests
	Host       string              // the Host it is asked under, where that is not the caller's
	Itself     string              // what the route answers itself; "" = an upstream does
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
	if err := measure(r); err != nil {
		return nil, err
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
	if g.preflight(w, req) {
		return preflighted(w.header, req), nil
	}
	rt, err := g.routes.Find(w, req)
	if err != nil {
		return answered(err)
	}
	return g.explain(rt, req, who)
}

func (g *Gateway) explain(rt *route, req *CanonicalRequest, who *identity.Identity) (*Explanation, error) {
	e := &Explanation{
		Route: rt.name, AskedOnly: rt.forwardAuthOnly(), Logins: rt.logins, Begins: rt.begins(), Limits: rt.limits.words(),
		Credential: rt.credentialName, Source: rt.source,
	}
	if err := g.stopped(rt, req); err != nil {
		return e, e.answer(err)
	}
	if err := rt.supposedly(e, req, who); err != nil {
		return e, e.answer(err)
	}
	if rt.public {
		who = nil
	}
	if a, err := g.approvals.of(rt, req); err == nil && a != nil {
		e.Approve = true
	}
	if err := rt.explainDestination(e, req); err != nil || e.Itself != "" || e.Answer != "" {
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
	case rt.answer != nil:
		return rt.explainAnswer(e, req)
	case e.AskedOnly:
		return nil
	}
	for i := range rt.upstreams {
		up := &rt.upstreams[i]
		path, decoded := rt.outgoing(req.Path, req.decoded, up)
		to := up.address(path, decoded, req.Query)
		if i > 0 {
			e.Others = append(e.Others, to)
			continue
		}
		e.Target = to
		if host := rt.hostFor(req.site, up); host != req.site.authority {
			e.Host = host
		}
	}
	if e.Others != nil && rt.upstreamHost {
		e.Host = "that of the upstream"
	}
	return nil
}

// explainAnswer says what the route answers itself to somebody whom its policy lets pass. A file is looked for as for HEAD,
// which reads none.
func (rt *route) explainAnswer(e *Explanation, req *CanonicalRequest) error {
	e.Itself = rt.answer.String()
	switch {
	case !e.Allowed:
	case rt.answer.redirect != nil:
		to, err := rt.answer.redirect.location(req, rt)
		e.Itself = fmt.Sprintf("%d, to %s", rt.answer.redirect.status, to)
		return err
	case rt.answer.files != nil:
		asked := *req
		if asked.in = req.in.Clone(req.in.Context()); asked.Method == http.MethodGet {
			asked.Method, asked.in.Method = http.MethodHead, http.MethodHead
		}
		if err := rt.answer.files.serve(unheard{make(http.Header)}, &asked, rt); err != nil {
			return e.answer(err)
		}
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

// measure takes the length of the body out of the headers, as net/http does.
func measure(r *http.Request) (err error) {
	length := r.Header["Content-Length"]
	if length == nil {
		return nil
	}
	delete(r.Header, "Content-Length")
	if r.ContentLength, err = strconv.ParseInt(length[0], 10, 64); err != nil || r.ContentLength < 0 || len(length) > 1 {
		return fmt.Errorf("Content-Length: %q is not the number of bytes of a body", strings.Join(length, ", "))
	}
	return nil
}

func answered(err error) (*Explanation, error) {
	e := &Explanation{}
	if err := e.answer(err); err != nil {
		return nil, err
	}
	return e, nil
}

// answer says that a request gets an error answer. It returns what is none.
func (e *Explanation) answer(err error) error {
	var answer *pages.Error
	if !errors.As(err, &answer) {
		return err
	}
	e.Answer, e.Detail, e.Itself = answer.Code, answer.Detail, ""
	return nil
}

// unheard is a ResponseWriter of an answer that nobody gets.
type unheard struct{ header http.Header }

func (u unheard) Header() http.Header         { return u.header }
func (u unheard) Write(b []byte) (int, error) { return len(b), nil }
func (u unheard) WriteHeader(int)             {}
