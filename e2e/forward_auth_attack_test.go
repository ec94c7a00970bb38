package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"testing"
	"time"
)

// What one side takes for one path and the other for another is how people come where they may not be.
func TestForwardAuthRecipesForwardWhatWasJudged(t *testing.T) {
	for _, r := range recipes() {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			g := newGuarded(t, r.command, "", providerOptions{})
			b := g.browser(t)
			people := map[string][]string{
				"nobody": nil,
				"alice":  {g.cookie(g.signedIn(t, b, "alice", "/"))},
				"root":   {g.cookie(g.signedIn(t, b.apart(t), "root", "/"))},
			}
			t.Run("P001–P010", func(t *testing.T) { g.paths(t, people) })
			t.Run("P191 nobody outside asks questions", func(t *testing.T) { g.questions(t, people["root"]) })
			t.Run("P021 P022 P023 identity headers of clients arrive nowhere", func(t *testing.T) { g.identityHeaders(t, people) })
			t.Run("P028 the application gets its own cookies and none of ours", func(t *testing.T) { g.cookies(t, people["alice"][0]) })
			t.Run("P034 P044 P046 forwarding headers of clients are not believed", func(t *testing.T) { g.forwardingHeaders(t, people) })
		})
	}
}

// targets are addresses of which one side might make another than the other does. The last ones are HTTP/1.1 alone.
var targets = []string{
	"/admin", "/admin/", "/admin/x", "//admin", "///admin/x", "/admin//x", "/./admin", "/admin/.", "/x/../admin", "/admin/../public", "/admin/../public/x",
	"/public/../admin", "/public/../admin/x", "/public/./../admin", "/public/x/../../admin", "/public//../admin", "/../admin", "/public/..", "/public/.",
	"/public/%2e%2e/admin", "/public/.%2E/admin/x", "/public/%2e./admin", "/%2e%2e/admin", "/public/%2e/x",
	"/public/..%2fadmin", "/public/..%2Fadmin/x", "/public%2f..%2fadmin", "/public%2fx", "/public/%2fadmin", "/%2fadmin", "/admin%2fx", "/public/..%2f..%2fadmin",
	"/public/..%5cadmin", "/public/..\\admin", "/public\\..\\admin", "\\admin", "/\\admin", "/public/%5c..%5cadmin",
	"/public/%252e%252e%252fadmin", "/public/%252e%252e/admin", "/public/..%252fadmin", "/%2561dmin",
	"/public/..;/admin", "/public/..;x=1/admin", "/admin;x=1/x", "/admin;/x", "/;/admin", "/public;/../admin", "/public/;x=/../admin",
	"/ADMIN", "/Admin/x", "/aDmIn", "/%61dmin", "/adm%69n/x", "/%41dmin", "/public%2e%2e/admin",
	"/public/#/../../admin", "/admin#/public/", "/public#/../admin", "/public/x%23/../../admin", "/admin%23/public/", "/foo/secret%23/bar",
	"/admin?path=/public/status", "/admin?/public/x", "/public/x?../../admin", "/public/?/../admin", "/admin%3f/public/", "/public/%3f/../admin", "/orders?x=%2e%2e/%2f",
	"/admin%00", "/public/%00/../admin", "/public/x%0d%0aX-Forwarded-Uri:%20/y", "/public/%09/../admin", "/admin%20", "/admin%2f", "/admin.", "/public/x%c0%af..%c0%afadmin",
	"/public/é/x", "/public/%C3%A9", "/orders/%7Ealice", "/orders/~alice", "/orders/a+b", "/orders/a%20b", "/orders/(x)'!*,=:@&$", "/orders/%28x%29", "/public/a|b", "/public/a\"b", "/public/^`{}<>", "/public/%",
	"/oauth2/../admin", "/oauth2/..%2fadmin", "/oauth2/%2e%2e/admin", "/oauth2//../admin", "/oauth2;/../admin", "/oauth2/..;/admin", "/OAUTH2/../admin", "/oauth2/start/../../admin", "//oauth2/callback", "/%6fauth2/callback", "/oauth2%2fcallback", "/oauth2",
	"/doorward-question", "/@sign_in", "/@refused",
	"http://wiki.example.com/admin", "http://wiki.example.com/public/../admin", "https://wiki.example.com/admin/x", "http://other.example.com/admin", "http://wiki.example.com//admin", "*", "admin", "/public/ /../admin", "/admin HTTP/1.1 /public",
}

