package proxy

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/proxy/policy"
)

func prefixes(all ...string) (list []netip.Prefix) {
	for _, s := range all {
		list = append(list, netip.MustParsePrefix(s))
	}
	return list
}

// governed is a laboratory with one more route, /ruled.
func governed(t *testing.T, trusted []string, change func(*Route, people)) *lab {
	t.Helper()
	return newLab(t, func(c *Config, d *Deps) {
		trusting(trusted...)(c, d)
		rt := Route{Name: "ruled", Hosts: []origin.Origin{appTest}, Path: "/ruled", Upstreams: c.Routes[0].Upstreams, Logins: []string{"staff"}}
		d.Starters["ruled"] = door{}
		change(&rt, d.Session.(people))
		c.Routes = append(c.Routes, rt)
	})
}

func TestP034P035ANetworkIsNeverThatOfAHeaderFromAStranger(t *testing.T) {
	for name, trusted := range map[string][]string{"P035 nobody is trusted": nil, "P034 others are trusted": {"10.0.0.0/8"}} {
		t.Run(name, func(t *testing.T) {
			l := governed(t, trusted, func(rt *Route, _ people) { rt.Allow = []policy.Rule{{Networks: prefixes("6.6.6.0/24")}} })
			l.both(t, "GET", "/ruled/x", append([]string{as("alice")}, forgedForwarding...), func(l *lab, a answer) { l.refused(a, 403) })
			local := governed(t, trusted, func(rt *Route, _ people) { rt.Allow = []policy.Rule{{Networks: prefixes("127.0.0.0/8")}} })
			local.both(t, "GET", "/ruled/x", append([]string{as("alice")}, forgedForwarding...), func(l *lab, a answer) { l.passed(a) })
			local.both(t, "GET", "/ruled/x", nil, func(l *lab, a answer) { l.refused(a, 401) }) // an address makes nobody somebody
			deny := governed(t, trusted, func(rt *Route, _ people) { rt.Deny = []policy.Rule{{Networks: prefixes("127.0.0.0/8")}} })
			deny.both(t, "GET", "/ruled/x", append([]string{as("alice")}, forgedForwarding...), func(l *lab, a answer) { l.refused(a, 403) })
		})
	}
}

func TestP036P037ANetworkIsThatOfTheFirstUntrustedAddressFromTheRight(t *testing.T) {
	l := governed(t, []string{"127.0.0.0/8", "10.0.0.0/8"}, func(rt *Route, _ people) {
		rt.Allow = []policy.Rule{{Networks: prefixes("6.6.6.0/24", "2001:db8::/32")}}
	})
	for chain, passes := range map[string]bool{
		"6.6.6.6": true, "::ffff:6.6.6.6": true, "2001:db8::1": true, "1.2.3.4, 6.6.6.6, 10.0.0.9": true, "[2001:db8::1]:443": true,
		"6.6.6.6, 1.2.3.4": false, "6.6.6.6, 1.2.3.4, 10.0.0.9": false, "a": false, "6.6.6.6, a": false, "": false, "6.6.6.6%lo": false, "2001:db8::1%eth0": false, "\"6.6.6.6\"": false, "0x06060606": false,
	} {
		t.Run(chain, func(t *testing.T) {
			l.both(t, "GET", "/ruled/x", []string{as("alice"), "X-Forwarded-For: " + chain}, func(l *lab, a answer) {
				if passes {
					l.passed(a)
				} else {
					l.refused(a, 403)
				}
			})
		})
	}
}

func TestP045WhatAQueryHoldsMatchesNoRule(t *testing.T) {
	l := governed(t, nil, func(rt *Route, _ people) {
		rt.Allow = []policy.Rule{{Methods: []string{"GET"}}}
		rt.Deny = []policy.Rule{{Methods: []string{"DELETE"}}}
	})
	l.both(t, "GET", "/admin?x=/public/status", []string{as("alice")}, func(l *lab, a answer) { l.refused(a, 403) })
	l.both(t, "GET", "/admin?x=/public/status", nil, func(l *lab, a answer) { l.refused(a, 401) })
	l.both(t, "HEAD", "/ruled/x?_method=POST", []string{as("alice")}, func(l *lab, a answer) { l.passed(a) })
	l.both(t, "DELETE", "/ruled/x?_method=GET", []string{as("alice"), "X-Http-Method-Override: GET"}, func(l *lab, a answer) { l.refused(a, 403) })
	l.both(t, "POST", "/ruled/x?_method=GET", []string{as("alice"), "X-Http-Method-Override: GET", "Content-Length: 0"}, func(l *lab, a answer) { l.refused(a, 403) })
}

func TestP207DenyBeatsAllow(t *testing.T) {
	l := governed(t, nil, func(rt *Route, all people) {
		rt.Allow, rt.Deny = []policy.Rule{{Groups: []string{"staff", "admin"}}}, []policy.Rule{{Domains: []string{"gone.example"}}, {Roles: []string{"guest"}}}
		all["a"] = someone("a", func(w *identity.Identity) { w.Groups = []string{"staff"} })
		all["b"] = someone("b", func(w *identity.Identity) {
			w.Groups, w.Email, w.EmailVerified = []string{"staff"}, "b@GONE.example", false
		})
		all["c"] = someone("c", func(w *identity.Identity) {
			w.Groups, w.Claims = []string{"staff"}, identity.NewClaims([]byte(`{"realm_access":{"roles":["guest"]}}`))
		})
	})
	l.maySee(t, "a", true)
	l.maySee(t, "b", false)
	l.maySee(t, "c", false)
	if !strings.Contains(l.log.String(), "deny[0]: refused are e-mail addresses at gone.example") {
		t.Error("the log does not say which entry of deny it was")
	}
}

func TestP204RolesOfAClientAreThoseAtTheProviderWhichVouches(t *testing.T) {
	of := func(provider string) func(*identity.Identity) {
		return func(w *identity.Identity) {
			w.Provider, w.Claims = provider, identity.NewClaims([]byte(`{"resource_access":{"door":{"roles":["admin"]}}}`))
		}
	}
	l := newLab(t, func(c *Config, d *Deps) {
		c.RoleClients = map[string]string{"corp": "door", "partner": "other"}
		c.Routes = append(c.Routes, Route{Name: "ruled", Hosts: []origin.Origin{appTest}, Path: "/ruled", Upstreams: c.Routes[0].Upstreams, Logins: []string{"staff"}, Allow: []policy.Rule{{Roles: []string{"admin"}}}})
		d.Starters["ruled"] = door{}
		d.Session.(people)["here"], d.Session.(people)["there"] = someone("a", of("corp")), someone("a", of("partner"))
	})
	l.maySee(t, "here", true)
	l.maySee(t, "there", false)
	l.maySee(t, "alice", false)
}

func TestAnApprovalIsNotAskedForItsMethod(t *testing.T) {
	rt := &route{policy: must(policy.New(policy.Config{Allow: []policy.Rule{{Groups: []string{"staff"}, Methods: []string{"POST"}}}, Deny: []policy.Rule{{Methods: []string{"GET"}}}}))}
	who := someone("alice", func(w *identity.Identity) { w.Groups = []string{"staff"} })
	if v := rt.judgeLists(who, policy.Request{}); v.outcome != Allow {
		t.Errorf("whoever may POST may not see their approval: %+v", v)
	}
	if v := rt.judgeLists(everybody()["alice"], policy.Request{}); v.outcome != Deny {
		t.Errorf("who may not POST passes: %+v", v)
	}
}
