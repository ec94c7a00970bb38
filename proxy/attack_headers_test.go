package proxy

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/identity"
)

// Group B: only a gateway says who is calling.

// forged is what a client may try to be believed with.
var forged = []string{
	"X-Forwarded-User: root", "X-Forwarded-Email: root@example.com", "X-Forwarded-Groups: admin", "X-Forwarded-Preferred-Username: root", "X-Forwarded-Client: root",
	"X-Forwarded-Access-Token: t", "X-Auth-Request-User: root", "X-Auth-User: root", "X-Auth-Userid: root", "X-Remote-User: root", "Remote-User: root", "Remote-Groups: admin",
	"X-Webauth-User: root", "X-App-User: root", "X-App-Token: root", "X-Goog-Authenticated-User-Email: root", "X-Ms-Client-Principal: root", "X-Ms-Client-Principal-Name: root",
	"X-Amzn-Oidc-Data: root", "Cf-Access-Jwt-Assertion: root", "X-Authentik-Username: root", "X-Pomerium-Claim-Email: root", "X-Vouch-User: root",
	"Oidc-Claim-Sub: root", "Tailscale-User-Login: root", "X-Authenticated-Userid: root", "X-Consumer-Username: root", "Doorward-Subject: root",
	"Sm-User: root", "Sm-Universalid: root", "Iv-User: root", "Iv-Groups: root", "Iv-Creds: root", "Wl-Proxy-Client-Cert: root", "Wl-Proxy-Client-Ip: root", "Proxy-Client-Ip: root", "Shib-Session-Id: root", "Eppn: root",
	"X-Tls-Client-Cert: root", "Ssl-Cert: root", "X-Client-Verified: root", "X-Jwt-Assertion: root", "X-Scheme: root", "X-Url-Scheme: root", "X-Proto: root", "Front-End-Https: root", "X-Http-Host-Override: root",
	"X-User: root", "X-Userid: root", "X-Username: root", "X-Email: root", "X-Groups: root", "X-Roles: root",
}

func names(lines []string) (all []string) {
	for _, line := range lines {
		name, _, _ := strings.Cut(line, ":")
		all = append(all, name)
	}
	return all
}

func TestP021ForgedIdentityHeadersReachNobody(t *testing.T) {
	l := newLab(t, nil)
	lines := append(slices.Clone(forged), "Authorization: Bearer x")
	for _, c := range [][2]string{{"GET", "/public/x"}, {"OPTIONS", "/public/x"}, {"HEAD", "/public/x"}, {"PROPFIND", "/strip/x"}} {
		t.Run(c[0]+" "+c[1], func(t *testing.T) {
			l.both(t, c[0], c[1], lines, func(l *lab, a answer) {
				l.passed(a).lacks(l, names(lines)...)
				if strings.Contains(l.e.wire, "root") {
					l.Errorf("E read %q", l.e.wire)
				}
			})
		})
	}
	t.Run("own endpoint", func(t *testing.T) {
		l.both(t, "GET", "/oauth2/callback", forged, func(l *lab, a answer) {
			l.refused(a, 200)
			if strings.Contains(a.body, "root") {
				l.Errorf("it sees %s", a.body)
			}
		})
	})
	for target, status := range map[string]int{"/x": 401, "/oauth2/none": 404, "/public/../x": 400} {
		t.Run("refusal "+target, func(t *testing.T) {
			l.both(t, "GET", target, lines, func(l *lab, a answer) {
				l.refused(a, status)
				if strings.Contains(a.body+fmt.Sprint(a.Header), "root") {
					l.Errorf("the answer repeats it: %v %s", a.Header, a.body)
				}
			})
		})
	}
	t.Run("preflight of a protected route", func(t *testing.T) {
		l.both(t, "OPTIONS", "/x", append(lines, "Origin: https://evil.test", "Access-Control-Request-Method: PUT"), func(l *lab, a answer) { l.refused(a, 401) })
	})
}

func TestHeadersOfOrdinaryClientsPass(t *testing.T) {
	l := newLab(t, nil)
	lines := []string{"X-User-Agent: grpc-web", "X-User-Id: 1", "X-User-Token: t", "X-User-Email: e", "X-Auth-Token: t", "X-Csrf-Token: t", "X-Api-Key: k", "X-Requested-With: XMLHttpRequest", "Ssl-Session: s", "X-Schema: s", "Via: 1.1 x", "Depth: 1", "Overwrite: F"}
	l.both(t, "GET", "/x", append([]string{as("alice")}, lines...), func(l *lab, a answer) {
		got := l.passed(a)
		for _, line := range lines {
			name, value, _ := strings.Cut(line, ": ")
			got.one(l, name, value)
		}
	})
}

