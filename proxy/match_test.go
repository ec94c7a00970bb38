package proxy

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/telemetry"
	"github.com/doorward/doorward/proxy/policy"
)

// matched adds routes for one path, told apart by what else a request says.
func matched(c *Config, d *Deps) {
	app, to := []origin.Origin{appTest}, c.Routes[0].Upstreams
	at := func(name string, m Match, change func(*Route)) {
		rt := Route{Name: name, Hosts: app, Path: "/api", Upstreams: to, Public: true, Match: m, Rewrite: Rewrite{AddPrefix: "/to-" + name}}
		if change != nil {
			change(&rt)
		}
		c.Routes = append(c.Routes, rt)
	}
	at("plain", Match{}, func(rt *Route) { rt.Methods = []string{"GET", "PUT"} })
	at("both", Match{Headers: map[string][]string{"x-api-version": {"2"}}, Query: map[string][]string{"preview": {"true"}}}, nil)
	at("two", Match{Headers: map[string][]string{"X-Api-Version": {"2", "two"}}}, nil)
	at("preview", Match{Query: map[string][]string{"preview": {"true", "a b", "c+d"}}}, func(rt *Route) { rt.Methods = []string{"GET"} })
	at("beta", Match{Headers: map[string][]string{"X-Beta": nil}, Query: map[string][]string{"beta": {}}}, func(rt *Route) {
		rt.Public, rt.Logins, rt.Allow = false, []string{"staff"}, []policy.Rule{{Groups: []string{"admin"}}}
	})
	d.Starters["beta"] = door{}
}

func TestRoutesOfOnePathAreToldApartByHeadersAndParameters(t *testing.T) {
	l := newLab(t, matched)
	for _, c := range []struct{ method, target, headers, want string }{
		{"GET", "/api/x", "", "plain"},
		{"GET", "/api/x?preview=true", "", "preview"},
		{"GET", "/api/x?a=b&preview=true&c", "", "preview"},
		{"GET", "/api/x?%70review=tru%65", "", "preview"},
		{"GET", "/api/x?preview=a%20b", "", "preview"},
		{"GET", "/api/x?preview=a+b", "", "plain"}, // a space to some only
		{"GET", "/api/x?preview=c%2Bd", "", "preview"},
		{"GET", "/api/x?preview=c+d", "", "plain"}, // likewise
		{"GET", "/api/x?preview=false", "", "plain"},
		{"GET", "/api/x?Preview=true", "", "plain"},
		{"GET", "/api/x?preview=TRUE", "", "plain"},
		{"GET", "/api/x?preview=true&preview=false", "", "plain"},
		{"GET", "/api/x?preview=true&%70review=true", "", "plain"},
		{"GET", "/api/x?a=1;preview=true", "", "plain"}, // P018
		{"GET", "/api/x?preview=true;a=1", "", "plain"},
		{"GET", "/api/x?preview=true&a=1;b=2", "", "plain"},
		{"GET", "/api/x?x=preview=true", "", "plain"},
		{"GET", "/api/preview=true?x", "", "plain"}, // P001
		{"GET", "/api/x", "X-Api-Version: 2", "two"},
		{"GET", "/api/x", "x-api-version: two", "two"},
		{"GET", "/api/x", "X-Api-Version: 3", "plain"},
		{"GET", "/api/x", "X-Api-Version: 2, 3", "plain"},
		{"GET", "/api/x", "X-Api-Version: 2|X-Api-Version: 2", "plain"},
		{"GET", "/api/x", "X-Api-Version: 2|X-Api-Version: 3", "plain"},
		{"GET", "/api/x", "X_Api_Version: 2", "plain"}, // P023
		{"GET", "/api/x?preview=true", "X-Api-Version: 2", "both"},
		{"GET", "/api/x?preview=true;", "X-Api-Version: 2", "two"},
		{"PUT", "/api/x?preview=true", "", "plain"},
		{"DELETE", "/api/x", "X-Api-Version: 2", "two"},
	} {
		t.Run(c.method+" "+c.target+" "+c.headers, func(t *testing.T) {
			var lines []string
			if c.headers != "" {
				lines = strings.Split(c.headers, "|")
			}
			l.both(t, c.method, c.target, lines, func(l *lab, a answer) {
				if got := l.passed(a); !strings.HasPrefix(got.RequestURI, "/to-"+c.want+"/api/") || !strings.HasSuffix(got.RequestURI, c.target[4:]) {
					l.Errorf("E received %q, and route %s was meant", got.RequestURI, c.want)
				}
			})
		})
	}
}

