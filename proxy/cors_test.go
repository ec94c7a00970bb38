package proxy

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/origin"
)

// corsLab has routes that other pages may call.
func corsLab(t *testing.T) *lab {
	t.Helper()
	www := origin.Origin{Scheme: "https", Host: "www.test"}
	return newLab(t, func(c *Config, d *Deps) {
		app, to := []origin.Origin{appTest}, c.Routes[0].Upstreams
		c.Routes = append(c.Routes,
			Route{Name: "api", Hosts: app, Path: "/api", Upstreams: to, Logins: []string{"staff"}, Methods: []string{"GET", "PUT", "POST"}, CORS: &CORS{
				Origins: []origin.Origin{www}, Credentials: true, ExposeHeaders: []string{"X-Total", "X-Page"}, MaxAge: time.Hour,
			}},
			Route{Name: "listed", Hosts: app, Path: "/listed", Upstreams: to, Logins: []string{"staff"}, CORS: &CORS{
				Origins: []origin.Origin{www}, Methods: []string{"GET", "PUT"}, Headers: []string{"Content-Type", "X-A"},
			}},
			Route{Name: "any", Hosts: app, Path: "/any", Upstreams: to, Public: true, CORS: &CORS{AnyOrigin: true}},
		)
		d.Starters["api"], d.Starters["listed"] = door{}, door{}
	})
}

func has(t *testing.T, a answer, want map[string]string) {
	t.Helper()
	for name, value := range want {
		if got := strings.Join(a.Header[name], " | "); got != value {
			t.Errorf("%s: %q, not %q", name, got, value)
		}
	}
}

const (
	ofWWW   = "Origin: https://www.test"
	asksPut = "Access-Control-Request-Method: PUT"
)

func TestAPreflightIsAnsweredBeforeAnybodyIsAskedWhoTheyAre(t *testing.T) {
	l := corsLab(t)
	l.both(t, "OPTIONS", "/api/x?y=1", []string{ofWWW, asksPut, "Access-Control-Request-Headers: content-type,x-b"}, func(l *lab, a answer) {
		l.refused(a, http.StatusNoContent)
		has(l.T, a, map[string]string{
			headerAllowOrigin: "https://www.test", headerAllowCredentials: "true", headerAllowMethods: "PUT", headerAllowHeaders: "content-type,x-b",
			headerMaxAge: "3600", headerVary: "Origin, Access-Control-Request-Method, Access-Control-Request-Headers", "Set-Cookie": "", headerExpose: "",
		})
	})
	l.both(t, "OPTIONS", "/listed", []string{ofWWW, "Access-Control-Request-Method: DELETE", "Access-Control-Request-Headers: x-b"}, func(l *lab, a answer) {
		l.refused(a, http.StatusNoContent)
		has(l.T, a, map[string]string{headerAllowOrigin: "https://www.test", headerAllowCredentials: "", headerAllowMethods: "GET, PUT", headerAllowHeaders: "Content-Type, X-A", headerMaxAge: "600"})
	})
	l.both(t, "OPTIONS", "/any/x", []string{"Origin: null", asksPut}, func(l *lab, a answer) {
		l.refused(a, http.StatusNoContent)
		has(l.T, a, map[string]string{headerAllowOrigin: "*", headerAllowCredentials: "", headerAllowHeaders: ""})
	})
}

