package proxy

import (
	"net/http"
	"strings"
	"testing"
)

// Group C: where a request comes from and which host it is for.

var forgedForwarding = []string{
	"X-Forwarded-Proto: http", "X-Forwarded-Host: evil.test", "X-Forwarded-Uri: /public/", "X-Forwarded-Port: 8443", "X-Forwarded-Prefix: /evil", "X-Forwarded-For: 6.6.6.6", "X-Forwarded-Scheme: http",
	"X-Forwarded-Server: evil.test", "X-Forwarded: for=6.6.6.6", "Forwarded: for=6.6.6.6;host=evil.test", "X-Real-Ip: 6.6.6.6", "True-Client-Ip: 6.6.6.6", "Cf-Connecting-Ip: 6.6.6.6", "X-Client-Ip: 6.6.6.6",
	"Client-Ip: 6.6.6.6", "X-Cluster-Client-Ip: 6.6.6.6", "Fastly-Client-Ip: 6.6.6.6", "X-Host: evil.test", "X-Original-Host: evil.test",
}

func (l *lab) seesOurForwarding(got received, client string) {
	l.Helper()
	got.one(l, "X-Forwarded-For", client)
	first, _, _ := strings.Cut(client, ",")
	got.one(l, "X-Real-Ip", first)
	got.one(l, "X-Forwarded-Proto", "https")
	got.one(l, "X-Forwarded-Host", "app.test")
	got.one(l, "X-Forwarded-Port", "443")
	got.lacks(l, "Forwarded", "X-Forwarded", "X-Forwarded-Uri", "X-Forwarded-Prefix", "X-Forwarded-Scheme", "X-Forwarded-Server", "True-Client-Ip", "Cf-Connecting-Ip", "X-Client-Ip", "Client-Ip",
		"X-Cluster-Client-Ip", "Fastly-Client-Ip", "X-Host", "X-Original-Host")
}

func TestP034ForwardingHeadersOfStrangers(t *testing.T) {
	for name, l := range map[string]*lab{"P035 nobody is trusted": newLab(t, nil), "others are trusted": newLab(t, trusting("10.0.0.0/8"))} {
		t.Run(name, func(t *testing.T) {
			l.both(t, "GET", "/public/x", forgedForwarding, func(l *lab, a answer) {
				l.seesOurForwarding(l.passed(a), "127.0.0.1")
				if strings.Contains(l.e.wire, "evil") || strings.Contains(l.e.wire, "6.6.6.6") {
					l.Errorf("E read %q", l.e.wire)
				}
			})
			l.both(t, "GET", "/admin/x", forgedForwarding, func(l *lab, a answer) {
				l.refused(a, 401)
				if !strings.Contains(a.body, `"login_url":"https://app.test/`) || strings.Contains(a.body, "evil") {
					l.Errorf("the answer is %s", a.body)
				}
			})
		})
	}
}

func TestP034EvenATrustedPeerDecidesNothingButTheAddress(t *testing.T) {
	l := newLab(t, trusting("127.0.0.0/8"))
	l.both(t, "GET", "/public/x", forgedForwarding, func(l *lab, a answer) { l.seesOurForwarding(l.passed(a), "6.6.6.6, 127.0.0.1") })
	l.both(t, "GET", "/admin/x", append([]string{as("alice")}, forgedForwarding...), func(l *lab, a answer) { l.refused(a, 403) })
}