func TestAMethodThatNoFittingRouteHasIs405WithTheirMethods(t *testing.T) {
	l := newLab(t, matched)
	for _, c := range [][3]string{
		{"DELETE", "/api/x", "GET, HEAD, PUT"},
		{"DELETE", "/api/x?preview=true", "GET, HEAD, PUT"},
	} {
		l.both(t, c[0], c[1], nil, func(l *lab, a answer) {
			l.refused(a, 405)
			if got := a.Header.Get("Allow"); got != c[2] {
				l.Errorf("Allow: %q, not %q", got, c[2])
			}
		})
	}
	l.both(t, "FOO", "/api/x", []string{"X-Api-Version: 2"}, func(l *lab, a answer) {
		l.refused(a, 405)
		if got := a.Header.Get("Allow"); got != anyMethod {
			l.Errorf("Allow: %q", got)
		}
	})
}

func TestP001AMatchOpensNothingThatItsOwnRouteDoesNot(t *testing.T) {
	l := newLab(t, matched)
	// The match of a stricter route is judged by the stricter rules.
	beta := []string{"X-Beta: 1"}
	l.both(t, "GET", "/api/x?beta", beta, func(l *lab, a answer) { l.refused(a, 401) })
	l.both(t, "GET", "/api/x?beta=", append(beta, as("alice")), func(l *lab, a answer) { l.refused(a, 403) })
	l.both(t, "GET", "/api/x?beta=1", append(beta, as("root")), func(l *lab, a answer) {
		if got := l.passed(a); got.URL.Path != "/to-beta/api/x" {
			l.Errorf("E received %q", got.RequestURI)
		}
	})
	// What a route of another path matches means nothing here (P020).
	for _, target := range []string{"/admin/x?preview=true", "/x?preview=true", "/x/api?beta"} {
		l.both(t, "GET", target, []string{"X-Api-Version: 2", "X-Beta: 1"}, func(l *lab, a answer) { l.refused(a, 401) })
	}
}

func TestAHeaderThatEndsAtTheGatewayChoosesNothing(t *testing.T) {
	l := newLab(t, matched).on(t)
	got := l.passed(l.send("GET", "/api/x", "X-Api-Version: 2", "Connection: close, x-api-version"))
	if got.URL.Path != "/to-plain/api/x" {
		t.Errorf("E received %q", got.RequestURI)
	}
}

// Upgrade belongs to the connection, but goes on to the upstream where it asks for a WebSocket.
func TestWebSocketsHaveARouteOfTheirOwn(t *testing.T) {
	l := newLab(t, func(c *Config, _ *Deps) {
		app, to := []origin.Origin{appTest}, c.Routes[0].Upstreams
		c.Routes = append(c.Routes,
			Route{Name: "pages", Hosts: app, Path: "/live", Upstreams: to, Public: true},
			Route{Name: "sockets", Hosts: app, Path: "/live", Upstreams: to, Public: true, Match: Match{Headers: map[string][]string{"Upgrade": {"websocket"}}}, Rewrite: Rewrite{AddPrefix: "/ws"}})
	}).on(t)
	if got := l.passed(l.send("GET", "/live/x")); got.URL.Path != "/live/x" {
		t.Errorf("E received %q", got.RequestURI)
	}
	l.e.answers(echoSocket)
	if got := l.opens(socketRequest("/live/x", "Origin: https://app.test")); got.URL.Path != "/ws/live/x" {
		t.Errorf("E received %q", got.RequestURI)
	}
	l.e.answers(func(http.ResponseWriter, *http.Request) {})
	for _, lines := range [][]string{{"Connection: close, Upgrade", "Upgrade: h2c"}, {"Connection: close", "Upgrade: websocket"}, {"Connection: close, Upgrade", "Upgrade: websocket, h2c"}} {
		if got := l.passed(l.send("GET", "/live/x", lines...)); got.URL.Path != "/live/x" {
			t.Errorf("E received %q", got.RequestURI)
		}
	}
}

