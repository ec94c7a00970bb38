package proxy

import (
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/approval"
	"github.com/doorward/doorward/internal/credentials"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/proxy/policy"
)

const apiMetadata = `resource_metadata="https://app.test/.well-known/oauth-protected-resource/api"`

func TestABearerTokenIsJudgedAloneAndGoesNoFurther(t *testing.T) {
	b := newBearerLab(t)
	for name, c := range map[string]struct {
		target string
		lines  []string
		who    string // "" = 401
	}{
		"Bearer":                                  {"/api", []string{bearerLine("bob")}, "bob"},
		"RS-1 the scheme has no case":             {"/api", []string{"Authorization: bEARER  bob"}, "bob"},
		"DPoP":                                    {"/api", []string{"Authorization: dpop bob", "DPoP: proof"}, "bob"},
		"P128 beside a cookie":                    {"/both", []string{bearerLine("bob"), as("root")}, "bob"},
		"P128 a bad one beside a good cookie":     {"/both", []string{bearerLine("no"), as("root")}, ""},
		"P128 an empty one beside a good cookie":  {"/both", []string{"Authorization: Bearer", as("root")}, ""},
		"P128 half of one beside a good cookie":   {"/both", []string{bearerLine("half"), as("root")}, ""},
		"a cookie alone":                          {"/both", []string{as("root")}, "root"},
		"a cookie where none counts":              {"/api", []string{as("root")}, ""},
		"another scheme beside a cookie":          {"/both", []string{"Authorization: Token bob", as("root")}, "root"},
		"a token where none counts":               {"/key", []string{bearerLine("bob")}, ""},
		"a ticket where none counts":              {"/api", []string{bearerLine("dw1.alice")}, ""},
		"a personal token where none counts":      {"/api", []string{bearerLine("dwp.alice")}, ""},
		"a ticket by DPoP":                        {"/api", []string{"Authorization: DPoP dw1.alice"}, ""},
		"with a comma":                            {"/api", []string{bearerLine("bob, Bearer bob")}, ""},
		"with a space":                            {"/api", []string{bearerLine("bob bob")}, ""},
		"S7 the one who judges panics is no pass": {"/api", []string{bearerLine("panic")}, "500"},
	} {
		t.Run(name, func(t *testing.T) {
			b.both(t, "GET", c.target, c.lines, func(l *lab, a answer) {
				switch c.who {
				case "":
					l.refused(a, 401)
				case "500":
					l.refused(a, 500)
				default:
					sent := l.passed(a)
					sent.one(l, "X-Forwarded-User", c.who)
					sent.lacks(l, "Authorization") // RS-11
					sent.lacks(l, "Dpop")          // DP-10
				}
			})
		})
	}
	for _, p := range b.judge.take() {
		if credentials.IsTicket(p.Token) || !credentials.IsToken(p.Token) {
			t.Errorf("%q was tried", p.Token)
		}
	}
}

func TestTheOneWhoJudgesSeesWhatAProofSpeaksOf(t *testing.T) {
	b := newBearerLab(t)
	b.both(t, "POST", "/api/%c3%a9/x?y=1", []string{"Authorization: DPoP bob", "DPoP: one", "DPoP: two"}, func(l *lab, a answer) {
		l.passed(a)
		want := credentials.Presented{Token: "bob", Scheme: "DPoP", Proofs: []string{"one", "two"}, Method: "POST", URL: "https://app.test/api/%c3%a9/x"}
		if got := b.judge.take(); len(got) != 1 || !reflect.DeepEqual(got[0], want) {
			l.Errorf("shown %+v", got)
		}
	})
}

