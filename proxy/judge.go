package proxy

import (
	"errors"
	"fmt"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/proxy/policy"
)

// Rules that decide, beside those of the lists.
const (
	ruleRequire  = "require"
	ruleDecision = "decision"
)

// verdict is what a route's policy says of somebody and a request. Its zero value denies.
type verdict struct {
	outcome Outcome // Allow, Deny or Unavailable
	rule    string  // that decided
	reason  string  // of the decision hook; may be shown
	err     error   // why require or the hook could not be asked, for the log
}

// judge asks everything that a route says about who may pass: deny and allow, require, and the decision hook. The cheapest
// comes first, and nobody else hears of a request that is refused anyway.
func (rt *route) judge(req *CanonicalRequest, who *identity.Identity) verdict {
	v := rt.judgeHere(req, who)
	if v.outcome != Allow || rt.hook == nil {
		return v
	}
	return rt.askHook(req, who, v)
}

// judgeHere is judge without the decision hook.
func (rt *route) judgeHere(req *CanonicalRequest, who *identity.Identity) verdict {
	v := rt.judgeLists(who, policy.Request{Method: req.Method, Client: req.Client})
	if v.outcome != Allow || rt.require == nil {
		return v
	}
	switch holds, err := rt.fulfils(req, who); {
	case err != nil:
		return verdict{outcome: Deny, rule: ruleRequire, err: fmt.Errorf("require: %w", err)}
	case !holds:
		return verdict{outcome: Deny, rule: ruleRequire}
	}
	return v
}

func (rt *route) judgeLists(who *identity.Identity, req policy.Request) verdict {
	allowed, rule := rt.policy.Check(who, req)
	if !allowed {
		return verdict{outcome: Deny, rule: rule}
	}
	return verdict{outcome: Allow, rule: rule}
}

func (rt *route) askHook(req *CanonicalRequest, who *identity.Identity, so verdict) verdict {
	switch allowed, reason, err := rt.hook.allows(req.in.Context(), rt, req, who); {
	case errors.Is(err, errAmbiguousQuery):
		return verdict{outcome: Deny, rule: ruleDecision, err: err}
	case err != nil:
		return verdict{outcome: Unavailable, rule: ruleDecision, err: fmt.Errorf("decision: %w", err)}
	case !allowed:
		return verdict{outcome: Deny, rule: ruleDecision, reason: reason}
	}
	return so
}

// lets reports whether a request may pass by a verdict. A dry run lets pass whom the policy would refuse, but never nobody.
func (rt *route) lets(v verdict) bool {
	return v.outcome == Allow || rt.dryRun && v.rule != policy.Nobody
}

// dry is the rule of somebody whom the policy would not let pass, on a route that tries it out: it names what has spoken, so
// that a search of the log finds everybody whom it would hit.
func (v verdict) dry() string {
	what := "would_deny: "
	if v.outcome == Unavailable {
		what = "would be unavailable: "
	}
	return "dry run: " + what + v.rule
}

// fulfils asks the route's require. What it cannot say is a no.
func (rt *route) fulfils(req *CanonicalRequest, who *identity.Identity) (bool, error) {
	return rt.require.Holds(req.in.Context(), &policy.Input{
		Who: who, Method: req.Method, Host: req.site.authority, Path: req.decoded, Query: req.Query, Header: req.in.Header, Secret: rt.secretHeaders,
		IP: req.Client, Time: rt.now().UTC(),
	})
}