// readings are what an application might make of an address: it may decode once, drop matrix parameters, take backslashes for
// slashes, cut at a "#", resolve dots and merge slashes, and forget about capital letters.
func readings(uri string) (paths []string) {
	if _, rest, ok := strings.Cut(uri, "://"); ok {
		_, rest, _ = strings.Cut(rest, "/")
		uri = "/" + rest
	}
	raw, _, _ := strings.Cut(uri, "?")
	all := []string{raw}
	if decoded, err := url.PathUnescape(raw); err == nil {
		all = append(all, decoded)
	}
	for _, change := range []func(string) string{
		func(p string) string { return strings.ReplaceAll(p, `\`, "/") },
		func(p string) string { p, _, _ = strings.Cut(p, "#"); return p },
		func(p string) string { p, _, _ = strings.Cut(p, "?"); return p },
		func(p string) string { p, _, _ = strings.Cut(p, "\x00"); return p },
		func(p string) string {
			segments := strings.Split(p, "/")
			for i := range segments {
				segments[i], _, _ = strings.Cut(segments[i], ";")
			}
			return strings.Join(segments, "/")
		},
	} {
		for _, p := range slices.Clone(all) {
			all = append(all, change(p))
		}
	}
	for _, p := range all {
		paths = append(paths, path.Clean("/"+p))
	}
	return paths
}

func within(p, prefix string) bool { return p == prefix || strings.HasPrefix(p, prefix+"/") }

func (g *guarded) paths(t *testing.T, people map[string][]string) {
	both(t, func(t *testing.T, send sender) {
		served := 0
		for _, who := range []string{"nobody", "alice", "root"} {
			for _, target := range targets {
				if strings.HasSuffix(t.Name(), "2") && !strings.HasPrefix(target, "/") || strings.HasSuffix(t.Name(), "2") && strings.Contains(target, " ") {
					continue
				}
				before, mark := len(g.app.all()), len(g.gateway.output())
				got := send(g, t, "GET", target, people[who]...)
				for _, r := range g.since(before) {
					served++
					for _, p := range readings(r.URI) {
						switch {
						case who == "nobody" && !within(p, "/public") && !within(p, "/mixed"), who == "alice" && within(p, "/admin"):
							t.Errorf("%s asked for %q, and the app got %q, which may be %q", who, target, r.URI, p)
						}
					}
					forwarded := spelled(r.URI)
					var judged []judgement
					if !eventuallyWithin(time.Second, func() bool {
						judged = slices.DeleteFunc(g.judged(mark), func(j judgement) bool { return j.Outcome != "allow" })
						return slices.ContainsFunc(judged, func(j judgement) bool { return j.Path == forwarded })
					}) {
						t.Errorf("%s asked for %q; the app got %q, and judged was %+v", who, target, r.URI, judged)
					}
				}
				if len(g.since(before)) > 0 && got.Status != http.StatusOK {
					t.Errorf("%s asked for %q, and got %d, though the app was asked", who, target, got.Status)
				}
			}
		}
		if served < 10 {
			t.Errorf("only %d requests came through: the attack is broken", served)
		}
		// Nothing of this may be because nothing passes at all.
		for who, paths := range map[string][]string{"nobody": {"/public/x?y=%2f"}, "alice": {"/orders/a%20b", "/public/x", "/orders/%7Ealice?q=/admin", "/ADMIN"}, "root": {"/admin", "/admin/x"}} {
			for _, p := range paths {
				if got := send(g, t, "GET", p, people[who]...); got.Status != http.StatusOK {
					t.Errorf("%s gets %d for %s", who, got.Status, p)
				}
				g.app.last(t, p)
			}
		}
	})
}

// spelled is the path of an address as Doorward writes it: what may not stand in an address, but does, is percent-encoded.
func spelled(uri string) string {
	uri, _, _ = strings.Cut(uri, "?")
	if _, rest, ok := strings.Cut(uri, "://"); ok {
		_, rest, _ = strings.Cut(rest, "/")
		uri = "/" + rest
	}
	var b strings.Builder
	for i := range len(uri) {
		if c := uri[i]; c <= ' ' || c >= 0x7f || strings.IndexByte("\"<>\\^`{|}", c) >= 0 {
			fmt.Fprintf(&b, "%%%02X", c)
			continue
		}
		b.WriteByte(uri[i])
	}
	return b.String()
}

// eventuallyWithin is eventually with less patience.
func eventuallyWithin(limit time.Duration, ok func() bool) bool {
	for end := time.Now().Add(limit); ; {
		if ok() {
			return true
		}
		if !time.Now().Before(end) {
			return false
		}
		<-time.After(5 * time.Millisecond)
	}
}

func (g *guarded) questions(t *testing.T, root []string) {
	before := len(g.app.all())
	both(t, func(t *testing.T, send sender) {
		for _, target := range []string{
			"/oauth2/auth", "/oauth2/auth?redirect=true", "/oauth2/auth/", "/oauth2/auth/orders", "/oauth2/auth/admin", "/oauth2/session/forwardauth", "/oauth2/session/forwardauth?x",
			"/oauth2//auth", "//oauth2/auth", "/oauth2/./auth", "/oauth2/x/../auth", "/oauth2/session/../auth", "/x/../oauth2/auth", "/oauth2/%61uth", "/oauth2%2fauth", "/%6fauth2/auth", "/OAUTH2/AUTH", "/oauth2/Auth",
			"/oauth2/auth;x", "/oauth2;/auth", "/oauth2/auth%3f", "/oauth2/auth#", "/oauth2/auth%23", "/oauth2/auth%00", "/doorward-question",
		} {
			for _, lines := range [][]string{root, append([]string{"X-Forwarded-Uri: /orders", "X-Forwarded-Method: GET", "X-Forwarded-Host: " + wikiHost}, root...)} {
				got := send(g, t, "GET", target, lines...)
				if got.Status/100 == 2 && !strings.Contains(got.Body, "The app") {
					t.Errorf("%s: %d %v", target, got.Status, got.Header)
				}
				for name := range got.Header {
					if strings.HasPrefix(name, "X-Auth-Request-") || strings.HasPrefix(name, "X-Forwarded-") || name == "Authorization" {
						t.Errorf("%s tells %s", target, name)
					}
				}
			}
		}
	})
	for _, r := range g.since(before) { // a page of the app's may be called so in capitals
		if slices.ContainsFunc(readings(r.URI), func(p string) bool { return within(p, "/oauth2") }) {
			t.Errorf("the app got %s", r.URI)
		}
	}
}

// forged are headers by which applications might believe that somebody is somebody.
func forged() (lines []string) {
	for _, name := range []string{
		"X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups", "X-Forwarded-Preferred-Username", "X-Forwarded-Client", "X-Forwarded-Access-Token",
		"X-Auth-Request-User", "X-Auth-Request-Email", "X-Auth-Request-Groups", "X-Auth-Request-Preferred-Username", "X-Auth-Request-Client", "X-Auth-Request-Access-Token",
		"Remote-User", "Remote-Groups", "Remote-Email", "Remote-Name", "X-Remote-User", "X-Doorward-Assertion",
		"X_Forwarded_User", "X-Forwarded_User", "X_Forwarded-Groups", "X_Auth_Request_User", "Remote_User", "X_Remote_User", "x-forwarded-user", "X-FORWARDED-GROUPS",
	} {
		lines = append(lines, name+": forged")
	}
	return append(lines, "X-Forwarded-User: forged-again", "Authorization: Basic Zm9yZ2VkOmZvcmdlZA==")
}

func (g *guarded) identityHeaders(t *testing.T, people map[string][]string) {
	both(t, func(t *testing.T, send sender) {
		lines := forged()
		if strings.HasSuffix(t.Name(), "2") {
			lines = slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, "x-f") || strings.HasPrefix(l, "X-FO") }) // there are no capitals
		}
		for who, target := range map[string]string{"nobody": "/public/forged", "alice": "/public/forged-by-alice", "root": "/admin/forged"} {
			if got := send(g, t, "GET", target, append(slices.Clone(lines), people[who]...)...); got.Status != http.StatusOK {
				t.Errorf("%s: %d %s", target, got.Status, got.Body)
				continue
			}
			got := g.app.last(t, target)
			for name, values := range got.Header {
				if joined := strings.Join(values, ","); strings.Contains(joined, "forged") || strings.Contains(joined, "Zm9yZ2Vk") || len(values) != 1 {
					t.Errorf("the app got %s: %q", name, values)
				}
			}
			want := ""
			if who == "root" {
				want = who
			}
			if user := got.Header.Get("X-Forwarded-User"); user != want {
				t.Errorf("%s: the app is told that it is %q", target, user)
			}
		}
		if got := send(g, t, "GET", "/orders", lines...); got.Status != http.StatusUnauthorized {
			t.Errorf("nobody: %d", got.Status)
		}
		if got := send(g, t, "GET", "/admin", append(lines, people["alice"]...)...); got.Status == http.StatusOK {
			t.Error("alice is an administrator by her own word")
		}
	})
	// A client that calls what the proxy adds a header of this connection, so that it is dropped (P024).
	for _, name := range []string{"X-Forwarded-User", "X-Forwarded-Groups", "X-Forwarded-For", "X-Forwarded-Host", "Cookie"} {
		got := g.send(t, "GET", "/orders?hop="+name, append([]string{"Connection: close, " + name}, people["alice"]...)...)
		if got.Status != http.StatusOK {
			continue
		}
		if r := g.app.last(t, "/orders?hop="+name); r.Header.Get("X-Forwarded-User") != "alice" || r.Header.Get("X-Forwarded-Groups") != "staff,everyone" || r.Header.Get("X-Forwarded-For") != "127.0.0.1" || r.Header.Get("X-Forwarded-Host") != wikiHost {
			t.Errorf("with %s in Connection the app got %v", name, r.Header)
		}
	}
}