func TestEveryFailureOfATokenHasItsChallenge(t *testing.T) {
	b := newBearerLab(t)
	for name, c := range map[string]struct {
		target string
		lines  []string
		status int
		code   string
		want   string // challenge
	}{
		"RS-2 none":               {"/api", nil, 401, codeLoginRequired, `Bearer realm="app.test", ` + apiMetadata},
		"RS-2 a bad one":          {"/api", []string{bearerLine("garbage")}, 401, codeInvalidToken, `Bearer realm="app.test", error="invalid_token", error_description="token is malformed", ` + apiMetadata},
		"a bad one by DPoP":       {"/api", []string{"Authorization: DPoP garbage"}, 401, codeInvalidToken, `DPoP realm="app.test", error="invalid_token", error_description="token is malformed", ` + apiMetadata},
		"no token at all":         {"/api", []string{"Authorization: Bearer"}, 401, codeInvalidToken, `Bearer realm="app.test", error="invalid_token", error_description="The header Authorization cannot be read", ` + apiMetadata},
		"half an answer":          {"/api", []string{bearerLine("half")}, 401, codeInvalidToken, `Bearer realm="app.test", error="invalid_token", error_description="The token does not count here, or not any more", ` + apiMetadata},
		"a nonce is wanted":       {"/api", []string{"Authorization: DPoP nonce"}, 401, codeInvalidToken, `DPoP realm="app.test", error="use_dpop_nonce", algs="ES256", ` + apiMetadata},
		"RS-1 two":                {"/api", []string{bearerLine("bob"), bearerLine("bob")}, 400, codeBadRequest, `Bearer realm="app.test", error="invalid_request", error_description="The request proves who is calling in more than one way", ` + apiMetadata},
		"RS-2 a scope is missing": {"/orders", []string{bearerLine("poor")}, 403, codeInsufficientScope, `Bearer realm="app.test", error="insufficient_scope", error_description="It takes the scope orders.read", scope="orders.read", resource_metadata="https://app.test/.well-known/oauth-protected-resource/orders"`},
		"no scope would help":     {"/shop", []string{bearerLine("bob")}, 403, codeAccessDenied, ""},
		"it cannot be judged":     {"/api", []string{bearerLine("down")}, 503, codeProviderUnavailable, ""},
		"nor known why":           {"/api", []string{bearerLine("odd")}, 503, codeStoreUnavailable, ""},
	} {
		t.Run(name, func(t *testing.T) {
			check := func(l *lab, a answer) {
				l.refused(a, c.status)
				l.challenged(a, c.want)
				if nonce := a.Header.Get("DPoP-Nonce"); (nonce == "n-1") != strings.Contains(name, "nonce") {
					l.Errorf("DPoP-Nonce %q", nonce)
				}
			}
			b.both(t, "GET", c.target, c.lines, func(l *lab, a answer) {
				check(l, a)
				if a.code() != c.code || !strings.HasPrefix(a.Header.Get("Content-Type"), "application/problem+json") {
					l.Errorf("answer %s %s", a.Header.Get("Content-Type"), a.body)
				}
			})
			b.both(t, "GET", c.target, append(c.lines, navigation...), check) // a browser is sent nowhere either
		})
	}
	b.both(t, "GET", "/both", navigation, func(l *lab, a answer) { l.refused(a, 302) }) // a session would do
	b.both(t, "GET", "/both", append([]string{bearerLine("garbage")}, navigation...), func(l *lab, a answer) { l.refused(a, 401) })
	if strings.Contains(b.log.String(), "garbage") {
		t.Error("a token is in the log")
	}
}

func TestATokenStandsInOnePlaceOnly(t *testing.T) {
	b := newBearerLab(t)
	for name, c := range map[string]struct {
		lines  []string
		status int
	}{
		"the header":                 {[]string{"X-Access-Token: bob"}, 200},
		"the cookie":                 {[]string{"Cookie: theme=dark; at=bob; x=y"}, 200},
		"Authorization":              {[]string{bearerLine("bob")}, 200},
		"the header is bad":          {[]string{"X-Access-Token: no"}, 401},
		"the header has a scheme":    {[]string{"X-Access-Token: Bearer bob"}, 401},
		"the header holds a ticket":  {[]string{"X-Access-Token: dw1.alice"}, 401},
		"the cookie is empty":        {[]string{"Cookie: at="}, 401},
		"two headers":                {[]string{"X-Access-Token: bob", "X-Access-Token: bob"}, 400},
		"two cookies":                {[]string{"Cookie: at=bob; at=bob"}, 400},
		"the header and the cookie":  {[]string{"X-Access-Token: bob", "Cookie: at=bob"}, 400},
		"Authorization and a cookie": {[]string{bearerLine("bob"), "Cookie: at=bob"}, 400},
		"Authorization and a header": {[]string{bearerLine("bob"), "X-Access-Token: poor"}, 400},
	} {
		t.Run(name, func(t *testing.T) {
			b.both(t, "GET", "/places/x", c.lines, func(l *lab, a answer) {
				if c.status != 200 {
					l.refused(a, c.status)
					return
				}
				sent := l.passed(a)
				sent.one(l, "X-Forwarded-User", "bob")
				sent.lacks(l, "X-Access-Token")
				if cookie := strings.Join(sent.Header["Cookie"], ";"); strings.Contains(cookie, "at=") || strings.Contains(name, "the cookie") && cookie != "theme=dark; x=y" {
					l.Errorf("E got the cookies %q", cookie)
				}
			})
		})
	}
	b.both(t, "GET", "/api", []string{"X-Access-Token: bob", "Cookie: at=bob"}, func(l *lab, a answer) { l.refused(a, 401) }) // only where the route says so
}

