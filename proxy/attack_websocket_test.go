package proxy

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/origin"
)

// Group P: what a browser does on behalf of a page that is not ours.

// echoSocket switches to a protocol that repeats what it reads.
func echoSocket(w http.ResponseWriter, r *http.Request) {
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		w.WriteHeader(http.StatusUpgradeRequired)
		return
	}
	c, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer func() { _ = c.Close() }()
	_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\nSet-Cookie: __Host-doorward=evil\r\n\r\n")
	_ = rw.Flush()
	_, _ = io.Copy(c, rw)
}

func socketRequest(target string, lines ...string) string {
	return request("GET", target, append([]string{"Connection: keep-alive, Upgrade", "Upgrade: WebSocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="}, lines...)...)
}

// opens expects a socket that echoes.
func (l *lab) opens(request string) received {
	l.Helper()
	c := l.write(request)
	r := bufio.NewReader(c)
	a := l.read(r, "GET")
	if a.StatusCode != http.StatusSwitchingProtocols || a.Header.Get("Sec-Websocket-Accept") != "x" || a.Header["Set-Cookie"] != nil {
		l.Fatalf("answer %s %v", a.Status, a.Header)
	}
	buf := make([]byte, 5)
	for _, s := range []string{"hello", "again"} {
		_, _ = io.WriteString(c, s)
		if _, err := io.ReadFull(r, buf); err != nil || string(buf) != s {
			l.Fatalf("echo %q, %v", buf, err)
		}
	}
	got := l.e.take()
	_ = c.(*net.TCPConn).CloseWrite()
	if rest, err := io.ReadAll(r); err != nil || len(rest) != 0 {
		l.Errorf("after the end: %q, %v", rest, err)
	}
	if len(got) != 1 {
		l.Fatalf("%d requests to E", len(got))
	}
	return got[0]
}

func TestP179WebSocketsOfForeignPages(t *testing.T) {
	partner := origin.Origin{Scheme: "https", Host: "partner.test"}
	l := newLab(t, func(c *Config, _ *Deps) {
		c.Routes[0].WebSocketOrigins = []origin.Origin{partner}
	})
	l.e.answers(echoSocket)
	for _, lines := range [][]string{
		{as("alice"), "Origin: https://app.test"}, {as("alice"), "Origin: https://partner.test"}, {as("alice"), "Origin: https://APP.test:443"},
	} {
		t.Run("opened "+lines[1], func(t *testing.T) {
			l := l.on(t)
			got := l.opens(socketRequest("/socket", lines...))
			got.one(t, "X-Forwarded-User", "alice")
			got.one(t, "Upgrade", "WebSocket")
			got.lacks(t, "Cookie")
		})
	}
	t.Run("opened by no browser", func(t *testing.T) {
		l := l.on(t)
		l.opens(socketRequest("/public/socket"))
		l.opens(socketRequest("/public/socket", "Cookie: app=1"))
	})
	for name, lines := range map[string][]string{
		"foreign":                   {as("alice"), "Origin: https://evil.test"},
		"null":                      {as("alice"), "Origin: null"},
		"empty":                     {as("alice"), "Origin:"},
		"missing, with a session":   {as("alice")},
		"missing, with a login":     {"Cookie: __Host-doorward-login.x=1"},
		"plain":                     {as("alice"), "Origin: http://app.test"},
		"another port":              {as("alice"), "Origin: https://app.test:8443"},
		"suffix":                    {as("alice"), "Origin: https://app.test.evil.test"},
		"prefix":                    {as("alice"), "Origin: https://evilapp.test"},
		"user":                      {as("alice"), "Origin: https://app.test@evil.test"},
		"a bare name":               {as("alice"), "Origin: app.test"},
		"two":                       {as("alice"), "Origin: https://app.test", "Origin: https://evil.test"},
		"a list":                    {as("alice"), "Origin: https://app.test, https://evil.test"},
		"another host of ours":      {as("alice"), "Origin: https://open.test"},
		"foreign, without a cookie": {"Origin: https://evil.test"},
		"listed on another route":   {as("root"), "Origin: https://partner.test", "X-Target: /admin/socket"},
	} {
		t.Run(name, func(t *testing.T) {
			l := l.on(t)
			target := "/socket"
			if i := slices.Index(lines, "X-Target: /admin/socket"); i > 0 {
				target = "/admin/socket"
			}
			a := l.raw(socketRequest(target, lines...))
			l.refused(a, 403)
			if a.code() != codeCrossSite {
				t.Errorf("code %s", a.code())
			}
		})
	}
	t.Run("R8 nobody", func(t *testing.T) {
		l := l.on(t)
		a := l.raw(socketRequest("/socket", "Origin: https://app.test"))
		l.refused(a, 401)
		if a.Header["Set-Cookie"] != nil || a.Header["Location"] != nil {
			t.Errorf("answer %v", a.Header)
		}
	})
	t.Run("not to be", func(t *testing.T) {
		l := l.on(t)
		a := l.raw(socketRequest("/admin/socket", as("alice"), "Origin: https://app.test"))
		l.refused(a, 403)
	})
	t.Run("E refuses", func(t *testing.T) {
		l := newLab(t, nil)
		l.e.answers(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUpgradeRequired) })
		if a := l.raw(socketRequest("/socket", as("alice"), "Origin: https://app.test")); a.StatusCode != http.StatusUpgradeRequired {
			t.Errorf("answer %s", a.Status)
		}
	})
}

