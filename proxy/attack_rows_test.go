package proxy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/proxy/policy"
)

// What single rows of groups A to S say beyond the tests of their groups, and over the other version of HTTP.

func TestP023P024TheHeaderThatARouteSetsHasNoAlias(t *testing.T) {
	l := newLab(t, func(c *Config, d *Deps) {
		c.Routes = append(c.Routes, Route{
			Name: "named", Hosts: c.Routes[0].Hosts, Path: "/named", Upstreams: c.Routes[0].Upstreams, Logins: []string{"staff"},
			Headers: Headers{Profile: "none", Set: map[string]string{"X-Auth-User": "{user.sub}", "X-Auth-Groups": "{user.groups}"}},
		})
		d.Starters["named"] = door{}
	})
	lines := []string{
		as("alice"), "X_Auth_User: root", "X-Auth_User: root", "X_Auth-User: root", "x_auth_user: root", "X_AUTH_GROUPS: admin", "X-Auth_Groups: admin", "X.Auth.User: root", "X-Auth-User: root", "x-AUTH-user: root", "X-Auth-Groups: admin",
	}
	l.both(t, "GET", "/named/x", lines, func(l *lab, a answer) {
		got := l.passed(a)
		got.one(l, "X-Auth-User", "alice")
		got.lacks(l, "X-Auth-Groups", "X.Auth.User")
		if strings.Contains(l.e.wire, "root") || strings.Contains(l.e.wire, "admin") {
			l.Errorf("E read %q", l.e.wire)
		}
	})
}

// P026: HTTP/2 has no Connection, and a client that writes one says that something is to be taken away all the same.
func TestP026ConnectionInHTTP2TakesNothingAway(t *testing.T) {
	l := newLab(t, nil)
	for _, field := range []string{"connection: x-auth-user, x-real-ip", "connection: close, x-forwarded-user, authorization", "keep-alive: timeout=5", "proxy-connection: x-forwarded-user", "te: x-forwarded-user"} {
		t.Run(field, func(t *testing.T) {
			l := l.on(t)
			h := l.h2()
			h.headers(1, true, ":method: GET", ":scheme: https", ":authority: app.test", ":path: /session/x", "cookie: __Host-doorward=alice", field)
			a := h.read(1)
			if a.StatusCode != http.StatusOK {
				l.refused(a, 0, 400)
				return
			}
			got := l.passed(a)
			got.one(t, "X-Forwarded-User", "alice")
			got.one(t, "X-Real-Ip", "127.0.0.1")
			got.one(t, "Authorization", "Bearer at-alice")
			got.lacks(t, "Connection", "Keep-Alive", "Proxy-Connection", "Te")
		})
	}
}

// P033: nothing that a client writes is taken for a word between our own parts.
func TestP033WordsOfAGatewayInARequestMeanNothing(t *testing.T) {
	l := newLab(t, nil)
	lines := []string{
		"X-Internal-Session: alice", "X-Gateway-Route: public", "Doorward-Route: public", "Doorward-Subject: root", "Doorward-Reference: AAAAAA", "X-Doorward-Assertion: eyJ", "X-Doorward-Session: alice", "X-Envoy-Original-Path: /public/x",
	}
	l.both(t, "GET", "/admin/x", lines, func(l *lab, a answer) {
		l.refused(a, 401)
		if a.Header.Get("Doorward-Reference") == "AAAAAA" {
			l.Error("the reference is the client's")
		}
	})
	l.both(t, "GET", "/public/x", lines, func(l *lab, a answer) {
		got := l.passed(a)
		got.lacks(l, "Doorward-Route", "Doorward-Subject", "Doorward-Reference", "X-Doorward-Assertion", "X-Doorward-Session")
		got.lacks(l, "X-Forwarded-User")
	})
}

func TestP034TheLogHasTheAddressOfThePeer(t *testing.T) {
	for name, change := range map[string]func(*Config, *Deps){"nobody is trusted": nil, "others are trusted": trusting("10.0.0.0/8")} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, change)
			for _, target := range []string{"/public/x", "/x", "/a//b", "/oauth2/none"} {
				l.both(t, "GET", target, forgedForwarding, func(*lab, answer) {})
			}
			l.untilLogged(8)
			if text := l.log.String(); strings.Contains(text, "6.6.6.6") || strings.Contains(text, "evil.test") || !strings.Contains(text, "127.0.0.1") {
				t.Errorf("the log: %s", text)
			}
		})
	}
}

// untilLogged waits for the lines of n requests: an answer can be here before its line is.
func (l *lab) untilLogged(n int) {
	l.Helper()
	for end := time.Now().Add(patience); strings.Count(l.log.String(), `"msg":"request"`) < n; runtime.Gosched() {
		if time.Now().After(end) {
			l.Fatalf("fewer than %d lines: %s", n, l.log.String())
		}
	}
}

