package flows

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/internal/telemetry"
	"github.com/doorward/doorward/internal/testnet"
)

const wantsMFA = `{"access_token":{"acrs":{"essential":true,"value":"c1"}}}`

// demanding gives the applications of a world a page /more that shows itself to nobody: whoever has a session must prove
// more, for ever.
func demanding(t testing.TB, w *world, claims string, logins ...string) {
	t.Helper()
	starter := must(w.flows.Starter(logins))(t)
	site := must(pages.New(pages.Config{Prefix: "/oauth2"}))(t)
	access := telemetry.NewAccessLog(w.logger)
	t.Cleanup(access.Close)
	more := access.Handler(site.Handle(func(rw http.ResponseWriter, r *http.Request) error {
		return starter.StepUp(rw, r, r.URL.RequestURI(), claims)
	}), func(http.ResponseWriter, *http.Request) { t.Error("a handler panicked") })
	rest := w.replicas[0].handler
	w.replicas[0].handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/more" {
			more.ServeHTTP(rw, r)
			return
		}
		rest.ServeHTTP(rw, r)
	})
}

// asked opens /more and returns what the provider is asked, without going there.
func asked(t testing.TB, b *testnet.Browser) (*testnet.Page, url.Values) {
	t.Helper()
	b.StopAt = func(next *url.URL) bool { return next.Hostname() == "127.0.0.1" }
	defer func() { b.StopAt = nil }()
	page := b.Open(t, app+"/more")
	return page, must(url.Parse(page.Header.Get("Location")))(t).Query()
}

func TestAStepUpAsksTheProviderForMoreAndIsALoginOtherwise(t *testing.T) {
	w := newWorld(t)
	demanding(t, w, wantsMFA, "staff")
	b := w.signedIn(t, app+"/x")
	page, q := asked(t, b)
	if q.Get("claims") != wantsMFA {
		t.Errorf("claims %q", q.Get("claims"))
	}
	for _, name := range []string{"state", "nonce", "code_challenge", "redirect_uri", "client_id", "scope"} {
		if len(q[name]) != 1 || q.Get(name) == "" {
			t.Errorf("%s is %q", name, q[name])
		}
	}
	if page.Header.Get("Cache-Control") != "no-store" || page.Header.Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("%v", page.Header)
	}
	if n := attempts(b, app); len(n) != 1 {
		t.Errorf("%d attempts", len(n))
	}
	b.Jar.Clear(sessionID)
	b.StopAt = func(next *url.URL) bool { return next.Hostname() == "127.0.0.1" }
	plain := b.Open(t, app+"/x")
	if q := must(url.Parse(plain.Header.Get("Location")))(t).Query(); q.Has("claims") || !q.Has("state") {
		t.Errorf("an ordinary login asks for %q", q.Get("claims"))
	}
}

func TestAProviderThatIsNeverContentIsALoop(t *testing.T) {
	w := newWorld(t)
	demanding(t, w, wantsMFA, "staff")
	b := w.signedIn(t, app+"/x")
	b.Jar.Clear(w.flows.loopCookie(mustOrigin(t, app)))
	w.idp.ResetRequests()
	page := b.Open(t, app+"/more").SignIn(t, "alice", "alice") // once; the provider knows then that this was proved
	expect(t, page, http.StatusLoopDetected, codeLoop)
	if n := w.idp.Count(idp.Token); n != loopLimit-1 {
		t.Errorf("%d codes were redeemed", n)
	}
}

func TestAStepUpByAnotherLoginOfTheProviderIsALoopToo(t *testing.T) {
	w := newWorld(t, func(p *plan) {
		p.flows = func(c *Config) {
			c.Logins = append(c.Logins, Login{Name: "strict", Flow: "authorization_code", Provider: "corp", Params: map[string][]string{"ui_locales": {"en"}}})
		}
		p.logins = []string{"staff"}
	})
	demanding(t, w, wantsMFA, "strict")
	b := w.signedIn(t, app+"/x")
	b.Jar.Clear(w.flows.loopCookie(mustOrigin(t, app)))
	if _, q := asked(t, b); q.Get("ui_locales") != "en" || q.Get("claims") != wantsMFA {
		t.Errorf("%v", q)
	}
	expect(t, b.Open(t, app+"/more").SignIn(t, "alice", "alice"), http.StatusLoopDetected, codeLoop)
}

func TestAStepUpKeepsTheClaimsThatAreConfigured(t *testing.T) {
	w := newWorld(t, func(p *plan) {
		p.flows = func(c *Config) {
			c.Logins[0].Params = map[string][]string{"claims": {`{"id_token":{"acr":{"value":"1"},"auth_time":null},"userinfo":{"email":null}}`}, "resource": {"https://api.test"}}
		}
	})
	demanding(t, w, `{"id_token":{"acr":{"essential":true,"values":["2"]}},"access_token":{"x":null}}`, "staff")
	_, q := asked(t, w.signedIn(t, app+"/x"))
	want := map[string]any{
		"id_token":     map[string]any{"acr": map[string]any{"essential": true, "values": []any{"2"}}, "auth_time": nil},
		"userinfo":     map[string]any{"email": nil},
		"access_token": map[string]any{"x": nil},
	}
	if got := decode(t, q.Get("claims")); !reflect.DeepEqual(got, want) || q.Get("resource") != "https://api.test" {
		t.Errorf("%v", got)
	}
}

