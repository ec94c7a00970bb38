package proxy

import (
	"bufio"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// FuzzHygiene: whatever header a client sends, and whatever it calls hop-by-hop, an upstream is told who is calling by us
// alone, under one name in one spelling, and learns no cookie of ours (groups B and C).
func FuzzHygiene(f *testing.F) {
	for _, line := range slices.Concat(forged, forgedForwarding) {
		name, value, _ := strings.Cut(line, ": ")
		f.Add(name, value, "close")
	}
	for _, s := range [][3]string{
		{"X_Forwarded_User", "root", "X-Forwarded-User"},
		{"x-forwarded-USER", "root", "x-forwarded-user, authorization"},
		{"X.Forwarded.User", "root", ""},
		{"X-Forwarded-User ", "root", ""},
		{"\tX-Forwarded-User", "root", ""},
		{"Cookie", "__Host-doorward=root; a=b", "Cookie"},
		{"Cookie", "__Host-doorward.1=x;;=; __Host-doorward-login.x=y", ""},
		{"Proxy", "http://evil.test", "Upgrade, HTTP2-Settings"},
		{"Upgrade", "h2c", "Upgrade"},
		{"Transfer-Encoding", "chunked", "Transfer-Encoding"},
		{"Trailer", "X-Forwarded-User", "Trailer"},
		{"Te", "gzip", "te"},
		{"Expect", "100-continue", "expect"},
		{"X-Http-Method-Override", "DELETE", ""},
		{"Authorization", "Bearer x", "Authorization"},
		{"X-A", "b\r\nX-Forwarded-User: root", "a"},
		{"Host", "evil.test", "host"},
		{"Content-Length", "0", "Content-Length"},
	} {
		f.Add(s[0], s[1], s[2])
	}
	upstream := &onWire{}
	l := newLabOf(f, func(_ *Config, d *Deps) { d.Transport = upstream })
	f.Fuzz(func(t *testing.T, name, value, connection string) {
		for _, c := range []struct{ target, cookie string }{{"/session/x", as("alice")}, {"/public/x", as("alice")}} {
			raw := "GET " + c.target + " HTTP/1.1\r\nHost: app.test\r\n" + c.cookie + "\r\n" + name + ": " + value + "\r\nConnection: " + connection + "\r\n\r\n"
			r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
			if err != nil || r.Host != "app.test" {
				return // net/http refuses it
			}
			r.RemoteAddr = "192.0.2.1:1"
			upstream.got = nil
			l.g.ServeHTTP(httptest.NewRecorder(), r)
			if upstream.got != nil {
				hygienic(t, raw, c.target == "/public/x", upstream.got)
			}
		}
	})
}

// hygienic expects that got says what we say, and nothing that its client says in our place.
func hygienic(t *testing.T, raw string, public bool, got *http.Request) {
	t.Helper()
	want := map[string]string{
		"x-forwarded-for": "192.0.2.1", "x-real-ip": "192.0.2.1", "x-forwarded-proto": "https", "x-forwarded-host": "app.test", "x-forwarded-port": "443",
		"x-forwarded-user": "alice", "x-forwarded-email": "alice@example.com", "x-forwarded-preferred-username": "alice", "authorization": "Bearer at-alice",
	}
	none := []string{"x-forwarded-groups", "x-forwarded-client", "x-auth-request-user", "remote-user", "proxy", "forwarded", "x-original-url", "x-http-method-override", "upgrade", "connection", "keep-alive", "te", "trailer", "transfer-encoding", "http2-settings", "expect", "proxy-authorization", "x-accel-mapping"}
	if public {
		for _, name := range []string{"x-forwarded-user", "x-forwarded-email", "x-forwarded-preferred-username", "authorization"} {
			delete(want, name)
			none = append(none, name)
		}
	}
	seen := map[string]bool{}
	for name, values := range got.Header {
		read := strings.Map(func(c rune) rune { // as CGI and its like read names
			if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
				return c
			}
			return '-'
		}, strings.ToLower(name))
		if value, ours := want[read]; ours && (len(values) != 1 || values[0] != value || name != http.CanonicalHeaderKey(name) || seen[read]) {
			t.Fatalf("%q: the upstream reads %s: %q", raw, name, values)
		}
		if slices.Contains(none, read) || strings.Contains(name, "_") {
			t.Fatalf("%q: the upstream reads %s: %q", raw, name, values)
		}
		seen[read] = true
	}
	for name := range want {
		if !seen[name] {
			t.Fatalf("%q: the upstream is not told %s: %v", raw, name, got.Header)
		}
	}
	for _, c := range got.Cookies() {
		if strings.HasPrefix(c.Name, "__Host-doorward") && (len(c.Name) == len("__Host-doorward") || strings.ContainsAny(c.Name[len("__Host-doorward"):][:1], ".-")) {
			t.Fatalf("%q: the upstream reads the cookie %s", raw, c.Name)
		}
	}
}
