package proxy

import (
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestAForgottenProxyIsNamedOnceAMinute(t *testing.T) {
	log, now := &lockedBuffer{}, time.Unix(1_800_000_000, 0)
	s := newStrangers(func() time.Time { return now }, slog.New(slog.NewJSONHandler(log, nil)))
	ask := func(peer string) {
		r := httptest.NewRequest("GET", "/oauth2/auth", nil)
		r.RemoteAddr = peer
		s.warn(r)
	}
	lines := func() int { return strings.Count(log.String(), "\n") }
	for i := range 10 {
		ask(fmt.Sprintf("10.0.0.7:%d", 1000+i))
	}
	ask("[2001:db8::7]:1")
	ask("[::ffff:10.0.0.7]:1")
	if lines() != 2 || strings.Count(log.String(), `"WARN"`) != 2 {
		t.Errorf("the log is %s", log)
	}
	for _, write := range []string{`listen.trusted_proxies = [\"10.0.0.7/32\"]`, `listen.trusted_proxies = [\"2001:db8::7/128\"]`} {
		if !strings.Contains(log.String(), write) {
			t.Errorf("the log does not say to write %s:\n%s", write, log)
		}
	}
	now = now.Add(time.Minute)
	ask("10.0.0.7:1")
	if lines() != 3 {
		t.Errorf("a minute later: %s", log)
	}
	for i := range 10 * maxStrangers {
		ask(fmt.Sprintf("10.1.%d.%d:1", i/250, i%250))
	}
	if n := lines(); n > 3+maxStrangers || len(s.told) > maxStrangers {
		t.Errorf("%d lines, %d peers are remembered", n, len(s.told))
	}
	now = now.Add(time.Minute)
	ask("10.2.0.1:1")
	if !strings.Contains(log.String(), "10.2.0.1/32") {
		t.Error("after a flood nobody is named any more")
	}
	ask("@")
	if !strings.Contains(log.String(), "instead of a socket") {
		t.Errorf("of a socket is said %s", log)
	}
}

func TestP035AnUntrustedAskerIsAWarning(t *testing.T) {
	l := newLab(t, trusting("10.0.0.0/8"))
	for range 3 {
		l.verdict(l.send("GET", "/oauth2/auth", about("/x", as("alice"))...), 401)
	}
	if n := strings.Count(l.log.String(), "a proxy that is not trusted asks about requests"); n != 1 {
		t.Errorf("said %d times: %s", n, l.log)
	}
}
