package proxy

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/proxy/policy"
)

// explained asks about a request of who, and makes it: what is said and what happens must be the same.
func explained(t *testing.T, l *lab, method, target string, who *identity.Identity) *Explanation {
	t.Helper()
	e, err := l.g.Explain(Supposed{Method: method, URL: target}, who)
	if err != nil {
		t.Fatalf("%s %s: %v", method, target, err)
	}
	l.untouched()
	return e
}

func TestExplainSaysOfARequestWhatBecomesOfIt(t *testing.T) {
	people := everybody()
	b := newBearerLab(t)
	for _, method := range []string{"GET", "POST", "TRACE", "FOO", "OPTIONS"} {
		for _, path := range []string{
			"/x", "/admin/x", "/public/x", "/domain/x", "/strict/x", "/api", "/orders", "/people", "/shop", "/both", "/nope/../x", "/a%2fb", "/oauth2/x", "/oauth2/",
			"/api?access_token=x", "/x?access_token=x", "/.well-known/oauth-protected-resource/api", "/.well-known/x",
		} {
			for line, who := range map[string]*identity.Identity{"X-Nobody: 1": nil, as("alice"): people["alice"], as("root"): people["root"], bearerLine("bob"): b.judge.people["bob"], bearerLine("machine"): b.judge.people["machine"]} {
				route, _, _ := strings.Cut(path, "?")
				if bearer := strings.HasPrefix(line, "Authorization"); bearer && !strings.Contains("/api /orders /people /shop /both", route) {
					continue // of an identity without a login it is asked where it would be one
				}
				e := explained(t, b.lab, method, "https://app.test"+path, who)
				b.e.take()
				a := b.send(method, path, line)
				passed := len(b.e.take()) == 1
				if said := e.Allowed && e.Answer == "" && !e.Own; said != passed {
					t.Errorf("%s %s with %s: %s, and it was said %+v", method, path, line, a.Status, e)
				}
				if e.Answer != "" && a.code() != e.Answer {
					t.Errorf("%s %s with %s: %s, not %s", method, path, line, a.code(), e.Answer)
				}
			}
		}
	}
}

