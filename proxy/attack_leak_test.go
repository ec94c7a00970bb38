package proxy

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Group Q: what pages and logs must not say.

// refusals are requests that end in an answer of ours, by their status.
var refusals = map[string][]string{
	"400": {"GET", "/a//b"},
	"401": {"GET", "/x"},
	"403": {"GET", "/admin/x", as("alice")},
	"404": {"GET", "/oauth2/none"},
	"405": {"FOO", "/public/x"},
	"421": {"GET", "/", "Host: evil.test"},
	"500": {"GET", "/x", as("panic")},
	"502": {"GET", "/session/x", as("tokenless")},
	"503": {"GET", "/x", as("broken")},
}

func TestP188AnswersOfOursAreNeitherFramedNorStored(t *testing.T) {
	l := newLab(t, nil)
	for status, r := range refusals {
		for _, lines := range [][]string{navigation, {"Accept: application/json"}} {
			if status == "401" && len(lines) > 1 {
				continue // begins a login
			}
			l.both(t, r[0], r[1], append(append([]string(nil), r[2:]...), lines...), func(l *lab, a answer) {
				l.untouched()
				if fmt.Sprint(a.StatusCode) != status {
					l.Errorf("answer %s, not %s", a.Status, status)
				}
				h := a.Header
				if !strings.Contains(h.Get("Content-Security-Policy"), "default-src 'none'") || !strings.Contains(h.Get("Content-Security-Policy"), "frame-ancestors 'none'") ||
					h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Cache-Control") != "no-store" || h.Get("Referrer-Policy") == "" || h.Get("Doorward-Reference") == "" {
					l.Errorf("%s: answer %v", status, h)
				}
				if program := len(lines) == 1 || status == "405"; (h.Get("Content-Type") == "application/problem+json") != program {
					l.Errorf("%s: answer %v", status, h)
				}
			})
		}
	}
}

func TestP187PagesRepeatNoMarkup(t *testing.T) {
	l := newLab(t, func(_ *Config, d *Deps) {
		d.Session.(people)["markup"] = someone("<script>alert(1)</script>", nil)
	})
	for _, c := range [][]string{
		{"/admin/<script>alert(1)</script>", as("alice")},
		{"/admin/x?\"><script>alert(1)</script>", as("alice")},
		{"/oauth2/<script>alert(1)</script>"},
		{"/a//<script>alert(1)</script>"},
		{"/admin/x", as("markup")},
		{"/fragment/<script>alert(1)</script>?'\"><script>alert(1)</script>"},
		{"/session/<script>alert(1)</script>", as("tokenless")},
		{"/x", as("broken"), "Referer: javascript:alert(1)"},
	} {
		t.Run(c[0], func(t *testing.T) {
			l.both(t, "GET", c[0], append(c[1:], navigation...), func(l *lab, a answer) {
				l.untouched()
				if strings.Contains(a.body, "<script>alert") || strings.Contains(a.body, "javascript:") || !strings.Contains(a.body, "<html") {
					l.Errorf("answer %s", a.body)
				}
			})
		})
	}
}

