package proxy

import (
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/origin"
)

// Group A: WebDAV names a second target in a header, and it is judged like the first.

func TestBFF5ADestinationUnderOtherRulesIsRefused(t *testing.T) {
	l := newLab(t, func(c *Config, d *Deps) {
		c.Routes = append(c.Routes,
			Route{Name: "inner", Hosts: []origin.Origin{appTest}, Path: "/public/inner", Upstreams: c.Routes[0].Upstreams, Logins: []string{"staff"}},
			Route{Name: "written", Hosts: []origin.Origin{appTest}, Path: "/public/written", Upstreams: c.Routes[0].Upstreams, Methods: []string{"GET"}, Public: true})
		d.Starters["inner"] = door{}
	})
	for _, method := range []string{"COPY", "MOVE"} {
		for _, to := range []string{
			"https://app.test/admin/b", "/admin/b", "/b", "https://app.test/b", "/publicx", "/public/inner/b", "/public/written/b", "/oauth2/callback", "/old/callback",
			"https://open.test/public/b", "http://app.test/public/b", "https://app.test:8443/public/b", "https://app.test.evil.test/public/b", "https://app.test@evil.test/public/b",
			"https://u@app.test/public/b", "//evil.test/public/b", "https:/public/b", "https:///public/b", "https://app.test", "app.test/public/b", "public/b", "*", "",
			"/public/../admin/b", "/public/%2e%2e/admin/b", "/public/%2fadmin", "/public//b", "/public/..;/admin/b", "/public/inner;x/b", "/public/inner./b", "/public/b?c", "/public/b#c", "/public/%252e%252e/admin",
			"/public", "/public/", "/", // hold /public/inner
		} {
			t.Run(method+" to "+to, func(t *testing.T) {
				l.both(t, method, "/public/a", []string{"Destination: " + to}, func(l *lab, a answer) { l.refused(a, 403) })
			})
		}
		t.Run(method+" to two", func(t *testing.T) {
			l.both(t, method, "/public/a", []string{"Destination: /public/b", "Destination: /admin/b"}, func(l *lab, a answer) { l.refused(a, 403) })
		})
		t.Run(method+" as somebody who may not", func(t *testing.T) {
			l.both(t, method, "/x", []string{as("alice"), "Destination: /admin/b"}, func(l *lab, a answer) { l.refused(a, 403) })
			l.both(t, method, "/admin/x", []string{as("alice"), "Destination: /admin/b"}, func(l *lab, a answer) { l.refused(a, 403) })
			l.both(t, method, "/x", []string{"Destination: /b"}, func(l *lab, a answer) { l.refused(a, 401) })
			l.both(t, method, "/x", []string{as("alice"), "Destination: /oauth2/callback"}, func(l *lab, a answer) { l.refused(a, 403) })
			l.both(t, method, "/x", []string{as("alice"), "Destination: /admin;y/b"}, func(l *lab, a answer) { l.refused(a, 403) })
		})
		t.Run(method+" of what holds others", func(t *testing.T) {
			for _, from := range []string{"/public", "/public/"} {
				l.both(t, method, from, []string{"Destination: /public/b"}, func(l *lab, a answer) { l.refused(a, 403) })
			}
			l.both(t, method, "/", []string{as("alice"), "Destination: /b"}, func(l *lab, a answer) { l.refused(a, 403) })
		})
	}
}

func TestADestinationUnderTheSameRulesArrivesAsTheUpstreamKnowsIt(t *testing.T) {
	l := newLab(t, func(c *Config, _ *Deps) {
		based := *c.Routes[0].Upstreams[0]
		based.Path = "/base"
		c.Routes = append(c.Routes, Route{Name: "dav", Hosts: []origin.Origin{appTest}, Path: "/dav", Upstreams: append(c.Routes[0].Upstreams[:0:0], &based), Public: true, StripPrefix: true})
	})
	for _, c := range [][3]string{
		{"/public/a", "https://app.test/public/b%20c/", "https://app.test/public/b%20c/"},
		{"/public/a", "https://APP.test:443/public/b", "https://app.test/public/b"},
		{"/public/a", "/public/b", "/public/b"},
		{"/strip/a", "https://app.test/strip/b/c", "https://app.test/b/c"},
		{"/strip/a", "/strip", "/"},
		{"/dav/a", "https://app.test/dav/b%20c", "https://app.test/base/b%20c"},
		{"/dav/a", "/dav/b", "/base/b"},
	} {
		t.Run(c[0]+" to "+c[1], func(t *testing.T) {
			l.both(t, "MOVE", c[0], []string{"Destination: " + c[1], "Overwrite: F"}, func(l *lab, a answer) { l.passed(a).one(l, "Destination", c[2]) })
		})
	}
	l.both(t, "COPY", "/admin/a", []string{as("root"), "Destination: /admin/b"}, func(l *lab, a answer) { l.passed(a).one(l, "Destination", "/admin/b") })
	l.both(t, "COPY", "/public/a", nil, func(l *lab, a answer) { l.passed(a).lacks(l, "Destination") })
}

func TestADestinationMeansNothingWithOtherMethods(t *testing.T) {
	l := newLab(t, func(c *Config, _ *Deps) {
		c.Routes[2].Methods = append(strings.Split(anyMethod, ", "), "PROPFIND", "LOCK", "REBIND", "X-COPY")
	})
	for _, method := range []string{"GET", "PUT", "PROPFIND", "LOCK", "REBIND", "X-COPY"} {
		l.both(t, method, "/public/a", []string{"Destination: /admin/b"}, func(l *lab, a answer) { l.passed(a).lacks(l, "Destination") })
	}
}

func TestP016MethodsThatNameASecondTargetElsewhereMustBeListed(t *testing.T) {
	l := newLab(t, nil)
	listed := newLab(t, func(c *Config, _ *Deps) {
		c.Routes[2].Methods = []string{"BIND", "REBIND", "UNBIND", "LINK", "UNLINK"}
	})
	for _, method := range []string{"BIND", "REBIND", "UNBIND", "LINK", "UNLINK"} {
		l.both(t, method, "/public/a", nil, func(l *lab, a answer) { l.refused(a, 405) })
		listed.both(t, method, "/public/a", nil, func(l *lab, a answer) { l.passed(a) })
	}
}