func TestP036P037TheClientsAddress(t *testing.T) {
	l := newLab(t, trusting("127.0.0.0/8", "10.0.0.0/8"))
	for chain, want := range map[string]string{
		"127.0.0.1, 6.6.6.6, 10.0.0.9": "6.6.6.6, 10.0.0.9, 127.0.0.1",
		"6.6.6.6":                      "6.6.6.6, 127.0.0.1",
		"10.0.0.7, 10.0.0.9":           "10.0.0.7, 10.0.0.9, 127.0.0.1",
		"2001:db8::1":                  "2001:db8::1, 127.0.0.1",
		"[2001:db8::1]:443":            "2001:db8::1, 127.0.0.1",
		"::ffff:6.6.6.6":               "6.6.6.6, 127.0.0.1",
		"::ffff:127.0.0.1":             "127.0.0.1, 127.0.0.1",
		"6.6.6.6, ::ffff:10.0.0.9":     "6.6.6.6, 10.0.0.9, 127.0.0.1",
		"a":                            "127.0.0.1",
		"":                             "127.0.0.1",
		"127.0.0.1%25lo":               "127.0.0.1",
		"fe80::1%lo":                   "127.0.0.1",
		"evil, 10.0.0.9":               "127.0.0.1",
		"evil, 6.6.6.6":                "6.6.6.6, 127.0.0.1",
		"6.6.6.6,":                     "127.0.0.1",
		"unknown":                      "127.0.0.1",
		"0x7f.1":                       "127.0.0.1",
		"127.1":                        "127.0.0.1",
		"\"6.6.6.6\"":                  "127.0.0.1",
	} {
		t.Run(chain, func(t *testing.T) {
			l.both(t, "GET", "/public/x", []string{"X-Forwarded-For: " + chain}, func(l *lab, a answer) { l.seesOurForwarding(l.passed(a), want) })
		})
	}
	t.Run("several lines", func(t *testing.T) {
		l.both(t, "GET", "/public/x", []string{"X-Forwarded-For: 6.6.6.6", "X-Forwarded-For: 7.7.7.7", "x-forwarded-for: 10.0.0.9"}, func(l *lab, a answer) {
			l.seesOurForwarding(l.passed(a), "7.7.7.7, 10.0.0.9, 127.0.0.1")
		})
	})
	t.Run("another spelling", func(t *testing.T) {
		l.both(t, "GET", "/public/x", []string{"X_Forwarded_For: 6.6.6.6"}, func(l *lab, a answer) { l.seesOurForwarding(l.passed(a), "127.0.0.1") })
	})
}

func TestP038P039UnknownHosts(t *testing.T) {
	l := newLab(t, nil)
	for _, host := range []string{
		"evil.test", "app.test.evil.test", "evilapp.test", "app.test:1234", "app.test:80", "[::1]", "127.0.0.1", "app.test..", ".app.test", "app.test:0443", "app.test:", "app.test:443:443", "*.test", "app_test",
		"xn--pp-xka.test", "app.test,evil.test", "app.test/", "evil.test:443",
	} {
		t.Run(host, func(t *testing.T) {
			for _, target := range []string{"/public/x", "/x", "/oauth2/callback"} {
				l.both(t, "GET", target, []string{"Host: " + host, "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Accept: text/html"}, func(l *lab, a answer) {
					if a.ProtoMajor == 1 && strings.ContainsAny(host, "/,") {
						l.refused(a, 400, 421)
					} else {
						l.refused(a, 421, 400)
					}
					if a.Header.Get("Location") != "" || a.Header.Get("Set-Cookie") != "" {
						l.Errorf("the answer is %v", a.Header)
					}
				})
			}
		})
	}
	t.Run("P205 no pattern", func(t *testing.T) {
		l.both(t, "GET", "/public/x", []string{"Host: appxtest"}, func(l *lab, a answer) { l.refused(a, 421) })
	})
	t.Run("none", func(t *testing.T) {
		l := l.on(t)
		l.refused(l.raw("GET /public/x HTTP/1.1\r\nConnection: close\r\n\r\n"), 400)
		l.refused(l.raw("GET /public/x HTTP/1.0\r\n\r\n"), 421)
		l.refused(l.raw("GET /public/x HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n"), 421, 400)
		l.refused(l.raw("GET /public/x HTTP/1.1\r\nHost: app.test\r\nHost: app.test\r\nConnection: close\r\n\r\n"), 400)
		l.refused(l.raw("GET /public/x HTTP/1.1\r\nHost: app.test evil\r\nConnection: close\r\n\r\n"), 400)
	})
}

func TestP040P041OwnEndpointsSeeNoForwardingHeaders(t *testing.T) {
	for _, l := range []*lab{newLab(t, nil), newLab(t, trusting("127.0.0.0/8"))} {
		l.both(t, "GET", "/oauth2/sign_out", forgedForwarding, func(l *lab, a answer) {
			l.refused(a, 200)
			if strings.Contains(a.body, "evil") || strings.Contains(a.body, "Forwarded") || strings.Contains(a.body, "6.6.6.6") {
				l.Errorf("it sees %s", a.body)
			}
		})
	}
}

func TestP042NoUserAgentOpensADoor(t *testing.T) {
	l := newLab(t, nil)
	for _, agent := range []string{"GoogleHC/1.0", "kube-probe/1.33", "ELB-HealthChecker/2.0"} {
		for _, target := range []string{"/admin/x", "/ping", "/healthz", "/"} {
			l.both(t, "GET", target, []string{"User-Agent: " + agent}, func(l *lab, a answer) { l.refused(a, http.StatusUnauthorized) })
		}
	}
}
