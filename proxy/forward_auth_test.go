package proxy

import (
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/proxy/policy"
)

// asking is a laboratory whose gateway is asked by the proxy on this machine, also about a host that has no upstream.
func asking(t *testing.T, change ...func(*Config, *Deps)) *lab {
	t.Helper()
	return newLab(t, func(c *Config, d *Deps) {
		trusting("127.0.0.0/8")(c, d)
		wiki := origin.Origin{Scheme: "https", Host: "wiki.test"}
		d.Origins = sure(origin.NewSet(append(slices.Clone(d.Origins.All()), wiki)...))
		c.Routes = append(c.Routes,
			Route{Name: "wiki", Hosts: []origin.Origin{wiki}, Logins: []string{"staff"}},
			Route{Name: "orders", Hosts: []origin.Origin{wiki}, Path: "/orders", Logins: []string{"staff"}, Credential: "orders"},
			Route{Name: "asked-session", Hosts: []origin.Origin{wiki}, Path: "/session", Logins: []string{"staff"}, Credential: "session"},
			Route{Name: "asked-id", Hosts: []origin.Origin{wiki}, Path: "/id", Logins: []string{"staff"}, Credential: "id_token"},
			Route{Name: "asked-set", Hosts: []origin.Origin{wiki}, Path: "/set", Logins: []string{"staff"}, Headers: Headers{Profile: "none", Set: map[string]string{"X-App-User": "{user.email}", "X-App-Token": "{access_token}", "X-App-Key": "s3cret"}}},
			Route{Name: "near", Hosts: []origin.Origin{wiki}, Path: "/near", Logins: []string{"staff"}, Allow: []policy.Rule{{Networks: trustedHere()}}})
		d.Sources = map[string]Source{"orders": prepared{bearerCredential("exchanged-token-of-orders")}}
		for _, name := range []string{"wiki", "orders", "near", "asked-session", "asked-id", "asked-set"} {
			d.Starters[name] = door{}
		}
		for _, change := range change {
			change(c, d)
		}
	})
}

