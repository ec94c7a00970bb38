package extauthz

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

const healthy = "\x00\x00\x00\x00\x02\x08\x01"

func TestProbesLearnThatTheServiceIsThere(t *testing.T) {
	e := serving(t)
	for name, c := range map[string]struct {
		body   []byte
		status string
	}{
		"the whole server": {framed(nil), "0"},
		"this service":     {framed(text(nil, 1, checkService)), "0"},
		"another":          {framed(text(nil, 1, "grpc.health.v1.Health")), "5"},
		"a broken one":     {framed([]byte{0xff}), "3"},
		"none":             {nil, "3"},
	} {
		answer, status, _ := e.call(healthMethod, c.body)
		if status != c.status || status == "0" != (string(answer) == healthy) {
			t.Errorf("%s: grpc-status %s, %q", name, status, answer)
		}
	}
	if _, status, _ := e.call("/grpc.health.v1.Health/Watch", framed(nil)); status != "12" {
		t.Errorf("Watch: %s", status)
	}
	h, err := New(gateway(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, healthMethod, strings.NewReader(string(framed(nil))))
	r.ProtoMajor, r.RemoteAddr = 2, "192.0.2.9:1"
	r.Header.Set("Content-Type", "application/grpc")
	if h.ServeHTTP(w, r); w.Header().Get(http.TrailerPrefix+"Grpc-Status") != "7" {
		t.Errorf("a stranger gets %v", w.Header())
	}
}

func TestWhatNoServerWouldHaveTakenIsNoQuestion(t *testing.T) {
	e := serving(t)
	for name, message := range map[string][]byte{
		"a line feed":     asked("GET", "/public/x", "x-a: b\nx-forwarded-user: root"),
		"a return":        asked("GET", "/public/x", "cookie: a=b\rc"),
		"a NUL":           asked("GET", "/public/x", "x-a: \x00"),
		"a DEL":           asked("GET", "/public/x", "x-a: \x7f"),
		"two methods":     asked("GET, POST", "/public/x"),
		"a method and CR": asked("GET\r", "/public/x"),
		"a long method":   asked(strings.Repeat("A", 33), "/public/x"),
	} {
		if _, status, why := e.call(checkMethod, framed(message)); status != "3" || !strings.Contains(why, "no request of HTTP") {
			t.Errorf("%s: grpc-status %s %q", name, status, why)
		}
	}
	e.ask("GET", "/public/x", "x-a: a\tb", "X-Upper: x", "x-bytes: \xff").allowed(t)
	many := make([]string, maxHeaders+1)
	for i := range many {
		many[i] = "x-a: b"
	}
	if _, status, _ := e.call(checkMethod, framed(asked("GET", "/public/x", many...))); status != "3" {
		t.Errorf("%d headers: grpc-status %s", len(many), status)
	}
	for path, status := range map[string]uint64{"/public/x#y": 400, "/public/x?a=b#c": 400, "//public/x": 400, "/public%2f..%2fadmin": 400} {
		e.ask("GET", path).denied(t, status)
	}
	e.ask("CONNECT", "/public/x").denied(t, 405)
}