func (g *guarded) cookies(t *testing.T, session string) {
	ours := strings.TrimPrefix(session, "Cookie: ")
	both(t, func(t *testing.T, send sender) {
		for sent, want := range map[string]string{
			"": "", "theme=dark": "theme=dark", "theme=dark; lang=de": "theme=dark; lang=de", "xx__Host-doorwardx=1": "xx__Host-doorwardx=1",
			"theme=dark; __Host-doorward-login.loop=secret; lang=de; __Host-doorward-login.AAAAAAAAAAAAAAAAAAAAAA=secret; __Host-doorward.1=secret; a=b; ": "theme=dark; lang=de; a=b",
			"__Host-doorward-login.last=secret; __Host-doorward-post.x=secret":                                                                             "",
		} {
			for _, line := range []string{ours + "; " + sent, sent + "; " + ours} {
				line = strings.TrimSuffix(strings.TrimPrefix(line, "; "), "; ")
				if got := send(g, t, "GET", "/orders?cookies", "Cookie: "+line); got.Status != http.StatusOK {
					t.Fatalf("%q: %d %s", line, got.Status, got.Body)
				}
				if got := strings.Join(g.app.last(t, "/orders?cookies").Header["Cookie"], "; "); strings.TrimRight(got, "; ") != want {
					t.Errorf("of %q the app got %q, not %q", line, got, want)
				}
			}
		}
	})
}

