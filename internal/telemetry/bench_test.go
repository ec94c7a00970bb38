package telemetry

import (
	"io"
	"log/slog"
	"net/http"
	"testing"
)

// sink is a ResponseWriter that costs nothing.
type sink struct{ header http.Header }

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) WriteHeader(int)             {}
func (s *sink) Write(p []byte) (int, error) { return len(p), nil }

var hello = []byte("hello")

func typical(w http.ResponseWriter, _ *http.Request) {
	rec := From(w)
	rec.Host, rec.Path, rec.Client, rec.Route, rec.Outcome = "app.example.com", "/reports/2026/annual", "203.0.113.7", "app", "allow"
	rec.Rule, rec.Subject, rec.Provider, rec.Login, rec.Upstream = "allow[0]", "8f2c51d0-4a7e-4b7c-9a55-0e6d3b1c2f90", "corp", "staff", "http://10.0.0.11:8001"
	_, _ = w.Write(hello)
}

// BenchmarkHandler measures what the access log costs a request: with its own lines, with those
// that slog would make of the same record, and switched off.
func BenchmarkHandler(b *testing.B) {
	for name, make := range map[string]func() *slog.Logger{
		"own":  func() *slog.Logger { return logger(b, LogConfig{Format: "json"}, io.Discard) },
		"slog": func() *slog.Logger { return slog.New(slog.NewJSONHandler(io.Discard, nil)) },
		"off":  func() *slog.Logger { return logger(b, LogConfig{Format: "json", Level: "warn"}, io.Discard) },
	} {
		b.Run(name, func(b *testing.B) {
			access := NewAccessLog(make())
			defer access.Close()
			h := access.Handler(http.HandlerFunc(typical), nil)
			w, r := &sink{http.Header{}}, &http.Request{Method: http.MethodGet}
			b.ReportAllocs()
			for b.Loop() {
				h.ServeHTTP(w, r)
			}
		})
	}
}

func logger(t testing.TB, c LogConfig, w io.Writer) *slog.Logger {
	t.Helper()
	log, err := NewLogger(c, w)
	if err != nil {
		t.Fatal(err)
	}
	return log
}
