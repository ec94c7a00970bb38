package proxy

import (
	"net/http"
	"testing"
)

// Group E over HTTP/2: what has a meaning in HTTP/1.1 must not survive the change of protocol.

func TestHTTP2CannotSpeakHTTP1(t *testing.T) {
	request := func(lines ...string) []string {
		return append([]string{":method: POST", ":scheme: https", ":authority: app.test", ":path: /public/x"}, lines...)
	}
	for name, lines := range map[string][]string{
		"P051 transfer-encoding":        request("transfer-encoding: chunked"),
		"P025 connection":               request("connection: x-forwarded-user"),
		"P049 upgrade":                  request("upgrade: websocket"),
		"CRLF in a value":               request("x: a\r\nx-forwarded-user: root"),
		"NUL in a value":                request("x: a\x00"),
		"CRLF in a name":                request("x: y\r\nz: a"),
		"upper case":                    request("X-Upper: a"),
		"CRLF in the path":              {":method: POST", ":scheme: https", ":authority: app.test", ":path: /public/x HTTP/1.1\r\nX: y\r\n\r\nGET /admin"},
		"a space in the path":           {":method: POST", ":scheme: https", ":authority: app.test", ":path: /public/x HTTP/1.1"},
		"CRLF in the authority":         {":method: POST", ":scheme: https", ":authority: app.test\r\nX: y", ":path: /public/x"},
		"two paths":                     request(":path: /admin/x"),
		"a pseudo-header at the end":    request("x: y", ":path: /admin/x"),
		"no path":                       {":method: POST", ":scheme: https", ":authority: app.test"},
		"an empty path":                 {":method: POST", ":scheme: https", ":authority: app.test", ":path: "},
		"a path that is none":           {":method: POST", ":scheme: https", ":authority: app.test", ":path: public/x"},
		"P052 too short for its length": request("content-length: 7"),
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, nil)
			h := l.h2()
			h.headers(1, false, lines...)
			h.data(1, true, "abc")
			if a := h.read(1); a.StatusCode == http.StatusOK {
				t.Errorf("answer %s", a.Status)
			}
			l.oneRequestAtMost()
		})
	}
	t.Run("P052 two lengths, one of them true: E gets that one", func(t *testing.T) {
		l := newLab(t, nil)
		h := l.h2()
		h.headers(1, false, request("content-length: 3", "content-length: 4")...)
		h.data(1, true, "abc")
		if a := h.read(1); a.StatusCode == http.StatusOK {
			l.passed(a).one(t, "Content-Length", "3")
		}
	})
	t.Run("P052 too long for its length", func(t *testing.T) {
		l := newLab(t, nil)
		h := l.h2()
		h.headers(1, false, request("content-length: 3")...)
		h.data(1, true, "abcGET /admin/x HTTP/1.1\r\nHost: app.test\r\n\r\n")
		if a := h.read(1); a.StatusCode == http.StatusOK {
			t.Errorf("answer %s", a.Status)
		}
		l.oneRequestAtMost()
	})
}
