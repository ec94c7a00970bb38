package telemetry

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	wire "go.opentelemetry.io/proto/slim/otlp/trace/v1"
)

func TestALineHoldsNoMoreOfTheCallerThanItsPrivacyAllows(t *testing.T) {
	at := &scene{client: "203.0.113.77", agent: "curl/8"}
	e := &Event{Name: EventDeny, Who: alice(), Audience: make([]string, 40)}
	for privacy, client := range map[string]any{"full": "203.0.113.77", "subject": "203.0.113.0/24", "hash": nil} {
		line := decoded(t, newAudit(t, AuditConfig{To: "stdout", Privacy: privacy}, nil, slog.New(slog.DiscardHandler)).line(e, at, time.Now()))[0]
		if got := line["client"]; client != nil && got != client || strings.Contains(got.(string), ".77") != (privacy == "full") || (line["user_agent"] != nil) != (privacy == "full") {
			t.Errorf("%s: %v", privacy, line)
		}
		if line["acr"] != nil || len(line["audience"].([]any)) != maxList {
			t.Errorf("%s: a denial says how strongly they signed in, or the list is not bounded: %v", privacy, line)
		}
	}
	if _, err := NewAudit(AuditConfig{To: "stdout", Privacy: "hash"}, auditKey[:31], nil, nil); err == nil {
		t.Error("a short key is taken")
	}
}

func TestOneFailureIsOneEventAndADryRunNamesItsRule(t *testing.T) {
	a, disk := newAudit(t, AuditConfig{To: "stdout"}, nil, slog.New(slog.DiscardHandler)), &broken{}
	s := &Signals{Audit: a}
	w := &exchange{ResponseWriter: httptest.NewRecorder()}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	s.Tell(w, r, Event{Name: EventLogin, Outcome: Failed, Code: "login_denied"})
	w.record.Code, w.record.Status = "login_denied", 403
	s.ended(&w.record, r, time.Now())
	s.ended(&Record{Rule: "allow[1]", WouldDeny: "allow[0]"}, r, time.Now())
	a.queue.start(disk)
	a.Close()
	if e := decoded(t, disk.text.Bytes()); len(e) != 2 || e[0]["event"] != "login" || e[1]["rule"] != "allow[0]" {
		t.Errorf("%v", e)
	}
}

func TestEachAttemptIsASpanAndFailuresAreErrors(t *testing.T) {
	g := gather(t)
	tr := newTracer(t, TraceConfig{URL: g.URL}, slog.New(slog.DiscardHandler))
	server, _ := watched(t, &Signals{Tracer: tr}, Listener{}, func(w http.ResponseWriter, _ *http.Request) {
		rec := From(w)
		rec.Route, rec.Upstream, rec.Code = "app", "http://a", "upstream_unreachable"
		rec.Forwarding(http.Header{})
		rec.Forwarding(http.Header{})
		w.WriteHeader(502)
	})
	res, err := server.Client().Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	server.Close()
	tr.Close()
	clients, failed := 0, 0
	for _, s := range g.spans {
		if s.Kind == wire.Span_SPAN_KIND_CLIENT {
			clients++
		}
		if s.Status.Code == wire.Status_STATUS_CODE_ERROR && attributeOf(s, "error.type").GetStringValue() == "upstream_unreachable" {
			failed++
		}
	}
	if clients != 2 || failed != 2 || len(g.spans) != 3 { // the last attempt and the request
		t.Errorf("%d attempts, %d failed: %v", clients, failed, g.spans)
	}
}

func TestTheEndWaitsForNoPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, _ := newTestExporter(t, TraceConfig{}, nil, func(*http.Request) (*http.Response, error) { return answered(503, nil, "Retry-After", "30"), nil })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if _, err := x.deliver(ctx, nil); err == nil || time.Since(began) != time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
	})
}

func TestOnlyFailuresOfStoresAreErrorsAndTheFirstConfigurationIsNoReload(t *testing.T) {
	m := newMetrics()
	s := &Signals{Metrics: m}
	for _, err := range []error{nil, nil, errors.New("down")} {
		_, done := s.StoreCall(t.Context(), "sessions", "get")
		done(err)
	}
	m.Reloaded(true, true, time.Now())
	got := scrape(t, m)
	if got[`doorward_store_errors_total{operation="get",store="sessions"}`] != "1" || got[`doorward_config_reloads_total{result="ok"}`] != "0" {
		t.Errorf("%v", got)
	}
}
