package proxy

import (
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/origin"
)

func TestTheLoginsOfATargetAreThoseOfTheRouteThatAGetOfItFinds(t *testing.T) {
	l := newLab(t, func(c *Config, d *Deps) {
		d.Tokens = everybody()
		for _, rt := range []Route{
			{Name: "tv", Hosts: []origin.Origin{appTest}, Path: "/tv", Logins: []string{"tv", "staff"}},
			{Name: "read", Hosts: []origin.Origin{appTest}, Path: "/by-method", Methods: []string{"GET"}, Logins: []string{"tv"}},
			{Name: "write", Hosts: []origin.Origin{appTest}, Path: "/by-method", Methods: []string{"POST"}, Logins: []string{"phone"}},
			{Name: "form", Hosts: []origin.Origin{appTest}, Path: "/form", Methods: []string{"POST"}, Logins: []string{"phone"}},
			{Name: "programs", Hosts: []origin.Origin{appTest}, Path: "/api", Logins: []string{"phone"}, Accept: []string{"token"}},
			{Name: "every", Path: "/every", Logins: []string{"phone"}},
		} {
			rt.Upstreams, d.Starters[rt.Name] = c.Routes[0].Upstreams, door{}
			c.Routes = append(c.Routes, rt)
		}
	})
	for target, want := range map[string]string{
		"/": "staff", "/x?y=/tv#/tv": "staff", "/tv": "tv staff", "/tv/": "tv staff", "/tv/x?y": "tv staff", "/tv#x": "tv staff", "/%74v": "tv staff", "/tvs": "staff",
		"/by-method": "tv", "/every/x": "phone",
		"/public": "", "/form": "", "/api": "", // everybody, nobody by a link, no session
		"/tv;x/y": "", "/tv./y": "", "//tv": "", "/tv/../x": "", "/%2e%2e/tv": "", "tv": "", "": "", "*": "", "/%zz": "",
	} {
		if got := strings.Join(l.g.Logins(appTest, target), " "); got != want {
			t.Errorf("%q: %q, want %q", target, got, want)
		}
	}
	if got := l.g.Logins(origin.Origin{Scheme: "https", Host: "open.test"}, "/every"); len(got) != 1 || got[0] != "phone" {
		t.Errorf("another host: %q", got)
	}
	for _, o := range []origin.Origin{{Scheme: "https", Host: "elsewhere.test"}, {Scheme: "http", Host: "app.test"}, {}} {
		if got := l.g.Logins(o, "/every"); got != nil {
			t.Errorf("%v is not served here: %q", o, got)
		}
	}
	l.g.Logins(appTest, "/tv")[0] = "changed"
	if got := l.g.Logins(appTest, "/tv"); got[0] != "tv" {
		t.Error("what a caller does to the answer changes the route")
	}
}