func TestP189P190TheLogHoldsNoSecretAndOneLinePerRequest(t *testing.T) {
	l := newLab(t, func(_ *Config, d *Deps) {
		d.Session.(people)["s3cret-session"] = someone("carol", nil)
	})
	secrets := []string{"s3cret", "at-carol", "idt-carol", "at-alice", "idt-alice", "Bearer", "odd input"}
	lines := []string{"Cookie: __Host-doorward=s3cret-session; app=s3cret", "Authorization: Bearer s3cret", "User-Agent: x \"\\n\xc2\x9b31m s3cret", "Referer: https://app.test/?code=s3cret", "X-Request-Id: s3cret"}
	n := 0
	for _, target := range []string{"/x?code=s3cret", "/session/x?access_token=s3cret", "/set/x", "/admin/x?s3cret", "/a//b?s3cret", "/oauth2/callback?code=s3cret&state=s3cret", "/pass/x", "/none?s3cret", "/public/%0a2026?s3cret", "/x#s3cret"} {
		for _, extra := range [][]string{nil, navigation} {
			l.send("GET", target, append(lines[:len(lines):len(lines)], extra...)...)
			l.send("POST", target, append([]string{"Content-Length: 0", as("broken")}, lines[1:]...)...)
			n += 2
		}
	}
	l.e.server.CloseClientConnections()
	l.e.server.Close() // and with an upstream that is down
	l.send("GET", "/session/x?code=s3cret", lines...)
	l.send("GET", "/x?s3cret", as("panic"))
	l.send("GET", "/public/\"\xc2\x85\xe2\x80\xa8%e2%80%ae")
	n += 3
	// An answer can be here before its line is.
	for end := time.Now().Add(patience); strings.Count(l.log.String(), `"msg":"request"`) < n && time.Now().Before(end); {
		runtime.Gosched()
	}
	text := l.log.String()
	for _, s := range secrets {
		if strings.Contains(text, s) {
			t.Errorf("the log holds %s:\n%s", s, text)
		}
	}
	count := 0
	for s := bufio.NewScanner(strings.NewReader(text)); s.Scan(); {
		var line map[string]any
		if err := json.Unmarshal(s.Bytes(), &line); err != nil {
			t.Errorf("%q is no line of JSON: %v", s.Text(), err)
		}
		if line["msg"] == "request" {
			count++
		}
		if strings.ContainsAny(s.Text(), "\x1b\x00\u0085\r\u2028\u202e") {
			t.Errorf("%q holds control characters", s.Text())
		}
	}
	if count != n {
		t.Errorf("%d lines for %d requests", count, n)
	}
}

