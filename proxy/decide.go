package proxy

import (
	"fmt"
	"net/http"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/pages"
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

	by Authenticator // who vouches for Who by their Authorization; nil = the cookie, or nobody
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
func (rt *route) decide(w http.ResponseWriter, req *CanonicalRequest) (d Decision) {
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
	c, err := rt.callers.identify(w, req.in)
	who := c.who
	if err != nil || who == nil || !rt.accepts(who) || rt.endedForGood(who) {
		return rt.unknown(req, c, err)
	}
	if err := rt.checkSite(req, c.claim); err != nil {
		return Decision{Outcome: Deny, Who: who, Rule: "cross-site", Err: err}
	}
	allowed, rule := rt.policy.Check(who)
	if !allowed {
		return Decision{Outcome: Deny, Who: who, Rule: rule, Err: rt.denied(req, who, rule)}
	}
	d = Decision{Outcome: Allow, Who: who, Rule: rule}
	if c.claim != noClaim {
		d.by = c.by
	}
	return d
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

// denied says who is signed in, which rules there are, and how to come back as another.
func (rt *route) denied(req *CanonicalRequest, who *identity.Identity, rule string) error {
	e := &pages.Error{
		Code:   codeAccessDenied,
		Detail: "You are signed in, but you may not open this page.",
		Facts:  []pages.Fact{{Name: "Signed in as", Value: display(who)}, {Name: "Rule", Value: rule}},
	}
	if u := rt.loginURL(req, req.Target()); u != "" {
		e.Actions = []pages.Action{{Label: "Use another account", URL: u + "&prompt=select_account"}}
	}
	return e
}

func display(who *identity.Identity) string {
	for _, s := range []string{who.Email, who.Username, who.Name} {
		if s != "" {
			return s + " (" + who.Provider + ")"
		}
	}
	return who.Subject + " (" + who.Provider + ")"
}

// note leaves in the access log what was decided.
func (c *CanonicalRequest) note(rt *route, d Decision) {
	c.record.Route, c.record.Outcome, c.record.Rule = rt.name, d.Outcome.String(), d.Rule
	if d.Who != nil {
		c.record.Subject, c.record.Provider, c.record.Login = d.Who.Subject, d.Who.Provider, d.Who.Login
	}
}