func sure[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// about makes the lines of a question.
func about(uri string, lines ...string) []string {
	return append([]string{"X-Forwarded-Uri: " + uri}, lines...)
}

// verdict expects a status, that nothing went upstream, and that no refusal tells who anybody is.
func (l *lab) verdict(a answer, status int) {
	l.Helper()
	if a.StatusCode != status {
		l.Errorf("answer %s, not %d: %.300s", a.Status, status, a.body)
	}
	if a.Response.Header.Get("Cache-Control") != "no-store" && a.StatusCode != 0 {
		l.Errorf("a verdict may be kept: %q", a.Header["Cache-Control"])
	}
	if status/100 != 2 {
		for name := range a.Response.Header {
			if strings.HasPrefix(name, "X-Auth-Request-") || strings.HasPrefix(name, "X-Forwarded-") || name == "Authorization" {
				l.Errorf("a refusal says %s: %q", name, a.Response.Header[name])
			}
		}
	}
	l.untouched()
}

func (l *lab) tells(a answer, name, value string) {
	l.Helper()
	if got := a.Response.Header[name]; value == "" && got != nil || value != "" && (len(got) != 1 || got[0] != value) {
		l.Errorf("%s: %q, not %q", name, got, value)
	}
}

func TestForwardAuthTellsWhoIsCalling(t *testing.T) {
	l := asking(t)
	for who, want := range map[string]map[string]string{
		"alice": {"User": "alice", "Email": "alice@example.com", "Preferred-Username": "alice", "Groups": "", "Client": ""},
		"root":  {"User": "root", "Groups": "admin,staff", "Client": ""},
		"evil":  {"User": "a%0D%0AX-Forwarded-User: root", "Groups": "a%2Cadmin,%20admin"},
		// SEC-7, P202
		"machine":    {"User": "", "Email": "", "Preferred-Username": "", "Groups": "", "Client": "backup"},
		"unverified": {"User": "mallory", "Email": ""},
	} {
		l.both(t, "GET", "/oauth2/auth", about("/x?y=1", as(who)), func(l *lab, a answer) {
			l.verdict(a, 202)
			for name, value := range want {
				l.tells(a, "X-Auth-Request-"+name, value)
				l.tells(a, "X-Forwarded-"+name, value)
			}
			l.tells(a, "Authorization", "")
			l.tells(a, "X-Auth-Request-Access-Token", "")
		})
	}
	t.Run("anybody", func(t *testing.T) {
		l := l.on(t)
		a := l.send("GET", "/oauth2/auth", about("/public/x", as("alice"))...)
		l.verdict(a, 202)
		l.tells(a, "X-Auth-Request-User", "")
		l.tells(a, "X-Forwarded-User", "")
	})
	t.Run("headers and credentials of the route", func(t *testing.T) {
		l := l.on(t)
		a := l.send("GET", "/oauth2/auth", about("/set/x", as("alice"), "Host: wiki.test")...)
		l.tells(a, "X-App-User", "alice@example.com")
		l.tells(a, "X-App-Token", "at-alice")
		l.tells(a, "X-App-Key", "s3cret")
		l.tells(a, "X-Forwarded-User", "")
		l.tells(a, "X-Auth-Request-User", "alice")
		a = l.send("GET", "/oauth2/auth", about("/session/x", as("alice"), "Host: wiki.test")...)
		l.tells(a, "Authorization", "Bearer at-alice")
		l.tells(a, "X-Auth-Request-Access-Token", "at-alice")
		a = l.send("GET", "/oauth2/auth", about("/id/x", as("alice"), "Host: wiki.test")...)
		l.tells(a, "Authorization", "Bearer idt-alice")
		a = l.send("GET", "/oauth2/auth", about("/orders/1", as("alice"), "Host: wiki.test")...)
		l.verdict(a, 202)
		l.tells(a, "Authorization", "Bearer exchanged-token-of-orders")
		l.tells(a, "X-Auth-Request-Access-Token", "exchanged-token-of-orders")
		l.verdict(l.send("GET", "/oauth2/auth", about("/session/x", as("tokenless"))...), 503)
		l.verdict(l.send("GET", "/oauth2/auth", about("/session/x", as("late"))...), 503)
	})
	t.Run("a renewed session's cookie", func(t *testing.T) {
		l := l.on(t)
		a := l.send("GET", "/oauth2/auth", about("/x", as("renewed"))...)
		l.verdict(a, 202)
		if c := a.Cookies(); len(c) != 1 || c[0].Value != "renewed" {
			t.Errorf("Set-Cookie: %q", a.Header["Set-Cookie"])
		}
	})
	t.Run("wonderwall's", func(t *testing.T) {
		l := l.on(t)
		l.verdict(l.send("GET", "/oauth2/session/forwardauth", about("/x", as("alice"))...), 204)
		l.verdict(l.send("GET", "/oauth2/session/forwardauth", about("/x")...), 401)
		l.verdict(l.send("GET", "/oauth2/session/forwardauth", as("alice")), 401)
	})
}

// The same people at the same places: whatever a direct request gets, a question about it gets in its own words.
func TestForwardAuthDecidesAsDirectRequestsAreDecided(t *testing.T) {
	l := asking(t)
	paths := []string{
		"/x", "/admin", "/admin/x", "/admin;x/y", "/public/x", "/session/x", "/id/x", "/set/x", "/domain/x", "/fragment", "/a/../admin", "/a%2fb", "//admin", "/%2e%2e/x", "/a\\b", "/x?a=b#c", "/x?a=%zz", "/nowhere%00",
	}
	who := []string{"", "alice", "root", "other-login", "unverified", "late", "gone", "tokenless", "machine", "half", "broken", "panic", "nobody-of-that-name"}
	for _, path := range paths {
		for _, name := range who {
			for i, host := range []string{"app.test", "open.test", "evil.test"} {
				for j, method := range []string{"GET", "POST", "OPTIONS", "TRACE", "FOO"} {
					if name != "alice" && i+j > 1 { // the others add nothing to these
						continue
					}
					direct := l.send(method, path, as(name), "Host: "+host)
					l.e.take()
					asked := l.send("GET", "/oauth2/auth", about(path, as(name), "X-Forwarded-Method: "+method, "X-Forwarded-Host: "+host)...)
					want := 202
					if direct.StatusCode != 200 {
						want = plainStatus(direct.StatusCode)
					}
					if asked.StatusCode != want {
						t.Errorf("%s %s%s as %q: %d, and the answer to the question is %d", method, host, path, name, direct.StatusCode, asked.StatusCode)
					}
					envoy := l.send(method, "/oauth2/auth"+path, as(name), "Host: "+host)
					if method != "TRACE" && envoy.StatusCode != direct.StatusCode {
						t.Errorf("%s %s%s as %q: %d, and Envoy hears %d", method, host, path, name, direct.StatusCode, envoy.StatusCode)
					}
				}
			}
		}
	}
	l.untouched()
}

func TestForwardAuthLeadsNavigationsToTheLogin(t *testing.T) {
	l := asking(t)
	page := []string{"Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"}
	for _, host := range []string{"app.test", "wiki.test"} {
		l.both(t, "GET", "/oauth2/auth?redirect=true", about("/x?a=b&c=d", append(page, "X-Forwarded-Host: "+host)...), func(l *lab, a answer) {
			l.verdict(a, 302)
			if to := a.Header.Get("Location"); to != "https://"+host+"/oauth2/start?rd="+url.QueryEscape("/x?a=b&c=d") {
				l.Errorf("Location: %q", to)
			}
			if a.Header["Set-Cookie"] != nil {
				l.Errorf("an attempt was made: %q", a.Header["Set-Cookie"])
			}
		})
	}
	for name, lines := range map[string][]string{
		"without redirect=true": nil, "a program": {"Accept: application/json"}, "a script": {"Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty"},
		"a form": append([]string{"X-Forwarded-Method: POST"}, page...), "a prefetch": append([]string{"Sec-Purpose: prefetch"}, page...), "an unreadable address": page,
	} {
		t.Run(name, func(t *testing.T) {
			l := l.on(t)
			target, uri := "/oauth2/auth?redirect=true", "/x"
			if lines == nil {
				target, lines = "/oauth2/auth", page
			}
			if name == "an unreadable address" {
				uri = "/a/../b"
			}
			a := l.send("GET", target, about(uri, lines...)...)
			l.verdict(a, 401)
			if a.Header.Get("Www-Authenticate") == "" || a.Header["Set-Cookie"] != nil || a.Header["Location"] != nil {
				t.Errorf("the headers are %v", a.Header)
			}
		})
	}
	t.Run("signed in, but not allowed", func(t *testing.T) {
		l := l.on(t)
		l.verdict(l.send("GET", "/oauth2/auth?redirect=true", about("/admin", append(page, as("alice"))...)...), 403)
	})
	t.Run("the page with the fragment is no yes", func(t *testing.T) {
		l := l.on(t)
		l.verdict(l.send("GET", "/oauth2/auth/fragment", page...), 302)
		l.verdict(l.send("GET", "/oauth2/auth?redirect=true", about("/fragment", page...)...), 302)
	})
}

func TestForwardAuthOnlyRoutesAreNeverProxied(t *testing.T) {
	l := asking(t)
	l.both(t, "GET", "/x", []string{"Host: wiki.test", as("alice")}, func(l *lab, a answer) { l.refused(a, 404) })
	l.both(t, "GET", "/oauth2/callback", []string{"Host: wiki.test"}, func(l *lab, a answer) {
		if a.StatusCode != 200 {
			l.Errorf("its own endpoint answers %s", a.Status)
		}
	})
	l.both(t, "GET", "/oauth2/auth", about("/x", "X-Forwarded-Host: wiki.test", as("alice")), func(l *lab, a answer) { l.verdict(a, 202) })
}

func TestForwardAuthAboutOwnEndpoints(t *testing.T) {
	l := asking(t)
	for uri, status := range map[string]int{
		"/oauth2/callback": 202, "/oauth2/callback?code=x": 202, "/oauth2/sign_out": 202, "/old/callback": 202,
		"/oauth2/nothing": 403, "/oauth2": 403, "/oauth2;x/callback": 403, "/oauth2/callback;x": 403,
		// answers to these hold tokens: no browser asks them through the proxy
		"/oauth2/auth": 403, "/oauth2/auth?redirect=true": 403, "/oauth2/auth/x": 403, "/oauth2/session/forwardauth": 403,
		// P012
		"/admin/oauth2/callback": 401, "/admin?next=/oauth2/callback": 401, "/oauth2/callback/../admin": 401, "/x/oauth2/auth": 401,
	} {
		l.both(t, "GET", "/oauth2/auth", about(uri), func(l *lab, a answer) {
			l.verdict(a, status)
			l.tells(a, "X-Auth-Request-User", "")
		})
	}
}

func TestForwardAuthJudgesWebSockets(t *testing.T) {
	l := asking(t)
	for name, c := range map[string]struct {
		lines  []string
		status int
	}{
		"of this site": {[]string{"Upgrade: websocket", "Origin: https://app.test"}, 202},
		"P179":         {[]string{"Upgrade: websocket", "Origin: https://evil.test"}, 403},
		"no origin":    {[]string{"Upgrade: websocket"}, 403},
		"P049 h2c":     {[]string{"Upgrade: h2c", "Http2-Settings: AAMAAABkAAQAAP__"}, 403},
		"by POST":      {[]string{"Upgrade: websocket", "Origin: https://app.test", "X-Forwarded-Method: POST"}, 403},
	} {
		t.Run(name, func(t *testing.T) {
			l := l.on(t)
			l.verdict(l.send("GET", "/oauth2/auth", about("/x", append(c.lines, as("alice"))...)...), c.status)
		})
	}
}

func TestForwardAuthKnowsTheClientOnlyIfTheProxySaysIt(t *testing.T) {
	l := asking(t)
	for chain, status := range map[string]int{"": 403, "127.0.0.1": 202, "6.6.6.6": 403, "127.0.0.1, 6.6.6.6": 403, "unknown": 403} {
		lines := about("/near/x", "X-Forwarded-Host: wiki.test", as("alice"))
		if chain != "" {
			lines = append(lines, "X-Forwarded-For: "+chain)
		}
		t.Run(chain, func(t *testing.T) { l := l.on(t); l.verdict(l.send("GET", "/oauth2/auth", lines...), status) })
	}
}

func TestForwardAuthOverEnvoysPath(t *testing.T) {
	l := asking(t)
	forged := []string{"X-Forwarded-Host: open.test", "X-Forwarded-Path: /public/x"}
	l.both(t, "GET", "/oauth2/auth/x?y=1", []string{as("alice")}, func(l *lab, a answer) {
		l.verdict(a, 200)
		l.tells(a, "X-Auth-Request-User", "alice")
	})
	l.both(t, "GET", "/oauth2/auth/", []string{as("alice")}, func(l *lab, a answer) { l.verdict(a, 200) })
	l.both(t, "DELETE", "/oauth2/auth/admin/x", append([]string{as("alice")}, forged...), func(l *lab, a answer) { l.verdict(a, 403) })
	l.both(t, "GET", "/oauth2/auth/x", append([]string{"Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"}, forged...), func(l *lab, a answer) {
		l.verdict(a, 302)
		if to := a.Header.Get("Location"); to != "https://app.test/oauth2/start?rd=%2Fx" || a.Header["Set-Cookie"] != nil {
			l.Errorf("Location: %q, Set-Cookie: %q", to, a.Header["Set-Cookie"])
		}
	})
	l.both(t, "GET", "/oauth2/auth/x?allowed_groups=none&redirect=true", []string{as("alice")}, func(l *lab, a answer) { l.verdict(a, 200) }) // the request's own
	l.both(t, "GET", "/oauth2/auth/oauth2/auth/x", []string{as("alice")}, func(l *lab, a answer) { l.verdict(a, 403) })
	t.Run("with a body", func(t *testing.T) {
		l := l.on(t)
		l.verdict(l.raw("POST /oauth2/auth/x HTTP/1.1\r\nHost: app.test\r\n"+as("alice")+"\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"), 200)
	})
}

func TestForwardAuthIsNarrowedByItsQueryOnly(t *testing.T) {
	l := asking(t)
	for query, status := range map[string]int{
		"allowed_groups=staff": 202, "allowed_groups=other,staff": 202, "allowed_groups=other,+staff": 202, "allowed_groups=other": 403,
		"allowed_groups=": 403, "allowed_groups=,": 403, "allowed_groups=staff&allowed_groups=other": 403, "allowed_groups=STAFF": 403,
		"allowed_emails=root@example.com": 202, "allowed_emails=Root@Example.com": 202, "allowed_emails=x@example.com": 403, "allowed_emails=": 403,
		"allowed_email_domains=example.com": 202, "allowed_email_domains=evil.com,example.com": 202, "allowed_email_domains=com": 403,
		"allowed_groups=staff&allowed_email_domains=evil.com": 403, "allowed_groups=staff&allowed_emails=root@example.com": 202,
		"allowed_groups=%zz": 401, "redirect=true&allowed_groups=other": 403, "something=else": 202,
	} {
		t.Run(query, func(t *testing.T) {
			l := l.on(t)
			l.verdict(l.send("GET", "/oauth2/auth?"+query, about("/admin", as("root"))...), status)
			if status == 202 { // nobody is let in by it
				l.verdict(l.send("GET", "/oauth2/auth?"+query, about("/admin", as("alice"))...), 403)
				l.verdict(l.send("GET", "/oauth2/auth?"+query, about("/admin")...), 401)
			}
		})
	}
	t.Run("an address that nobody verified", func(t *testing.T) {
		l := l.on(t)
		l.verdict(l.send("GET", "/oauth2/auth?allowed_emails=root@example.com", about("/x", as("unverified"))...), 403)
		l.verdict(l.send("GET", "/oauth2/auth?allowed_email_domains=example.com", about("/x", as("unverified"))...), 403)
	})
	t.Run("addresses as the configuration's own lists read them", func(t *testing.T) { // P201
		for address, status := range map[string]int{"mark@company.test": 202, "mar\u212a@company.test": 403, "x@evil.test@company.test": 403} {
			l := asking(t, func(_ *Config, d *Deps) {
				d.Session.(people)["mark"] = someone("mark", func(w *identity.Identity) { w.Email = address })
			})
			for _, query := range []string{"allowed_emails=" + url.QueryEscape("mark@company.test"), "allowed_email_domains=company.test"} {
				if status == 403 && strings.HasPrefix(address, "mar") && strings.Contains(query, "domains") {
					continue // it lies in the domain
				}
				l.verdict(l.send("GET", "/oauth2/auth?"+query, about("/x", as("mark"))...), status)
			}
		}
		l := asking(t, func(_ *Config, d *Deps) {
			d.Session.(people)["robot"] = someone("robot", func(w *identity.Identity) { w.Machine = true })
		})
		l.verdict(l.send("GET", "/oauth2/auth?allowed_email_domains=example.com", about("/x", as("robot"))...), 403) // SEC-7
	})
	t.Run("anybody is nobody of the list", func(t *testing.T) {
		l := l.on(t)
		l.verdict(l.send("GET", "/oauth2/auth?allowed_groups=staff", about("/public/x", as("root"))...), 403)
	})
}

func TestTheReturnTargetOfATrustedProxyIsTheLoginsRd(t *testing.T) {
	seen := make(chan string, 1)
	own := func(_ *Config, d *Deps) {
		mux := http.NewServeMux()
		mux.HandleFunc("/oauth2/start", func(_ http.ResponseWriter, r *http.Request) { seen <- r.URL.RawQuery })
		d.Own = mux
	}
	for name, c := range map[string]struct {
		l     *lab
		path  string
		lines []string
		want  string
	}{
		"given":          {asking(t, own), "/oauth2/start", []string{"X-Auth-Request-Redirect: /x?a=b&c"}, "rd=%2Fx%3Fa%3Db%26c"},
		"beside another": {asking(t, own), "/oauth2/start?login=staff", []string{"X-Auth-Request-Redirect: /x"}, "login=staff&rd=%2Fx"},
		"rd is there":    {asking(t, own), "/oauth2/start?rd=%2Fy", []string{"X-Auth-Request-Redirect: /x"}, "rd=%2Fy"},
		"twice":          {asking(t, own), "/oauth2/start", []string{"X-Auth-Request-Redirect: /x", "X-Auth-Request-Redirect: /y"}, ""},
		"of a stranger":  {newLab(t, own), "/oauth2/start", []string{"X-Auth-Request-Redirect: /x"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			l := c.l.on(t)
			if a := l.send("GET", c.path, c.lines...); a.StatusCode != 200 {
				t.Fatal(a.Status, a.body)
			}
			if got := <-seen; got != c.want {
				t.Errorf("the query is %q, not %q", got, c.want)
			}
		})
	}
}

func TestForwardAuthCannotHoldRequestsForApproval(t *testing.T) {
	people := &phones{kept: map[string]*phoned{}}
	l := asking(t, func(c *Config, d *Deps) {
		c.Routes = append(c.Routes, Route{
			Name: "pay", Hosts: []origin.Origin{appTest}, Path: "/payments", Upstreams: c.Routes[0].Upstreams, Logins: []string{"staff"},
			Approve: &Approve{Login: "phone", Methods: []string{"POST"}, BindingMessage: `"PAY"`, MaxBody: 1000, Expires: time.Minute},
		})
		d.Starters["pay"], d.Approvers = door{}, map[string]Approver{"pay": people}
	})
	l.both(t, "GET", "/oauth2/auth", about("/payments/1", as("alice"), "X-Forwarded-Method: POST"), func(l *lab, a answer) { l.verdict(a, 403) })
	l.both(t, "GET", "/oauth2/auth", about("/payments/1", as("alice"), "X-Forwarded-Method: GET"), func(l *lab, a answer) { l.verdict(a, 202) })
	l.both(t, "POST", "/oauth2/auth/payments/1", []string{as("alice"), "Doorward-Approval: A1"}, func(l *lab, a answer) { l.verdict(a, 403) })
	if len(people.asked) > 0 {
		t.Error("somebody was asked for a consent that nothing can use")
	}
}

func trustedHere() []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} }