func TestP022AMissingClaimLeavesNoHeader(t *testing.T) {
	l := newLab(t, nil)
	l.both(t, "GET", "/x", append([]string{as("alice")}, forged...), func(l *lab, a answer) {
		got := l.passed(a)
		got.one(l, "X-Forwarded-User", "alice")
		got.one(l, "X-Forwarded-Email", "alice@example.com")
		got.lacks(l, "X-Forwarded-Groups", "X-Forwarded-Client", "X-App-User", "X-Auth-User")
	})
	l.both(t, "GET", "/x", append([]string{as("unverified")}, forged...), func(l *lab, a answer) { l.passed(a).lacks(l, "X-Forwarded-Email") })
	l.both(t, "GET", "/x", append([]string{as("machine")}, forged...), func(l *lab, a answer) { // SEC-7
		got := l.passed(a)
		got.one(l, "X-Forwarded-Client", "backup")
		got.lacks(l, "X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Preferred-Username")
	})
	l.both(t, "GET", "/set/x", append([]string{as("unverified")}, forged...), func(l *lab, a answer) {
		got := l.passed(a)
		got.lacks(l, "X-App-User", "X-Forwarded-User", "X-Forwarded-Groups")
		got.one(l, "X-App-Token", "at-mallory")
	})
}

func TestP023OtherSpellingsAreDropped(t *testing.T) {
	l := newLab(t, nil)
	lines := []string{
		"X_Forwarded_User: root", "X-Forwarded_User: root", "x_forwarded-user: root", "X_FORWARDED_GROUPS: admin", "X.Forwarded.User: root", "X~Forwarded~User: root", "X!Forwarded'User: root",
		"X_App_User: root", "X-App_Token: root", "Remote_User: root", "HTTP_X_FORWARDED_USER: root", "_X-Forwarded-User: root", "X-Custom_Name: root",
	}
	for _, who := range []string{"alice", "root"} {
		l.both(t, "GET", "/set/x", append([]string{as(who)}, lines...), func(l *lab, a answer) {
			got := l.passed(a)
			got.lacks(l, "X-Forwarded-User", "X-Forwarded-Groups", "X-Custom-Name", "Remote-User")
			got.one(l, "X-App-User", who+"@example.com")
			if strings.Contains(l.e.wire, "_") || strings.Contains(l.e.wire, ": root\r\n") {
				l.Errorf("E read %q", l.e.wire)
			}
		})
	}
}

func TestP024OneValueAndItIsOurs(t *testing.T) {
	l := newLab(t, nil)
	lines := []string{as("alice"), "x-forwarded-USER: root", "X-FORWARDED-USER: root", "X-Forwarded-User:", "X-Forwarded-User: alice, root", "x-app-user: root", "X-APP-USER: root"}
	l.both(t, "GET", "/x", lines, func(l *lab, a answer) { l.passed(a).one(l, "X-Forwarded-User", "alice") })
	l.both(t, "GET", "/set/x", lines, func(l *lab, a answer) { l.passed(a).one(l, "X-App-User", "alice@example.com") })
}

