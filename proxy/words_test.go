package proxy

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/proxy/policy"
)

// detail is what an answer of ours says to a program of this very case.
func (a answer) detail() string {
	var problem struct{ Detail string }
	_ = json.Unmarshal([]byte(a.body), &problem)
	return problem.Detail
}

// loginURL is where it sends the person.
func (a answer) loginURL() string {
	var problem struct {
		URL string `json:"login_url"`
	}
	_ = json.Unmarshal([]byte(a.body), &problem)
	return problem.URL
}

// TestAPersonalTokenThatDoesNotCountIsCalledSo, and not a ticket, nor a sign-in that is missing: a program that is told to
// sign in asks nobody for a new token.
func TestAPersonalTokenThatDoesNotCountIsCalledSo(t *testing.T) {
	a := newAcceptance(t)
	const bad = `Bearer realm="app.test", error="invalid_token", error_description="The token in Authorization does not count here, or not any more"`
	const basic = `Basic realm="app.test", charset="UTF-8"`
	for name, c := range map[string]struct {
		target, line, code string
		challenges         []string
	}{
		"unknown":                      {"/x", "Bearer dwp.nobody", codeInvalidToken, []string{bad}},
		"of a login that doesn't pass": {"/x", "Bearer dwp.other-login", codeInvalidToken, []string{bad}},
		"as a password":                {"/x", basicLine("me", "dwp.nobody"), codeInvalidToken, []string{bad}},
		"where passwords count too":    {"/all", "Bearer dwp.nobody", codeInvalidToken, []string{bad, basic}},
		"an API key in its place":      {"/x", "Bearer dwk.nobody", codeInvalidToken, []string{bad}},
		"a ticket":                     {"/x", "Bearer dw1.nobody", codeLoginRequired, []string{`Bearer realm="app.test"`}},
	} {
		t.Run(name, func(t *testing.T) {
			a.both(t, "GET", c.target, []string{authorization(c.line), as("root")}, func(l *lab, got answer) {
				l.refused(got, 401)
				if all := got.Header.Values("WWW-Authenticate"); got.code() != c.code || !slices.Equal(all, c.challenges) {
					l.Errorf("%s, %q: %s", got.code(), all, got.body)
				}
				if ticket := strings.Contains(got.detail(), "ticket"); ticket != (c.code == codeLoginRequired) {
					l.Errorf("it says %q", got.detail())
				}
			})
		})
	}
}

// TestAKeyThatDoesNotCountIsAnsweredInItsOwnScheme: a route that takes keys alone never asks for a Bearer.
func TestAKeyThatDoesNotCountIsAnsweredInItsOwnScheme(t *testing.T) {
	b := newBearerLab(t, func(c *Config, d *Deps) {
		d.Keys["scoped"], d.Keys["people"] = keys{"X-Api-Key"}, keys{"X-Api-Key"}
		d.Starters["people"] = door{}
		c.Routes = slices.DeleteFunc(c.Routes, func(rt Route) bool { return rt.Name == "people" })
		c.Routes = append(c.Routes, Route{
			Name: "people", Hosts: []origin.Origin{appTest}, Path: "/people", Upstreams: c.Routes[0].Upstreams, Accept: []string{acceptSession, acceptKey},
			Logins: []string{"staff"}, Credential: "orders",
		})
		d.Sources = map[string]Source{"orders": source(func(context.Context, *identity.Identity) (*identity.Credential, error) { return nil, errSubject })}
		c.Routes = append(c.Routes, Route{
			Name: "scoped", Hosts: []origin.Origin{appTest}, Path: "/scoped", Upstreams: c.Routes[0].Upstreams, Accept: []string{acceptKey},
			Allow: []policy.Rule{{Scopes: []string{"backup"}}},
		})
	})
	const says = `error_description="The key does not count here, or not any more", header="X-Api-Key"`
	const bearer = `Bearer realm="app.test", resource_metadata="https://app.test/.well-known/oauth-protected-resource/every"`
	for name, c := range map[string]struct {
		target string
		lines  []string
		status int
		want   []string
	}{
		"none":                                {"/key", nil, 401, []string{`ApiKey realm="app.test", header="X-Api-Key"`}},
		"a wrong one":                         {"/key", []string{"X-Api-Key: key-x"}, 401, []string{`ApiKey realm="app.test", error="invalid_token", ` + says}},
		"two":                                 {"/key", []string{"X-Api-Key: key-robot", "X-Api-Key: key-robot"}, 400, []string{`ApiKey realm="app.test", error="invalid_request", error_description="The request proves who is calling in more than one way", header="X-Api-Key"`}},
		"a scope is missed":                   {"/scoped", []string{"X-Api-Key: key-robot"}, 403, []string{`ApiKey realm="app.test", error="insufficient_scope", error_description="It takes the scope backup", scope="backup", header="X-Api-Key"`}},
		"tokens count too":                    {"/every", []string{"X-Api-Key: key-x"}, 401, []string{`ApiKey realm="app.test", error="invalid_token", ` + says, bearer}},
		"two, where sessions count":           {"/people", []string{"X-Api-Key: key-x", "X-Api-Key: key-x"}, 400, []string{`ApiKey realm="app.test", error="invalid_request", error_description="The request proves who is calling in more than one way", header="X-Api-Key"`}},
		"a session is not at fault as a key":  {"/people", []string{as("alice")}, 401, []string{`Bearer realm="app.test", error="invalid_token", error_description="the provider does not exchange this token any more"`}},
		"a wrong one beside an Authorization": {"/key", []string{"X-Api-Key: key-x", bearerLine("bob")}, 401, []string{`ApiKey realm="app.test", error="invalid_token", ` + says}},
	} {
		t.Run(name, func(t *testing.T) {
			b.both(t, "GET", c.target, c.lines, func(l *lab, a answer) {
				l.refused(a, c.status)
				if got := a.Header.Values("WWW-Authenticate"); !slices.Equal(got, c.want) {
					l.Errorf("challenges\n%q, not\n%q", got, c.want)
				}
			})
		})
	}
}