func TestP191NoTokenReachesTheClient(t *testing.T) {
	l := newLab(t, nil)
	l.e.answers(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
	for _, r := range [][]string{
		{"GET", "/session/x", as("alice")},
		{"GET", "/id/x", as("alice")},
		{"GET", "/set/x", as("alice")},
		{"GET", "/admin/x", as("alice")},
		{"GET", "/session/x", as("late")},
		{"GET", "/session/x", as("gone")},
		{"GET", "/session/a//b", as("alice")},
		{"FOO", "/session/x", as("alice")},
		{"GET", "/oauth2/none", as("alice")},
	} {
		for _, lines := range [][]string{navigation, nil} {
			l.both(t, r[0], r[1], append(append([]string(nil), r[2:]...), lines...), func(l *lab, a answer) {
				if text := fmt.Sprint(a.Header) + a.body; strings.Contains(text, "at-") && strings.Contains(text, "at-alice") || strings.Contains(text, "idt-") || strings.Contains(text, "old\"") {
					l.Errorf("%s: answer %s", r[1], text)
				}
			})
		}
	}
}

func TestP192NothingOfTheOperatorsIsOnThisListener(t *testing.T) {
	l := newLab(t, nil)
	for _, target := range []string{"/metrics", "/debug/pprof/", "/config", "/healthz?verbose", "/livez", "/readyz", "/sessions", "/traces/x", "/debug/vars", "/.env"} {
		l.both(t, "GET", target, nil, func(l *lab, a answer) { l.refused(a, 401) })
		l.both(t, "GET", "/oauth2"+target, nil, func(l *lab, a answer) { l.refused(a, 404) })
	}
}

func TestP193FailuresTellTheCallerNothingOfTheInside(t *testing.T) {
	l := newLab(t, nil)
	inside := []string{l.e.url.Host, l.e.url.Port(), "127.0.0.1", "10.9.8.7", "dial", "refused by", "connect:", "goroutine", ".go:", "odd input", "idp.test"}
	check := func(t *testing.T, a answer, status int, code string) {
		t.Helper()
		if a.StatusCode != status || a.Header.Get("Content-Type") == "application/problem+json" && a.code() != code {
			t.Errorf("answer %s %s", a.Status, a.body)
		}
		for _, s := range inside {
			if strings.Contains(a.body+fmt.Sprint(a.Header), s) {
				t.Errorf("the answer tells %q: %v %s", s, a.Header, a.body)
			}
		}
		if ref := a.Header.Get("Doorward-Reference"); ref == "" || !strings.Contains(a.body, ref) {
			t.Errorf("the reference %q is not in the answer", ref)
		} else {
			l.logged(ref)
		}
	}
	for _, lines := range [][]string{navigation, nil} {
		check(t, l.send("GET", "/x", append(lines, as("broken"))...), 503, codeStoreUnavailable)
		check(t, l.send("GET", "/x", append(lines, as("panic"))...), 500, "internal_error")
	}
	l.e.server.CloseClientConnections()
	l.e.server.Close()
	for _, lines := range [][]string{navigation, nil} {
		check(t, l.send("GET", "/x", append(lines, as("alice"))...), 502, codeUpstreamUnreachable)
		check(t, l.send("GET", "/public/x", lines...), 502, codeUpstreamUnreachable)
	}
	l.logged("connection refused") // the operator learns why
}

func TestP154NoSharedCacheKeepsThePageOfOnePersonForTheNext(t *testing.T) {
	l := newLab(t, nil)
	for said, want := range map[string]string{
		"": "private", "public, max-age=60": "private, max-age=60", "s-maxage=60, max-age=5, immutable": "private, max-age=5, immutable", "no-store": "no-store", "private, max-age=5": "private, max-age=5",
		"PUBLIC,S-MaxAge=60": "private", "no-cache": "private, no-cache", `private="X-A", max-age=9`: `private, max-age=9`, "max-age=60, proxy-revalidate, must-revalidate": "private, max-age=60, must-revalidate",
		`public, x="a,no-store,b", max-age=9`: `private, x="a,no-store,b", max-age=9`, `x="\",private,", s-maxage=9`: `private, x="\",private,"`, `no-cache="a,b"`: `private, no-cache="a,b"`, `no-store=x, public`: "private", `x="no-store`: `private, x="no-store`,
		"s-maxage =9, public\t, max-age=1": "private, max-age=1",
	} {
		t.Run(said, func(t *testing.T) {
			l.e.answers(func(w http.ResponseWriter, _ *http.Request) {
				if said != "" {
					w.Header().Set("Cache-Control", said)
				}
				for _, name := range []string{"Surrogate-Control", "CDN-Cache-Control", "Cloudflare-CDN-Cache-Control", "X-Accel-Expires", "Edge-Control"} {
					w.Header().Set(name, "max-age=3600")
				}
				_, _ = w.Write([]byte("E"))
			})
			l.both(t, "GET", "/x", []string{as("alice")}, func(l *lab, a answer) {
				l.passed(a)
				if got := strings.Join(a.Header["Cache-Control"], "|"); got != want || strings.Contains(fmt.Sprint(a.Header), "3600") {
					l.Errorf("the client receives Cache-Control %q, %v", got, a.Header)
				}
			})
			l.both(t, "GET", "/public/x", []string{as("alice")}, func(l *lab, a answer) {
				l.passed(a)
				if got := a.Header.Get("Cache-Control"); got != said || a.Header.Get("Surrogate-Control") == "" {
					l.Errorf("a public page has Cache-Control %q", got)
				}
			})
		})
	}
}

func TestR12TheRefusalSaysWhoYouAreAndHowToBeSomebodyElse(t *testing.T) {
	l := newLab(t, nil)
	a := l.send("GET", "/admin/x?y", append([]string{as("alice")}, navigation...)...)
	l.refused(a, 403)
	for _, s := range []string{"alice@example.com", "admin", "prompt=select_account", url.QueryEscape("/admin/x?y"), a.Header.Get("Doorward-Reference")} {
		if !strings.Contains(a.body, s) {
			t.Errorf("the page lacks %q: %s", s, a.body)
		}
	}
}