func TestP025P026ConnectionTakesNothingOfOursAway(t *testing.T) {
	l := newLab(t, nil)
	for _, connection := range []string{
		"close, X-Forwarded-User, Authorization, X-Forwarded-For, Cookie, X-Forwarded-Proto, X-Real-Ip, X-Request-Id", "x-forwarded-user, x-real-ip, authorization, x-forwarded-for, X-Forwarded-Email",
		"X-FORWARDED-USER,AUTHORIZATION,x-app-user, x-forwarded-for, host, content-length", "close, X-Forwarded-User\r\nConnection: Authorization", "\tX-Forwarded-User\t,,;Authorization",
	} {
		t.Run(connection, func(t *testing.T) {
			l := l.on(t)
			got := l.passed(l.send("GET", "/session/x", as("alice"), "Connection: "+connection, "X-Mine: 1"))
			got.one(t, "X-Forwarded-User", "alice")
			got.one(t, "X-Forwarded-Email", "alice@example.com")
			got.one(t, "Authorization", "Bearer at-alice")
			got.one(t, "X-Forwarded-For", "127.0.0.1")
			got.one(t, "X-Real-Ip", "127.0.0.1")
			got.one(t, "X-Forwarded-Proto", "https")
			got.one(t, "X-Mine", "1")
			if got.Host != "app.test" || got.Header["X-Request-Id"] == nil {
				t.Errorf("E received %s, %v", got.Host, got.Header)
			}
		})
	}
	t.Run("what the client names is the client's own", func(t *testing.T) {
		l := l.on(t)
		got := l.passed(l.send("GET", "/x", as("alice"), "Connection: X-Mine, Keep-Alive", "X-Mine: 1", "Keep-Alive: timeout=5", "Proxy-Connection: keep-alive", "Proxy-Authorization: Basic eDp5"))
		got.lacks(t, "X-Mine", "Keep-Alive", "Proxy-Connection", "Proxy-Authorization", "Connection")
	})
}

func TestP027AuthorizationOfTheClientIsNotTheSessions(t *testing.T) {
	l := newLab(t, nil)
	attack := []string{"Authorization: Bearer attacker", "Authorization: Basic eDp5"}
	l.both(t, "GET", "/session/x", append([]string{as("alice")}, attack...), func(l *lab, a answer) { l.passed(a).one(l, "Authorization", "Bearer at-alice") })
	l.both(t, "GET", "/id/x", append([]string{as("alice")}, attack...), func(l *lab, a answer) { l.passed(a).one(l, "Authorization", "Bearer idt-alice") })
	for _, target := range []string{"/x", "/public/x", "/set/x"} {
		l.both(t, "GET", target, append([]string{as("alice")}, attack...), func(l *lab, a answer) { l.passed(a).lacks(l, "Authorization") })
	}
	l.both(t, "GET", "/session/x", attack, func(l *lab, a answer) { l.refused(a, 401) })
	l.both(t, "GET", "/session/x", append([]string{as("tokenless")}, attack...), func(l *lab, a answer) { l.refused(a, 502) })
	t.Run("pass_authorization", func(t *testing.T) {
		l.both(t, "GET", "/pass/x", []string{"Authorization: Basic eDp5"}, func(l *lab, a answer) { l.passed(a).one(l, "Authorization", "Basic eDp5") })
		for _, scheme := range []string{"NTLM", "negotiate", "Negotiate"} { // would sign the shared connection in, for everybody
			l.both(t, "GET", "/pass/x", []string{"Authorization: " + scheme + " TlRMTVNTUAAB"}, func(l *lab, a answer) { l.passed(a).lacks(l, "Authorization") })
		}
	})
}

