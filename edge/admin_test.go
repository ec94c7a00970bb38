package edge_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

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
