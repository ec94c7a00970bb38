package flows

import (
	"net/url"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/origin"
)

func judging(t testing.TB) (*Flows, origin.Origin) {
	t.Helper()
	here := mustOrigin(t, "app.test")
	other := mustOrigin(t, "wiki.test")
	odd := mustOrigin(t, "https://odd.test:8443")
	set, err := origin.NewSet(here, other)
	if err != nil {
		t.Fatal(err)
	}
	f := &Flows{
		prefix:    "/oauth2",
		targets:   map[origin.Origin]bool{here: true, other: true, odd: true},
		callbacks: map[string]callback{"corp": {path: "/old/callback"}},
		deps:      Deps{Origins: set},
	}
	return f, here
}

func mustOrigin(t testing.TB, s string) origin.Origin {
	t.Helper()
	o, err := origin.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestTargetKeepsWhatIsOurs(t *testing.T) {
	f, here := judging(t)
	for rd, want := range map[string]string{
		"/":                                  "/",
		"/a/b?x=1&y=%2F%2Fz#frag":            "/a/b?x=1&y=%2F%2Fz#frag",
		"/a?next=//evil.test":                "/a?next=//evil.test",
		`/a?re=\d+\\#\`:                      "/a?re=%5Cd+%5C%5C#%5C", // R7: browsers send it as it is
		"/a/":                                "/a/",
		"/caf\u00e9?q=\u00fc":                "/caf%C3%A9?q=%C3%BC",
		"/a%20b":                             "/a%20b",
		"/group%2Fproject/x%2fy":             "/group%2Fproject/x%2fy", // encoded = ["slash"]
		"/@evil.test":                        "/@evil.test",
		"/a:b":                               "/a:b",
		"/oauth2x":                           "/oauth2x",
		"/oauth2/tokens":                     "/oauth2/tokens", // a page of ours, for people
		"/oauth2/tokens?x#y":                 "/oauth2/tokens?x#y",
		"https://wiki.test/oauth2/tokens":    "https://wiki.test/oauth2/tokens",
		"https://app.test":                   "/",
		"https://app.test/x?y#z":             "/x?y#z",
		"https://app.test?y=1":               "/?y=1",
		"HTTPS://APP.test:443/x":             "/x",
		"https://wiki.test/x":                "https://wiki.test/x",
		"https://wiki.test":                  "https://wiki.test/",
		"https://odd.test:8443/x":            "https://odd.test:8443/x",
		"https://odd.test:8443/oauth2/start": "https://odd.test:8443/oauth2/start", // not our endpoint
	} {
		if got := f.target(here, rd); got != want {
			t.Errorf("target(%q) = %q, want %q", rd, got, want)
		}
	}
}

func TestTargetRefuses(t *testing.T) {
	f, here := judging(t)
	for id, targets := range map[string][]string{
		"P062 scheme-relative and backslash": {
			"//evil.test", `/\evil.test`, `\\evil.test`, `/\/evil.test`, "///evil.test", "////evil.test", `\/evil.test`,
			"/%2fevil.test", "/%2Fevil.test", "/%5cevil.test", "%2f%2fevil.test", "/a//b", "https:/evil.test", "https:evil.test", "https:///evil.test", `/x\y`,
		},
		"P063 whitespace and controls": {
			"/\t/evil.test", "/\r\n/evil", "/\v/evil", "\t//evil", "/ /evil", " //evil", "/a b", "/\x00", "/%00", "/%09/evil.test", "/%0d%0a", "/a%0a", "/\x7f",
			"\nhttps://app.test/", "https://app.test/\r\nSet-Cookie: a=b",
		},
		"P064 allow-listed host as a part of another": {
			"https://evilapp.test/", "https://app.test.evil", "https://app.test@evil.test/", "https://evil.test#.app.test", `https://evil.test\.app.test`,
			"https://evil.test/.app.test", "https://user@app.test/", "https://user:p@app.test/", "https://app.test%2eevil.test/", "https://app.test%00/", "https://ａpp.test/", "https://x.app.test/",
		},
		"P065 scheme": {"javascript:alert(1)", "JavaScript://app.test/%0aalert(1)", "data:text/html,x", "http://app.test/", "ftp://app.test/", "blob:https://app.test/x", "://app.test", "app.test/x"},
		"P066 port":   {"https://app.test:8443/", "https://app.test:99999", "https://app.test:", "https://app.test:0443/", "https://odd.test/", "https://app.test:443:443/"},
		"S13 dot segments and own endpoints": {
			"/../x", "/a/../../x", "/a/./b", "/%2e%2e/x", "/a/%2E", "/oauth2", "/oauth2/", "/oauth2/sign_out?rd=/x", "/%6fauth2/sign_out", "/oauth2/start#x", "https://wiki.test/oauth2/sign_out",
			"/old/callback?code=x", "/oauth2/tokens/", "/oauth2/tokens/revoke", "/oauth2/tokensx/../start", "/oauth2/tokens%2f", "/oauth2/Tokens",
		},
		"P006 encoded slashes that mean something else": {
			"/a%2f..%2fb", "/..%2fx", "/a%2f..", "/a%2f%2fb", "/%2f", "/a/%2fb", "/a%2f/b", "/a%2f", "/a%2F?x", "/a%2f%2e%2e/b", "/oauth2%2fsign_out", "/%6fauth2%2fstart", "/old%2fcallback", "https://wiki.test/oauth2%2fsign_out",
		},
		"garbage": {"", "x", "?", "#", "/%", "/%zz", "/" + strings.Repeat("a", maxBack), "/" + strings.Repeat("\u00fc", maxBack/3), "https://", "https://[::1", "https://[::1]/", "//"},
	} {
		t.Run(id, func(t *testing.T) {
			for _, rd := range targets {
				if got := f.target(here, rd); got != "/" {
					t.Errorf("target(%q) = %q, want /", rd, got)
				}
			}
		})
	}
}

