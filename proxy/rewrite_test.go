package proxy

import (
	"net/http"
	"net/url"
	"path"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/origin"
)

// rewriting adds public routes, each with a Rewrite of its own.
func rewriting(c *Config, _ *Deps) {
	app := []origin.Origin{appTest}
	to := c.Routes[0].Upstreams
	based := *to[0]
	based.Path = "/base"
	for _, rt := range []Route{
		{Name: "add", Path: "/add", Rewrite: Rewrite{AddPrefix: "/v2"}},
		{Name: "swap", Path: "/swap", StripPrefix: true, Rewrite: Rewrite{AddPrefix: "/new"}, Upstreams: []*url.URL{&based}},
		{Name: "shapes", Path: "/old", Rewrite: Rewrite{Paths: []PathRewrite{
			{"/old/users/{id}", "/people/{id}"},
			{"/old/users/{id}/keys", "/keys/{id}"}, // longer than one that stands before it
			{"/old/{id}/{rest...}", "/new/{rest...}/{id}"},
			{"/old", "/"},
		}}},
		{Name: "all", Path: "/all", Rewrite: Rewrite{Paths: []PathRewrite{{"/all/{x...}", "/v%C3%BC/{x...}"}}}},
		{Name: "upstream-host", Path: "/host/upstream", Rewrite: Rewrite{Host: "upstream"}},
		{Name: "fixed-host", Path: "/host/fixed", Rewrite: Rewrite{Host: "Legacy.internal:8080"}},
		{Name: "client-host", Path: "/host/client", Rewrite: Rewrite{Host: "client"}},
		{Name: "whole", Path: "/whole", StripPrefix: true},
		{Name: "elsewhere", Hosts: []origin.Origin{{Scheme: "https", Host: "open.test"}}, Path: "/", StripPrefix: true},
	} {
		if rt.Public = true; rt.Hosts == nil {
			rt.Hosts = app
		}
		if rt.Upstreams == nil {
			rt.Upstreams = to
		}
		c.Routes = append(c.Routes, rt)
	}
}

func TestPathsAreRewrittenByWholeSegments(t *testing.T) {
	l := newLab(t, rewriting)
	for target, sees := range map[string]string{
		"/add": "/v2/add", "/add/": "/v2/add/", "/add/x?y=1": "/v2/add/x?y=1", "/%61dd/a%20b?": "/v2/%61dd/a%20b?",
		"/swap": "/base/new/", "/swap/x": "/base/new/x", "/swap/x/?y": "/base/new/x/?y",
		"/old": "/", "/old/": "/", "/old?x=/y": "/?x=/y", "/old/7": "/new/7", "/old/7/": "/new/7/", "/old/7/a/b": "/new/a/b/7", "/old/7/a/b/": "/new/a/b/7/",
		"/old/users/alice": "/people/alice", "/old/%75sers/a%25b": "/people/a%25b", "/old/users/alice/keys": "/keys/alice", "/old/users": "/new/users", "/old/users/a/b": "/new/a/b/users", "/old/7/a;v=1/b|": "/new/a;v=1/b%7C/7",
		"/all": "/v%C3%BC", "/all/": "/v%C3%BC/", "/all/x%20/y": "/v%C3%BC/x%20/y",
	} {
		t.Run(target, func(t *testing.T) {
			l.both(t, "GET", target, nil, func(l *lab, a answer) {
				if got := l.passed(a); got.RequestURI != sees || !strings.HasPrefix(l.e.wire, "GET "+sees+" HTTP/1.1\r\n") {
					l.Errorf("E received %q, not %q", got.RequestURI, sees)
				}
			})
		})
	}
}

func TestP015NoRewriteLeavesTheCanonicalForm(t *testing.T) {
	l := newLab(t, rewriting)
	for _, prefix := range []string{"/add", "/swap", "/old/7", "/all", "/whole"} {
		for _, rest := range []string{
			"/../admin/x", "/%2e%2e/admin", "/..;/admin", "//admin", "/./admin", "/..%2fadmin", `/..\admin`, "/%252e%252e/x", "/.%20/x", "/;/admin", "/a%2fb", "/%2fadmin", "/a%00", "/a%3fb", "/a%23b",
		} {
			t.Run(prefix+rest, func(t *testing.T) {
				l.both(t, "GET", prefix+rest, nil, func(l *lab, a answer) {
					if a.ProtoMajor == 2 && a.StatusCode == 0 {
						a.StatusCode = 400
					}
					l.refused(a, 400)
				})
			})
		}
	}
	for _, target := range []string{"/add./x", "/swap%20/x", "/old./7"} {
		l.both(t, "GET", target, nil, func(l *lab, a answer) { l.refused(a, 400) })
	}
}