func TestP028OwnCookiesStayHere(t *testing.T) {
	l := newLab(t, nil)
	for _, c := range []struct{ sent, seen string }{
		{"a=b; __Host-doorward=alice; c=\"d e\"", "a=b; c=\"d e\""},
		{"__Host-doorward=alice", ""},
		{"__Host-doorward=alice; __Host-doorward-login.x=state; __Host-doorward.1=chunk; a=b", "a=b"},
		{"a=b;__Host-doorward=alice", "a=b"},
		{"__host-doorward=x; __Host-doorward=alice; __Host-doorwardian=y", "__host-doorward=x; __Host-doorwardian=y"},
	} {
		t.Run(c.sent, func(t *testing.T) {
			l.both(t, "GET", "/x", []string{"Cookie: " + c.sent}, func(l *lab, a answer) {
				got := l.passed(a)
				got.one(l, "X-Forwarded-User", "alice")
				if s := strings.Join(got.Header["Cookie"], "|"); s != c.seen {
					l.Errorf("E received Cookie: %q, not %q", s, c.seen)
				}
			})
		})
	}
	t.Run("public", func(t *testing.T) {
		l.both(t, "GET", "/public/x", []string{"Cookie: __Host-doorward=alice; a=b"}, func(l *lab, a answer) { l.passed(a).one(l, "Cookie", "a=b") })
	})
	t.Run("several lines", func(t *testing.T) {
		l := l.on(t)
		got := l.passed(l.send("GET", "/x", "Cookie: a=b", "Cookie: __Host-doorward=alice", "Cookie: c=d; __Secure-doorward=x"))
		if s := strings.Join(got.Header["Cookie"], "|"); s != "a=b|c=d" {
			t.Errorf("E received Cookie: %q", s)
		}
	})
	t.Run("two sessions are none", func(t *testing.T) { // P077 is the session's own; here nothing of them may leak
		l := l.on(t)
		l.refused(l.send("GET", "/x", "Cookie: __Host-doorward=alice; __Host-doorward=root"), 401)
	})
	t.Run("from the upstream", func(t *testing.T) {
		l := newLab(t, nil)
		l.e.answers(func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Set-Cookie"] = []string{"__Host-doorward=evil; Path=/; Secure", "app=1; Path=/", "__Host-doorward-login.1=; Max-Age=0", "=__Host-doorward=evil"}
			w.Header().Set("Trailer", "Set-Cookie")
			_, _ = w.Write([]byte("E"))
			w.Header()["Set-Cookie"] = []string{"__Host-doorward=evil; Path=/; Secure"}
			w.Header()[http.TrailerPrefix+"Set-Cookie"] = []string{"__Host-doorward=evil"}
			w.Header()[http.TrailerPrefix+"X-Fine"] = []string{"1"}
		})
		for _, target := range []string{"/x", "/public/x"} {
			l.both(t, "GET", target, []string{as("alice")}, func(l *lab, a answer) {
				l.passed(a)
				if s := strings.Join(a.Header["Set-Cookie"], "|"); s != "app=1; Path=/" {
					l.Errorf("the client receives Set-Cookie: %q", s)
				}
				if a.Trailer["Set-Cookie"] != nil || a.Trailer.Get("X-Fine") != "1" && a.ProtoMajor == 1 {
					l.Errorf("the client receives the trailers %v", a.Trailer)
				}
			})
		}
	})
	t.Run("a renewed cookie of ours reaches the client", func(t *testing.T) {
		l.both(t, "GET", "/x", []string{as("renewed")}, func(l *lab, a answer) {
			l.passed(a)
			if s := a.Header["Set-Cookie"]; len(s) != 1 || !strings.HasPrefix(s[0], "__Host-doorward=renewed") {
				l.Errorf("the client receives Set-Cookie: %q", s)
			}
		})
	})
}

func TestP029P030P033HeadersThatOnlyGatewaysMaySet(t *testing.T) {
	l := newLab(t, nil)
	lines := []string{
		"Proxy: http://evil.test", "X-Forwarded-Client-Cert: Hash=evil", "X-SSL-Client-Verify: evil", "X-Forwarded-Tls-Client-Cert: evil", "Ssl-Client-Cert: evil", "X-Client-Cert: evil",
		"Client-Cert: evil", "X-Amzn-Mtls-Clientcert: evil", "X-Request-Id: evil " + strings.Repeat("a", 10<<10), "X-Accel-Mapping: /evil=/", "X-Sendfile-Type: evil",
	}
	l.both(t, "GET", "/public/x", lines, func(l *lab, a answer) {
		got := l.passed(a)
		got.lacks(l, slices.DeleteFunc(names(lines), func(n string) bool { return n == "X-Request-Id" })...)
		if id := got.Header["X-Request-Id"]; len(id) != 1 || len(id[0]) != 6 || strings.Contains(l.e.wire, "evil") {
			l.Errorf("E read %q", l.e.wire)
		}
	})
	for id, kept := range map[string]bool{"0af7651916cd43dd8448eb211c80319c": true, "a/b-c.d_e:f=": true, "a b": false, "\"x\"": false, "": false, strings.Repeat("a", 128): true, strings.Repeat("a", 129): false} {
		l.both(t, "GET", "/public/x", []string{"X-Request-Id: " + id}, func(l *lab, a answer) {
			if got := l.passed(a).Header.Get("X-Request-Id"); got == "" || (got == id) != kept {
				l.Errorf("%q arrives as %q", id, got)
			}
		})
	}
	t.Run("twice", func(t *testing.T) {
		l := l.on(t)
		if got := l.passed(l.send("GET", "/public/x", "X-Request-Id: a", "X-Request-Id: b")); len(got.Header["X-Request-Id"]) != 1 || len(got.Header.Get("X-Request-Id")) != 6 {
			t.Errorf("E received %q", got.Header["X-Request-Id"])
		}
	})
}