// FuzzTarget holds AUT-6: whatever rd is, a browser that resolves the Location against our
// origin stays on an origin that is allowed.
func FuzzTarget(f *testing.F) {
	for _, s := range []string{
		"/", "/a?b#c", "//evil.test", `/\evil.test`, "https://app.test/x", "https://app.test@evil", "/\t/evil", "https://wiki.test:443/x", "https://odd.test:8443", "/..//evil", "/%2e%2e//evil", "http:app.test",
	} {
		f.Add(s)
	}
	flows, here := judging(f)
	f.Fuzz(func(t *testing.T, rd string) {
		to := flows.target(here, rd)
		if to != "/" && strings.ContainsFunc(to, func(r rune) bool { return r <= 0x20 || r >= 0x7f || r == '\\' }) {
			t.Fatalf("target(%q) = %q: not for a header", rd, to)
		}
		switch got := browserOrigin(here.String(), to); got {
		case "https://app.test", "https://wiki.test", "https://odd.test:8443":
		default:
			t.Fatalf("target(%q) = %q leads to %q", rd, to, got)
		}
		if again := flows.target(here, to); again != to {
			t.Fatalf("target(%q) = %q, and judged once more %q", rd, to, again)
		}
		if strings.HasPrefix(to, "/") {
			plain, _, _ := strings.Cut(to, "#") // browsers take any fragment
			u, err := url.Parse(plain)
			if err != nil || u.Host != "" || u.Path == "" || u.Path[0] != '/' {
				t.Fatalf("target(%q) = %q parses as %v, %v", rd, to, u, err)
			}
			if u.Path == "/oauth2" || strings.HasPrefix(u.Path, "/oauth2/") {
				t.Fatalf("target(%q) = %q is an endpoint of our own", rd, to)
			}
		}
	})
}

// browserOrigin resolves a Location as browsers do (WHATWG URL, basic URL parser, as far as the origin
// goes), written apart from the code that it judges: it forgives where that refuses.
func browserOrigin(base, location string) string {
	s := strings.TrimFunc(location, func(r rune) bool { return r <= 0x20 })
	s = strings.NewReplacer("\t", "", "\n", "", "\r", "").Replace(s)
	scheme, rest := "", s
	if i := strings.IndexFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '+' && r != '-' && r != '.'
	}); i > 0 && s[i] == ':' && (s[0]|0x20) >= 'a' && (s[0]|0x20) <= 'z' {
		scheme, rest = strings.ToLower(s[:i]), s[i+1:]
	}
	slash := func(i int) bool { return len(rest) > i && (rest[i] == '/' || rest[i] == '\\') }
	switch scheme {
	case "":
		if !slash(0) || !slash(1) {
			return base // a path, a query or a fragment of the base
		}
		scheme, _, _ = strings.Cut(base, ":")
	case "http", "https":
		if strings.HasPrefix(base, scheme+":") && (!slash(0) || !slash(1)) {
			return base // "https:x" is relative to a base of the same scheme
		}
	default:
		return scheme + ":" // opaque, or not for the web
	}
	for slash(0) {
		rest = rest[1:]
	}
	if end := strings.IndexAny(rest, `/\?#`); end >= 0 {
		rest = rest[:end]
	}
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		rest = rest[at+1:]
	}
	host, err := url.PathUnescape(strings.ToLower(rest))
	if err != nil {
		return "failure"
	}
	if scheme == "https" {
		host = strings.TrimSuffix(host, ":443")
	} else {
		host = strings.TrimSuffix(host, ":80")
	}
	return scheme + "://" + strings.TrimSuffix(host, ":")
}
