package proxy

import (
	"bufio"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/proxy/policy"
)

// slashed opens encoded slashes below /git, where a route of its own lies that has not opted in, and everywhere else but
// where the laboratory has routes already.
func slashed(c *Config, d *Deps) {
	app, to := []origin.Origin{appTest}, c.Routes[0].Upstreams
	based := *to[0]
	based.Path = "/api/v4"
	c.Routes[0].Encoded = []string{"slash"} // root
	c.Routes = append(c.Routes,
		Route{Name: "git", Hosts: app, Path: "/git", Upstreams: to, Public: true, Encoded: []string{"slash"}},
		Route{Name: "git-admin", Hosts: app, Path: "/git/admin", Upstreams: to, Logins: []string{"staff"}, Allow: []policy.Rule{{Groups: []string{"admin"}}}},
		Route{Name: "stripped", Hosts: app, Path: "/lab", StripPrefix: true, Upstreams: []*url.URL{&based}, Public: true, Encoded: []string{"slash"}},
		Route{Name: "moved-names", Hosts: app, Path: "/names", Upstreams: to, Public: true, Encoded: []string{"slash"}, Rewrite: Rewrite{Paths: []PathRewrite{{"/names/{scope}/{rest...}", "/v2/{rest...}/{scope}"}}}},
		Route{Name: "add", Hosts: app, Path: "/add", Upstreams: to, Public: true, Encoded: []string{"slash"}, Rewrite: Rewrite{AddPrefix: "/v3"}},
		Route{Name: "away", Hosts: app, Path: "/away", Public: true, Encoded: []string{"slash"}, Answer: &Answer{Redirect: &Redirect{To: "https://www.example.com{path}"}}},
		Route{Name: "puts", Hosts: app, Path: "/puts", Upstreams: to, Public: true, Encoded: []string{"slash"}, Methods: []string{"PUT"}},
		Route{Name: "expression", Hosts: app, Path: "/expression", Upstreams: to, Logins: []string{"staff"}, Encoded: []string{"slash"}, Require: `request.path == "/expression/a%2Fb"`},
	)
	d.Starters["git-admin"], d.Starters["expression"] = door{}, door{}
}

func TestAnEncodedSlashIsPartOfItsSegmentWhereTheRouteSaysSo(t *testing.T) {
	l := newLab(t, slashed)
	for target, sees := range map[string]string{
		"/git/group%2Fproject":                   "/git/group%2Fproject",
		"/git/group%2fproject/x%2Fy%2fz?a=%2f":   "/git/group%2fproject/x%2Fy%2fz?a=%2f",
		"/git/@scope%2fname":                     "/git/@scope%2fname",
		"/git/@scope%2fname/-/a%20b%25.tgz":      "/git/@scope%2fname/-/a%20b%25.tgz",
		"/git/a%2Fb|\xc3\xbc/":                   "/git/a%2Fb%7C%C3%BC/",
		"/git/a%2f%25":                           "/git/a%2f%25",
		"/lab/projects/group%2fproject/issues?x": "/api/v4/projects/group%2fproject/issues?x",
		"/names/@a%2Fb/c/d%2fe":                  "/v2/c/d%2fe/@a%2Fb",
		"/add/a%2fb":                             "/v3/add/a%2fb",
		"/git/plain":                             "/git/plain",
	} {
		t.Run(target, func(t *testing.T) {
			l.both(t, "GET", target, nil, func(l *lab, a answer) {
				if got := l.passed(a); got.RequestURI != sees || !strings.HasPrefix(l.e.wire, "GET "+sees+" HTTP/1.1\r\n") {
					l.Errorf("E received %q, not %q", got.RequestURI, sees)
				}
			})
		})
	}
	l.both(t, "GET", "/away/a%2fb", nil, func(l *lab, a answer) {
		if l.refused(a, 302); a.Header.Get("Location") != "https://www.example.com/away/a%2fb" {
			l.Errorf("Location: %q", a.Header.Get("Location"))
		}
	})
	l.both(t, "GET", "/expression/a%2fb", []string{as("alice")}, func(l *lab, a answer) { l.passed(a) })
	l.both(t, "GET", "/expression/a/b", []string{as("alice")}, func(l *lab, a answer) { l.refused(a, 403) })
	l.both(t, "GET", "/x%2fy", nil, func(l *lab, a answer) { l.refused(a, 401) })
	l.both(t, "GET", "/x%2fy", navigation, func(l *lab, a answer) { // a login comes back to it
		l.refused(a, 302)
		if u, err := url.Parse(a.Header.Get("Location")); err != nil || u.Query().Get("back") != "/x%2fy" {
			l.Errorf("the login returns to %q", a.Header.Get("Location"))
		}
	})
}

