package proxy

import (
	"fmt"
	"testing"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/proxy/policy"
)

// Group S: who may pass.

// ruled is a laboratory with one more route, /ruled.
func ruled(t *testing.T, who map[string]func(*identity.Identity), rules ...policy.Rule) *lab {
	t.Helper()
	return newLab(t, func(c *Config, d *Deps) {
		c.Routes = append(c.Routes, Route{Name: "ruled", Hosts: []origin.Origin{appTest}, Path: "/ruled", Upstreams: c.Routes[0].Upstreams, Logins: []string{"staff"}, Allow: rules})
		d.Starters["ruled"] = door{}
		for name, change := range who {
			d.Session.(people)[name] = someone("alice", change)
		}
	})
}

func (l *lab) maySee(t *testing.T, who string, yes bool) {
	t.Helper()
	l.both(t, "GET", "/ruled/x", []string{as(who)}, func(l *lab, a answer) {
		if yes {
			l.passed(a)
		} else {
			l.refused(a, 403)
		}
	})
}

func TestP201EmailDomains(t *testing.T) {
	who := map[string]func(*identity.Identity){}
	want := map[string]bool{
		"a@company.com": true, "a@COMPANY.COM": true, "A@Company.Com": true, "attacker@evil.com@company.com": false, "a@notcompany.com": false, "a@company.com.evil": false, "@company.com": false, "company.com": false,
		"a@sub.company.com": false, "a@company.com ": false, "a@company.com.": false, "a@compa\u212Ay.com": false, `"a@evil.com"@company.com`: false, "a@evil.com\x00@company.com": false, "": false, "a@": false,
	}
	i := 0
	yes := map[string]bool{}
	for email, ok := range want {
		name := fmt.Sprint("u", i)
		who[name], yes[name] = func(w *identity.Identity) { w.Email = email }, ok
		i++
	}
	l := ruled(t, who, policy.Rule{Domains: []string{"company.com"}})
	for name, ok := range yes {
		l.maySee(t, name, ok)
	}
}

func TestP202UnverifiedAddressesDecideNothing(t *testing.T) {
	l := ruled(t, map[string]func(*identity.Identity){
		"verified": func(w *identity.Identity) { w.Email = "root@example.com" },
		"nope":     func(w *identity.Identity) { w.Email, w.EmailVerified = "root@example.com", false },
		"robot":    func(w *identity.Identity) { w.Email, w.Machine = "root@example.com", true },
	}, policy.Rule{Emails: []string{"root@example.com"}})
	l.maySee(t, "verified", true)
	l.maySee(t, "nope", false)
	l.maySee(t, "robot", false)
}

func TestP203GroupsAreWholeNames(t *testing.T) {
	groups := func(g ...string) func(*identity.Identity) {
		return func(w *identity.Identity) { w.Groups = g }
	}
	l := ruled(t, map[string]func(*identity.Identity){
		"member": groups("staff", "admin"), "empty": groups(""), "none": groups(), "list": groups("admin,user"), "spaced": groups(" admin"), "case": groups("Admin"), "longer": groups("admins", "superadmin"),
		"path": groups("/admin"), "pattern": groups("*", ".*"),
	}, policy.Rule{Groups: []string{"admin"}})
	for _, name := range []string{"empty", "none", "list", "spaced", "case", "longer", "path", "pattern"} {
		l.maySee(t, name, false)
	}
	l.maySee(t, "member", true)
	if _, err := policy.New(policy.Config{Allow: []policy.Rule{{Groups: []string{"admin", ""}}}}); err == nil {
		t.Error("an empty group is accepted in the configuration")
	}
}

func TestP204APersonIsAnIssuerAndASubject(t *testing.T) {
	claims := func(s string) *identity.Claims { return identity.NewClaims([]byte(s)) }
	l := ruled(t, map[string]func(*identity.Identity){
		"here": func(w *identity.Identity) { w.Claims = claims(`{"iss":"https://idp.test"}`) },
		"there": func(w *identity.Identity) {
			w.Issuer, w.Claims = "https://idp2.test", claims(`{"iss":"https://idp2.test"}`)
		},
		"nobody": func(w *identity.Identity) {
			w.Subject, w.Claims = "", claims(`{"iss":"https://idp.test"}`)
		},
		"nowhere": func(w *identity.Identity) { w.Issuer, w.Claims = "", claims(`{"iss":"https://idp.test"}`) },
		"other":   func(w *identity.Identity) { w.Login = "kiosk" },
	}, policy.Rule{Users: []string{"alice", "x"}, Claims: map[string][]string{"iss": {"https://idp.test"}}})
	l.maySee(t, "here", true)
	l.maySee(t, "there", false)
	l.maySee(t, "nobody", false)
	l.maySee(t, "nowhere", false)
	l.both(t, "GET", "/ruled/x", []string{as("other")}, func(l *lab, a answer) { l.refused(a, 401) }) // a session of a login that the route does not list
}

func TestP205NothingIsAPattern(t *testing.T) {
	l := newLab(t, nil)
	l.both(t, "GET", "/publicx", nil, func(l *lab, a answer) { l.refused(a, 401) })
	l.both(t, "GET", "/adminx", []string{as("alice")}, func(l *lab, a answer) { l.passed(a) })
	l.both(t, "GET", "/x/public/y", nil, func(l *lab, a answer) { l.refused(a, 401) })
	l.both(t, "GET", "/public/x", []string{"Host: appxtest"}, func(l *lab, a answer) { l.refused(a, 421) })
	l.both(t, "GET", "/public/x", []string{"Host: a.app.test"}, func(l *lab, a answer) { l.refused(a, 421) })
}

func TestP207WhatNobodyAllowsIsRefused(t *testing.T) {
	if o := (Decision{}).Outcome; o != Deny {
		t.Errorf("the zero Decision is %s", o)
	}
	f := &forwarder{}
	for _, o := range []Outcome{Deny, Unavailable, Login, Outcome(99), Outcome(-1)} {
		if err := f.forward(nil, nil, nil, Decision{Outcome: o}, nil, nil, permit{}); err == nil {
			t.Errorf("%s is forwarded", o)
		}
	}
	l := newLab(t, func(c *Config, _ *Deps) { c.Routes = c.Routes[1:3] }) // /admin and /public only
	for _, target := range []string{"/unlisted", "/", "/x/admin", "/x/public"} {
		l.both(t, "GET", target, []string{as("root")}, func(l *lab, a answer) { l.refused(a, 404) })
	}
	l.both(t, "GET", "/admin", []string{as("alice")}, func(l *lab, a answer) { l.refused(a, 403) })
}
