package proxy

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// Rows of group E that limits of a route concern, over both versions of HTTP.

func TestP054CookiesThatFloodAreRefusedOrPassWhole(t *testing.T) {
	l := newLab(t, limiting(Limits{PerAddress: Rate{1000, time.Hour}, PerUser: Rate{1000, time.Hour}, Concurrent: 10, MaxBody: 1 << 20}))
	flood := "Cookie: " + strings.Repeat("abc=defg; ", 10_000)
	t.Run("h1", func(t *testing.T) {
		l := l.on(t)
		l.refused(l.send("GET", "/x", flood, as("alice")), 431, 400)
	})
	t.Run("h2", func(t *testing.T) {
		l := l.on(t)
		h := l.h2()
		h.headers(1, true, ":method: GET", ":scheme: https", ":authority: app.test", ":path: /"+strings.Repeat("a", 12_000), "cookie: "+strings.Repeat("abc=defg; ", 200)+"__Host-doorward=alice")
		if got := l.passed(h.read(1)); len(got.Header.Get("Cookie")) < 1900 || len(got.RequestURI) != 12_001 {
			t.Errorf("E received %d bytes of cookies and a path of %d", len(got.Header.Get("Cookie")), len(got.RequestURI))
		}
	})
	// What was refused has given its place back.
	for range 20 {
		l.refused(l.send("GET", "/x", as("broken")), 503)
	}
	l.passed(l.send("GET", "/x", as("alice")))
}

func TestP056TheDecisionComesFromTheHeadersAlone(t *testing.T) {
	l := newLab(t, limiting(Limits{MaxBody: 1 << 40, Concurrent: 10, PerAddress: Rate{1000, time.Hour}}))
	t.Run("h1, no length", func(t *testing.T) {
		l := l.on(t)
		chunk := fmt.Sprintf("%x\r\n%s\r\n", 32<<10, strings.Repeat("x", 32<<10))
		a := l.raw(request("POST", "/admin/x", "Transfer-Encoding: chunked", "Connection: keep-alive") + strings.Repeat(chunk, 20)) // and never ends
		if l.refused(a, 401); !a.Close {
			t.Error("the connection stays open for a body without an end")
		}
	})
	for name, lines := range map[string][]string{"h2": {"content-length: 1000000000"}, "h2, no length": nil} {
		t.Run(name, func(t *testing.T) {
			l := l.on(t)
			h := l.h2()
			h.headers(1, false, append([]string{":method: POST", ":scheme: https", ":authority: app.test", ":path: /admin/x"}, lines...)...)
			l.refused(h.read(1), 401) // no data was sent
		})
	}
}