func TestP006AnEncodedSlashOpensNothing(t *testing.T) {
	l := newLab(t, slashed)
	for row, targets := range map[string][]string{
		"not opted in":     {"/public/a%2fb", "/admin%2fx", "/admin/a%2Fb", "/strip/a%2fb", "/session%2fx"},
		"another rule's":   {"/git/admin%2fx", "/git%2fadmin/x", "/git%2fadmin%2fx", "/git/admin%2Fx/y", "/git/admin.%2fx", "/git/admin%20%2fx", "/git/admin;x%2fy", "/git%2fx", "/x%2f..;/admin", "/public%2fx", "/admin%2f"},
		"our own":          {"/oauth2%2fcallback", "/oauth2/callback%2fx", "/oauth2%2f", "/oauth2%2Fstart", "/old%2fcallback", "/oauth2;x%2fy", "/oauth2/a%2fb"},
		"dots":             {"/git/..%2fadmin/x", "/git/a%2f..%2f..%2fadmin", "/git/%2e%2e%2fadmin", "/git/a%2f..", "/git/a%2f.", "/git/.%2fa", "/git/a%2f%2e%2e/b", "/git/a%2f..;x/b", "/git/a%2f.%20/b", "/git/a%2f...%2fb"},
		"empty":            {"/git/a%2f%2fb", "/git/%2fa", "/git/a%2f", "/git/a%2f/b", "/git/%2f", "/git/a/%2F", "/%2fgit", "/git%2f", "/git/a%2f;x/b", "/git/a%2f?x"},
		"encoded twice":    {"/git/a%252fb", "/git/a%25%32%66b", "/git/a%2f%252e%252e/b", "/git/a%25252fb", "/git/a%2fb%255cc", "/git/a%252f%2fb"},
		"other characters": {"/git/a%2fb%5cc", "/git/a%2fb%00", "/git/a%2fb%3fc", "/git/a%2fb%23c", "/git/a%2fb%3bc", `/git/a%2f\b`, "/git/a%2f%c0%af", "/git/a%2fb%", "/git/a%2fb%0d%0aX"},
		"P018":             {"/git/a%2fb?%zz"},
		"its method":       {"/puts/a%2fb"},
		"nowhere":          {"/strip%2fa", "/fragment%2fx"},
	} {
		for _, target := range targets {
			t.Run(row+" "+target, func(t *testing.T) {
				for _, who := range [][]string{nil, {as("alice")}, {as("root")}} {
					l.both(t, "GET", target, who, func(l *lab, a answer) {
						if a.ProtoMajor == 2 && a.StatusCode == 0 {
							a.StatusCode = 400
						}
						l.refused(a, 400)
					})
				}
			})
		}
	}
}

func TestEncodedSlashesAreReadOneWay(t *testing.T) {
	for raw, want := range map[string]string{"/a%2fb": "/a%2Fb", "/a%2Fb/%20c": "/a%2Fb/ c", "/a/b": "/a/b", "/a%2f%C3%BC%2Fb/": "/a%2Fü%2Fb/", "/%25%2fx": "/%%2Fx", "/a%252%2Fb": "/a%2%2Fb"} {
		encoded, decoded, refusal := parseSlashed(raw)
		if encoded != raw || decoded != want || refusal != "" {
			t.Errorf("%q becomes %q and %q (%s)", raw, encoded, decoded, refusal)
		}
	}
	for _, raw := range ambiguous {
		if strings.EqualFold(raw, "/a%2fb") {
			continue
		}
		if encoded, decoded, refusal := parseSlashed(raw); refusal == "" {
			t.Errorf("%q becomes %q and %q", raw, encoded, decoded)
		}
	}
}

func TestLoginsKnowsPathsWithEncodedSlashes(t *testing.T) {
	l := newLab(t, slashed)
	for target, want := range map[string]int{"/x%2fy": 1, "/git/a%2fb": 0, "/git/admin%2fx": 0, "/git/admin/x": 1} {
		if got := l.g.Logins(appTest, target); len(got) != want {
			t.Errorf("%s: %q", target, got)
		}
	}
}