func TestWithClaims(t *testing.T) {
	for _, c := range []struct{ configured, wanted, want string }{
		{"", wantsMFA, wantsMFA},
		{"no JSON", wantsMFA, wantsMFA},
		{"[1]", wantsMFA, wantsMFA},
		{`{"a":1}`, `{"a":{"x":null}}`, `{"a":{"x":null}}`},
		{`{"a":{"x":1,"y":1}}`, `{"a":{"x":2}}`, `{"a":{"x":2,"y":1}}`},
		{`{"a":null}`, `{"a":{"x":2}}`, `{"a":{"x":2}}`},
		{`{"a":{"n":12345678901234567890}}`, `{"b":{}}`, `{"a":{"n":12345678901234567890},"b":{}}`},
		{`{"a":"` + strings.Repeat("x", maxClaims-10) + `"}`, wantsMFA, wantsMFA},
	} {
		if got := withClaims(c.configured, c.wanted); got != c.want {
			t.Errorf("%.40s and %s are %.80s", c.configured, c.wanted, got)
		}
	}
}

func TestWhoCannotBeAskedForMoreIsTold(t *testing.T) {
	other := func(p *plan) {
		p.providers = []string{"second"}
		p.flows = func(c *Config) {
			c.Logins = append(c.Logins,
				Login{Name: "there", Flow: "authorization_code", Provider: "second"}, Login{Name: "tv", Flow: "device", Provider: "corp"})
		}
		p.logins = []string{"staff"}
	}
	for name, c := range map[string]struct {
		claims string
		logins []string
		header []string
		method string
		out    bool
	}{
		"a program":                      {claims: wantsMFA, logins: []string{"staff"}, header: []string{"Accept", "application/json"}},
		"HEAD":                           {claims: wantsMFA, logins: []string{"staff"}, header: navigation("none"), method: http.MethodHead},
		"nobody":                         {claims: wantsMFA, logins: []string{"staff"}, header: navigation("none"), out: true},
		"a login of another provider":    {claims: wantsMFA, logins: []string{"there"}, header: navigation("none")},
		"a login without a page of its":  {claims: wantsMFA, logins: []string{"tv"}, header: navigation("none")},
		"claims that are no JSON":        {claims: "acr=2", logins: []string{"staff"}, header: navigation("none")},
		"claims that are a list":         {claims: `["acr"]`, logins: []string{"staff"}, header: navigation("none")},
		"claims that ask for nothing":    {claims: `{}`, logins: []string{"staff"}, header: navigation("none")},
		"claims that are null":           {claims: `null`, logins: []string{"staff"}, header: navigation("none")},
		"claims with something after":    {claims: wantsMFA + "{}", logins: []string{"staff"}, header: navigation("none")},
		"claims that are longer than 8k": {claims: `{"a":"` + strings.Repeat("x", maxClaims) + `"}`, logins: []string{"staff"}, header: navigation("none")},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, other)
			demanding(t, w, c.claims, c.logins...)
			b := w.signedIn(t, app+"/x")
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, app+"/more", http.NoBody)
			if c.method != "" {
				r.Method = c.method
			}
			for i := 0; i < len(c.header); i += 2 {
				r.Header.Set(c.header[i], c.header[i+1])
			}
			if !c.out {
				r.Header.Set("Cookie", sessionID+"="+b.Jar.Get(app, sessionID))
			}
			rw := httptest.NewRecorder()
			w.ServeHTTP(rw, r)
			if rw.Code != http.StatusUnauthorized || rw.Header().Get("Location") != "" || !strings.HasPrefix(rw.Header().Get("Www-Authenticate"), "Bearer ") || len(rw.Header().Values("Set-Cookie")) > 0 {
				t.Errorf("%d %v", rw.Code, rw.Header())
			}
			if c.method == "" && !strings.Contains(rw.Body.String(), codeStepUp) {
				t.Errorf("%s", rw.Body)
			}
		})
	}
}

func FuzzClaims(f *testing.F) {
	f.Add("", wantsMFA)
	f.Add(`{"id_token":{"acr":null}}`, `{"id_token":{"acr":{"values":["2"]}},"a":1}`)
	f.Add(`{"a":{"b":1,"b":2}}`, `{"a":{"":{}}}`)
	f.Fuzz(func(t *testing.T, configured, wanted string) {
		c, err := readClaims(wanted)
		if err != nil {
			return
		}
		got, err := readClaims(withClaims(configured, wanted))
		if err != nil {
			t.Fatalf("what is asked for cannot be read: %v", err)
		}
		for where := range c {
			if _, ok := got[where]; !ok {
				t.Errorf("%q is forgotten", where)
			}
		}
	})
}