func TestARequestThatFitsNoMatchDoesNotFallToAShorterPath(t *testing.T) {
	l := newLab(t, func(c *Config, _ *Deps) {
		c.Routes = append(c.Routes, Route{
			Name: "only", Hosts: []origin.Origin{appTest}, Path: "/public/only", Upstreams: c.Routes[0].Upstreams, Public: true, Methods: []string{"GET"},
			Match: Match{Headers: map[string][]string{"X-Only": {}}},
		})
	})
	l.both(t, "GET", "/public/only/x", nil, func(l *lab, a answer) { l.refused(a, 404) })
	l.both(t, "POST", "/public/only/x", nil, func(l *lab, a answer) { l.refused(a, 404) })
	l.both(t, "POST", "/public/only/x", []string{"X-Only: 1"}, func(l *lab, a answer) { l.refused(a, 405) })
	l.both(t, "GET", "/public/only/x", []string{"X-Only: 1"}, func(l *lab, a answer) { l.passed(a) })
}

func TestADestinationIsJudgedByTheRouteThatTheHeadersChoose(t *testing.T) {
	l := newLab(t, matched)
	l.both(t, "COPY", "/api/a", []string{"X-Api-Version: 2", "Destination: /api/b"}, func(l *lab, a answer) {
		l.passed(a).one(l, "Destination", "/to-two/api/b")
	})
	l.both(t, "COPY", "/api/a?preview=true", []string{"X-Api-Version: 2", "Destination: /api/b"}, func(l *lab, a answer) { l.refused(a, 403) })
}

func TestS20MatchesThatCannotBeMeantAreRefused(t *testing.T) {
	h := func(name string, values ...string) Match { return Match{Headers: map[string][]string{name: values}} }
	q := func(name string, values ...string) Match { return Match{Query: map[string][]string{name: values}} }
	for name, c := range map[string]struct {
		first, second Match
		says          string
	}{
		"the same":                       {h("X-A", "1"), h("x-a", "1"), "route.second: "},
		"the same, but for order":        {h("X-A", "1", "2"), h("X-A", "2", "1"), "route.second"},
		"any value before one":           {h("X-A"), h("X-A", "1"), "route.second"},
		"more values before fewer":       {q("a", "1", "2"), q("a", "2"), "route.second"},
		"one condition before two":       {h("X-A", "1"), Match{Headers: map[string][]string{"X-A": {"1"}}, Query: map[string][]string{"b": {}}}, "route.second"},
		"a reserved header":              {h("X-Forwarded-User", "root"), Match{}, "route.first: match.headers.X-Forwarded-User: this header is deleted"},
		"one that another gateway sets":  {h("Remote-User"), Match{}, "deleted"},
		"one that a route sets upstream": {h("X-Set-By-Second"), Match{}, "deleted"},
		"Authorization":                  {h("Authorization"), Match{}, "proves who is calling"},
		"Cookie":                         {h("Cookie"), Match{}, "proves who is calling"},
		"Host":                           {h("Host", "x"), Match{}, "said by host"},
		"Connection":                     {h("Connection"), Match{}, "belongs to the connection"},
		"an upgrade to something else":   {h("Upgrade", "websocket", "h2c"), Match{}, "nothing but websocket"},
		"no header":                      {h("X A"), Match{}, "letters, digits and -"},
		"underscore":                     {h("X_A"), Match{}, "letters, digits and -"},
		"one header in two spellings":    {Match{Headers: map[string][]string{"X-A": nil, "x-a": nil}}, Match{}, "twice"},
		"a value with a line":            {h("X-A", "a\r\nb"), Match{}, "no header can have this value"},
		"a value with a space":           {h("X-A", " a"), Match{}, "no header can have this value"},
		"a parameter without a name":     {q(""), Match{}, "read alike"},
		"a parameter with a space":       {q("a b"), Match{}, "read alike"},
	} {
		t.Run(name, func(t *testing.T) {
			c2, d := configuration(t)
			to := c2.Routes[0].Upstreams
			c2.Routes = []Route{
				{Name: "first", Path: "/x", Upstreams: to, Public: true, Match: c.first},
				{Name: "second", Path: "/x", Upstreams: to, Public: true, Match: c.second, Headers: Headers{Set: map[string]string{"X-Set-By-Second": "1"}}},
			}
			if _, err := New(c2, d); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("the error is %v, and should speak of %q", err, c.says)
			}
		})
	}
	for name, c := range map[string][2]Match{
		"WebSockets":             {h("Upgrade", "websocket"), h("X-A", "1")},
		"the narrower one first": {h("X-A", "1"), h("X-A")},
		"two conditions first":   {Match{Headers: map[string][]string{"X-A": {"1"}}, Query: map[string][]string{"b": {}}}, h("X-A", "1")},
		"values apart":           {h("X-A", "1"), h("X-A", "2")},
		"values that overlap":    {h("X-A", "1", "2"), h("X-A", "2", "3")},
		"header and parameter":   {h("a"), q("a")},
		"none before one":        {{}, h("X-A")},
	} {
		t.Run(name, func(t *testing.T) {
			c2, d := configuration(t)
			to := c2.Routes[0].Upstreams
			c2.Routes = []Route{
				{Name: "first", Path: "/x", Upstreams: to, Public: true, Match: c[0]},
				{Name: "second", Path: "/x", Upstreams: to, Public: true, Match: c[1]},
			}
			if _, err := New(c2, d); err != nil {
				t.Error(err)
			}
		})
	}
}

