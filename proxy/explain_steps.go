package proxy

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/identity"
)

// The steps of pass, for a request that nobody sends: in the same order, by the same functions, and nothing is counted.

// preflighted is what becomes of a preflight that cors has answered: its headers are the answer.
func preflighted(answer http.Header, req *CanonicalRequest) *Explanation {
	what := answer.Get(headerAllowMethods)
	if with := answer.Get(headerAllowHeaders); with != "" {
		what += " with " + with
	}
	return &Explanation{
		Route: req.record.Route, Allowed: true, Rule: req.record.Rule,
		Itself: fmt.Sprintf("204 by cors: pages of %s may send %s", req.in.Header.Get(headerOrigin), what),
	}
}

// stopped is enter, where a request is refused before anybody is asked who it is from.
func (g *Gateway) stopped(rt *route, req *CanonicalRequest) error {
	if err := g.judgeDestination(req, rt); err != nil {
		return err
	}
	if err := rt.maintenance.closed(req); err != nil {
		return err
	}
	if l := rt.limits; l != nil && !l.fits(req.in) {
		return l.tooLarge
	}
	return rt.checkOrigin(req)
}

// words says what a route takes at most.
func (l *limits) words() (all []string) {
	if l == nil {
		return nil
	}
	for _, m := range []struct {
		meter *meter
		each  string
	}{{l.perUser, "per person"}, {l.perAddress, "per address"}} {
		if m.meter != nil {
			all = append(all, fmt.Sprintf("at most %s %s", m.meter.rate, m.each))
		}
	}
	if l.concurrent > 0 {
		all = append(all, fmt.Sprintf("at most %d at a time", l.concurrent))
	}
	if l.maxBody > 0 {
		all = append(all, fmt.Sprintf("a body of at most %d bytes", l.maxBody))
	}
	return all
}

// begins reports whether a browser with nobody at it is sent to sign in, and not just told 401.
func (rt *route) begins() bool {
	return !rt.public && rt.callers.accept.session && rt.unauthenticated != unauthenticated401
}

// supposedly asks whether who may pass: login list, where the request comes from, deny, allow and require, in the order of
// decide. The decision hook is not asked. Its error is an answer that is not the policy's.
func (rt *route) supposedly(e *Explanation, req *CanonicalRequest, who *identity.Identity) error {
	if rt.public {
		e.Allowed, e.Rule = true, "public"
		return nil
	}
	if why := rt.counts(req, who); why != "" {
		e.Rule = why
		return nil
	}
	if who != nil {
		if err := rt.checkSite(req, rt.supposedClaim(req, who)); err != nil {
			e.Rule = "cross-site"
			return err
		}
	}
	v := rt.judgeHere(req, who)
	e.Allowed, e.Rule = v.outcome == Allow, v.rule
	switch {
	case !e.Allowed && rt.lets(v):
		e.Allowed, e.Rule = true, v.dry()
		return nil
	case !e.Allowed && v.err != nil:
		e.Rule = v.err.Error()
		return nil
	case !e.Allowed:
		return nil
	case rt.require != nil:
		e.Rule += ", " + ruleRequire
	}
	if rt.hook != nil {
		e.Rule += ", if the decision hook agrees, which is not asked now"
	}
	return nil
}

// counts says why who is nobody on the route; "" = they are somebody, or nobody calls at all.
func (rt *route) counts(req *CanonicalRequest, who *identity.Identity) string {
	a := rt.callers.accept
	byLogin := a.session || a.token || a.basic
	switch {
	case a.bearer && tokenInQuery(req.Query):
		return "a token in the query of an address is not accepted"
	case who == nil:
	case who.Login != "" && !(byLogin && slices.Contains(rt.logins, who.Login)):
		return fmt.Sprintf("a session of login %q does not count here", who.Login)
	case who.Login == "" && a.bearer && !a.key && !byLogin && rt.issuers != nil && !slices.Contains(rt.issuers, who.Issuer):
		return "tokens of " + who.Issuer + " do not count here"
	}
	return ""
}

// supposedClaim is what a request of who would prove that by: what it brings, else a session where one counts.
func (rt *route) supposedClaim(req *CanonicalRequest, who *identity.Identity) claim {
	a := rt.callers.accept
	brought := a.claim(req.in.Header[headerAuthorization])
	if rt.callers.places != nil {
		brought, _ = rt.callers.places.claim(req.in, brought)
	}
	switch {
	case brought != noClaim:
		return brought
	case a.session && !(who.Machine && a.bearer):
		return noClaim
	case a.basic && !a.token && !a.bearer && !a.key:
		return password
	}
	return bearerToken
}

// String is a rate as the configuration has it: "100/1m".
func (r Rate) String() string { return fmt.Sprintf("%d/%s", r.Requests, brief(r.Per)) }

// brief writes a time as people do: "1m" and not "1m0s".
func brief(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
