package proxy

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/origin"
)

// twofold are addresses that nobody is let in at, signed in or not.
var twofold = []string{"/a%2Fb", "/a//b", "/a%23b", "/a%5Cb", "/a/./b", "/a/../b", "/a\\b", "/a%3Fb", "/a%3Bb", "/x?y=%zz"}

// logins is a gateway whose own endpoints say with which rd a login begins at them.
func logins(t *testing.T, change ...func(*Config, *Deps)) (l *lab, begun chan string) {
	t.Helper()
	begun = make(chan string, 1)
	return asking(t, append(change, func(_ *Config, d *Deps) {
		mux := http.NewServeMux()
		for path, parameter := range map[string]string{"/oauth2/start": "rd", "/oauth2/sign_in": "rd", "/oauth2/login": "redirect", "/oauth2/sign_out": "rd"} {
			mux.HandleFunc(path, func(_ http.ResponseWriter, r *http.Request) { begun <- r.URL.Query().Get(parameter) })
		}
		d.Own = mux
	})...), begun
}

func TestNoLoginBeginsThatEndsWhereNobodyIsLetIn(t *testing.T) {
	l, begun := logins(t)
	refused := func(l *lab, a answer) {
		l.Helper()
		if a.StatusCode != 400 || a.code() != codeBadRequest || a.Header["Location"] != nil || a.Header["Set-Cookie"] != nil || !strings.Contains(a.body, "read in two ways") {
			l.Errorf("answer %s %v %s", a.Status, a.Header, a.body)
		}
		select {
		case rd := <-begun:
			l.Errorf("a login begins, for %q", rd)
		default:
		}
	}
	for _, address := range twofold {
		t.Run(address, func(t *testing.T) {
			for _, who := range [][]string{nil, {as("alice")}} {
				program := append([]string{"Accept: application/json"}, who...)
				l.both(t, "GET", "/oauth2/start", append([]string{"X-Auth-Request-Redirect: " + address}, program...), refused)
				for _, begins := range []string{"/oauth2/start?rd=", "/oauth2/sign_in?rd=", "/oauth2/login?redirect=", "/oauth2/start?login=staff&rd=", "/oauth2/start?rd=https://app.test", "/oauth2/start?rd=https://wiki.test"} {
					l.both(t, "GET", begins+url.QueryEscape(address), program, refused)
				}
			}
		})
	}
}

func TestLoginsForWhatCanBeReadBegin(t *testing.T) {
	slashed, begun := logins(t, func(c *Config, d *Deps) {
		c.Routes = append(c.Routes, Route{Name: "files", Hosts: []origin.Origin{appTest}, Path: "/files", Upstreams: c.Routes[0].Upstreams, Logins: []string{"staff"}, Encoded: []string{"slash"}})
		d.Starters["files"] = door{}
	})
	for _, target := range []string{
		"", "/", "/x?a=b&c=%2F#d", "/x#/../y", "/%C3%A9", "/é", "/files/a%2Fb", "https://app.test/x", "https://wiki.test/orders",
		// these are for those who judge rd: P062, P063, and hosts that are none of ours
		"//evil.test", "///evil.test", `/\evil.test`, "/\t/evil.test", "/ /evil.test", "https://evil.test/a//b", "https://app.test@evil.test/a//b", "javascript:alert(1)", "https:/evil.test", "https://app.test", "x//y",
	} {
		for _, begins := range []string{"/oauth2/start?rd=", "/oauth2/login?redirect="} {
			l := slashed.on(t)
			if a := l.send("GET", begins+url.QueryEscape(target)); a.StatusCode != 200 {
				t.Errorf("%q: %s %s", target, a.Status, a.body)
			} else if got := <-begun; got != target {
				t.Errorf("rd is %q, not %q", got, target)
			}
		}
	}
	l := slashed.on(t)
	if a := l.send("GET", "/oauth2/start?rd="+url.QueryEscape("/files/a%2F..%2Fb")); a.StatusCode != 400 {
		t.Errorf("P006: %s", a.Status)
	}
	if a := l.send("GET", "/oauth2/sign_out?rd=/a//b"); a.StatusCode != 200 || <-begun != "/a//b" {
		t.Errorf("a sign-out begins no login: %s", a.Status)
	}
}

