package proxy

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/origin"
)

// TestExplainSaysOfARequestThatIsNotThePolicysWhatBecomesOfIt asks about requests, and makes them: an answer that comes
// before the policy, or after it, must be the same.
func TestExplainSaysOfARequestThatIsNotThePolicysWhatBecomesOfIt(t *testing.T) {
	l := newLab(t, func(c *Config, d *Deps) {
		app, staff, to := []origin.Origin{appTest}, []string{"staff"}, c.Routes[0].Upstreams
		page, err := origin.Parse("https://page.test")
		if err != nil {
			t.Fatal(err)
		}
		for _, rc := range []Route{
			{Name: "closed", Path: "/closed", Upstreams: to, Maintenance: &Maintenance{On: true}},
			{Name: "www", Path: "/www", Answer: &Answer{Files: &Files{Root: t.TempDir()}}},
			{Name: "cross", Path: "/cross", Upstreams: to, CORS: &CORS{Origins: []origin.Origin{page}}},
			{Name: "bound", Path: "/bound", Upstreams: to, Limits: Limits{MaxBody: 4}},
			{Name: "asked", Path: "/asked"},
			{Name: "deaf", Path: "/deaf", Upstreams: to, Unauthenticated: unauthenticated401},
		} {
			rc.Hosts, rc.Logins, d.Starters[rc.Name] = app, staff, door{}
			c.Routes = append(c.Routes, rc)
		}
	})
	preflight := []string{"Origin: https://page.test", "Access-Control-Request-Method: PUT", "Access-Control-Request-Headers: x-a"}
	for name, c := range map[string]struct {
		method, path string
		lines        []string
		status       int
		code         string
	}{
		"a closed route":                   {"GET", "/closed", nil, 503, codeMaintenance},
		"a change of files":                {"POST", "/www", nil, 405, codeMethodNotAllowed},
		"a lost file":                      {"GET", "/www/lost", nil, 404, codeNoRoute},
		"a preflight":                      {"OPTIONS", "/cross", preflight, 204, ""},
		"a preflight of elsewhere":         {"OPTIONS", "/cross", append([]string{"Origin: https://evil.example"}, preflight[1:]...), 200, ""},
		"a preflight where no cors is":     {"OPTIONS", "/deaf", preflight, 200, ""},
		"a form of another site":           {"POST", "/x", []string{"Origin: https://evil.example"}, 403, codeCrossSite},
		"a form of the same site":          {"POST", "/x", []string{"Origin: https://app.test"}, 200, ""},
		"a script of elsewhere that reads": {"GET", "/x", []string{"Origin: https://evil.example"}, 200, ""},
		"a WebSocket of another site":      {"GET", "/x", []string{"Connection: Upgrade", "Upgrade: websocket", "Origin: https://evil.example"}, 403, codeCrossSite},
		"a large body":                     {"POST", "/bound", []string{"Content-Length: 5"}, 413, codeBodyTooLarge},
		"a small one":                      {"POST", "/bound", []string{"Content-Length: 0"}, 200, ""},
		"another method":                   {"TRACE", "/x", nil, 405, codeMethodNotAllowed},
	} {
		t.Run(name, func(t *testing.T) {
			l := l.on(t)
			asked := Supposed{Method: c.method, URL: "https://app.test" + c.path, Header: make(http.Header)}
			for _, line := range c.lines {
				name, value, _ := strings.Cut(line, ": ")
				asked.Header.Add(name, value)
			}
			e, err := l.g.Explain(asked, everybody()["alice"])
			if err != nil {
				t.Fatal(err)
			}
			l.untouched()
			a := l.send(c.method, c.path, append(slices.Clone(c.lines), as("alice"))...)
			if a.StatusCode != c.status || c.code != "" && a.code() != c.code {
				t.Fatalf("the request itself: %s", a.Status)
			}
			passed := len(l.e.take()) == 1
			if e.Answer != c.code || (e.Allowed && e.Answer == "" && e.Itself == "") != passed {
				t.Errorf("%s, and it was said %+v", a.Status, e)
			}
		})
	}
	alice := everybody()["alice"]
	if e := explained(t, l, "GET", "https://app.test/asked", alice); !e.AskedOnly || !e.Allowed || e.Itself != "" || e.Target != "" || e.Headers["X-Forwarded-User"] == nil {
		t.Errorf("a route for forward-auth: %+v", e)
	}
	for path, begins := range map[string]bool{"/x": true, "/deaf": false} {
		if e := explained(t, l, "GET", "https://app.test"+path, nil); e.Begins != begins || e.Allowed {
			t.Errorf("%s of nobody: %+v", path, e)
		}
	}
}

func TestExplainNamesEveryUpstreamAndEveryLimit(t *testing.T) {
	l := newLab(t, func(c *Config, _ *Deps) {
		root := &c.Routes[0]
		other, err := url.Parse("http://other.test/base")
		if err != nil {
			t.Fatal(err)
		}
		root.Upstreams = append(slices.Clone(root.Upstreams), other)
		root.Rewrite.Host = hostUpstream
		root.Limits = Limits{MaxBody: 10, Concurrent: 2, PerUser: Rate{1, time.Minute}, PerAddress: Rate{20, 90 * time.Second}}
	})
	alice := everybody()["alice"]
	for range 3 { // it counts nothing
		e := explained(t, l, "GET", "https://app.test/x?y", alice)
		if e.Target != l.e.url.String()+"/x?y" || !slices.Equal(e.Others, []string{"http://other.test/base/x?y"}) || e.Host == l.e.url.Host || e.Host == "" {
			t.Errorf("%+v", e)
		}
		if got := strings.Join(e.Limits, "; "); got != "at most 1/1m per person; at most 20/1m30s per address; at most 2 at a time; a body of at most 10 bytes" {
			t.Error(got)
		}
	}
}

// Whoever brings a token in a header is no browser that another site made ask; whoever has a cookie may be.
func TestExplainLooksAtWhereAFormComesFromOnlyWhereABrowserSendsIt(t *testing.T) {
	b := newBearerLab(t)
	for path, refused := range map[string]bool{"/api": false, "/x": true} {
		who := b.judge.people["bob"]
		if path == "/x" {
			who = everybody()["alice"]
		}
		e, err := b.g.Explain(Supposed{Method: "POST", URL: "https://app.test" + path, Header: http.Header{"Origin": {"https://evil.example"}}}, who)
		if err != nil || (e.Answer == codeCrossSite) != refused {
			t.Errorf("%s: %+v, %v", path, e, err)
		}
	}
}