func TestP182NothingButARealPreflightOfAListedOriginIsAnswered(t *testing.T) {
	l := corsLab(t)
	for name, lines := range map[string][]string{
		"without an origin":          {asksPut},
		"without a method":           {ofWWW},
		"with two origins":           {ofWWW, ofWWW, asksPut},
		"with two methods":           {ofWWW, asksPut, asksPut},
		"of another origin":          {"Origin: https://evil.test", asksPut},
		"for what is no header name": {ofWWW, asksPut, "Access-Control-Request-Headers: a b"},
		"for every header":           {ofWWW, asksPut, "Access-Control-Request-Headers: *"},
		"for endless headers":        {ofWWW, asksPut, "Access-Control-Request-Headers: " + strings.Repeat("x,", maxAsked)},
	} {
		t.Run(name, func(t *testing.T) {
			l.both(t, "OPTIONS", "/listed/x", append([]string{as("unknown")}, lines...), func(l *lab, a answer) {
				want := http.StatusUnauthorized
				if strings.HasPrefix(name, "for ") {
					want = http.StatusNoContent // the route says itself which ones; what is asked for is not repeated
				}
				l.refused(a, want)
			})
			l.both(t, "OPTIONS", "/api/x", lines, func(l *lab, a answer) {
				l.refused(a, http.StatusMethodNotAllowed) // this route takes no OPTIONS of its own
				if a.Header[headerAllowOrigin] != nil {
					l.Errorf("answer %v", a.Header)
				}
			})
		})
	}
	l.both(t, "OPTIONS", "/api/x", []string{ofWWW, "Access-Control-Request-Method: DELETE"}, func(l *lab, a answer) { l.refused(a, http.StatusMethodNotAllowed) })
	l.both(t, "OPTIONS", "/admin/x", []string{ofWWW, asksPut}, func(l *lab, a answer) { l.refused(a, http.StatusUnauthorized) }) // no cors there
	t.Run("with a body", func(t *testing.T) {
		l := l.on(t)
		l.refused(l.raw(request("OPTIONS", "/listed/x", ofWWW, asksPut, "Content-Length: 3")+"abc"), http.StatusUnauthorized)
	})
	l.both(t, "OPTIONS", "/listed/x", []string{as("alice"), "Origin: https://evil.test", asksPut, "Sec-Fetch-Site: cross-site"}, func(l *lab, a answer) {
		l.passed(a).one(l, "X-Forwarded-User", "alice") // it is an ordinary request then, and a safe one
		has(l.T, a, map[string]string{headerAllowOrigin: "", headerVary: "Origin"})
	})
}

func TestP183AnOriginIsComparedAsAWhole(t *testing.T) {
	l := corsLab(t)
	for _, from := range []string{
		"https://evil.test", "null", "https://www.test.evil", "https://evilwww.test", "https://www.test:444", "http://www.test", "https://WWW.test",
		"https://www.test/", "https://www.test@evil.test", "https://a.www.test", "www.test", "*", "https://www.test, https://www.test",
	} {
		t.Run(from, func(t *testing.T) {
			for _, lines := range [][]string{{"Origin: " + from}, {"Origin: " + from, as("alice")}} {
				l.both(t, "GET", "/api/x", lines, func(l *lab, a answer) {
					has(l.T, a, map[string]string{headerAllowOrigin: "", headerAllowCredentials: "", headerExpose: "", headerVary: "Origin"})
				})
			}
		})
	}
	for _, path := range []string{"/oauth2/callback", "/old/callback", "/oauth2/none"} { // our own
		l.both(t, "GET", path, []string{ofWWW, as("alice")}, func(l *lab, a answer) { has(l.T, a, map[string]string{headerAllowOrigin: ""}) })
		l.both(t, "OPTIONS", path, []string{ofWWW, asksPut}, func(l *lab, a answer) { has(l.T, a, map[string]string{headerAllowOrigin: ""}) })
	}
}