func TestP181WebSocketsAndRequestsToAnUpstreamWithABadCertificate(t *testing.T) {
	secure := httptest.NewUnstartedServer(http.HandlerFunc(echoSocket))
	secure.EnableHTTP2 = true
	secure.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	to, _ := url.Parse(secure.URL)
	roots := x509.NewCertPool()
	roots.AddCert(secure.Certificate())
	upstreamIs := func(transport http.RoundTripper) func(*Config, *Deps) {
		return func(c *Config, d *Deps) {
			for i := range c.Routes {
				c.Routes[i].Upstreams = []*url.URL{to}
			}
			d.Transport = transport
		}
	}
	t.Run("unknown authority", func(t *testing.T) {
		l := newLab(t, upstreamIs(nil))
		for _, r := range []string{socketRequest("/socket", as("alice"), "Origin: https://app.test"), request("GET", "/x", as("alice"))} {
			a := l.raw(r)
			if a.StatusCode != http.StatusBadGateway || a.code() != codeUpstreamUnreachable || strings.Contains(a.body, "certificate") {
				t.Errorf("answer %s %s", a.Status, a.body)
			}
		}
	})
	t.Run("known authority", func(t *testing.T) {
		transport := testSettings().transport()
		transport.TLSClientConfig = &tls.Config{RootCAs: roots}
		l := newLab(t, upstreamIs(transport))
		c := l.write(socketRequest("/socket", as("alice"), "Origin: https://app.test"))
		r := bufio.NewReader(c)
		if a := l.read(r, "GET"); a.StatusCode != http.StatusSwitchingProtocols { // although E speaks HTTP/2 as well
			t.Fatalf("answer %s %s", a.Status, a.body)
		}
		if a := l.send("GET", "/x", as("alice")); a.StatusCode != http.StatusUpgradeRequired {
			t.Errorf("answer %s", a.Status)
		}
	})
}

func TestP182OptionsIsNoWayPastALogin(t *testing.T) {
	l := newLab(t, nil)
	preflight := []string{"Origin: https://app.test", "Access-Control-Request-Method: PUT", "Access-Control-Request-Headers: x"}
	for _, lines := range [][]string{nil, preflight, append(slices.Clone(preflight), "Cookie: app=1"), {"Sec-Fetch-Mode: cors"}, {"Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Accept: text/html"}} {
		l.both(t, "OPTIONS", "/admin/x", lines, func(l *lab, a answer) {
			l.refused(a, 401)
			if a.Header["Set-Cookie"] != nil || a.Header["Access-Control-Allow-Origin"] != nil {
				l.Errorf("answer %v", a.Header)
			}
		})
		l.both(t, "OPTIONS", "/admin/x", append([]string{as("alice")}, lines...), func(l *lab, a answer) { l.refused(a, 403) })
		l.both(t, "OPTIONS", "/admin/x", append([]string{as("root")}, lines...), func(l *lab, a answer) { l.passed(a).one(l, "X-Forwarded-User", "root") })
	}
	t.Run("with a body", func(t *testing.T) {
		l := l.on(t)
		l.refused(l.raw(request("OPTIONS", "/admin/x", append(preflight, "Content-Length: 3")...)+"abc"), 401)
	})
}

func TestP185P186OnlyNavigationsBeginALogin(t *testing.T) {
	l := newLab(t, nil)
	html := "Accept: text/html,application/xhtml+xml,*/*;q=0.8"
	for name, lines := range map[string][]string{
		"P185 json":         {"Accept: application/json"},
		"P185 xhr":          {html, "X-Requested-With: XMLHttpRequest"},
		"P185 fetch":        {html, "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty"},
		"P185 curl":         {"Accept: */*"},
		"P185 nothing":      nil,
		"P185 event stream": {"Accept: text/event-stream"},
		"P186 image":        {html, "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"},
		"P186 iframe":       {html, "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe"},
		"P186 prefetch":     {html, "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Sec-Purpose: prefetch"},
		"P186 script":       {"Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: script"},
		"P186 manifest":     {"Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: manifest"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, method := range []string{"GET", "POST"} {
				l.both(t, method, "/x?y=1", lines, func(l *lab, a answer) {
					l.refused(a, 401)
					if a.Header["Set-Cookie"] != nil || a.Header["Location"] != nil || a.Header.Get("Www-Authenticate") != `Bearer realm="app.test"` || a.Header.Get("Cache-Control") != "no-store" {
						l.Errorf("answer %v", a.Header)
					}
					if a.Header.Get("Content-Type") != "application/problem+json" || a.code() != codeLoginRequired || !strings.Contains(a.body, `"login_url":"https://app.test/oauth2/start?rd=%2Fx%3Fy%3D1"`) {
						l.Errorf("answer %s", a.body)
					}
				})
			}
		})
	}
	for name, lines := range map[string][]string{
		"navigation":                      {html, "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"},
		"an old browser":                  {html},
		"navigation from another site":    {html, "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Sec-Fetch-Site: cross-site"},
		"with a session that is no more":  {html, as("unknown")},
		"with a session of another login": {html, as("other-login")},
		"with a token that has ended":     {html, as("gone"), "X-Target: /session/x?y=1"},
	} {
		t.Run(name, func(t *testing.T) {
			target := "/x?y=1"
			if strings.HasPrefix(lines[len(lines)-1], "X-Target: ") {
				target = strings.TrimPrefix(lines[len(lines)-1], "X-Target: ")
			}
			l.both(t, "GET", target, lines, func(l *lab, a answer) {
				l.refused(a, 302)
				if got := a.Header.Get("Location"); got != "https://idp.test/authorize?back="+url.QueryEscape(target) || len(a.Header["Set-Cookie"]) != 1 {
					l.Errorf("answer %v", a.Header)
				}
			})
		})
	}
}
