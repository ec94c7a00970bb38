package telemetry

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestEventsThatKnowOnlyTheContextSayWhereARequestCameFrom(t *testing.T) {
	a, disk := newAudit(t, AuditConfig{To: "stdout"}, nil, slog.New(slog.DiscardHandler)), &broken{}
	a.queue.start(disk)
	s := &Signals{Audit: a}
	access := NewAccessLog(slog.New(slog.DiscardHandler))
	event := func(ctx context.Context) { s.TellContext(ctx, Event{Name: EventRefresh, Outcome: OK}) }
	var later context.Context
	access.HandlerOf(Listener{Name: "http", Signals: func() *Signals { return s }}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		event(r.Context())
		rec := From(w)
		rec.Client, rec.Host, rec.Path = "203.0.113.7", "app.test", "/x"
		rec.Known(r)
		rec.Path = "/changed" // as the goroutine that serves may, at any time
		later = context.WithoutCancel(r.Context())
	}), nil).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
	event(later)
	event(t.Context())
	a.Close()
	events := decoded(t, disk.text.Bytes())
	if len(events) != 3 {
		t.Fatalf("%v", events)
	}
	if e := events[0]; e["client"] != nil || e["reference"] == nil {
		t.Errorf("before anything is known: %v", e)
	}
	if e := events[1]; e["client"] != "203.0.113.7" || e["host"] != "app.test" || e["path"] != "/x" || e["method"] != "GET" || e["reference"] != events[0]["reference"] {
		t.Errorf("%v", e)
	}
	if e := events[2]; e["client"] != nil || e["reference"] != nil {
		t.Errorf("outside of a request: %v", e)
	}
	(&Record{}).Known(nil) // without an audit log
}
