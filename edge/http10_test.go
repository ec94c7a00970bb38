package edge_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/doorward/doorward/edge"
)

// exchange writes bytes and returns everything that comes back.
func exchange(t *testing.T, s *edge.Server, name, request string) string {
	t.Helper()
	conn, err := net.Dial("tcp", s.Address(name).String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go func() {
		_, _ = io.WriteString(conn, request)
		_ = conn.(*net.TCPConn).CloseWrite()
	}()
	b, _ := io.ReadAll(conn)
	return string(b)
}

// RFC 9112 §6.1: a proxy in front may have taken for a body what is a request here.
func TestP051AConnectionOfHTTP10EndsAfterOneAnswer(t *testing.T) {
	handlers := map[string]http.HandlerFunc{
		"a length": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "2")
			fmt.Fprint(w, "ok")
		},
		"nothing": func(http.ResponseWriter, *http.Request) {},
		"no body": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"header begun anew": func(w http.ResponseWriter, _ *http.Request) {
			clear(w.Header())
			w.Header().Set("Content-Length", "2")
			w.WriteHeader(400)
			fmt.Fprint(w, "no")
		},
		"its own mind": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Connection", "keep-alive")
			fmt.Fprint(w, "ok")
		},
		"after a flush": func(w http.ResponseWriter, _ *http.Request) {
			clear(w.Header())
			w.Header().Set("Content-Length", "2")
			_ = http.NewResponseController(w).Flush()
			fmt.Fprint(w, "ok")
		},
	}
	const first = "POST /first HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n"
	for name, h := range handlers {
		t.Run(name, func(t *testing.T) {
			s, _, _ := start(t, edge.Config{HTTP: "127.0.0.1:0", Admin: "127.0.0.1:0"}, h, nil)
			for _, listener := range []string{"http", "admin"} {
				got := exchange(t, s, listener, first+"GET /second HTTP/1.1\r\nHost: x\r\n\r\n")
				if n := strings.Count(got, "HTTP/1."); n != 1 || !strings.Contains(got, "\r\nConnection: close\r\n") {
					t.Errorf("%s: %d answers: %q", listener, n, got)
				}
			}
		})
	}
	t.Run("HTTP/1.1 goes on", func(t *testing.T) {
		s, _, _ := start(t, edge.Config{HTTP: "127.0.0.1:0"}, handlers["a length"], nil)
		if got := exchange(t, s, "http", strings.Repeat("GET / HTTP/1.1\r\nHost: x\r\n\r\n", 2)); strings.Count(got, "HTTP/1.1 200") != 2 {
			t.Errorf("got %q", got)
		}
	})
}

func TestOptionsOfTheWholeServerAreTheHandlersToAnswer(t *testing.T) {
	s, _, _ := start(t, edge.Config{HTTP: "127.0.0.1:0", Admin: "127.0.0.1:0"}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, r.RequestURI+" "+r.Host, http.StatusMisdirectedRequest)
	}), nil)
	const request = "OPTIONS * HTTP/1.1\r\nHost: evil.test\r\n\r\n"
	res, err := http.ReadResponse(bufio.NewReader(strings.NewReader(exchange(t, s, "http", request))), nil)
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := io.ReadAll(res.Body); res.StatusCode != http.StatusMisdirectedRequest || string(b) != "* evil.test\n" {
		t.Errorf("answer %s %q", res.Status, b)
	}
	if got := exchange(t, s, "admin", request); strings.HasPrefix(got, "HTTP/1.1 200") {
		t.Errorf("the admin listener answers %q", got)
	}
}