// TestAPersonWhoseTokenIsNotExchangedIsToldToSignInAgain: they have sent a cookie, and never seen a token.
func TestAPersonWhoseTokenIsNotExchangedIsToldToSignInAgain(t *testing.T) {
	b := newBearerLab(t, func(c *Config, d *Deps) {
		for i := range c.Routes {
			if n := c.Routes[i].Name; n == "root" || n == "both" {
				c.Routes[i].Credential = "orders"
			}
		}
		d.Sources = map[string]Source{"orders": source(func(context.Context, *identity.Identity) (*identity.Credential, error) { return nil, errSubject })}
	})
	const start = "https://app.test/oauth2/start?rd="
	for name, c := range map[string]struct {
		method, target, back string
		lines                []string
	}{
		"a program":            {"GET", "/a/b?x=1", "%2Fa%2Fb%3Fx%3D1", nil},
		"HEAD":                 {"HEAD", "/a/b?x=1", "", nil},
		"a program that posts": {"POST", "/a/b?x=1", "%2Fa%2Fb%3Fx%3D1", nil},
		"a route for both":     {"GET", "/both/y", "%2Fboth%2Fy", nil},
		"a form":               {"POST", "/a/b", "%2Fform", []string{"Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Sec-Fetch-Site: same-origin", "Referer: https://app.test/form"}},
		"a page":               {"GET", "/a/b?x=1", "%2Fa%2Fb%3Fx%3D1", navigation},
	} {
		t.Run(name, func(t *testing.T) {
			b.both(t, c.method, c.target, append([]string{as("alice")}, c.lines...), func(l *lab, a answer) {
				l.refused(a, 401)
				if c.method == "HEAD" {
					return
				}
				if page := c.lines != nil; !page && (a.code() != codeInvalidToken || a.loginURL() != start+c.back) || page && !strings.Contains(a.body, start+c.back+`"`) {
					l.Errorf("%s", a.body)
				}
				if !strings.Contains(a.body, "Your sign-in is no longer accepted by the identity provider for the application behind this address. Sign in again.") || strings.Contains(a.body, "token that came with") || strings.Contains(a.body, "Get a new token") {
					l.Errorf("%s", a.body)
				}
			})
		})
	}
	b.both(t, "GET", "/both", []string{bearerLine("bob")}, func(l *lab, a answer) { // who brought a token hears of it
		if l.refused(a, 401); !strings.Contains(a.detail(), "does not exchange this token") || a.loginURL() != "" {
			l.Errorf("%s", a.body)
		}
	})
}

func TestWhatCannotBeReadIsNamed(t *testing.T) {
	b := newBearerLab(t)
	for line, want := range map[string]string{
		"X-Access-Token: Bearer bob":     "The header X-Access-Token does not hold the bare token of a provider.",
		"X-Access-Token: dw1.alice":      "The header X-Access-Token does not hold the bare token of a provider.",
		"Cookie: at=":                    "The cookie at does not hold the bare token of a provider.",
		"Authorization: Bearer":          "The header Authorization cannot be read.",
		"Authorization: Bearer dw1.none": "The header Authorization cannot be read.",
	} {
		b.both(t, "GET", "/places", []string{line}, func(l *lab, a answer) {
			if l.refused(a, 401); a.detail() != want {
				l.Errorf("%s: %q", line, a.detail())
			}
		})
	}
}

