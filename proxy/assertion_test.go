package proxy

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/credentials"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/secret"
)

// notary is a Source of assertions, made beforehand.
type notary struct {
	header string
	value  string
	err    error
	asked  int
}

func (n *notary) Token(_ context.Context, who *identity.Identity) (*identity.Credential, error) {
	n.asked++
	if n.err != nil {
		return nil, n.err
	}
	value := n.value
	if value == "" {
		value = "signed-for-" + who.Subject
	}
	return &identity.Credential{Name: "route.root", Tokens: &identity.Tokens{AccessToken: secret.New(value)}, Header: n.header, Values: []string{value}}, nil
}
func (n *notary) Rejected(context.Context, *identity.Identity, *identity.Credential) {}
func (n *notary) Personal() bool                                                     { return false }

func (n *notary) Place() (string, string) { return n.header, "" }

func notaryLab(t *testing.T, n *notary, change ...func(*Config, *Deps)) *lab {
	t.Helper()
	return newLab(t, func(c *Config, d *Deps) {
		if n.header == "" {
			n.header = headerAssertion
		}
		c.Routes[0].Headers.Assertion = "route.root"
		d.Sources = map[string]Source{"route.root": n}
		for _, f := range change {
			f(c, d)
		}
	})
}

func TestAnAssertionGoesUpstreamBesideTheCredential(t *testing.T) {
	l := notaryLab(t, &notary{}, func(c *Config, _ *Deps) { c.Routes[0].Credential = "session" })
	forged := []string{as("alice"), "X-Doorward-Assertion: forged", "x-doorward-assertion: forged", "X_Doorward_Assertion: forged", "Connection: close, X-Doorward-Assertion"}
	t.Run("P021 P023 P024 P025", func(t *testing.T) {
		l.both(t, "GET", "/x", forged[:4], func(l *lab, a answer) {
			got := l.passed(a)
			got.one(l, "X-Doorward-Assertion", "signed-for-alice")
			got.one(l, "Authorization", "Bearer at-alice")
			got.one(l, "X-Forwarded-User", "alice")
			if strings.Contains(l.e.wire, "forged") {
				l.Errorf("E read %q", l.e.wire)
			}
		})
		l := l.on(t)
		l.passed(l.send("GET", "/x", forged...)).one(l, "X-Doorward-Assertion", "signed-for-alice")
	})
	t.Run("P021 other routes", func(t *testing.T) {
		for _, target := range []string{"/public/x", "/session/x", "/set/x"} {
			l.both(t, "GET", target, forged[:4], func(l *lab, a answer) { l.passed(a).lacks(l, "X-Doorward-Assertion") })
		}
	})
	t.Run("P153 an upstream that repeats it", func(t *testing.T) {
		l.e.answers(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Echo", r.Header.Get("X-Doorward-Assertion"))
		})
		l.both(t, "GET", "/x", []string{as("alice")}, func(l *lab, a answer) {
			l.passed(a)
			if got := a.Header.Get("X-Echo"); got != scrubbed {
				l.Errorf("the caller gets %q", got)
			}
		})
	})
}

func TestS7NothingGoesUpstreamWithoutItsAssertion(t *testing.T) {
	for name, c := range map[string]struct {
		n      notary
		status int
	}{
		"no key":       {notary{err: errors.New("no key")}, 502},
		"line end":     {notary{value: "a\r\nX-Forwarded-User: root"}, 502},
		"too large":    {notary{value: strings.Repeat("a", maxIdentityHeader+1)}, 502},
		"session over": {notary{err: &credentials.Refusal{Word: credentials.InvalidToken, Cause: errors.New("it has ended")}}, 401},
	} {
		t.Run(name, func(t *testing.T) {
			l := notaryLab(t, &c.n)
			l.both(t, "GET", "/x", []string{as("alice"), "X-Doorward-Assertion: forged"}, func(l *lab, a answer) { l.refused(a, c.status) })
			if strings.Contains(l.log.String(), "forged") {
				t.Error("it is in the log")
			}
		})
	}
}

func TestAnAssertionOfAnotherPlaceIsAConfigurationError(t *testing.T) {
	for name, change := range map[string]func(*Route, map[string]Source){
		"public":           func(rt *Route, _ map[string]Source) { rt.Public = true },
		"no source":        func(_ *Route, s map[string]Source) { delete(s, "a") },
		"another header":   func(_ *Route, s map[string]Source) { s["a"] = &notary{header: "X-Other"} },
		"pomerium's":       func(rt *Route, _ map[string]Source) { rt.Headers.Profile = "pomerium" },
		"set by the route": func(rt *Route, _ map[string]Source) { rt.Headers.Set = map[string]string{"X-Doorward-Assertion": "x"} },
	} {
		t.Run(name, func(t *testing.T) {
			rt := Route{Name: "a", Logins: []string{"staff"}, Headers: Headers{Assertion: "a"}}
			sources := map[string]Source{"a": &notary{header: headerAssertion}}
			change(&rt, sources)
			plan, err := newHeaderPlan(rt.Headers, "none")
			if err == nil {
				err = (&route{headers: plan, public: rt.Public}).setAssertion(rt.Headers.Assertion, sources)
			}
			if err == nil || !strings.Contains(err.Error(), "headers.") {
				t.Errorf("%v", err)
			}
		})
	}
}

