package proxy

import (
	"net/http"
	"net/url"
	"testing"
)

// slashedTargets are GitLab's API, an npm registry, and one that has not opted in.
func slashedTargets(o *outside, c *EgressConfig, _ *EgressDeps) {
	based := *o.e.url
	based.Path = "/api/v4"
	c.Targets = []EgressTarget{
		{Name: "gitlab", Host: "gitlab.local", Upstreams: []*url.URL{&based}, Credential: "service", Encoded: []string{"slash"}},
		{Name: "npm", Path: "/npm/registry", Upstreams: []*url.URL{o.e.url}, Credential: "service", Encoded: []string{"slash"}},
		{Name: "npm-own", Path: "/npm", Upstreams: []*url.URL{o.e.url}, Credential: "none", Encoded: []string{"slash"}},
		{Name: "data", Host: "data.local", Upstreams: []*url.URL{o.e.url}, Credential: "service"},
		{Name: "two", Upstreams: []*url.URL{address("https://two.test/a"), address("https://two.test/a/b")}, Credential: "service", Encoded: []string{"slash"}},
	}
}

func TestAnEncodedSlashGoesOutAsItCame(t *testing.T) {
	o := newOutside(t, slashedTargets)
	for _, c := range []struct{ target, host, sees string }{
		{"/gitlab/projects/group%2Fproject/issues?a=%2f", "", "/api/v4/projects/group%2Fproject/issues?a=%2f"},
		{"/projects/group%2fsub%2Fproject", "gitlab.local", "/api/v4/projects/group%2fsub%2Fproject"},
		{"http://gitlab.local/projects/a%2Fb", "gitlab.local", "/api/v4/projects/a%2Fb"},
		{"/npm/registry/@scope%2fname", "", "/@scope%2fname"},
		{"/npm/@scope%2fname/-/a%20b", "", "/@scope%2fname/-/a%20b"},
		{"/gitlab/projects/plain", "", "/api/v4/projects/plain"},
	} {
		t.Run(c.target, func(t *testing.T) {
			o := o.on(t)
			var lines []string
			if c.host != "" {
				lines = append(lines, "Host: "+c.host)
			}
			if got := o.passed(o.call("GET", c.target, lines...)); got.RequestURI != c.sees {
				t.Errorf("E received %q, not %q", got.RequestURI, c.sees)
			}
		})
	}
	o.twice(t, "GET", "/gitlab/projects/group%2fproject", nil, func(o *outside, a answer) {
		got := o.passed(a)
		got.one(o, "Authorization", "Bearer "+theToken)
		if got.RequestURI != "/api/v4/projects/group%2fproject" {
			o.Errorf("E received %q", got.RequestURI)
		}
	})
}

func TestP006AnEncodedSlashChoosesNoTarget(t *testing.T) {
	o := newOutside(t, slashedTargets)
	for _, target := range []string{
		"/data/a%2fb", "/gitlab%2fprojects", "/npm%2fregistry/x", "/npm/registry%2fx", "/npm%2fx", "/token%2fx", "/token/exchange%2fx", "/api%2fv1/token", "/api/v1%2ftoken", "/nowhere%2fx",
		"http://two.test/a/b%2fc", "http://two.test/a/b%2Fc/d", // by a plain slash another upstream's
		"/gitlab/..%2fdata", "/gitlab/a%2f..%2f..%2fdata", "/gitlab/%2e%2e%2fdata", "/gitlab/a%2f%2fb", "/gitlab/%2fa", "/gitlab/a%2f", "/gitlab/a%252fb", "/gitlab/a%2fb%5cc", "/gitlab/a%2fb%00", "/gitlab/a%2fb?%zz",
	} {
		t.Run(target, func(t *testing.T) {
			o.twice(t, "GET", target, nil, func(o *outside, a answer) { o.refused(a, 400) })
		})
	}
}

func TestALocationWithAnEncodedSlashIsTranslatedLikeAnother(t *testing.T) {
	o := newOutside(t, slashedTargets).on(t)
	o.e.answer = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "/api/v4/projects/group%2Frenamed?a")
		w.WriteHeader(http.StatusMovedPermanently)
	}
	if a := o.call("GET", "/gitlab/projects/group%2Fproject"); a.Header.Get("Location") != "/gitlab/projects/group%2Frenamed?a" {
		t.Errorf("Location: %q", a.Header.Get("Location"))
	}
}