func TestBFF4ATokenInACookieComesByItselfAndOneInAHeaderDoesNot(t *testing.T) {
	b := newBearerLab(t)
	foreign := []string{"Sec-Fetch-Site: cross-site", "Origin: https://evil.test"}
	for line, pass := range map[string]bool{"Cookie: at=bob": false, "X-Access-Token: bob": true, bearerLine("bob"): true, "Authorization: DPoP bob": true} {
		b.both(t, "POST", "/places/x", append([]string{line}, foreign...), func(l *lab, a answer) {
			if pass {
				l.passed(a)
				return
			}
			l.refused(a, 403)
			if a.code() != codeCrossSite {
				l.Error(a.body)
			}
		})
		b.both(t, "POST", "/places/x", []string{line, "Sec-Fetch-Site: same-origin"}, func(l *lab, a answer) { l.passed(a) })
	}
	b.both(t, "POST", "/key", append([]string{"X-Api-Key: key-robot"}, foreign...), func(l *lab, a answer) { l.passed(a) })
	t.Run("P179 a WebSocket with it", func(t *testing.T) {
		l := b.on(t)
		l.refused(l.raw(socketRequest("/places/x", "Cookie: at=bob", "Origin: https://evil.test")), 403)
	})
}

func TestACheckedTokenGoesUpstreamOnlyAsTheRoutesCredential(t *testing.T) {
	b := newBearerLab(t)
	b.both(t, "GET", "/passon", []string{bearerLine("bob")}, func(l *lab, a answer) { l.passed(a).one(l, "Authorization", "Bearer bob") })
	b.both(t, "GET", "/passon", []string{"Authorization: DPoP bound", "DPoP: proof"}, func(l *lab, a answer) {
		l.refused(a, 502)
		if a.code() != codeCredentialRefused || !strings.Contains(a.body, "bound to a key") {
			l.Errorf("answer %s", a.body)
		}
	})
	b.both(t, "GET", "/api", []string{"Authorization: DPoP bound", "DPoP: proof"}, func(l *lab, a answer) { l.passed(a).lacks(l, "Authorization") })
}

func TestAKeyIsJudgedAloneAndGoesNoFurther(t *testing.T) {
	b := newBearerLab(t)
	for name, c := range map[string]struct {
		target string
		lines  []string
		status int
	}{
		"a key":                        {"/key", []string{"X-Api-Key: key-robot"}, 200},
		"a wrong one":                  {"/key", []string{"X-Api-Key: key-x"}, 401},
		"none":                         {"/key", nil, 401},
		"an empty one":                 {"/every", []string{"X-Api-Key: ", as("root")}, 401},
		"a wrong one beside a cookie":  {"/every", []string{"X-Api-Key: key-x", as("root")}, 401},
		"a good one beside a cookie":   {"/every", []string{"X-Api-Key: key-robot", as("root")}, 200},
		"two":                          {"/key", []string{"X-Api-Key: key-robot", "X-Api-Key: key-robot"}, 400},
		"a key and a token":            {"/every", []string{"X-Api-Key: key-robot", bearerLine("bob")}, 400},
		"the keys cannot be looked up": {"/key", []string{"X-Api-Key: key-broken"}, 503},
	} {
		t.Run(name, func(t *testing.T) {
			b.both(t, "GET", c.target, c.lines, func(l *lab, a answer) {
				if c.status != 200 {
					l.refused(a, c.status)
					return
				}
				sent := l.passed(a)
				sent.one(l, "X-Forwarded-Client", "robot")
				sent.lacks(l, "X-Forwarded-User")
				sent.lacks(l, "X-Api-Key")
			})
		})
	}
	b.both(t, "GET", "/key", nil, func(l *lab, a answer) { l.challenged(a, `ApiKey realm="app.test", header="X-Api-Key"`) })
	b.both(t, "GET", "/key", []string{"X-Api-Key: key-x"}, func(l *lab, a answer) {
		if l.refused(a, 401); a.code() != codeInvalidToken {
			l.Errorf("answer %s", a.body)
		}
	})
	b.both(t, "GET", "/x", []string{"X-Api-Key: mine", as("alice")}, func(l *lab, a answer) { l.passed(a).one(l, "X-Api-Key", "mine") }) // the application's own
}