// A profile whose upstreams are told in headers with "_" works on the wire, and what clients send in these names does not.
func TestP021P023ProfilesOverSockets(t *testing.T) {
	l := newLab(t, func(c *Config, d *Deps) {
		c.Routes[0].Headers = Headers{Profile: "mod_auth_openidc"}
		for i, p := range []string{"gatekeeper", "vouch", "pomerium", "authelia", "remote"} {
			rt := c.Routes[0]
			rt.Name, rt.Path, rt.Headers = p, "/"+p, Headers{Profile: p}
			if i == 0 {
				rt.Credential = "session"
			}
			c.Routes = append(c.Routes, rt)
			d.Starters[p] = door{}
		}
		d.Session.(people)["whole"] = whole()
		d.Session.(people)["whole"].Tokens = everybody()["alice"].Tokens
	})
	forged := []string{
		as("whole"), "OIDC_CLAIM_sub: root", "oidc_claim_sub: root", "OIDC-CLAIM-sub: root", "Oidc-Claim-Evil: root", "OIDC_access_token: root", "X-Auth-Token: root", "X-Auth-Username: root", "X-Auth-Expiresin: root", "X-Auth-Audience: root",
		"X-Vouch-User: root", "X-Vouch-Idp-Claims-Evil: root", "X-Pomerium-Claim-Evil: root", "X-Pomerium-Jwt-Assertion: root", "Remote-User: root", "remote_user: root", "X-Forwarded-Client: root",
	}
	for target, want := range map[string][2]string{
		"/x": {"Oidc_claim_sub", "8f2c"}, "/gatekeeper/x": {"X-Auth-Username", "alice"}, "/vouch/x": {"X-Vouch-Idp-Claims-Sub", "8f2c"}, "/pomerium/x": {"X-Pomerium-Claim-Sub", "8f2c"},
		"/authelia/x": {"Remote-User", "alice"}, "/remote/x": {"Remote-User", "8f2c"}, "/public/x": {},
	} {
		l.both(t, "GET", target, forged, func(l *lab, a answer) {
			got := l.passed(a)
			if strings.Contains(l.e.wire, "root") {
				l.Errorf("E read %q", l.e.wire)
			}
			if want[0] != "" {
				got.one(l, want[0], want[1])
			}
		})
	}
	t.Run("P031 raw UTF-8 arrives as it is", func(t *testing.T) {
		l := l.on(t)
		l.passed(l.send("GET", "/x", as("whole"))).one(t, "Oidc_claim_name", "Alice Ä")
		if !strings.Contains(l.e.wire, "OIDC_CLAIM_name: Alice Ä\r\n") {
			t.Errorf("E read %q", l.e.wire)
		}
	})
	t.Run("P031 raw line ends are refused", func(t *testing.T) {
		l.both(t, "GET", "/x", []string{as("evil")}, func(l *lab, a answer) { l.refused(a, 502) })
	})
	t.Run("P022 a machine is nobody's person", func(t *testing.T) {
		l.both(t, "GET", "/x", append([]string{as("machine")}, forged[1:]...), func(l *lab, a answer) {
			got := l.passed(a)
			got.one(l, "X-Forwarded-Client", "backup")
			got.lacks(l, "OIDC_CLAIM_sub", "OIDC_CLAIM_email")
		})
	})
}

// What a route does not have costs nothing, and what it has is built once.
func TestProfilesAndAssertionsCostNothingPerRequest(t *testing.T) {
	who := whole()
	for _, profile := range Profiles() {
		p, err := newHeaderPlan(Headers{Profile: profile, Set: map[string]string{"X-A": "{user.name|x}"}}, "session")
		if err != nil {
			t.Fatal(err)
		}
		rt := &route{headers: p}
		rt.injection(who)
		if n := testing.AllocsPerRun(100, func() {
			rt.injection(who)
			_, _ = rt.assert(t.Context(), who)
		}); n != 0 {
			t.Errorf("%s: %v allocations", profile, n)
		}
	}
	p, _ := newHeaderPlan(Headers{Assertion: "a"}, "none")
	c := &identity.Credential{Header: headerAssertion, Values: []string{"signed"}}
	rt := &route{headers: p, assertion: prepared{c}}
	if n := testing.AllocsPerRun(100, func() { _, _ = rt.assert(t.Context(), who) }); n != 0 {
		t.Errorf("an assertion that is there costs %v allocations", n)
	}
}