func TestEveryAnswerOfARouteSaysWhoMayReadItAndTheUpstreamNever(t *testing.T) {
	l := corsLab(t)
	l.e.answers(func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		for _, name := range []string{headerAllowOrigin, headerAllowCredentials, headerAllowMethods, headerExpose, "Access-Control-Allow-Private-Network"} {
			h.Set(name, "https://evil.test")
		}
		h.Set("Vary", "Accept-Language")
		h.Set("Link", "</a>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
	})
	ours := map[string]string{headerAllowOrigin: "https://www.test", headerAllowCredentials: "true", headerExpose: "X-Total, X-Page", headerAllowMethods: "", "Access-Control-Allow-Private-Network": ""}
	l.both(t, "GET", "/api/x", []string{ofWWW, as("alice")}, func(l *lab, a answer) {
		l.passed(a).one(l, "Origin", "https://www.test")
		has(l.T, a, ours)
		has(l.T, a, map[string]string{headerVary: "Accept-Language | Origin"})
	})
	l.both(t, "GET", "/api/x", []string{as("alice")}, func(l *lab, a answer) {
		l.passed(a)
		has(l.T, a, map[string]string{headerAllowOrigin: "", headerVary: "Accept-Language | Origin"})
	})
	for name, lines := range map[string][]string{"nobody": {ofWWW}, "one whom the store does not know just now": {ofWWW, as("broken")}} {
		t.Run(name, func(t *testing.T) {
			l.both(t, "GET", "/api/x", lines, func(l *lab, a answer) {
				l.refused(a, 401, 503)
				has(l.T, a, ours)
				has(l.T, a, map[string]string{headerVary: "Origin"})
				if !strings.Contains(a.Header.Get("Content-Type"), "problem+json") {
					l.Errorf("answer %v", a.Header)
				}
			})
		})
	}
	l.both(t, "GET", "/any/x", []string{"Origin: https://whoever.test"}, func(l *lab, a answer) {
		l.passed(a)
		has(l.T, a, map[string]string{headerAllowOrigin: "*", headerAllowCredentials: ""})
	})
	l.both(t, "GET", "/public/x", []string{ofWWW}, func(l *lab, a answer) { // a route without cors leaves it to its upstream
		l.passed(a)
		has(l.T, a, map[string]string{headerAllowOrigin: "https://evil.test"})
	})
}

func TestAListedOriginActsInTheNameOfWhoeverIsSignedInAndNoOtherDoes(t *testing.T) {
	l := corsLab(t)
	for name, c := range map[string]struct {
		target string
		lines  []string
		passes bool
	}{
		"listed":                       {"/api/x", []string{ofWWW, "Sec-Fetch-Site: cross-site"}, true},
		"listed, an older browser":     {"/api/x", []string{ofWWW}, true},
		"not listed":                   {"/api/x", []string{"Origin: https://evil.test", "Sec-Fetch-Site: cross-site"}, false},
		"not listed, an older browser": {"/api/x", []string{"Origin: https://evil.test"}, false},
		"null":                         {"/api/x", []string{"Origin: null", "Sec-Fetch-Site: cross-site"}, false},
		"nothing":                      {"/api/x", []string{"Sec-Fetch-Site: cross-site"}, false},
		"twice":                        {"/api/x", []string{ofWWW, ofWWW, "Sec-Fetch-Site: cross-site"}, false},
		"listed without credentials":   {"/listed/x", []string{ofWWW, "Sec-Fetch-Site: cross-site"}, false},
		"elsewhere":                    {"/x", []string{ofWWW, "Sec-Fetch-Site: cross-site"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			l.both(t, "POST", c.target, append([]string{as("alice")}, c.lines...), func(l *lab, a answer) {
				if c.passes {
					l.passed(a)
					return
				}
				if l.refused(a, http.StatusForbidden); a.code() != codeCrossSite {
					l.Errorf("answer %s", a.body)
				}
			})
		})
	}
}

func TestACORSThatCannotBeMeantIsRefused(t *testing.T) {
	www := []origin.Origin{{Scheme: "https", Host: "www.test"}}
	for says, c := range map[string]CORS{
		"cors.origins":          {},
		"cors.credentials":      {AnyOrigin: true, Credentials: true},
		"cors.methods[1]":       {Origins: www, Methods: []string{"GET", "*"}},
		"cors.headers[0]":       {Origins: www, Headers: []string{"a b"}},
		"cors.expose_headers[0": {Origins: www, ExposeHeaders: []string{"*"}},
		"cors.max_age":          {Origins: www, MaxAge: -1},
	} {
		if _, err := newCORS(&c); err == nil || !strings.HasPrefix(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
	}
}

func TestARouteWithoutCORSPaysNothingForIt(t *testing.T) {
	var c *cors
	h := http.Header{}
	if n := testing.AllocsPerRun(100, func() {
		c.allow(nil, nil)
		c.replace(h, nil, h, h)
		if c.trusts(h) {
			t.Error("trusted")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