func TestRequireIsAskedBesideTheRules(t *testing.T) {
	b := newBearerLab(t)
	b.both(t, "GET", "/people", []string{bearerLine("bob")}, func(l *lab, a answer) { l.passed(a) })
	for name, c := range map[string]struct{ method, target, line string }{
		"a machine":                 {"GET", "/people", bearerLine("machine")},
		"another method":            {"DELETE", "/people", bearerLine("bob")},
		"a claim that is not there": {"GET", "/strict", as("alice")},
	} {
		t.Run(name, func(t *testing.T) {
			b.both(t, c.method, c.target, []string{c.line}, func(l *lab, a answer) {
				l.refused(a, 403)
				if a.code() != codeAccessDenied {
					l.Errorf("answer %s", a.body)
				}
			})
		})
	}
	if log := b.log.String(); !strings.Contains(log, `"rule":"require"`) || !strings.Contains(log, "there is no claims.level of this caller") {
		t.Errorf("the log does not say what is missing: %s", log)
	}
}

func TestRequireSpeaksOfTheRequestAndNotOfItsApproval(t *testing.T) {
	l := payLabFor(t)
	require, err := policy.NewRequirement(`request.path == "/payments" && request.method == "POST"`)
	if err != nil {
		t.Fatal(err)
	}
	for rt := range l.g.approvals.routes {
		rt.require = require
	}
	name := l.begin("POST", "/payments", payForm, as("alice"), formType)
	if a := l.send("GET", "/oauth2/approval/"+name, as("alice")); a.StatusCode != 200 || !strings.Contains(a.body, "PAY-20") {
		t.Errorf("poll: %s %s", a.Status, a.body)
	}
	l.pay.answer(approval.Approved)
	l.passed(l.say("POST", "/payments", payForm, as("alice"), formType, approved(name)))
	l.refused(l.say("PUT", "/payments", payForm, as("alice"), formType), 403)
}

func TestPRM1AClientFindsOutWhereTokensComeFrom(t *testing.T) {
	b := newBearerLab(t)
	b.both(t, "GET", "/.well-known/oauth-protected-resource/orders", nil, func(l *lab, a answer) {
		l.untouched()
		want := map[string]any{
			"resource": "https://app.test/orders", "authorization_servers": []any{"https://idp.test", "https://partner.test"}, "scopes_supported": []any{"orders.read"},
			"bearer_methods_supported": []any{"header"}, "resource_name": "orders", "dpop_signing_alg_values_supported": []any{"ES256"},
		}
		var got map[string]any
		if err := json.Unmarshal([]byte(a.body), &got); err != nil || !reflect.DeepEqual(got, want) {
			l.Errorf("%v: %s", err, a.body)
		}
		if a.StatusCode != 200 || a.Header.Get("Content-Type") != "application/json" || a.Header.Get("Access-Control-Allow-Origin") != "*" {
			l.Errorf("%s %v", a.Status, a.Header)
		}
	})
	const root = "/.well-known/oauth-protected-resource"
	b.both(t, "HEAD", root+"/orders", nil, func(l *lab, a answer) { l.untouched() })
	b.both(t, "POST", root+"/orders", nil, func(l *lab, a answer) { l.refused(a, 405) })
	b.both(t, "OPTIONS", root+"/orders", []string{"Origin: https://x.test", "Access-Control-Request-Method: GET"}, func(l *lab, a answer) { l.refused(a, 204) })
	for _, path := range []string{root, root + "/orders/", root + "/orders/7", root + "/x", root + "orders", root + "/key"} {
		b.both(t, "GET", path, []string{as("alice")}, func(l *lab, a answer) { l.passed(a) }) // no bearer route: proxied as before
		b.both(t, "GET", path, nil, func(l *lab, a answer) { l.refused(a, 401) })
	}
	everywhere := newBearerLab(t, func(c *Config, d *Deps) {
		c.Routes = append(c.Routes[1:], Route{Name: "all", Upstreams: c.Routes[0].Upstreams, Accept: []string{acceptBearer}})
		d.Bearers["all"] = &judge{}
	})
	for host, want := range map[string]string{"app.test": `"resource":"https://app.test"`, "open.test": `"resource":"https://open.test"`} {
		if a := everywhere.send("GET", root, "Host: "+host); a.StatusCode != 200 || !strings.Contains(a.body, want) {
			t.Errorf("%s: %s %s", host, a.Status, a.body)
		}
	}
}