func TestTheUpstreamLearnsWhatWasStrippedAndWhichHostIsMeant(t *testing.T) {
	l := newLab(t, rewriting)
	for _, c := range [][3]string{{"/whole/x", "app.test", "/whole"}, {"/swap", "app.test", "/swap"}, {"/strip/x", "app.test", "/strip"}, {"/host/upstream", l.e.url.Host, ""}, {"/host/fixed/x", "legacy.internal:8080", ""}, {"/host/client", "app.test", ""}, {"/add/x", "app.test", ""}} {
		t.Run(c[0], func(t *testing.T) {
			l.both(t, "GET", c[0], []string{"X-Forwarded-Prefix: /evil", "X-Forwarded-Host: evil.test"}, func(l *lab, a answer) {
				got := l.passed(a)
				if got.Host != c[1] {
					l.Errorf("E received Host %q, not %q", got.Host, c[1])
				}
				got.one(l, "X-Forwarded-Host", "app.test")
				if c[2] == "" {
					got.lacks(l, "X-Forwarded-Prefix")
				} else {
					got.one(l, "X-Forwarded-Prefix", c[2])
				}
			})
		})
	}
}

func TestWhereNothingIsStrippedNothingIsSaidToBe(t *testing.T) {
	l := newLab(t, rewriting)
	l.both(t, "GET", "/x", []string{"Host: open.test"}, func(l *lab, a answer) { l.passed(a).lacks(l, "X-Forwarded-Prefix") })
}

func TestADestinationIsRewrittenLikeThePath(t *testing.T) {
	l := newLab(t, rewriting)
	for _, c := range [][3]string{
		{"/swap/a", "https://app.test/swap/b", "https://app.test/base/new/b"},
		{"/old/7/a", "/old/7/b/", "/new/b/7/"},
		{"/host/fixed/a", "https://app.test/host/fixed/b", "https://legacy.internal:8080/host/fixed/b"},
		{"/host/upstream/a", "https://app.test/host/upstream/b", "http://" + l.e.url.Host + "/host/upstream/b"},
	} {
		l.both(t, "MOVE", c[0], []string{"Destination: " + c[1]}, func(l *lab, a answer) { l.passed(a).one(l, "Destination", c[2]) })
	}
}