func TestExplainShowsNoSecret(t *testing.T) {
	b := newBearerLab(t, func(c *Config, d *Deps) {
		c.Routes = append(c.Routes, Route{
			Name: "secrets", Hosts: []origin.Origin{appTest}, Path: "/secrets", Upstreams: c.Routes[0].Upstreams, Logins: []string{"staff"},
			Headers: Headers{Set: map[string]string{"Authorization": "Bearer {access_token}", "X-Id": "{id_token}", "X-Key": "of-the-configuration", "X-Both": "of-the-configuration:{user.sub}", "X-Who": "{user.sub}"}},
		})
		d.Starters["secrets"] = door{}
	})
	alice := everybody()["alice"]
	e := explained(t, b.lab, "GET", "https://app.test/secrets", alice)
	for name, want := range map[string]string{"Authorization": "……", "X-Key": "…", "X-Both": "…alice", "X-Who": "alice", "X-Forwarded-User": "alice"} {
		if got := strings.Join(e.Headers[name], "|"); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	for _, target := range []string{"/secrets", "/session/x", "/id/x", "/set/x"} {
		text := fmt.Sprint(explained(t, b.lab, "GET", "https://app.test"+target, alice).Headers)
		for _, secret := range []string{alice.Tokens.AccessToken.Reveal(), alice.Tokens.IDToken.Reveal(), "configuration"} {
			if secret != "" && strings.Contains(text, secret) {
				t.Errorf("%s shows %s", target, text)
			}
		}
	}
}

func TestExplainOfASessionThatTheRouteDoesNotTake(t *testing.T) {
	b := newBearerLab(t, func(c *Config, d *Deps) {
		c.Routes = append(c.Routes, Route{
			Name: "only", Hosts: []origin.Origin{appTest}, Path: "/only", Upstreams: c.Routes[0].Upstreams, Logins: []string{"staff"}, Accept: []string{acceptBearer},
		})
		d.Bearers["only"] = d.Bearers["api"]
	})
	other := someone("carol", func(w *identity.Identity) { w.Login = "other" })
	abroad := tokenOf("bob", "bob", func(w *identity.Identity) { w.Issuer = "https://elsewhere.test" })
	for _, c := range []struct {
		path string
		who  *identity.Identity
	}{{"/x", other}, {"/api", other}, {"/api", everybody()["alice"]}, {"/only", everybody()["alice"]}, {"/api", abroad}} {
		if e := explained(t, b.lab, "GET", "https://app.test"+c.path, c.who); e.Allowed {
			t.Errorf("%s of %s %q: %+v", c.path, c.who.Issuer, c.who.Login, e)
		}
	}
}

func TestExplainOfAnOutgoingRequestSendsNothing(t *testing.T) {
	o := newOutside(t, nil)
	here := "http://" + o.self
	for _, c := range []struct {
		method, target string
		who            *identity.Identity
		ok             bool
		want           string
	}{
		{"GET", here + "/data/x?y", nil, true, "true egress data " + o.e.url.String() + "/x?y"},
		{"GET", "http://data.local/x", nil, true, "true egress data " + o.e.url.String() + "/x"},
		{"POST", here + "/read/x", nil, true, "method_not_allowed"},
		{"GET", here + "/shop/orders/x", nil, true, "false egress orders " + o.e.url.String() + "/x"},
		{"GET", here + "/shop/orders/x", everybody()["alice"], true, "false egress orders " + o.e.url.String() + "/x"}, // a session is no bearer token
		{"GET", here + "/shop/orders/x", tokenOf("bob", "bob", nil), true, "true egress orders " + o.e.url.String() + "/x"},
		{"POST", here + "/token", nil, true, "own"},
		{"CONNECT", here + "/data/x", nil, true, "method_not_allowed"},
		{"GET", here + "/a%2fb", nil, true, "bad_request"},
		{"GET", here + "/nope", nil, true, "no_such_target"},
		{"GET", "https://app.test/", nil, false, ""},
	} {
		x, ok, err := o.egress.Explain(c.method, c.target, c.who)
		got := ""
		switch {
		case err != nil:
			got = err.Error()
		case x == nil:
		case x.Own:
			got = "own"
		case x.Answer != "":
			got = x.Answer
		default:
			got = fmt.Sprint(x.Allowed, " ", x.Route, " ", x.Target)
		}
		if ok != c.ok || got != c.want {
			t.Errorf("%s %s: %v %q, not %q", c.method, c.target, ok, got, c.want)
		}
	}
	if o.untouched(); len(o.vault.asked) != 0 {
		t.Error("a token was obtained")
	}
}

func TestExplainTakesTheAddressAndTheHeadersThatRulesLookAt(t *testing.T) {
	l := newLab(t, func(c *Config, d *Deps) {
		to := c.Routes[0].Upstreams
		c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.9.0.0/16")}
		c.Routes = append(c.Routes,
			Route{Name: "inside", Hosts: []origin.Origin{appTest}, Path: "/near", Upstreams: to, Logins: []string{"staff"}, Allow: []policy.Rule{{Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}}, Require: `request.header["x-tenant"][0] == "t1"`},
			Route{Name: "beta", Hosts: []origin.Origin{appTest}, Path: "/near", Upstreams: to, Public: true, Match: Match{Headers: map[string][]string{"X-Beta": {"1"}}}})
		d.Starters["inside"] = door{}
	})
	tenant := http.Header{"X-Tenant": {"t1"}}
	for name, c := range map[string]struct {
		client string
		header http.Header
		route  string
		allows bool
	}{
		"from there":           {"10.1.2.3", tenant, "inside", true},
		"from elsewhere":       {"192.0.2.1", tenant, "inside", false},
		"from this machine":    {"", tenant, "inside", false},
		"mapped":               {"::ffff:10.1.2.3", tenant, "inside", true},
		"without the header":   {"10.1.2.3", nil, "inside", false},
		"another route":        {"192.0.2.1", http.Header{"X-Beta": {"1"}}, "beta", true},
		"through a proxy":      {"10.9.0.1", http.Header{"X-Tenant": {"t1"}, "X-Forwarded-For": {"192.0.2.1"}}, "inside", false},
		"by a forged address":  {"192.0.2.1", http.Header{"X-Tenant": {"t1"}, "X-Forwarded-For": {"10.1.2.3"}}, "inside", false},
		"of the proxy's, near": {"10.9.0.1", http.Header{"X-Tenant": {"t1"}, "X-Forwarded-For": {"10.1.2.3"}}, "inside", true},
	} {
		s := Supposed{Method: "GET", URL: "https://app.test/near/x", Header: c.header}
		if c.client != "" {
			s.Client = netip.MustParseAddr(c.client)
		}
		e, err := l.g.Explain(s, everybody()["alice"])
		if err != nil || e.Route != c.route || e.Allowed != c.allows {
			t.Errorf("%s: %+v, %v", name, e, err)
		}
		if c.header.Get("X-Forwarded-For") != "" && len(c.header) != 2 {
			t.Errorf("%s: the caller's headers were changed: %v", name, c.header)
		}
	}
}