func TestP031P032ClaimsStayInsideTheirHeader(t *testing.T) {
	l := newLab(t, nil)
	l.both(t, "GET", "/x", []string{as("evil")}, func(l *lab, a answer) {
		got := l.passed(a)
		got.one(l, "X-Forwarded-User", "a%0D%0AX-Forwarded-User: root")
		got.one(l, "X-Forwarded-Preferred-Username", "%C3%A9%E6%BC%A2%00")
		got.one(l, "X-Forwarded-Groups", "a%2Cadmin,%20admin")
		if n := strings.Count(strings.ToLower(l.e.wire), "\nx-forwarded-user:"); n != 1 {
			l.Errorf("%d lines of X-Forwarded-User: %q", n, l.e.wire)
		}
	})
}

func TestP033TrailersOfARequestAreDropped(t *testing.T) {
	l := newLab(t, nil)
	t.Run("h1", func(t *testing.T) {
		l := l.on(t)
		got := l.passed(l.raw("POST /session/x HTTP/1.1\r\nHost: app.test\r\n" + as("alice") + "\r\nTrailer: X-Forwarded-User, Authorization, X-T\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n" +
			"3\r\nabc\r\n0\r\nX-Forwarded-User: root\r\nAuthorization: Bearer evil\r\nX-T: evil\r\nX_Forwarded_User: root\r\n\r\n"))
		if got.body != "abc" || len(got.trailer) != 0 || strings.Contains(l.e.wire, "evil") || strings.Contains(l.e.wire, "root") || strings.Contains(l.e.wire, "Trailer") {
			t.Errorf("E read %q", l.e.wire)
		}
		got.one(t, "X-Forwarded-User", "alice")
	})
	t.Run("h2", func(t *testing.T) {
		l := l.on(t)
		h := l.h2()
		h.headers(1, false, ":method: POST", ":scheme: https", ":authority: app.test", ":path: /session/x", "cookie: __Host-doorward=alice", "trailer: x-forwarded-user, x-t")
		h.data(1, false, "abc")
		h.headers(1, true, "x-forwarded-user: root", "x-t: evil")
		got := l.passed(h.read(1))
		if got.body != "abc" || len(got.trailer) != 0 || strings.Contains(l.e.wire, "evil") || strings.Contains(l.e.wire, "root") {
			t.Errorf("E read %q", l.e.wire)
		}
	})
}

// What goes upstream, whole: no header is there that nobody decided on.
func TestR9WhatAnUpstreamReceives(t *testing.T) {
	l := newLab(t, func(_ *Config, d *Deps) {
		d.Session.(people)["full"] = someone("full", func(w *identity.Identity) { w.Groups = []string{"a", "b"} })
	})
	l.passed(l.send("GET", "/session/x?y", "Cookie: a=b; __Host-doorward=full", "Accept: */*", "X-Request-Id: r1", "Upgrade: h2c", "TE: trailers", "User-Agent: curl"))
	const want = "GET /session/x?y HTTP/1.1\r\nAccept: */*\r\nAuthorization: Bearer at-full\r\nCookie: a=b\r\nHost: app.test\r\nUser-Agent: curl\r\nX-Forwarded-Email: full@example.com\r\n" +
		"X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Groups: a,b\r\nX-Forwarded-Host: app.test\r\nX-Forwarded-Port: 443\r\nX-Forwarded-Preferred-Username: full\r\nX-Forwarded-Proto: https\r\n" +
		"X-Forwarded-User: full\r\nX-Real-Ip: 127.0.0.1\r\nX-Request-Id: r1\r\n\r\n"
	lines := strings.SplitAfter(strings.TrimSuffix(l.e.wire, "\r\n"), "\r\n")
	slices.Sort(lines[1:]) // they come in any order
	if got := strings.Join(lines, "") + "\r\n"; got != want {
		t.Errorf("E read %q, not %q", got, want)
	}
}

func TestAnUpstreamThatJudgesTokensItselfGetsTheirProofs(t *testing.T) {
	l := newLab(t, nil)
	l.both(t, "GET", "/pass/x", []string{"Authorization: DPoP token", "DPoP: proof"}, func(l *lab, a answer) { l.passed(a).one(l, "Dpop", "proof") })
	l.both(t, "GET", "/public/x", []string{"Authorization: DPoP token", "DPoP: proof"}, func(l *lab, a answer) { l.passed(a).lacks(l, "Dpop", "Authorization") })
}