func TestARefusalThatNoSignInChangesSaysSo(t *testing.T) {
	l := asking(t)
	for _, who := range [][]string{nil, {as("alice")}} {
		for _, target := range []string{"/oauth2/auth", "/oauth2/auth?redirect=true", "/oauth2/session/forwardauth"} {
			for _, uri := range twofold {
				l.both(t, "GET", target, about(uri, who...), func(l *lab, a answer) {
					l.verdict(a, 401)
					l.tells(a, headerRefusal, "bad_request")
				})
			}
			l.both(t, "GET", target, who, func(l *lab, a answer) {
				l.verdict(a, 401)
				l.tells(a, headerRefusal, "bad_request")
			})
		}
	}
	l.both(t, "GET", "/oauth2/auth", about("/x"), func(l *lab, a answer) {
		l.verdict(a, 401)
		l.tells(a, headerRefusal, "")
	})
	l.both(t, "GET", "/oauth2/auth", about("/admin", as("alice")), func(l *lab, a answer) {
		l.verdict(a, 403)
		l.tells(a, headerRefusal, "")
	})
	newLab(t, trusting("10.0.0.0/8")).both(t, "GET", "/oauth2/auth", about("/x", as("alice")), func(l *lab, a answer) {
		l.verdict(a, 401)
		l.tells(a, headerRefusal, "untrusted")
	})
}

func TestTheRefusalsPageIsNeverAYes(t *testing.T) {
	l := asking(t)
	page := []string{"Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Accept: text/html"}
	for name, c := range map[string]struct {
		uri    string
		lines  []string
		status int
		says   string
	}{
		"refused":                 {"/admin", []string{as("alice")}, 403, "alice"},
		"twofold":                 {"/a%2Fb", []string{as("alice")}, 400, "encoded form"},
		"nobody":                  {"/x?y", nil, 302, ""},
		"allowed":                 {"/x", []string{as("alice")}, 403, "Load this page again"},
		"allowed, with a token":   {"/session/x", []string{as("alice"), "X-Forwarded-Host: wiki.test"}, 403, "Load this page again"},
		"everybody may":           {"/public/x", nil, 403, "Load this page again"},
		"an own endpoint":         {"/oauth2/callback", nil, 403, "Load this page again"},
		"no such thing":           {"/oauth2/nothing", nil, 404, ""},
		"a question about itself": {"/oauth2/auth?refusal=page", nil, 403, ""},
		"a preflight":             {"/x", []string{as("alice"), "X-Forwarded-Method: OPTIONS", "Origin: https://app.test", "Access-Control-Request-Method: PUT"}, 403, ""},
	} {
		t.Run(name, func(t *testing.T) {
			for _, target := range []string{"/oauth2/auth?refusal=page", "/oauth2/auth?allowed_groups=nobody&refusal=page"} {
				l.both(t, "GET", target, about(c.uri, append(slices.Clone(page), c.lines...)...), func(l *lab, a answer) {
					if strings.Contains(target, "allowed_groups") && c.status == 403 {
						l.verdict(a, 403)
						return
					}
					l.verdict(a, c.status)
					if !strings.Contains(a.body, c.says) {
						l.Errorf("the page says %s", a.body)
					}
					if c.status == 302 && a.Header.Get("Location") != "https://app.test/oauth2/start?rd="+url.QueryEscape(c.uri) {
						l.Errorf("Location: %q", a.Header["Location"])
					}
				})
			}
		})
	}
	newLab(t, trusting("10.0.0.0/8")).both(t, "GET", "/oauth2/auth?refusal=page", about("/admin", as("alice")), func(l *lab, a answer) {
		l.verdict(a, 401)
		if strings.Contains(a.body, "alice") {
			l.Errorf("a stranger reads %s", a.body)
		}
	})
}

// FuzzReturnTo holds what is said of a target before a login against what is said of a question about it after one: where they
// differ, a browser would go in circles.
func FuzzReturnTo(f *testing.F) {
	for _, target := range append(slices.Clone(twofold), "/", "/x?y#z", "/é", "//evil.test", `/\evil.test`, "https://app.test/a//b", "https://evil.test/a//b", "https://app.test/x", "/files/a%2Fb") {
		f.Add(target)
	}
	l := newLabOf(f, trusting("127.0.0.0/8"))
	f.Fuzz(func(t *testing.T, target string) {
		refusal := l.g.unreadable(appTest, target)
		path, ours := strings.CutPrefix(target, "https://app.test/")
		if ours {
			path = "/" + path
		} else if path = target; path == "" || path[0] != '/' {
			return
		}
		path, _, _ = strings.Cut(path, "#")
		if len(path) > 1 && (path[1] == '/' || path[1] == '\\') || strings.ContainsFunc(target, func(c rune) bool { return c <= ' ' || c == 0x7f }) {
			if refusal != "" {
				t.Errorf("%q is no address of ours, and refused: %s", target, refusal)
			}
			return
		}
		_, header := fuzzed(l.g, "", "", path, "", "")
		if asked := header.Get(headerRefusal) != ""; asked != (refusal != "") {
			t.Errorf("%q: %q, and a question about it is a bad request: %v", target, refusal, asked)
		}
	})
}
