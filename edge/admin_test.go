package edge_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/edge"
)

func TestWhatOnlyAdvisesKeepsNobodyFromBeingReady(t *testing.T) {
	store := edge.Check{Name: "session store", OK: true}
	down := edge.Check{Name: "upstream http://a of route app", Error: "it gets no requests", Advisory: true}
	health := &edge.Health{Checks: func(context.Context) []edge.Check { return []edge.Check{store, down} }}
	s := httptest.NewServer(health.Handler())
	defer s.Close()
	ready := func() (int, string) {
		res, err := http.Get(s.URL + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(body)
	}
	if status, body := ready(); status != 200 || !strings.Contains(body, `"name":"upstream http://a of route app","ok":false,"error":"it gets no requests","advisory":true`) {
		t.Errorf("%d %s", status, body)
	}
	store.OK, store.Error = false, "closed"
	if status, body := ready(); status != 503 || !strings.Contains(body, `"error":"closed"`) {
		t.Errorf("%d %s", status, body)
	}
	health.Drain()
	if status, body := ready(); status != 503 || !strings.Contains(body, "draining") {
		t.Errorf("%d %s", status, body)
	}
}

func TestP194MetricsAreNotForPages(t *testing.T) {
	health := &edge.Health{Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "doorward_build_info 1\n") })}
	for origin, want := range map[string]int{"": 200, "https://evil.example": 403} {
		r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		w := httptest.NewRecorder()
		health.Handler().ServeHTTP(w, r)
		if w.Code != want || strings.Contains(w.Body.String(), "doorward_") != (want == 200) {
			t.Errorf("%q: %d %s", origin, w.Code, w.Body)
		}
	}
	w := httptest.NewRecorder()
	health.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/metrics", nil))
	if w.Code != 405 {
		t.Errorf("POST: %d", w.Code)
	}
}

func TestP194NoNameThatAPageGaveToThisMachineReachesTheAdminListener(t *testing.T) {
	health := &edge.Health{Checks: func(context.Context) []edge.Check { return nil }, Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "doorward_build_info 1\n") })}
	s := httptest.NewServer(health.Handler())
	defer s.Close()
	socket := filepath.Join(t.TempDir(), "admin.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	u := &http.Server{Handler: health.Handler(), ReadHeaderTimeout: time.Second}
	go func() { _ = u.Serve(l) }()
	defer u.Close()
	get := func(network, at, host, path string) string {
		c, err := net.Dial(network, at)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, _ = fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", path, host)
		all, _ := io.ReadAll(c)
		return string(all)
	}
	at := s.Listener.Addr().String()
	for host, want := range map[string]int{
		at: 200, "127.0.0.1": 200, "localhost:4181": 200, "LOCALHOST": 200, "localhost.": 200, "[::1]:4181": 200, "10.0.0.7": 200, "doorward.localhost": 200, "": 200,
		"evil.example": 421, "evil.example:4181": 421, "localhost.evil.example": 421, "127.0.0.1.evil.example": 421, "notlocalhost": 421, "app.test:80:80": 421,
	} {
		for _, path := range []string{"/metrics", "/livez", "/readyz", "/none"} {
			status := want
			if path == "/none" && want == 200 {
				status = 404
			}
			if got := get("tcp", at, host, path); !strings.HasPrefix(got, fmt.Sprintf("HTTP/1.1 %d ", status)) || want == 421 && strings.Contains(got, "doorward_") {
				t.Errorf("%q %s: %.60q", host, path, got)
			}
		}
	}
	if got := get("unix", socket, "doorward", "/metrics"); !strings.HasPrefix(got, "HTTP/1.1 200 ") {
		t.Errorf("a unix socket has any name: %.60q", got)
	}
}