// FuzzParseSlashed: what is accepted has one meaning as a path with encoded slashes, and is canonical with plain ones.
func FuzzParseSlashed(f *testing.F) {
	for _, s := range ambiguous {
		f.Add(s)
	}
	for _, s := range []string{"/a%2fb", "/a%2Fb/c%25", "/%25%2f", "/a%252%2Fb", "/%2525%2f2F", "/a;b%2fc"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		encoded, decoded, refusal := parseSlashed(raw)
		strict, same, no := parsePath(raw)
		if no == "" && (strict != encoded || same != decoded || refusal != "") {
			t.Fatalf("%q is read as %q and %q, and without the option as %q and %q", raw, encoded, decoded, strict, same)
		}
		if refusal != "" {
			return
		}
		if again, same, refusal := parseSlashed(encoded); again != encoded || same != decoded || refusal != "" {
			t.Fatalf("%q → %q → %q (%s)", raw, encoded, again, refusal)
		}
		u := url.URL{Scheme: "http", Host: "h", Path: unslashed(decoded), RawPath: encoded}
		if u.RequestURI() != encoded {
			t.Fatalf("%q is written as %q", encoded, u.RequestURI())
		}
		if strings.Count(encoded, "/") != strings.Count(decoded, "/") || strings.Count(strings.ToUpper(encoded), encodedSlash) != strings.Count(decoded, encodedSlash) {
			t.Fatalf("%q and %q have different segments", encoded, decoded)
		}
		if _, plain, refusal := parsePath(plainSlashes.Replace(encoded)); refusal != "" || plain != unslashed(decoded) {
			t.Fatalf("%q is %q with plain slashes (%s)", encoded, plain, refusal)
		}
	})
}

// FuzzSlashedRequest is FuzzCanonical where routes take encoded slashes: what is judged is what is forwarded, and no
// reading of it lies behind a rule that did not judge it.
func FuzzSlashedRequest(f *testing.F) {
	for _, s := range append([]string{"/git/a%2fb", "/git/admin%2fx", "/git%2fadmin", "/lab/a%2Fb?c", "/x%2fy", "/oauth2%2fx", "/names/a%2fb/c", "/git/a%2f..;/b", "/git/admin.%2fx", "/git/%61dmin%2fx"}, ambiguous...) {
		f.Add("GET", s)
	}
	upstream := &onWire{}
	l := newLabOf(f, func(c *Config, d *Deps) {
		slashed(c, d)
		d.Transport = upstream
	})
	f.Fuzz(func(t *testing.T, method, target string) {
		raw := method + " " + target + " HTTP/1.1\r\nHost: app.test\r\n" + as("alice") + "\r\n\r\n"
		parse := func() *http.Request {
			r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
			if err != nil {
				return nil
			}
			r.RemoteAddr = "192.0.2.1:1"
			return r
		}
		r := parse()
		if r == nil || r.RequestURI != target {
			return
		}
		upstream.got = nil
		l.g.ServeHTTP(httptest.NewRecorder(), r)
		got := upstream.got
		if got == nil {
			return
		}
		judged, err := l.g.canonical(httptest.NewRecorder(), parse())
		if err != nil {
			t.Fatalf("%q is forwarded although %v", raw, err)
		}
		rt, err := l.g.routes.Find(httptest.NewRecorder(), judged)
		if err != nil {
			t.Fatalf("%q is forwarded although %v", raw, err)
		}
		if !rt.slash && strings.Contains(strings.ToLower(judged.Path), "%2f") {
			t.Fatalf("%q is forwarded by route %s", raw, rt.name)
		}
		up := &rt.upstreams[0]
		want, _ := rt.outgoing(judged.Path, judged.decoded, up)
		if judged.hasQuery {
			want += "?" + judged.Query
		}
		if got.RequestURI != want || got.Method != judged.Method {
			t.Fatalf("%q: judged %q, forwarded %q", raw, want, got.RequestURI)
		}
		if path.Clean(got.URL.Path) != strings.TrimSuffix(got.URL.Path, "/") && got.URL.Path != "/" {
			t.Fatalf("%q: the upstream receives %q, which can be cleaned", raw, got.URL.Path)
		}
		for _, reading := range readings(judged.Path) { // alice may see neither
			for _, closed := range []string{"/admin", "/git/admin", "/oauth2"} {
				if liesIn(reading, closed) {
					t.Fatalf("%q is forwarded by route %s, and can be read as %q", raw, rt.name, reading)
				}
			}
		}
	})
}