// FuzzParameter: a parameter is found where net/url finds exactly one, with the value that net/url reads; if not, it is
// because servers differ over the query.
func FuzzParameter(f *testing.F) {
	for _, s := range []string{"a=1", "a", "a=1&a=2", "%61=1", "a=1;b", "a+=1", "&&a=%31", "a=b=c", "=a", "a%", "a=+"} {
		f.Add(s, "a", "1")
	}
	f.Fuzz(func(t *testing.T, query, name, want string) {
		m, err := newMatch(Match{Query: map[string][]string{name: {want}}})
		if err != nil || checkQuery(query) != "" {
			return
		}
		holds := m.holds(nil, query)
		values, err := url.ParseQuery(query)
		if holds && (err != nil || len(values[name]) != 1 || values[name][0] != want) {
			t.Fatalf("%q holds %q=%q, and net/url reads %q, %v", query, name, want, values, err)
		}
		if !holds && err == nil && !strings.ContainsAny(query, ";+") && len(values[name]) == 1 && values[name][0] == want {
			t.Fatalf("%q does not hold %q=%q", query, name, want)
		}
	})
}

func TestALookUpWithMatchesAllocatesNothing(t *testing.T) {
	var routes []*route
	for _, m := range []Match{{Headers: map[string][]string{"X-Api-Version": {"1"}}}, {Query: map[string][]string{"preview": {"true"}}}, {}} {
		rt := &route{name: string(rune('a' + len(routes))), methods: registeredMethods}
		rt.match, _ = newMatch(m)
		routes = append(routes, rt)
	}
	table, err := newTable(routes, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := &http.Request{Header: http.Header{"X-Api-Version": {"2"}, "Connection": {"keep-alive, x"}, "Accept": {"*/*"}}}
	w, req := httptest.NewRecorder(), &CanonicalRequest{Method: "GET", Origin: appTest, decoded: "/team17/x", Query: "a=1&b=2&previe%77=true", in: r, record: &telemetry.Record{}}
	var found *route
	if n := testing.AllocsPerRun(100, func() { found, _ = table.Find(w, req) }); n != 0 {
		t.Errorf("a look-up allocates %v times", n)
	}
	if found == nil || found.name != "b" {
		t.Errorf("found %+v", found)
	}
}
