package proxy

import (
	"net/http"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/pages"
)

// The steps that a request takes and a question about one takes as well: each of them stands here once, so that none is missing
// in pass or in settle.

// enter takes a request to its route, if that is open and has a place. Nobody has been asked who it is from. q is nil where the
// request itself is here.
func (g *Gateway) enter(w http.ResponseWriter, req *CanonicalRequest, q *question) (rt *route, place seat, err error) {
	if rt, err = g.routes.Find(w, req); err != nil { // 404, 405
		return nil, seat{}, err
	}
	if err = g.judgeDestination(req, rt); err != nil { // 403
		return nil, seat{}, err
	}
	if q == nil && rt.forwardAuthOnly() {
		return nil, seat{}, &pages.Error{Code: codeNoRoute, Detail: "There is nothing at this address."}
	}
	rt.cors.allow(w, req)
	req.record.Route = rt.name                        // also where it is closed or full, before anything is decided
	if err = rt.maintenance.closed(req); err != nil { // 503
		return nil, seat{}, err
	}
	place, err = rt.limits.enter(w, req) // 413, 429, 503
	return rt, place, err
}

// admit decides who it is from and whether they may pass. Without an error it is an Allow, or a Login, which the caller knows how
// to begin.
func (rt *route) admit(w http.ResponseWriter, req *CanonicalRequest, q *question) (Decision, error) {
	d := rt.decide(w, req) // the zero value denies
	req.note(rt, d)
	switch d.Outcome {
	case Login:
		return d, nil
	case Allow:
	default:
		return d, d.refusal() // 403, 503
	}
	if err := q.narrow(rt, req, &d); err != nil { // 401, 403
		return d, err
	}
	return d, rt.limits.admit(w, d.Who) // 429
}

// proofs are what goes upstream in the caller's name; nil = none.
type proofs struct {
	credential *identity.Credential
	assertion  *identity.Credential // about them, signed
}

// prove obtains them. The decision is another one where it took a refresh, which may have taken a group away.
func (rt *route) prove(w http.ResponseWriter, req *CanonicalRequest, d Decision, q *question) (p proofs, _ Decision, err error) {
	p.credential, err = rt.credential(req.in.Context(), d)
	if again, ok := rt.renewed(w, req, d, err); ok {
		d = again
		if err = q.narrow(rt, req, &d); err != nil {
			return proofs{}, d, err
		}
		p.credential, err = rt.credential(req.in.Context(), d)
	}
	if err == nil {
		p.assertion, err = rt.assert(req.in.Context(), d.Who)
	}
	return p, d, err
}