func (g *guarded) forwardingHeaders(t *testing.T, people map[string][]string) {
	both(t, func(t *testing.T, send sender) {
		lines := []string{
			"X-Forwarded-Uri: /public/x", "X-Original-Uri: /public/x", "X-Original-Url: https://wiki.example.com/public/x", "X-Rewrite-Url: /public/x",
			"X-Forwarded-Method: GET", "X-Original-Method: GET", "X-Http-Method-Override: GET", "X-Forwarded-Host: other.example.com", "X-Forwarded-Proto: http", "X-Forwarded-Port: 4443",
			"X-Forwarded-Prefix: /evil", "X-Forwarded-Server: evil", "X-Forwarded-For: 10.1.2.3", "X-Real-Ip: 10.1.2.3", "True-Client-Ip: 10.1.2.3", "Cf-Connecting-Ip: 10.1.2.3", "Forwarded: for=10.1.2.3;host=evil;proto=http",
		}
		before := len(g.app.all())
		for _, n := range append([]string{""}, lines...) { // each alone, and all together
			some := lines
			if n != "" {
				some = []string{n}
			}
			for who, c := range map[string][2]string{"nobody": {"GET", "/orders"}, "alice": {"GET", "/admin"}, "nobody again": {"POST", "/mixed"}, "alice again": {"GET", "/office"}} {
				who, _, _ = strings.Cut(who, " ")
				if got := send(g, t, c[0], c[1], append(slices.Clone(some), people[who]...)...); got.Status != http.StatusUnauthorized && got.Status != http.StatusForbidden {
					t.Errorf("%s gets %d for %s %s with %q", who, got.Status, c[0], c[1], some)
				}
			}
		}
		for _, r := range g.since(before) {
			t.Errorf("the app got %s %s", r.Method, r.URI)
		}
		if got := send(g, t, "GET", "/orders?forwarded", append(lines, people["alice"]...)...); got.Status != http.StatusOK {
			t.Fatalf("alice: %d %s", got.Status, got.Body)
		}
		r := g.app.last(t, "/orders?forwarded")
		for name, values := range r.Header {
			joined := strings.Join(values, ",")
			if strings.Contains(joined, "10.1.2.3") || strings.Contains(joined, "evil") || strings.Contains(joined, "other.example") || strings.Contains(joined, "/public/x") || strings.Contains(joined, "4443") || strings.Contains(name, "Method") {
				t.Errorf("the app got %s: %q", name, values)
			}
		}
		for name, want := range map[string]string{"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": wikiHost, "X-Forwarded-Proto": "https"} {
			if got := r.Header[name]; len(got) != 1 || got[0] != want {
				t.Errorf("the app got %s: %q", name, got)
			}
		}
	})
}