func TestP044BadAddressesOverHTTP2(t *testing.T) {
	l := asking(t)
	for name, lines := range map[string][]string{
		"none": nil, "absolute": about("http://evil/"), "two slashes": about("//admin"), "a space": about("/a b"), "dots": about("/public/../admin"), "encoded dots": about("/public/%2e%2e/admin"), "a backslash": about("/public\\x"),
		"an encoded slash": about("/public%2fx"), "a fragment": about("/public/x#y"), "two": about("/public/x", "X-Forwarded-Uri: /public/x"), "two words": about("/public/x", "X-Original-Uri: /admin"), "two hosts": about("/public/x", "X-Forwarded-Host: app.test, open.test"),
	} {
		t.Run(name, func(t *testing.T) {
			l.both(t, "GET", "/oauth2/auth", append(slices.Clone(lines), as("root")), func(l *lab, a answer) { l.verdict(a, 401) })
		})
	}
}

// P054 over HTTP/2, where a header costs the client less than it costs us: it is packed, and a cookie may come in crumbs.
func TestP054FloodsOverHTTP2(t *testing.T) {
	first := []string{":method: GET", ":scheme: https", ":authority: app.test"}
	for name, lines := range map[string][]string{
		"10 000 crumbs of cookies": append(slices.Clone(first), append([]string{":path: /public/x"}, slices.Repeat([]string{"cookie: abc=defg"}, 10_000)...)...),
		"20 000 headers":           append(slices.Clone(first), append([]string{":path: /public/x"}, slices.Repeat([]string{"x: y"}, 20_000)...)...),
		"1 MB in one header":       append(slices.Clone(first), ":path: /public/x", "x: "+strings.Repeat("a", 1<<20)),
		"1 MB that is 10 kB":       append(slices.Clone(first), append([]string{":path: /public/x"}, slices.Repeat([]string{"x: " + strings.Repeat("a", 2000)}, 500)...)...),
		"80 kB URL":                append(slices.Clone(first), ":path: /public/"+strings.Repeat("a", 80<<10)),
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, nil)
			h := l.h2()
			block := h.inFrames(1, lines...)
			go func() { _, _ = h.w.Write(block) }() // G may answer, or hang up, before it has read everything
			l.refused(h.read(1), 0, 400, 414, 431)
			l.passed(l.send2("GET", "/x", as("alice"))) // and others are served
		})
	}
	t.Run("crumbs of one cookie are one cookie", func(t *testing.T) {
		l := newLab(t, nil)
		h := l.h2()
		h.headers(1, true, append(slices.Clone(first), ":path: /x", "cookie: a=b", "cookie: __Host-doorward=alice", "cookie: c=d")...)
		l.passed(h.read(1)).one(t, "Cookie", "a=b; c=d")
		h = l.h2() // P077
		h.headers(1, true, append(slices.Clone(first), ":path: /x", "cookie: __Host-doorward=alice", "cookie: __Host-doorward=root")...)
		l.refused(h.read(1), 401)
	})
}

// inFrames is a header block, in frames of 16 kB.
func (h *h2) inFrames(stream uint32, lines ...string) []byte {
	var block, frames bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, line := range lines {
		name, value, _ := strings.Cut(line[1:], ": ")
		_ = encoder.WriteField(hpack.HeaderField{Name: line[:1] + name, Value: value})
	}
	framer := http2.NewFramer(&frames, nil)
	first := block.Next(16 << 10)
	err := framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: first, EndStream: true, EndHeaders: block.Len() == 0})
	for err == nil && block.Len() > 0 {
		part := block.Next(16 << 10)
		err = framer.WriteContinuation(stream, block.Len() == 0, part)
	}
	if err != nil {
		h.Fatal(err)
	}
	return frames.Bytes()
}

func TestP189P190TheLogOverHTTP2(t *testing.T) {
	l := newLab(t, func(_ *Config, d *Deps) { d.Session.(people)["s3cret-session"] = someone("carol", nil) })
	lines := []string{"Cookie: __Host-doorward=s3cret-session; app=s3cret", "Authorization: Bearer s3cret", "User-Agent: x \"\\n\xc2\x9b31m s3cret", "Referer: https://app.test/?code=s3cret", "X-Request-Id: s3cret"}
	targets := []string{"/x?code=s3cret", "/session/x?access_token=s3cret", "/set/x", "/admin/x?s3cret", "/a//b?s3cret", "/oauth2/callback?code=s3cret&state=s3cret", "/pass/x", "/public/%0a2026?s3cret", "/public/\xe2\x80\xa8%e2%80%ae"}
	for _, target := range targets {
		l.send2("GET", target, lines...)
		l.send2("POST", target, append([]string{as("broken")}, lines[1:]...)...)
	}
	l.untilLogged(2 * len(targets))
	for line := range strings.Lines(l.log.String()) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil || strings.ContainsAny(strings.TrimSuffix(line, "\n"), "\x1b\x00\u0085\r\n\u2028\u202e") {
			t.Errorf("%q: %v", line, err)
		}
		for _, s := range []string{"s3cret", "at-carol", "idt-carol", "Bearer"} {
			if strings.Contains(line, s) {
				t.Errorf("the log holds %s: %s", s, line)
			}
		}
	}
}

