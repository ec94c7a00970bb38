package proxy

import (
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/proxy/policy"
)

// site is a directory with what must be found in it, and what must not.
func siteOf(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	root := filepath.Join(dir, "www")
	for name, text := range map[string]string{
		"secret.txt": "secret", "www/index.html": "<p>home", "www/a.txt": "0123456789", "www/a b.txt": "spaced", "www/ü.css": "umlaut", "www/app.JS": "js", "www/data.unknown": "<script>alert(1)</script>",
		"www/docs/index.html": "<p>docs", "www/docs/x.json": "{}", "www/empty/x.txt": "x", "www/.env": "secret", "www/.git/config": "secret", "www/docs/.hidden/x.txt": "secret", "www/..a.txt": "secret",
		"www/admin/x.txt": "admin",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{"out.txt": "../secret.txt", "absolute.txt": filepath.Join(dir, "secret.txt"), "up": "..", "in.txt": "a.txt", "within": "docs"} {
		if err := os.Symlink(to, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// local adds routes that answer themselves.
func local(t testing.TB) func(*Config, *Deps) {
	root := siteOf(t)
	return func(c *Config, d *Deps) {
		app, staff := []origin.Origin{appTest}, []string{"staff"}
		for _, rt := range []Route{
			{Name: "www", Path: "/www", StripPrefix: true, Public: true, Answer: &Answer{Files: &Files{Root: root, Index: "index.html"}}},
			{Name: "spa", Path: "/spa", StripPrefix: true, Public: true, Answer: &Answer{Files: &Files{Root: root, Index: "index.html", Fallback: "index.html"}}},
			{Name: "bare", Path: "/bare", StripPrefix: true, Public: true, Answer: &Answer{Files: &Files{Root: root}}},
			{Name: "mine", Path: "/mine", StripPrefix: true, Logins: staff, Answer: &Answer{Files: &Files{Root: root, Index: "index.html"}}},
			{Name: "lost", Path: "/lost", Public: true, Answer: &Answer{Files: &Files{Root: filepath.Join(root, "nowhere")}}},
			{Name: "page", Path: "/page", Public: true, Rewrite: Rewrite{Paths: []PathRewrite{{"/page", "/"}}}, Answer: &Answer{Files: &Files{Root: root, Index: "index.html"}}},
			{Name: "moved", Path: "/moved", Public: true, Answer: &Answer{Redirect: &Redirect{To: "https://www.example.com{path}?{query}", Status: 308}}},
			{Name: "renamed", Path: "/renamed", StripPrefix: true, Public: true, Answer: &Answer{Redirect: &Redirect{To: "{path}/index?a=1&{query}#top"}}},
			{Name: "gone-to", Path: "/gone-to", Logins: staff, Allow: []policy.Rule{{Groups: []string{"admin"}}}, Answer: &Answer{Redirect: &Redirect{To: "https://www.example.com/fixed"}}},
			{Name: "robots", Path: "/robots.txt", Public: true, Answer: &Answer{Respond: &Respond{Body: "User-agent: *\n"}}},
			{Name: "teapot", Path: "/teapot", Logins: staff, Answer: &Answer{Respond: &Respond{Status: 418, Body: "<p>short and stout", ContentType: "text/html; charset=utf-8"}}},
			{Name: "nothing", Path: "/nothing", Public: true, Answer: &Answer{Respond: &Respond{Status: 204}}},
			{Name: "asked", Path: "/asked", Logins: staff},
		} {
			rt.Hosts = app
			c.Routes = append(c.Routes, rt)
			d.Starters[rt.Name] = door{}
		}
	}
}

func TestAnAnswerOfTheRouteClaimsNothingOfOtherMethods(t *testing.T) {
	base := local(t)
	l := newLab(t, func(c *Config, d *Deps) {
		base(c, d)
		for _, rt := range []Route{
			{Name: "hook", Path: "/hook", Public: true, Methods: []string{"POST"}, Answer: &Answer{Respond: &Respond{Status: 202, Body: "taken"}}},
			{Name: "gone", Path: "/gone", Public: true, Answer: &Answer{Respond: &Respond{Status: 410, Body: "gone"}}},
		} {
			rt.Hosts = c.Routes[0].Hosts
			c.Routes = append(c.Routes, rt)
		}
	})
	for _, method := range []string{"PUT", "POST", "DELETE", "PATCH", "OPTIONS"} {
		for _, target := range []string{"/robots.txt", "/nothing"} {
			l.both(t, method, target, nil, func(l *lab, a answer) {
				if l.refused(a, 405); a.Header.Get("Allow") != "GET, HEAD" || a.code() != codeMethodNotAllowed {
					l.Errorf("%s: %v", method, a.Header)
				}
			})
		}
		l.both(t, method, "/gone", nil, func(l *lab, a answer) { l.found(a, 410, "gone") })
	}
	l.both(t, "HEAD", "/robots.txt", nil, func(l *lab, a answer) { l.found(a, 200, "") })
	l.both(t, "POST", "/hook", nil, func(l *lab, a answer) { l.found(a, 202, "taken") })
}

// found expects an answer of the route itself.
func (l *lab) found(a answer, status int, body string) {
	l.Helper()
	l.untouched()
	if a.StatusCode != status || a.body != body {
		l.Errorf("answer %s %q, not %d %q", a.Status, a.body, status, body)
	}
	if a.Header.Get("X-Content-Type-Options") != "nosniff" {
		l.Error("the answer may be sniffed")
	}
}

func TestFilesAreServedFromTheirDirectory(t *testing.T) {
	l := newLab(t, local(t))
	for _, c := range []struct {
		target, body, kind string
	}{
		{"/www/", "<p>home", "text/html; charset=utf-8"},
		{"/www/index.html", "<p>home", "text/html; charset=utf-8"},
		{"/www/a.txt", "0123456789", "text/plain; charset=utf-8"},
		{"/www/a.txt?v=2", "0123456789", "text/plain; charset=utf-8"},
		{"/www/a%20b.txt", "spaced", "text/plain; charset=utf-8"},
		{"/www/%C3%BC.css", "umlaut", "text/css; charset=utf-8"},
		{"/www/app.JS", "js", "text/javascript; charset=utf-8"},
		{"/www/data.unknown", "<script>alert(1)</script>", "application/octet-stream"},
		{"/www/docs/", "<p>docs", "text/html; charset=utf-8"},
		{"/www/docs/x.json", "{}", "application/json"},
		{"/www/in.txt", "0123456789", "text/plain; charset=utf-8"},
		{"/www/within/x.json", "{}", "application/json"},
		{"/spa/any/view", "<p>home", "text/html; charset=utf-8"},
		{"/spa/docs/x.json", "{}", "application/json"},
		{"/spa/empty", "<p>home", "text/html; charset=utf-8"},
		{"/spa/.env", "<p>home", "text/html; charset=utf-8"},
	} {
		t.Run(c.target, func(t *testing.T) {
			l.both(t, "GET", c.target, nil, func(l *lab, a answer) {
				l.found(a, 200, c.body)
				if a.Header.Get("Content-Type") != c.kind || a.Header.Get("Etag") == "" || a.Header.Get("Last-Modified") == "" || a.Header["Cache-Control"] != nil {
					l.Errorf("headers %v", a.Header)
				}
			})
			l.both(t, "HEAD", c.target, nil, func(l *lab, a answer) {
				if l.found(a, 200, ""); a.Header.Get("Content-Length") != strconv.Itoa(len(c.body)) {
					l.Errorf("Content-Length: %q", a.Header["Content-Length"])
				}
			})
		})
	}
}

func TestP004ToP007NothingOutsideTheDirectoryIsServed(t *testing.T) {
	l := newLab(t, local(t))
	for _, base := range []string{"/www", "/bare", "/spa"} {
		for rest, status := range map[string]int{
			"/../secret.txt": 400, "/%2e%2e/secret.txt": 400, "/..%2fsecret.txt": 400, "/..%5csecret.txt": 400, `/..\secret.txt`: 400, "/docs/../../secret.txt": 400, "/.%2e/secret.txt": 400,
			"/%252e%252e/secret.txt": 400, "//secret.txt": 400, "/..;/secret.txt": 400, "/%00": 400, "/docs%2fx.json": 400,
			"/out.txt": 404, "/absolute.txt": 404, "/up/secret.txt": 404, "/up/www/a.txt": 404,
			"/.env": 404, "/.git/config": 404, "/docs/.hidden/x.txt": 404, "/..a.txt": 404, "/.git": 404, "/.git/": 404, "/%2eenv": 404,
			"/a.txt/": 404, "/A.TXT": 404, "/nothing": 404, "/empty": 404, "/empty/": 404, "/a.txt;v=1": 404,
		} {
			if base == "/spa" && status == 404 {
				status = 200 // the fallback
			}
			t.Run(base+rest, func(t *testing.T) {
				l.both(t, "GET", base+rest, nil, func(l *lab, a answer) {
					if a.ProtoMajor == 2 && a.StatusCode == 0 {
						a.StatusCode = 400
					}
					if l.refused(a, status); strings.Contains(a.body, "secret") || status == 200 && a.body != "<p>home" {
						l.Errorf("answer %q", a.body)
					}
				})
			})
		}
	}
	for _, target := range []string{"/www/docs", "/www/within"} {
		l.both(t, "GET", target+"?q=<1>", nil, func(l *lab, a answer) {
			if l.refused(a, 301); a.Header.Get("Location") != target+"/?q=%3C1%3E" {
				l.Errorf("Location: %s", a.Header.Get("Location"))
			}
		})
	}
	// The relative links of a page at /www would lead beside the route's own directory.
	for _, target := range []string{"/www", "/spa", "/page"} {
		l.both(t, "GET", target, nil, func(l *lab, a answer) {
			if l.refused(a, 301); a.Header.Get("Location") != target+"/" {
				l.Errorf("%s: Location: %s", target, a.Header.Get("Location"))
			}
		})
	}
	l.both(t, "GET", "/page/", nil, func(l *lab, a answer) { l.found(a, 200, "<p>home") })
	l.both(t, "GET", "/bare/docs", nil, func(l *lab, a answer) { l.refused(a, 404) })
	l.both(t, "GET", "/lost/x", nil, func(l *lab, a answer) {
		if l.refused(a, 500); strings.Contains(a.body, "nowhere") {
			l.Errorf("P193: %s", a.body)
		}
	})
}

func TestAPipeAmongTheFilesHoldsNobodyUp(t *testing.T) {
	root := siteOf(t)
	makePipe(t, filepath.Join(root, "pipe"))
	l := newLab(t, func(c *Config, _ *Deps) {
		c.Routes = append(c.Routes, Route{Name: "www", Hosts: []origin.Origin{appTest}, Path: "/www", StripPrefix: true, Public: true, Answer: &Answer{Files: &Files{Root: root}}})
	})
	l.both(t, "GET", "/www/pipe", nil, func(l *lab, a answer) { l.refused(a, 404) })
}

// Between a look at a name and opening it, somebody may put a pipe there. Opening one waits for its writer, and nobody
// can end that.
func TestAPipeInThePlaceOfAFileHoldsNobodyUp(t *testing.T) {
	dir := t.TempDir()
	pipe, file, name := filepath.Join(dir, "pipe"), filepath.Join(dir, "file"), filepath.Join(dir, "name")
	makePipe(t, pipe)
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	var stop atomic.Bool
	var turning sync.WaitGroup
	turning.Go(func() {
		for i := 0; !stop.Load(); i++ {
			_ = os.Symlink([]string{"file", "pipe"}[i%2], filepath.Join(dir, "next"))
			_ = os.Rename(filepath.Join(dir, "next"), name)
		}
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 5000 {
			if f := regular(root, "name"); f != nil {
				_ = f.Close()
			}
		}
	}()
	within(t, done, "a file to be opened or not")
	stop.Store(true)
	turning.Wait()
}

func TestFilesTakeGETAndHEADOnly(t *testing.T) {
	l := newLab(t, local(t))
	for _, m := range []string{"POST", "PUT", "DELETE", "OPTIONS", "PROPFIND"} {
		l.both(t, m, "/www/a.txt", nil, func(l *lab, a answer) {
			if l.refused(a, 405); a.Header.Get("Allow") != "GET, HEAD" {
				l.Errorf("Allow: %s", a.Header.Get("Allow"))
			}
		})
	}
}

func TestFilesKnowRangesAndValidators(t *testing.T) {
	l := newLab(t, local(t)).on(t)
	first := l.send("GET", "/www/a.txt")
	tag, modified := first.Header.Get("Etag"), first.Header.Get("Last-Modified")
	for name, c := range map[string]struct {
		line   string
		status int
		body   string
	}{
		"a range":              {"Range: bytes=2-4", 206, "234"},
		"the end":              {"Range: bytes=-1", 206, "9"},
		"the same version":     {"If-None-Match: " + tag, 304, ""},
		"another version":      {`If-None-Match: "x"`, 200, "0123456789"},
		"not modified":         {"If-Modified-Since: " + modified, 304, ""},
		"modified":             {"If-Modified-Since: " + time.Unix(0, 0).UTC().Format(http.TimeFormat), 200, "0123456789"},
		"a range of a version": {"Range: bytes=0-0|If-Range: " + tag, 206, "0"},
		"a range of another":   {`Range: bytes=0-0|If-Range: "x"`, 200, "0123456789"},
	} {
		t.Run(name, func(t *testing.T) {
			l.both(t, "GET", "/www/a.txt", strings.Split(c.line, "|"), func(l *lab, a answer) { l.found(a, c.status, c.body) })
		})
	}
	l.both(t, "GET", "/www/a.txt", []string{"Range: bytes=20-"}, func(l *lab, a answer) { l.refused(a, 416) })
}

func TestAnotherDirectoryBehindTheSameNameIsServedAtOnce(t *testing.T) {
	dir := t.TempDir()
	for _, release := range []string{"1", "2"} {
		if err := os.Mkdir(filepath.Join(dir, release), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, release, "v.txt"), []byte(release), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	turn := func(to string) {
		next := filepath.Join(dir, "next")
		if err := os.Symlink(to, next); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, filepath.Join(dir, "current")); err != nil {
			t.Fatal(err)
		}
	}
	turn("1")
	l := newLab(t, func(c *Config, _ *Deps) {
		c.Routes = append(c.Routes, Route{Name: "www", Hosts: []origin.Origin{appTest}, Path: "/www", StripPrefix: true, Public: true, Answer: &Answer{Files: &Files{Root: filepath.Join(dir, "current")}}})
	}).on(t)
	l.found(l.send("GET", "/www/v.txt"), 200, "1")
	turn("2")
	l.found(l.send("GET", "/www/v.txt"), 200, "2")
}

func TestWhatARouteAnswersItselfIsSubjectToPolicy(t *testing.T) {
	l := newLab(t, local(t))
	for _, target := range []string{"/mine/a.txt", "/teapot", "/gone-to/x"} {
		l.both(t, "GET", target, nil, func(l *lab, a answer) { l.refused(a, 401) })
		l.both(t, "GET", target, navigation, func(l *lab, a answer) {
			if l.refused(a, 302); !strings.HasPrefix(a.Header.Get("Location"), "https://idp.test/") {
				l.Errorf("Location: %s", a.Header.Get("Location"))
			}
		})
		l.both(t, "GET", target, []string{as("other-login")}, func(l *lab, a answer) { l.refused(a, 401) })
		l.both(t, "GET", target, []string{as("broken")}, func(l *lab, a answer) { l.refused(a, 503) })
	}
	l.both(t, "GET", "/gone-to/x", []string{as("alice")}, func(l *lab, a answer) { l.refused(a, 403) })
	l.both(t, "GET", "/gone-to/x", []string{as("root")}, func(l *lab, a answer) {
		if l.found(a, 302, ""); a.Header.Get("Location") != "https://www.example.com/fixed" {
			l.Errorf("Location: %s", a.Header.Get("Location"))
		}
	})
	l.both(t, "POST", "/teapot", []string{as("alice")}, func(l *lab, a answer) { l.found(a, 418, "<p>short and stout") })
	l.both(t, "GET", "/mine/a.txt", []string{as("renewed")}, func(l *lab, a answer) {
		if l.found(a, 200, "0123456789"); len(a.Header["Set-Cookie"]) != 1 {
			l.Errorf("the renewed session is lost: %v", a.Header)
		}
	})
}

func TestP154WhatSomebodySignedInGetsIsPrivate(t *testing.T) {
	l := newLab(t, local(t))
	for target, status := range map[string]int{"/mine/a.txt": 200, "/mine/docs": 301, "/teapot": 418, "/gone-to": 302} {
		l.both(t, "GET", target, []string{as("root")}, func(l *lab, a answer) {
			if l.refused(a, status); a.Header.Get("Cache-Control") != "private" {
				l.Errorf("%s: Cache-Control: %q", target, a.Header["Cache-Control"])
			}
		})
	}
	l.both(t, "GET", "/mine/a.txt", []string{as("root"), "If-Modified-Since: " + time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)}, func(l *lab, a answer) {
		if l.refused(a, 304); a.Header.Get("Cache-Control") != "private" {
			l.Errorf("Cache-Control: %q", a.Header["Cache-Control"])
		}
	})
}

func TestAFixedAnswerIsAlwaysTheSame(t *testing.T) {
	l := newLab(t, local(t))
	for _, target := range []string{"/robots.txt?x", "/robots.txt"} {
		l.both(t, "GET", target, nil, func(l *lab, a answer) {
			if l.found(a, 200, "User-agent: *\n"); a.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
				l.Errorf("headers %v", a.Header)
			}
		})
	}
	l.both(t, "HEAD", "/robots.txt", nil, func(l *lab, a answer) {
		if l.found(a, 200, ""); a.Header.Get("Content-Length") != "14" {
			l.Errorf("Content-Length: %q", a.Header["Content-Length"])
		}
	})
	l.both(t, "GET", "/nothing", nil, func(l *lab, a answer) {
		if l.found(a, 204, ""); a.Header["Content-Type"] != nil {
			l.Errorf("headers %v", a.Header)
		}
	})
}

func TestRedirectsCarryPathAndQuery(t *testing.T) {
	l := newLab(t, local(t))
	for target, to := range map[string]string{
		"/moved": "https://www.example.com/moved", "/moved/": "https://www.example.com/moved/", "/moved/a%20b?c=d&e": "https://www.example.com/moved/a%20b?c=d&e", "/moved?": "https://www.example.com/moved",
		"/moved/x?u=//evil.test": "https://www.example.com/moved/x?u=//evil.test", `/moved?"<>\^{|}` + "`\xc3\xbc": "https://www.example.com/moved?%22%3C%3E%5C%5E%7B%7C%7D%60%C3%BC",
		"/renamed": "/index?a=1#top", "/renamed/": "/index?a=1#top", "/renamed/x": "/x/index?a=1#top", "/renamed/x/?b": "/x/index?a=1&b#top",
	} {
		status := 302
		if strings.HasPrefix(target, "/moved") {
			status = 308
		}
		t.Run(target, func(t *testing.T) {
			l.both(t, "GET", target, nil, func(l *lab, a answer) {
				if l.found(a, status, ""); a.Header.Get("Location") != to {
					l.Errorf("Location: %q, not %q", a.Header.Get("Location"), to)
				}
			})
		})
	}
}

func TestP062ToP067ARedirectLeadsToTheConfiguredHostOnly(t *testing.T) {
	l := newLab(t, local(t))
	for row, rests := range map[string][]string{
		"P062": {"//evil.test", `/\evil.test`, `\\evil.test`, `/\/evil.test`, "///evil.test", "/%2f/evil.test", "/%5cevil.test"},
		"P063": {"/%09/evil.test", "/%0d%0a/evil", "/%0b/evil", "/%20/evil", "/%0d%0aLocation:%20https://evil.test"},
		"P064": {"@evil.test", ".evil.test", "/@evil.test", "/https://evil.test", "/.evil.test", "/evil.test#@www.example.com"},
		"P065": {"/javascript:alert(1)", "javascript:alert(1)"},
		"P066": {":8443/", "/:8443"},
		"P067": {"/;@evil.test", "?//evil.test", "?\\evil.test", "?@evil.test"},
	} {
		for _, base := range []string{"/moved", "/renamed"} {
			for _, rest := range rests {
				t.Run(row+" "+base+rest, func(t *testing.T) {
					l.both(t, "GET", base+rest, nil, func(l *lab, a answer) {
						l.untouched()
						to := a.Header.Get("Location")
						ours := strings.HasPrefix(to, "https://www.example.com/moved") || to != "" && to[0] == '/' && !strings.HasPrefix(to, "//") && !strings.HasPrefix(to, `/\`)
						if to != "" && !ours || strings.ContainsAny(to, "\\\r\n\t ") || len(a.Header["Location"]) > 1 {
							l.Errorf("answer %s leads to %q", a.Status, a.Header["Location"])
						}
					})
				})
			}
		}
	}
}

func TestARouteForForwardAuthOnlyIsNotProxied(t *testing.T) {
	l := newLab(t, local(t))
	for _, lines := range [][]string{nil, {as("alice")}} {
		l.both(t, "GET", "/asked/x", lines, func(l *lab, a answer) { l.refused(a, 404) })
	}
}

func TestS20AnswersThatCannotBeMeantAreRefused(t *testing.T) {
	to := func(to string) *Answer { return &Answer{Redirect: &Redirect{To: to}} }
	for name, c := range map[string]struct {
		answer *Answer
		change func(*Route)
		says   string
	}{
		"nothing":                        {&Answer{}, nil, "exactly one"},
		"two":                            {&Answer{Respond: &Respond{}, Redirect: &Redirect{To: "/x"}}, nil, "exactly one"},
		"approval":                       {&Answer{Respond: &Respond{}}, func(rt *Route) { rt.Approve = &Approve{} }, "approve: there is nothing to approve"},
		"a credential":                   {&Answer{Respond: &Respond{}}, func(rt *Route) { rt.Credential = "session" }, "credential"},
		"to nowhere":                     {to(""), nil, "redirect.to"},
		"to another status":              {&Answer{Redirect: &Redirect{To: "/x", Status: 304}}, nil, "redirect.status"},
		"to itself":                      {to("{path}"), nil, "leads to where it comes from"},
		"to itself, with the query":      {to("{path}?{query}"), nil, "leads to where it comes from"},
		"P062 two slashes":               {to("//www.example.com"), nil, "two slashes"},
		"P062 two slashes by the path":   {to("/{path}"), nil, "begins with a slash itself"},
		"P062 the same behind a host":    {to("https://www.example.com/{path}"), nil, "begins with a slash itself"},
		"P062 a backslash":               {to(`/\www.example.com`), nil, "no URL can hold"},
		"P064 the host from the request": {to("https://{path}"), nil, "redirect.to"},
		"P064 half a host":               {to("https://www.example.com.{query}"), nil, "nothing else in braces"},
		"P064 a user":                    {to("https://www.example.com@evil.test{path}"), nil, "redirect.to"},
		"P065 a script":                  {to("javascript:alert(1)"), nil, "neither a URL"},
		"P065 another scheme":            {to("ftp://www.example.com"), nil, "http:// or https://"},
		"P066 a port that is none":       {to("https://www.example.com:99999{path}"), nil, "redirect.to"},
		"a path without a slash":         {to("x{path}"), nil, "neither a URL"},
		"the path in the query":          {to("/x?p={path}"), nil, "stands once"},
		"the query in the path":          {to("/x{query}"), nil, "stands once"},
		"the path twice":                 {to("/x{path}{path}"), nil, "stands once"},
		"another name":                   {to("/x{host}"), nil, "stands once"},
		"a line":                         {to("/x\r\ny"), nil, "no URL can hold"},
		"a redirect as respond":          {&Answer{Respond: &Respond{Status: 302}}, nil, "respond.status"},
		"an informational answer":        {&Answer{Respond: &Respond{Status: 103}}, nil, "respond.status"},
		"a body of 204":                  {&Answer{Respond: &Respond{Status: 204, Body: "x"}}, nil, "respond.body"},
		"a body too large":               {&Answer{Respond: &Respond{Body: strings.Repeat("x", 1<<20+1)}}, nil, "respond.body"},
		"no media type":                  {&Answer{Respond: &Respond{ContentType: "text html"}}, nil, "respond.content_type"},
		"a media type of two lines":      {&Answer{Respond: &Respond{ContentType: "text/html\r\nX: y"}}, nil, "respond.content_type"},
		"files of nowhere":               {&Answer{Files: &Files{}}, nil, "files.root"},
		"an index elsewhere":             {&Answer{Files: &Files{Root: "/", Index: "../x"}}, nil, "files.index"},
		"a hidden index":                 {&Answer{Files: &Files{Root: "/", Index: ".x"}}, nil, "files.index"},
		"a fallback elsewhere":           {&Answer{Files: &Files{Root: "/", Fallback: "/etc/passwd"}}, nil, "files.fallback"},
		"a slash in a name":              {&Answer{Files: &Files{Root: "/"}}, func(rt *Route) { rt.Encoded = []string{"slash"} }, "encoded"},
	} {
		t.Run(name, func(t *testing.T) {
			config, d := configuration(t)
			rt := &config.Routes[0]
			rt.Upstreams, rt.Answer = nil, c.answer
			if c.change != nil {
				c.change(rt)
			}
			_, err := New(config, d)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("the error is %v, and should speak of %q", err, c.says)
			}
		})
	}
}

// FuzzRedirectTarget: whatever a request asks for, a redirect leads to the configured host, or stays on the own one.
func FuzzRedirectTarget(f *testing.F) {
	for _, s := range []string{"/", "/x//evil", "/a%20b", "/@evil.test", "/a;b", "/%2561", "/x."} {
		f.Add(s, "a=b", "{path}/x?{query}")
		f.Add(s, "//evil\\", "https://www.example.com{path}?{query}")
	}
	f.Fuzz(func(t *testing.T, raw, query, to string) {
		r, err := newRedirector(Redirect{To: to}, Route{Path: "/old", StripPrefix: true})
		if err != nil {
			return
		}
		encoded, decoded, refusal := parsePath(raw)
		if refusal != "" || checkQuery(query) != "" {
			return
		}
		location, err := r.location(&CanonicalRequest{Path: encoded, decoded: decoded, Query: query}, &route{strip: 1})
		if err != nil {
			t.Fatalf("%q: %q: %v", to, raw, err)
		}
		if strings.ContainsAny(location, "\\\r\n\t ") || !printableASCII(location) {
			t.Fatalf("%q leads to %q", to, location)
		}
		if r.relative {
			if location[0] != '/' || strings.HasPrefix(location, "//") {
				t.Fatalf("%q leads to %q", to, location)
			}
			return
		}
		before, _, _ := strings.Cut(to, "://")
		scheme, rest, ok := strings.Cut(location, "://")
		host := strings.FieldsFunc(strings.TrimPrefix(to, before+"://"), func(c rune) bool { return strings.ContainsRune("/?#{", c) })[0]
		if !ok || scheme != before || !strings.HasPrefix(rest, host) || len(rest) > len(host) && !strings.ContainsRune("/?#", rune(rest[len(host)])) {
			t.Fatalf("%q leads to %q", to, location)
		}
	})
}
