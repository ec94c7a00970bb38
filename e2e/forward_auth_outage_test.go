package e2e

import (
	"net"
	"net/http"
	"strings"
	"testing"
)

// outage kills Doorward, without which nothing may pass, and starts it again, for as long as a test that goes on.
func (g *guarded) outage(longer, t *testing.T, tb *tab) {
	session := g.cookie(tb)
	if err := g.gateway.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-g.gateway.ended
	before := len(g.app.all())
	t.Run("all at once", func(t *testing.T) { // HAProxy tries for three seconds
		both(t, func(t *testing.T, send sender) {
			for _, c := range [][]string{
				{"GET", "/orders", session},
				{"GET", "/orders"},
				{"GET", "/public/x"},
				{"POST", "/orders", session, "\n{}"},
				{"GET", "/admin", session},
				{"GET", "/oauth2/start", session},
				{"GET", "/orders?page", session, "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"},
				{"OPTIONS", "/orders", session},
			} {
				t.Run(c[0]+" "+c[1], func(t *testing.T) {
					t.Parallel()
					if got := send(g, t, c[0], c[1], c[2:]...); got.Status < 500 {
						t.Errorf("%d %s", got.Status, got.Body)
					}
				})
			}
		})
	})
	if len(g.since(before)) > 0 {
		t.Errorf("without Doorward the app got %+v", g.since(before))
	}

	g.gateway.start(longer)
	if !eventually(func() bool { return g.send(t, "GET", "/orders?again", session).Status == http.StatusOK }) {
		t.Fatal("Doorward is back, and nobody is let in")
	}
	if got := g.app.last(t, "/orders?again").Header.Get("X-Forwarded-User"); got != "alice" {
		t.Errorf("the app is told that it is %q", got)
	}
}

// strangersAreRefused asks Doorward as the proxy does, but from an address that is not the proxy's.
func (g *guarded) strangersAreRefused(t *testing.T, tb *tab) {
	stranger := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	proxy := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}}
	for _, target := range []string{"/oauth2/auth", "/oauth2/auth?redirect=true", "/oauth2/session/forwardauth", "/oauth2/auth/orders"} {
		lines := []string{g.cookie(tb), "X-Forwarded-Uri: /orders", "X-Forwarded-Method: GET", "X-Forwarded-For: 127.0.0.1"}
		got := sendTo(t, stranger, g.doorward, "GET", target, lines)
		if got.Status != http.StatusUnauthorized || strings.Contains(got.Body, "alice") {
			t.Errorf("%s answers a stranger %d %v %s", target, got.Status, got.Header, got.Body)
		}
		for name := range got.Header {
			if strings.HasPrefix(name, "X-Auth-Request-") || name == "Authorization" {
				t.Errorf("%s tells a stranger %s", target, name)
			}
		}
		if got := sendTo(t, proxy, g.doorward, "GET", target, lines); got.Status/100 != 2 {
			t.Errorf("%s answers the proxy %d %s", target, got.Status, got.Body)
		}
	}
}
