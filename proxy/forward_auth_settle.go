package proxy

import (
	"errors"
	"net/http"
	"net/netip"
	"strings"

	"github.com/doorward/doorward/internal/credentials"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/pages"
)

// settled is the yes to a question, or where its login begins. The zero value is neither, and never comes without an error.
type settled struct {
	req       *CanonicalRequest
	route     *route             // nil: an own endpoint, which asks nobody who they are
	who       *identity.Identity // nil: a public route, or an own endpoint
	injection *injection
	proofs    proofs
	location  string // the browser is to go there
	answered  bool   // the answer is written: to a preflight

	// silent: the answer tells who is calling, but no secret: no token, no credential and nothing of headers.set. The route has
	// an upstream of its own, so that this gateway is in the line itself, and whoever reaches it through a trusted proxy
	// reaches PREFIX/auth as well: anybody would read the credential of a public route there, and a script its person's
	// tokens (P191).
	silent bool
}

// settle decides about what is asked, by the steps of pass.
func (g *Gateway) settle(w http.ResponseWriter, q *question) (v settled, err error) {
	req, err := g.canonicalOf(w, q)
	if err != nil {
		return v, err
	}
	v.req = req
	if own, err := g.ownAsked(req); own || err != nil {
		return v, err
	}
	// A preflight is answered here where the answer reaches the browser. Elsewhere it is judged like any request: a yes would send
	// it to the application in nobody's name (P182).
	if q.manner == asEnvoy && req.Method == http.MethodOptions && g.preflight(&refusalWriter{ResponseWriter: w, manner: q.manner}, req) {
		v.answered = true
		return v, nil
	}
	rt, place, err := g.enter(w, req, q)
	if err != nil {
		return v, err
	}
	defer place.leave()
	v.route = rt
	d, err := rt.admit(w, req, q)
	if err != nil {
		return v, err
	}
	if d.Outcome == Login {
		v.location, err = rt.ask(w, q, req, d)
		return v, err
	}
	if err := g.unheld(rt, req); err != nil {
		return v, err
	}
	if v.proofs, d, err = rt.prove(w, req, d, q); err != nil {
		return v, rt.untold(w, req, d, err)
	}
	v.who, v.injection, v.silent = d.Who, rt.injection(d.Who), !q.direct && !rt.forwardAuthOnly()
	if v.silent && v.proofs != (proofs{}) {
		req.record.Err = errors.Join(req.record.Err, errNotTold)
	}
	err = v.injection.err
	if err == nil && d.Who != nil {
		err = rt.said(d.Who).err
	}
	if err != nil {
		return v, &pages.Error{Code: codeCredentialRefused, Detail: "What the application behind this address must learn about you fits in no header.", Err: err}
	}
	return v, nil
}

// errNotTold is for the operator.
var errNotTold = errors.New("the answer tells no credential, because the route has an upstream of its own; leave upstream out of a route that other proxies ask about")

// canonicalOf is canonical for what is asked about.
func (g *Gateway) canonicalOf(w http.ResponseWriter, q *question) (*CanonicalRequest, error) {
	in := q.in
	// Whatever is tunnelled is judged by nobody again, and it is not us who could leave the header out (P049).
	tunnel := in.Header["Upgrade"] != nil && !upgradesToWebSocket(in)
	req, err := g.canonical(w, in)
	if err != nil {
		return nil, err
	}
	if tunnel {
		return nil, &pages.Error{Code: codeAccessDenied, Detail: "A connection can be changed to a WebSocket only."}
	}
	if q.certificate != "" {
		req.certificate = ofEscaped(q.certificate)
	}
	if req.via == "" && !q.direct { // the proxy does not say who its client is: its own address is nobody's whom networks could mean
		req.Client, req.client, req.record.Client = netip.Addr{}, "", ""
	}
	in.URL.Path, in.URL.RawPath, in.URL.RawQuery, in.URL.ForceQuery = req.decoded, req.Path, req.Query, req.hasQuery
	req.record.Method = in.Method
	return req, nil
}

// ownAsked reports a question about an own endpoint. It is answered like a direct request: everybody may use it, and learns
// nothing about anyone by that. Of the questions themselves none passes: answers to them hold tokens, and who asks from a browser
// through the proxy would read them there (P191).
func (g *Gateway) ownAsked(req *CanonicalRequest) (own bool, err error) {
	_, approval := g.approvals.holds(req)
	_, kept := g.kept.holds(req)
	switch {
	case approval, kept, g.resources.of(req) != nil:
	case !g.own.holds(req.decoded):
		return false, nil
	case g.auth.asks(req.decoded):
		return true, &pages.Error{Code: codeAccessDenied, Detail: "Only proxies ask about requests."}
	default:
		if _, pattern := g.own.matcher.Handler(req.in); pattern == "" || req.decoded != req.Path {
			return true, &pages.Error{Code: codeNoRoute, Detail: "There is nothing at this address."}
		}
	}
	req.record.Route, req.record.Outcome = "own", "own"
	return true, nil
}

// asks reports whether a path is one at which questions are asked.
func (f *forwardAuth) asks(decoded string) bool {
	rest, ok := strings.CutPrefix(decoded, f.prefix)
	return ok && (rest == authPath || rest == sessionAuthPath || strings.HasPrefix(rest, authPath+"/"))
}

// ask is what becomes of a request of nobody: the address at which a login begins, where a browser's navigation is led there,
// else 401. No attempt is made for it: the proxy may ask again and again.
func (rt *route) ask(w http.ResponseWriter, q *question, req *CanonicalRequest, d Decision) (location string, err error) {
	if d.Err != nil {
		return "", d.Err
	}
	to := rt.loginURL(req, req.Target())
	if to == "" {
		return "", rt.unauthorized(req, "")
	}
	kind := pages.KindOf(req.in)
	if kind == pages.FormPost {
		e := rt.unauthorized(req, "The form was not sent, because you are not signed in any more. Sign in (in another tab, to keep what you typed), then go back and send it again.")
		e.LoginURL = rt.loginURL(req, formPage(req))
		return "", e
	}
	if (q.redirect || q.manner == asEnvoy) && rt.leadsToLogin(req, kind) {
		return to, nil
	}
	rt.tellHTMX(w, req)
	return "", rt.unauthorized(req, "")
}

func (rt *route) leadsToLogin(req *CanonicalRequest, kind pages.Kind) bool {
	switch rt.unauthenticated {
	case unauthenticated401:
		return false
	case unauthenticatedLogin:
		return kind == pages.Navigation || mayNavigate(req.in)
	}
	return kind == pages.Navigation
}

// unheld refuses what must be approved first: what is asked about is not here, and cannot be kept until its consent comes.
func (g *Gateway) unheld(rt *route, req *CanonicalRequest) error {
	a, err := g.approvals.of(rt, req)
	if err != nil || a == nil {
		return err
	}
	return &pages.Error{
		Code: codeAccessDenied, Detail: "This request needs an approval of its own, which only a gateway that it passes through can ask for.",
		Err: errors.New("a route with approve needs an upstream; forward-auth cannot hold requests"),
	}
}

// untold is without for a question: nobody is sent to a provider in an answer to one.
func (rt *route) untold(w http.ResponseWriter, req *CanonicalRequest, d Decision, err error) error {
	var why *credentials.Refusal
	if !errors.As(err, &why) {
		return err
	}
	e := rt.refusal(w, req, why)
	if d.claim == noClaim {
		e.Detail, e.LoginURL = "", rt.loginURL(req, req.Target()) // the detail speaks of a token that this person has never seen
	}
	return e
}