func fuzzed(g *Gateway, method, host, uri, original, as string) (status int, header http.Header) {
	r := &http.Request{Method: "GET", Host: "app.test", RequestURI: "/oauth2/auth", URL: &url.URL{Path: "/oauth2/auth"}, RemoteAddr: "127.0.0.1:1", ProtoMajor: 1, ProtoMinor: 1, Body: http.NoBody, Header: http.Header{}}
	for name, value := range map[string]string{"X-Forwarded-Method": method, "X-Forwarded-Host": host, "X-Forwarded-Uri": uri, "X-Original-Url": original, "Cookie": as} {
		if value != "" {
			r.Header[name] = []string{value}
		}
	}
	a := &verdictWriter{under: &nowhere{http.Header{}}, header: http.Header{}}
	g.ServeHTTP(a, r)
	return a.status, a.header
}

// FuzzForwardAuth holds questions of nobody against the canonicaliser: a yes is about a path that everybody may see, whatever
// was said in however many ways.
func FuzzForwardAuth(f *testing.F) {
	for _, uri := range []string{"/public/x", "/x", "/public/../admin", "//public/x", "/public;/../x", "http://evil/public/", "/public/%2e%2e/x", "/oauth2/callback", "/public/x?y#z", ""} {
		f.Add("GET", "", uri, "")
		f.Add("POST", "open.test", "", "https://open.test"+uri)
	}
	l := newLabOf(f, trusting("127.0.0.0/8"))
	f.Fuzz(func(t *testing.T, method, host, uri, original string) {
		status, header := fuzzed(l.g, method, host, uri, original, "")
		switch status {
		case 401, 403, 503:
			return
		case 202:
		default:
			t.Fatalf("status %d", status)
		}
		if len(header) != 1 {
			t.Errorf("nobody got %v", header)
		}
		if original != "" && original[0] != '/' {
			_, original, _ = strings.Cut(original, "://")
			original = original[strings.IndexByte(original, '/'):]
		}
		if uri != "" && original != "" && uri != original {
			t.Errorf("%q and %q are one address", uri, original)
		}
		if uri == "" {
			uri = original
		}
		path, _, _ := strings.Cut(uri, "?")
		_, decoded, refusal := parsePath(path)
		open := []string{"/public", "/strip", "/pass", "/q", "/oauth2/callback", "/oauth2/sign_out", "/old/callback"}
		if refusal != "" || !slices.ContainsFunc(open, func(p string) bool { return decoded == p || strings.HasPrefix(decoded, p+"/") }) {
			t.Errorf("%q may be seen by nobody: %s", uri, refusal)
		}
	})
}