func TestP193FailuresTellNothingOverHTTP2(t *testing.T) {
	l := newLab(t, nil)
	check := func(status int, target string, lines ...string) {
		t.Helper()
		a := l.send2("GET", target, lines...)
		if a.StatusCode != status || a.Header.Get("Doorward-Reference") == "" {
			t.Errorf("%s: %s %s", target, a.Status, a.body)
		}
		for _, s := range []string{l.e.url.Host, l.e.url.Port(), "127.0.0.1", "10.9.8.7", "dial", "goroutine", ".go:", "odd input"} {
			if strings.Contains(a.body+fmt.Sprint(a.Header), s) {
				t.Errorf("%s tells %q: %v %s", target, s, a.Header, a.body)
			}
		}
	}
	for _, lines := range [][]string{navigation, nil} {
		check(503, "/x", append(slices.Clone(lines), as("broken"))...)
		check(500, "/x", append(slices.Clone(lines), as("panic"))...)
	}
	l.e.server.CloseClientConnections()
	l.e.server.Close()
	for _, lines := range [][]string{navigation, nil} {
		check(502, "/x", append(slices.Clone(lines), as("alice"))...)
		check(502, "/public/x", lines...)
	}
}

// P198: the listener is in the clear, and what is https from outside stays so: a request that says it was made over http is
// none of this origin's, and nothing that is said of it loosens a cookie or a link.
func TestP198WhatIsHTTPSOutsideIsNeverHTTP(t *testing.T) {
	l := newLab(t, nil)
	for name, lines := range map[string][]string{"a page": append([]string{as("alice")}, navigation...), "a program": {as("alice")}, "a bearer": {"Authorization: Bearer at-alice"}} {
		for _, method := range []string{"GET", "POST"} {
			t.Run(name+" "+method, func(t *testing.T) {
				l := l.on(t)
				a := l.send(method, "http://app.test/x", lines...)
				l.refused(a, 400)
				if a.Header["Set-Cookie"] != nil || a.Header["Location"] != nil {
					t.Errorf("answer %v", a.Header)
				}
			})
		}
	}
	lies := []string{"X-Forwarded-Proto: http", "X-Forwarded-Scheme: http", "X-Forwarded-Ssl: off", "X-Url-Scheme: http", "Front-End-Https: off", "Forwarded: proto=http"}
	for _, l := range []*lab{l, newLab(t, trusting("127.0.0.0/8"))} {
		l.both(t, "GET", "/x", lies, func(l *lab, a answer) {
			l.refused(a, 401)
			if !strings.Contains(a.body, `"login_url":"https://app.test/`) {
				l.Errorf("the login is elsewhere: %s", a.body)
			}
		})
		l.both(t, "GET", "/x", append([]string{as("renewed")}, lies...), func(l *lab, a answer) {
			l.passed(a).one(l, "X-Forwarded-Proto", "https")
			if s := a.Header.Get("Set-Cookie"); !strings.Contains(s, "Secure") {
				l.Errorf("Set-Cookie: %q", s)
			}
		})
	}
}

// P206: a route can demand the level of a login as a claim; what counts is what the token says.
func TestP206TheLevelIsThatOfTheTokenAndNotOfTheQuestion(t *testing.T) {
	claims := func(s string) func(*identity.Identity) {
		return func(w *identity.Identity) { w.Claims = identity.NewClaims([]byte(s)) }
	}
	l := ruled(t, map[string]func(*identity.Identity){
		"two": claims(`{"acr":"2"}`), "one": claims(`{"acr":"1"}`), "none": claims(`{}`), "zero": claims(`{"acr":"0"}`), "longer": claims(`{"acr":"20"}`), "list": claims(`{"acr":"1 2"}`),
		"nested": claims(`{"x":{"acr":"2"}}`), "null": claims(`{"acr":null}`), "dotted": claims(`{"acr.x":"2"}`),
	}, policy.Rule{Claims: map[string][]string{"acr": {"2"}}})
	l.maySee(t, "two", true)
	for _, who := range []string{"one", "none", "zero", "longer", "list", "nested", "null", "dotted"} {
		l.maySee(t, who, false)
	}
	// Nothing of a request says it in the token's place.
	l.both(t, "GET", "/ruled/x?acr=2&acr_values=2&max_age=0", []string{as("one"), "X-Acr: 2", "X-Forwarded-Acr: 2", "Oidc-Claim-Acr: 2"}, func(l *lab, a answer) { l.refused(a, 403) })
}