func TestARedirectToTheHostThatTheUpstreamIsToldLeadsToTheOneThatWasAsked(t *testing.T) {
	l := newLab(t, func(c *Config, _ *Deps) {
		based := *c.Routes[0].Upstreams[0]
		based.Path = "/base"
		for name, rt := range map[string]Route{
			"own":    {Rewrite: Rewrite{Host: "upstream", AddPrefix: "/v2"}, StripPrefix: true, Upstreams: []*url.URL{&based}},
			"named":  {Rewrite: Rewrite{Host: "legacy.internal"}, Upstreams: c.Routes[0].Upstreams},
			"client": {StripPrefix: true, Upstreams: c.Routes[0].Upstreams},
			"shaped": {Rewrite: Rewrite{Host: "legacy.internal", Paths: []PathRewrite{{"/shaped/{x...}", "/{x...}"}}}, Upstreams: c.Routes[0].Upstreams},
		} {
			rt.Name, rt.Path, rt.Hosts, rt.Public = name, "/"+name, []origin.Origin{appTest}, true
			c.Routes = append(c.Routes, rt)
		}
	})
	at := "http://" + l.e.url.Host
	for _, c := range [][3]string{
		{"/own/x", at + "/base/v2/y%20z?a=b#c", "https://app.test/own/y%20z?a=b#c"},
		{"/own/x", "https://" + l.e.url.Host + "/base/v2", "https://app.test/own/"},
		{"/own/x", at + "/base/v2/?", "https://app.test/own/?"},
		{"/own/x", at + "/base/v2evil", at + "/base/v2evil"},
		{"/own/x", at + "/elsewhere", at + "/elsewhere"},
		{"/own/x", at + "/base/v2/../../admin", at + "/base/v2/../../admin"},
		{"/own/x", at + "/base/v2//evil.test", at + "/base/v2//evil.test"},
		{"/own/x", "http://u@" + l.e.url.Host + "/base/v2/x", "http://u@" + l.e.url.Host + "/base/v2/x"},
		{"/own/x", "/base/v2/y", "/base/v2/y"},
		{"/own/x", "y", "y"},
		{"/own/x", "https://www.example.com/base/v2/y", "https://www.example.com/base/v2/y"},
		{"/named/x", "http://legacy.internal/login?to=%2F", "https://app.test/login?to=%2F"},
		{"/named/x", "https://LEGACY.internal:443", "https://app.test/"},
		{"/named/x", "http://legacy.internal:8080/x", "http://legacy.internal:8080/x"},
		{"/named/x", at + "/x", at + "/x"},
		{"/client/x", at + "/x", at + "/x"},
		{"/client/x", "https://app.test/x", "https://app.test/x"},
		{"/client/x", "/x", "/x"},
		{"/shaped/x", "http://legacy.internal/x", "http://legacy.internal/x"},
	} {
		t.Run(c[0]+" "+c[1], func(t *testing.T) {
			l.e.answer = func(w http.ResponseWriter, _ *http.Request) {
				w.Header()["Location"] = []string{c[1]}
				w.WriteHeader(http.StatusFound)
			}
			l.both(t, "GET", c[0], nil, func(l *lab, a answer) {
				if got := a.Header.Get("Location"); a.StatusCode != 302 || got != c[2] {
					l.Errorf("answer %s, Location %q, not %q", a.Status, got, c[2])
				}
			})
		})
	}
}

func TestS20RewritesThatCannotBeMeantAreRefused(t *testing.T) {
	shapes := func(pairs ...string) Rewrite {
		var r Rewrite
		for i := 0; i < len(pairs); i += 2 {
			r.Paths = append(r.Paths, PathRewrite{pairs[i], pairs[i+1]})
		}
		return r
	}
	for name, c := range map[string]struct {
		path    string
		strip   bool
		rewrite Rewrite
		says    string
	}{
		"prefix without a slash":     {"/", false, Rewrite{AddPrefix: "v2"}, "add_prefix"},
		"prefix with one too many":   {"/", false, Rewrite{AddPrefix: "/v2/"}, "add_prefix"},
		"prefix of nothing":          {"/", false, Rewrite{AddPrefix: "/"}, "add_prefix"},
		"prefix with dots":           {"/", false, Rewrite{AddPrefix: "/a/../b"}, "add_prefix"},
		"prefix with a parameter":    {"/", false, Rewrite{AddPrefix: "/a;b"}, "add_prefix"},
		"rewrite and strip":          {"/a", true, shapes("/a", "/b"), "strip_prefix"},
		"rewrite and add":            {"/a", false, Rewrite{AddPrefix: "/v", Paths: shapes("/a", "/b").Paths}, "add_prefix"},
		"elsewhere":                  {"/a", false, shapes("/b", "/c"), "rewrite[0]: from: \"/b\" does not lie below"},
		"shorter than the route":     {"/a/b", false, shapes("/a", "/c"), "does not lie below"},
		"an unknown name":            {"/", false, shapes("/{a}", "/{b}"), "rewrite[0]: to: from has no {b}"},
		"one and many":               {"/", false, shapes("/{a}", "/{a...}"), "one segment"},
		"many in the middle":         {"/", false, shapes("/{a...}/b", "/{a...}"), "last segment"},
		"a name twice":               {"/", false, shapes("/{a}/{a}", "/{a}"), "twice"},
		"a name twice in to":         {"/", false, shapes("/{a}", "/{a}/{a}"), "twice"},
		"half a segment":             {"/", false, shapes("/x{a}", "/{a}"), "whole segment"},
		"half a name":                {"/", false, shapes("/{a", "/b"), "whole segment"},
		"no name":                    {"/", false, shapes("/{}", "/b"), "whole segment"},
		"a regular expression":       {"/", false, shapes("/{a:[0-9]+}", "/{a}"), "whole segment"},
		"a slash at the end":         {"/", false, shapes("/a/", "/b"), "leave the slash"},
		"two slashes":                {"/", false, shapes("/a//b", "/b"), "read alike"},
		"dots":                       {"/", false, shapes("/a", "/../b"), "read alike"},
		"an encoded slash":           {"/", false, shapes("/a", "/b%2fc"), "read alike"},
		"a parameter":                {"/", false, shapes("/a", "/b;c"), "read alike"},
		"a query":                    {"/", false, shapes("/a", "/b?c"), "read alike"},
		"no slash":                   {"/", false, shapes("a", "/b"), "does not begin with a slash"},
		"never reached":              {"/", false, shapes("/{x...}", "/a/{x...}", "/b", "/c"), "rewrite[1]: from: \"/b\" is never reached"},
		"never reached, by one name": {"/", false, shapes("/b/{x}", "/a/{x}", "/b/c", "/c"), "rewrite[1]"},
		"a host with a path":         {"/", false, Rewrite{Host: "a.test/x"}, "host_header"},
		"a host with a user":         {"/", false, Rewrite{Host: "u@a.test"}, "host_header"},
		"a host with a space":        {"/", false, Rewrite{Host: "a test"}, "host_header"},
		"a host that is a whole URL": {"/", false, Rewrite{Host: "https://a.test"}, "host_header"},
		"a host with a line":         {"/", false, Rewrite{Host: "a.test\r\nX: y"}, "host_header"},
	} {
		t.Run(name, func(t *testing.T) {
			config, d := configuration(t)
			config.Routes[0].Path, config.Routes[0].StripPrefix, config.Routes[0].Rewrite = c.path, c.strip, c.rewrite
			if _, err := New(config, d); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("the error is %v, and should speak of %q", err, c.says)
			}
		})
	}
}

