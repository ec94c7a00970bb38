package proxy

import (
	"strings"
	"testing"
)

// What proved who is calling reaches no upstream, by whatever way a request goes (ROP-2, P027).
func TestROP2NoProofGoesUpstream(t *testing.T) {
	a := newAcceptance(t)
	proofs := map[string]string{
		"a password": basicLine("alice", "alice"), "a ticket": "Bearer dw1.alice", "a ticket as a password": basicLine("git", "dw1.alice"),
	}
	clean := func(l *lab, line string, got received) {
		l.Helper()
		got.lacks(l, "Authorization")
		got.one(l, "X-Forwarded-User", "alice")
		if strings.Contains(l.e.wire, line[strings.IndexByte(line, ' ')+1:]) {
			l.Errorf("E read it: %q", l.e.wire)
		}
	}
	for name, line := range proofs {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PROPFIND", "OPTIONS"} {
			t.Run(name+" "+method, func(t *testing.T) {
				for _, hop := range []string{"X-A: b", "Connection: Authorization", "Proxy-" + authorization(line)} {
					if strings.HasPrefix(hop, "Connection") {
						l := a.on(t)
						clean(l, line, l.passed(l.send(method, "/git", authorization(line), hop)))
						continue
					}
					a.both(t, method, "/git", []string{authorization(line), hop}, func(l *lab, got answer) { clean(l, line, l.passed(got)) })
				}
			})
		}
		t.Run(name+" and a preflight", func(t *testing.T) {
			a.both(t, "OPTIONS", "/git", []string{"Origin: https://evil.test", "Access-Control-Request-Method: PUT", "Access-Control-Request-Headers: authorization"}, func(l *lab, got answer) {
				l.refused(got, 401) // P182: none is let past, and none is answered
				for _, h := range []string{"Access-Control-Allow-Origin", "Access-Control-Allow-Credentials", "Access-Control-Allow-Headers"} {
					if v := got.Header.Get(h); v != "" {
						l.Errorf("%s: %q", h, v)
					}
				}
			})
		})
	}
	a.e.answers(echoSocket)
	for name, line := range proofs {
		t.Run(name+" and a WebSocket", func(t *testing.T) {
			l := a.on(t)
			clean(l, line, l.opens(socketRequest("/git", authorization(line), "Origin: https://app.test")))
			l.refused(l.raw(socketRequest("/git", authorization(line), "Origin: https://evil.test")), 403) // P179: browsers add what they remember
		})
	}
}