func TestP180AStreamEndsWithTheTokenThatBeganIt(t *testing.T) {
	b := newBearerLab(t, func(_ *Config, d *Deps) { d.Streams = &fate{} })
	ended := make(chan struct{})
	b.e.streams(func(w http.ResponseWriter, r *http.Request) {
		defer close(ended)
		_, _ = io.WriteString(w, "E")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	c := b.write(request("GET", "/api/x?stream", bearerLine("bob"), "Connection: keep-alive"))
	began := time.Now()
	silent := time.AfterFunc(2*time.Second, func() { b.judge.gone.Store(true) })
	defer silent.Stop()
	_ = readToEnd(c)
	if lasted := time.Since(began); lasted < 2*time.Second || lasted > 4*time.Second { // the last one: a machine under load
		t.Errorf("it ended after %s", lasted)
	}
	select {
	case <-ended:
	case <-time.After(patience):
		t.Error("E does not see the end")
	}
}

func TestWhatCannotWorkWithTokensIsRefusedAtStart(t *testing.T) {
	for says, rt := range map[string]Route{
		"pass_authorization": {Accept: []string{acceptBearer}, PassAuthorization: true},
		"nobody who judges":  {Accept: []string{acceptBearer}, Name: "unknown"},
		"no keys":            {Accept: []string{acceptKey}, Name: "unknown"},
		"there twice":        {Accept: []string{acceptKey, acceptKey}},
		"is not one of":      {Accept: []string{"mtls"}},
		"X-Forwarded-User":   {Accept: []string{acceptKey}, KeyHeader: "X-Forwarded-User"},
		"X-App-User":         {Accept: []string{acceptKey}, KeyHeader: "x-app-user"}, // another route sets it
		"Authorization":      {Accept: []string{acceptBearer}, Bearer: BearerRules{Header: "authorization"}},
		"Dpop":               {Accept: []string{acceptKey}, KeyHeader: "DPoP"},
		"one of ours":        {Accept: []string{acceptBearer}, Bearer: BearerRules{Cookie: "__Host-doorward"}},
		"name of a cookie":   {Accept: []string{acceptBearer}, Bearer: BearerRules{Cookie: "a=b"}},
		"header of the keys": {Accept: []string{acceptBearer, acceptKey}, Bearer: BearerRules{Header: "X-API-Key"}},
		"login: a route":     {Accept: []string{acceptBearer, acceptToken}},
		"require: ":          {Accept: []string{acceptBearer}, Require: "user.sub"},
		"public route asks":  {Public: true, Require: "true"},
	} {
		t.Run(says, func(t *testing.T) {
			config, deps := ingredients(t)
			if rt.Name == "" {
				rt.Name = "tried"
			}
			rt.Path, rt.Hosts, rt.Upstreams = "/tried", []origin.Origin{appTest}, config.Routes[0].Upstreams
			config.Routes = append(config.Routes, rt)
			deps.Bearers, deps.Keys, deps.Tokens = map[string]Bearer{"tried": &judge{}}, map[string]Authenticator{"tried": keys{}}, always{}
			if _, err := New(config, deps); err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "route."+rt.Name) {
				t.Errorf("%v", err)
			}
		})
	}
}

// ingredients is what the laboratory is made with.
func ingredients(t *testing.T) (config Config, deps Deps) {
	t.Helper()
	newLab(t, func(c *Config, d *Deps) { config, deps = *c, *d })
	return config, deps
}

func TestNobodyOfNoLoginPassesByASession(t *testing.T) {
	l := newLab(t, func(c *Config, d *Deps) {
		d.Session = people{"alice": someone("alice", func(w *identity.Identity) { w.Login = "" })}
		c.Routes[0].Logins = []string{"staff"}
	})
	l.both(t, "GET", "/x", []string{as("alice")}, func(l *lab, a answer) { l.refused(a, 401) })
}

func FuzzPlaces(f *testing.F) {
	f.Add("at=x; at=y", "x", "k")
	f.Add("=at; at=\"x\"", "Bearer x", "")
	f.Add("at", "dwp.x", "dw1.x")
	f.Fuzz(func(t *testing.T, cookie, header, key string) {
		p := &places{key: "X-Api-Key", header: "X-Access-Token", cookie: "at"}
		r := &http.Request{Header: http.Header{"Cookie": {cookie}, "X-Access-Token": {header}}}
		if key != "" {
			r.Header["X-Api-Key"] = []string{key}
		}
		for _, authorization := range []claim{noClaim, bearerToken, password, brokenClaim, ambiguousClaim} {
			c, token := p.claim(r, authorization)
			switch {
			case c.ofProvider() && authorization != bearerToken && (!credentials.IsToken(token) || credentials.IsTicket(token)):
				t.Errorf("%q would be shown to a provider", token)
			case c != ambiguousClaim && (authorization != noClaim || key != ""):
				t.Errorf("%v beside others is %v", authorization, c)
			}
		}
	})
}