func question202(t testing.TB, credential string) func() {
	t.Helper()
	g := gatewayOverMemoryWith(t, credential)
	r := typical()
	r.RequestURI, r.RemoteAddr = "/oauth2/auth", "127.0.0.1:40000"
	r.URL = &url.URL{Path: "/oauth2/auth"}
	said := http.Header{"X-Forwarded-Uri": {"/reports/2026?page=3"}, "X-Forwarded-Method": {"GET"}, "X-Forwarded-Host": {"app.test"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-For": {"192.0.2.1"}}
	w := &counting{nowhere: nowhere{http.Header{}}}
	return func() {
		clear(w.h)
		for name, values := range said {
			r.Header[name] = values
		}
		g.ServeHTTP(w, r)
		if w.status != http.StatusAccepted {
			t.Fatal("status", w.status)
		}
	}
}

type counting struct {
	nowhere
	status int
}

func (c *counting) WriteHeader(status int) { c.status = status }

func gatewayOverMemoryWith(t testing.TB, credential string) http.Handler {
	t.Helper()
	g, err := New(Config{
		Prefix: "/oauth2", OwnCookie: ours, TrustedProxies: trustedHere(),
		Routes: []Route{{Name: "app", Hosts: []origin.Origin{appTest}, Logins: []string{"staff"}, Credential: credential}},
	}, Deps{
		Origins: sure(origin.NewSet(appTest)), Session: always{someone("alice", func(w *identity.Identity) { w.Groups = []string{"staff", "admins"} })},
		Starters: map[string]Starter{"app": door{}}, Own: ownPages(), Pages: sure(pages.New(pages.Config{Prefix: "/oauth2"})), Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestForwardAuthAllocatesLittle(t *testing.T) {
	n := testing.AllocsPerRun(1000, question202(t, "session"))
	t.Logf("%v allocations", n)
	if n > 8 {
		t.Errorf("%v allocations for a question", n)
	}
}

func BenchmarkForwardAuth(b *testing.B) {
	for _, credential := range []string{"none", "session"} {
		b.Run(credential, func(b *testing.B) {
			ask := question202(b, credential)
			ask()
			b.ReportAllocs()
			for b.Loop() {
				ask()
			}
		})
	}
}
