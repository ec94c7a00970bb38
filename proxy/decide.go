package proxy

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/credentials"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/proxy/policy"
)

// Outcome is what is to be done with a request. The zero value is Deny.
type Outcome int

const (
	Deny        Outcome = iota // an answer of ours, nothing forwarded
	Unavailable                // it cannot be known now; nothing forwarded
	Login                      // nobody is signed in
	Allow                      // forwarded for Who
)

func (o Outcome) String() string {
	switch o {
	case Allow:
		return "allow"
	case Login:
		return "login"
	case Unavailable:
		return "unavailable"
	}
	return "deny"
}

// Decision is the answer to "may this pass?". Its zero value denies, and what is not known
// for certain never becomes an Allow: an error and a panic do not (S7).
type Decision struct {
	Outcome Outcome
	Who     *identity.Identity // nil on a public route, and where nobody is signed in
	Rule    string             // that decided
	Err     error              // the answer to Deny and Unavailable, and to Login where none may begin

	claim claim // what Who proved themselves by, beside the session's cookie
}

// refusal is the answer to a decision that does not let a request pass.
func (d Decision) refusal() error {
	if d.Err != nil {
		return d.Err
	}
	return &pages.Error{Code: codeAccessDenied}
}

const retryAfter = 5 * time.Second // for what is unavailable now

// decide finds out who is calling and whether they may pass.
func (rt *route) decide(w http.ResponseWriter, req *CanonicalRequest) Decision {
	return rt.decideOver(w, req, true)
}

// decideOver is decide for a request to the route, or for one that is about an approval of such a request and has a path of
// our own: of the policy only what does not speak of the request counts then.
func (rt *route) decideOver(w http.ResponseWriter, req *CanonicalRequest, whole bool) (d Decision) {
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler { //nolint:errorlint // net/http compares in this way too
				panic(p)
			}
			d = Decision{Outcome: Unavailable, Err: fmt.Errorf("panic while deciding: %s\n%s", describe(p), debug.Stack())}
		}
	}()
	if err := rt.checkOrigin(req); err != nil {
		return Decision{Outcome: Deny, Rule: "websocket origin", Err: err}
	}
	if rt.public {
		return Decision{Outcome: Allow, Rule: "public"} // nobody is asked who they are
	}
	if rt.callers.accept.bearer && tokenInQuery(req.Query) {
		return rt.refused(w, req, errTokenInQuery)
	}
	c, err := rt.callers.identify(w, req)
	who := c.who
	if err != nil || who == nil || !rt.accepts(who, c.claim) || rt.endedForGood(who) {
		return rt.unknown(w, req, c, err)
	}
	if err := rt.checkSite(req, c.claim); err != nil {
		return Decision{Outcome: Deny, Who: who, Rule: "cross-site", Err: err}
	}
	d = Decision{Outcome: Allow, Who: who, claim: c.claim}
	var v verdict
	if whole {
		v = rt.judge(req, who)
	} else {
		v = rt.judgeLists(who, policy.Request{Client: req.Client})
	}
	switch {
	case v.outcome == Allow:
		d.Rule = v.rule
	case rt.lets(v):
		d.Rule, req.record.WouldDeny = v.dry(), v.rule
		req.record.Err = errors.Join(req.record.Err, v.err)
	default:
		return Decision{Outcome: v.outcome, Who: who, Rule: v.rule, Err: rt.notPassed(w, req, c, v)}
	}
	return d
}

// notPassed is the answer to somebody whom the policy does not let pass.
func (rt *route) notPassed(w http.ResponseWriter, req *CanonicalRequest, c caller, v verdict) error {
	switch {
	case v.outcome != Deny:
		return &pages.Error{Code: codeDecisionUnavailable, RetryAfter: retryAfter, Err: v.err}
	case v.rule == ruleRequire, v.rule == ruleDecision:
		e := rt.noAccess(req, c, v.rule)
		e.Err = v.err
		if v.reason != "" {
			e.Err = fmt.Errorf("decision: %s", v.reason)
			if presentable(v.reason) {
				e.Detail = strings.TrimSuffix(e.Detail, ".") + ": " + strings.TrimSuffix(v.reason, ".") + "."
			}
		}
		return e
	}
	return rt.denied(w, req, c, v.rule)
}

// describe tells an operator what a panic was about; a text that is not the runtime's own may
// hold what a client sent.
func describe(p any) string {
	if err, ok := p.(runtime.Error); ok {
		return err.Error()
	}
	return fmt.Sprintf("a value of type %T", p)
}

// endedForGood reports whether the route passes an access token on, this one has ended,
// and no refresh can ever bring another: only a new login can.
func (rt *route) endedForGood(who *identity.Identity) bool {
	t := who.Tokens
	return rt.headers.usesToken && t != nil && !t.AccessToken.IsZero() && !t.Valid(rt.now(), 0) && t.RefreshToken.IsZero()
}

// denied says who is signed in, which rules there are, and how to come back as another. Whoever lacks nothing but scopes of
// a token is told which (RFC 6750 §3.1).
func (rt *route) denied(w http.ResponseWriter, req *CanonicalRequest, c caller, rule string) error {
	if c.claim == noClaim || c.claim == password {
		return rt.noAccess(req, c, rule)
	}
	if lacks := rt.policy.Lacks(c.who, policy.Request{Method: req.Method, Client: req.Client}); lacks != nil {
		scope := strings.Join(lacks, " ")
		return rt.refusal(w, req, &credentials.Refusal{
			Scheme: c.scheme, Word: credentials.InsufficientScope, Description: "It takes the scope " + scope, Params: [][2]string{{"scope", scope}},
		})
	}
	return rt.noAccess(req, c, rule)
}

// noAccess tells a person who they are here, and a program that there is nothing wrong with what it has sent.
func (rt *route) noAccess(req *CanonicalRequest, c caller, rule string) *pages.Error {
	brought := ""
	switch {
	case c.claim.ofProvider(), c.madeToken(req):
		brought = "token"
	case c.claim == apiKey:
		brought = "key"
	}
	if brought != "" {
		return &pages.Error{
			Code:   codeAccessDenied,
			Detail: "The " + brought + " is accepted, but does not open this address.",
			Facts:  []pages.Fact{{Name: "Caller", Value: display(c.who)}, {Name: "Rule", Value: rule}},
		}
	}
	e := &pages.Error{
		Code:   codeAccessDenied,
		Detail: "You are signed in, but you may not open this page.",
		Facts:  []pages.Fact{{Name: "Signed in as", Value: display(c.who)}, {Name: "Rule", Value: rule}},
	}
	if u := rt.loginURL(req, req.Target()); u != "" {
		e.Actions = []pages.Action{{Label: "Use another account", URL: u + "&prompt=select_account"}}
	}
	return e
}

func display(who *identity.Identity) string {
	by := ""
	if who.Provider != "" { // a local user has none
		by = " (" + who.Provider + ")"
	}
	return cmp.Or(who.Email, who.Username, who.Name, who.Subject) + by
}

// note leaves in the access log what was decided.
func (c *CanonicalRequest) note(rt *route, d Decision) {
	c.record.Route, c.record.Outcome, c.record.Rule = rt.name, d.Outcome.String(), d.Rule
	if d.Who != nil {
		c.record.Subject, c.record.Provider, c.record.Login, c.record.Who = d.Who.Subject, d.Who.Provider, d.Who.Login, d.Who
	}
}
