package proxy

import (
	"cmp"
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

	claim claim   // what Who proved themselves by, beside the session's cookie
	by    Streams // who vouches for that, if they can say how it goes on
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
	return rt.decideOver(w, req, rt.require != nil)
}

// decideOver is decide with or without the route's require: that speaks of requests to the route, and those about an
// approval of one have a path of our own.
func (rt *route) decideOver(w http.ResponseWriter, req *CanonicalRequest, require bool) (d Decision) {
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
	allowed, rule := rt.policy.Check(who)
	if !allowed {
		return Decision{Outcome: Deny, Who: who, Rule: rule, Err: rt.denied(w, req, c, rule)}
	}
	if require {
		if holds, err := rt.fulfils(req, who); !holds {
			return Decision{Outcome: Deny, Who: who, Rule: ruleRequire, Err: rt.unfulfilled(req, c, err)}
		}
	}
	return Decision{Outcome: Allow, Who: who, Rule: rule, claim: c.claim, by: c.by}
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
	if lacks := rt.policy.Lacks(c.who); lacks != nil {
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

const ruleRequire = "require"

// fulfils asks the route's require. What it cannot say is a no.
func (rt *route) fulfils(req *CanonicalRequest, who *identity.Identity) (bool, error) {
	return rt.require.Holds(req.in.Context(), &policy.Input{
		Who: who, Method: req.Method, Host: req.site.authority, Path: req.decoded, Query: req.Query, Header: req.in.Header, Secret: rt.secretHeaders,
		IP: req.Client, Time: rt.now().UTC(),
	})
}

// unfulfilled keeps why for the log: an expression that fails is the operator's to mend.
func (rt *route) unfulfilled(req *CanonicalRequest, c caller, why error) error {
	e := rt.noAccess(req, c, ruleRequire)
	if why != nil {
		e.Err = fmt.Errorf("require: %w", why)
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
		c.record.Subject, c.record.Provider, c.record.Login = d.Who.Subject, d.Who.Provider, d.Who.Login
	}
}