// TestWhoBroughtATokenIsNotSaidToBeSignedIn, nor offered another account.
func TestWhoBroughtATokenIsNotSaidToBeSignedIn(t *testing.T) {
	b := newBearerLab(t, func(c *Config, d *Deps) {
		for _, name := range []string{"closed", "strictly"} {
			rt := Route{
				Name: name, Hosts: []origin.Origin{appTest}, Path: "/" + name, Upstreams: c.Routes[0].Upstreams, Logins: []string{"staff"},
				Accept: []string{acceptSession, acceptToken, acceptBearer, acceptKey},
			}
			if name == "closed" {
				rt.Allow = []policy.Rule{{Groups: []string{"nobody"}}}
			} else {
				rt.Require = `claims.level == "high"`
			}
			d.Starters[name], d.Bearers[name], d.Keys[name] = door{}, d.Bearers["api"], keys{"X-Api-Key"}
			c.Routes = append(c.Routes, rt)
		}
	})
	for line, want := range map[string]string{
		bearerLine("machine"):   "The token is accepted, but does not open this address.",
		bearerLine("dwp.alice"): "The token is accepted, but does not open this address.",
		"X-Api-Key: key-robot":  "The key is accepted, but does not open this address.",
		as("alice"):             "You are signed in, but you may not open this page.",
		bearerLine("dw1.alice"): "You are signed in, but you may not open this page.",
	} {
		for _, target := range []string{"/closed", "/strictly"} {
			b.both(t, "GET", target, []string{line}, func(l *lab, a answer) {
				if l.refused(a, 403); a.code() != codeAccessDenied || a.detail() != want {
					l.Errorf("%s %s: %s", target, line, a.body)
				}
			})
			b.both(t, "GET", target, append([]string{line}, navigation...), func(l *lab, a answer) {
				l.refused(a, 403)
				if signedIn := strings.HasPrefix(want, "You"); strings.Contains(a.body, "Signed in as") != signedIn || strings.Contains(a.body, "select_account") != signedIn {
					l.Errorf("%s %s: %s", target, line, a.body)
				}
			})
		}
	}
}

// TestATokenThatIsBoundIsPromisedNoExchange: the provider wants the proof of its holder, which nobody else can make.
func TestATokenThatIsBoundIsPromisedNoExchange(t *testing.T) {
	b := newBearerLab(t)
	o := newOutside(t, func(_ *outside, _ *EgressConfig, d *EgressDeps) { d.Bearers["same"] = b.judge })
	inbound := b.send("GET", "/passon", bearerLine("bound"))
	b.refused(inbound, 502)
	outbound := o.call("GET", "/same/x", "Authorization: Bearer bound")
	o.refused(outbound, 502)
	for _, a := range []answer{inbound, outbound} {
		if a.code() != codeCredentialRefused || !strings.Contains(a.detail(), "Use one that is not bound") || strings.Contains(a.detail(), "exchange it") {
			t.Errorf("%s", a.body)
		}
	}
}

func TestATunnelIsNotPromisedHTTPSWhereThereIsNone(t *testing.T) {
	o := newOutside(t, func(_ *outside, c *EgressConfig, _ *EgressDeps) {
		c.Targets = append(c.Targets, EgressTarget{Name: "safe", Host: "safe.local", Upstreams: []*url.URL{address("https://safe.test")}, Credential: "service"})
	})
	for authority, https := range map[string]bool{o.e.url.Host: false, "data.local:443": false, "safe.local:443": true, "safe.test:443": true} {
		a := o.raw("CONNECT " + authority + " HTTP/1.1\r\nHost: " + authority + "\r\n\r\n")
		o.refused(a, http.StatusMethodNotAllowed)
		if got := strings.Contains(a.detail(), "towards the upstream it becomes https"); got != https {
			t.Errorf("%s: %s", authority, a.detail())
		}
	}
}

// TestTheLogSaysWhichAddressHadNoTarget, path and all, but never the query.
func TestTheLogSaysWhichAddressHadNoTarget(t *testing.T) {
	o := newOutside(t, nil)
	o.refused(o.call("GET", "/nope/x?secret=1"), 403)
	o.refused(o.call("GET", "/odd/y?secret=1", "Host: evil.test"), 403)
	o.gateway.Close()
	var paths, hosts, errs []string
	for line := range strings.Lines(o.log.String()) {
		var m struct{ Msg, Path, Host, Error string }
		if json.Unmarshal([]byte(line), &m) == nil && m.Msg == "request" {
			paths, hosts, errs = append(paths, m.Path), append(hosts, m.Host), append(errs, m.Error)
		}
	}
	if !slices.Equal(paths, []string{"/nope/x", "/odd/y"}) || !slices.Equal(hosts, []string{o.self, ""}) || len(errs) != 2 || !strings.Contains(errs[1], "evil.test/odd/y") {
		t.Errorf("paths %q, hosts %q, errors %q", paths, hosts, errs)
	}
	if strings.Contains(o.log.String(), "secret=1") {
		t.Error("a query is in the log")
	}
}

func TestExplainOfAnUnknownPathOfTheEgressListenerIsTheListenersAnswer(t *testing.T) {
	o := newOutside(t, nil)
	_, port, _ := strings.Cut(o.self, ":")
	for target, want := range map[string]string{
		"http://" + o.self + "/nope/x": codeNoSuchTarget, "http://localhost:" + port + "/nope": codeNoSuchTarget,
		"https://app.test/nope": "", "http://127.0.0.1:1/nope": "",
	} {
		x, ok, err := o.egress.Explain("GET", target, nil)
		if err != nil || ok != (want != "") || ok && (x.Answer != want || x.Detail == "" || x.Route != "") {
			t.Errorf("%s: %+v %v %v", target, x, ok, err)
		}
	}
	a := o.call("GET", "/nope/x")
	if o.refused(a, 403); a.code() != codeNoSuchTarget {
		t.Errorf("%s", a.body)
	}
}