// FuzzRewrite: whatever canonical path is rewritten in whatever way that the configuration may say, the result is
// canonical, means the same encoded and decoded, and url.URL writes it as it stands.
func FuzzRewrite(f *testing.F) {
	for _, s := range []string{"/old/7/a/b/", "/old/a%20b", "/old/a;v=1/..a", "/old/a%2Fb/c%25", "/", "/a|b", "/old/%2561"} {
		f.Add(s, "/old/{id}/{rest...}", "/new/{rest...}/{id}", "/v2", true)
		f.Add(s, "/{a}/{b}", "/{b}", "", false)
	}
	f.Fuzz(func(t *testing.T, raw, from, to, add string, slash bool) {
		parse := parsePath
		if slash {
			parse = parseSlashed
		}
		encoded, decoded, refusal := parse(raw)
		if refusal != "" {
			return
		}
		up := &upstream{base: "/base", decodedBase: "/base"}
		for _, rc := range []Route{{Path: "/", Rewrite: Rewrite{Paths: []PathRewrite{{from, to}}}}, {Path: "/", Rewrite: Rewrite{AddPrefix: add}}, {Path: "/old", StripPrefix: true}} {
			rt := &route{slash: slash, strip: strings.Count(strings.TrimSuffix(rc.Path, "/"), "/")}
			if !rc.StripPrefix {
				rt.strip = 0
			}
			if rt.setRewrite(rc) != nil {
				continue
			}
			e, d := rt.inward(encoded, decoded)
			if again, same, refusal := parse(e); refusal != "" || again != e || same != d {
				t.Fatalf("%q becomes %q and %q by %+v: %s", raw, e, d, rc.Rewrite, refusal)
			}
			e, d = rt.outgoing(encoded, decoded, up)
			u := url.URL{Scheme: "http", Host: "h", Path: d, RawPath: e}
			if u.RequestURI() != e || !strings.HasPrefix(path.Clean(d), "/base") {
				t.Fatalf("%q is written as %q", e, u.RequestURI())
			}
		}
	})
}

func TestThePathOfARequestIsRewrittenWithoutACopyWhereNothingIs(t *testing.T) {
	rt, up := &route{}, &upstream{}
	if n := testing.AllocsPerRun(100, func() { rt.outgoing("/a/b", "/a/b", up) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
