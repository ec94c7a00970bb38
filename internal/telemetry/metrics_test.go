package telemetry

import (
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/testnet"
)

func newMetrics(routes ...string) *Metrics {
	m := NewMetrics("1.2.3", "go1.26")
	m.Routes(routes, noUpstreams)
	return m
}

func noUpstreams() []UpstreamHealth { return nil }

// scrape returns the series as Prometheus reads them: name and labels, value.
func scrape(t testing.TB, m *Metrics) map[string]string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler(slog.New(slog.DiscardHandler)).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	all := make(map[string]string)
	for line := range strings.Lines(w.Body.String()) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			i := strings.LastIndexByte(line, ' ')
			all[line[:i]] = line[i+1:]
		}
	}
	return all
}

// watched is a handler behind an access log that tells to signals, on a socket.
func watched(t *testing.T, s *Signals, l Listener, h http.HandlerFunc) (*httptest.Server, *testnet.Output) {
	t.Helper()
	log := &testnet.Output{}
	access := NewAccessLog(logger(t, LogConfig{Format: "json", Level: "debug"}, log))
	l.Signals = func() *Signals { return s }
	server := httptest.NewServer(access.HandlerOf(l, h, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }))
	t.Cleanup(server.Close)
	t.Cleanup(access.Close)
	return server, log
}

func TestP060NothingThatAClientWritesMakesASeries(t *testing.T) {
	m := newMetrics("app")
	server, _ := watched(t, &Signals{Metrics: m}, Listener{Name: "http"}, func(w http.ResponseWriter, r *http.Request) {
		rec := From(w)
		rec.Path, rec.Host, rec.Method = r.URL.Path, r.Host, r.Method
		if rec.Route, rec.Outcome = "app", "allow"; r.Method == "REPORT" {
			rec.Route, rec.Outcome, rec.Code = "", "", "unknown_host"
			w.WriteHeader(421)
		}
	})
	ask := func(method, host, path string) {
		req, err := http.NewRequest(method, server.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		req.Header.Set("User-Agent", host)
		res, err := server.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
	}
	for _, method := range []string{"GET", "REPORT"} {
		ask(method, "app.test", "/")
	}
	before := scrape(t, m)
	for i := range 10_000 {
		method := fmt.Sprintf("M%d", i)
		if i%2 == 0 {
			method = "REPORT"
		}
		ask(method, fmt.Sprintf("h%d.test", i), fmt.Sprintf("/p%d/%d", i, rand.Int()))
	}
	after := scrape(t, m)
	for name := range after {
		if _, was := before[name]; !was {
			t.Errorf("a new series: %s", name)
		}
	}
	if n := after[`doorward_requests_total{code="",outcome="allow",route="app",status="2xx"}`]; n != "5001" {
		t.Errorf("%s requests were counted", n)
	}
	if n := after[`doorward_requests_total{code="unknown_host",outcome="",route="none",status="4xx"}`]; n != "5001" {
		t.Errorf("%s refusals were counted", n)
	}
}

func TestP060AlsoWhatOnlyThisProgramWritesIsBounded(t *testing.T) {
	m := newMetrics("app")
	for i := range 10_000 {
		m.requests.observe(&Record{
			Route: fmt.Sprint("r", i), Outcome: fmt.Sprint("o", i), Code: fmt.Sprint("c", i), Status: i, Upstream: fmt.Sprint("u", i), sent: time.Now(), waited: 1,
		}, time.Millisecond)
	}
	if n := len(scrape(t, m)); n > 20_000 || len(m.requests.codes.list.all()) >= maxCodes || len((*m.requests.routes.Load())[otherRoute].upstreams.all()) != maxUpstreams+1 {
		t.Errorf("%d series", n)
	}
}

func TestAReloadKeepsTheCountsOfRoutesThatStay(t *testing.T) {
	m := newMetrics("stays", "goes")
	count := func(route string) { m.requests.observe(&Record{Route: route, Outcome: "allow", Status: 200}, 0) }
	count("stays")
	count("goes")
	m.Routes([]string{"stays", "comes"}, noUpstreams)
	for _, r := range []string{"stays", "goes", "comes", "own", ""} {
		count(r)
	}
	got := scrape(t, m)
	for route, want := range map[string]string{"stays": "2", "comes": "1", otherRoute: "1", "own": "1", "none": "1", "goes": ""} {
		if n := got[`doorward_requests_total{code="",outcome="allow",route="`+route+`",status="2xx"}`]; n != want {
			t.Errorf("%s: %q, want %q", route, n, want)
		}
	}
}

func TestMetricsTellHowLongAndWhatIsOpen(t *testing.T) {
	m := newMetrics("app")
	m.Routes([]string{"app"}, func() []UpstreamHealth {
		return []UpstreamHealth{{"app", "http://a", true}, {"app", "http://a", true}, {"app", "http://b", false}}
	})
	inside, on := make(chan struct{}), make(chan struct{})
	server, _ := watched(t, &Signals{Metrics: m}, Listener{Name: "egress"}, func(w http.ResponseWriter, _ *http.Request) {
		rec := From(w)
		rec.Route, rec.Outcome, rec.Upstream = "app", "allow", "http://a"
		rec.Forwarding(http.Header{})
		rec.Answered(200)
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		for range 2 {
			_ = http.NewResponseController(w).Flush()
		}
		close(inside)
		<-on
	})
	var client sync.WaitGroup
	client.Go(func() {
		if res, err := server.Client().Get(server.URL); err == nil {
			res.Body.Close()
		}
	})
	<-inside
	during := scrape(t, m)
	close(on)
	client.Wait()
	server.Close()
	after := scrape(t, m)
	for series, want := range map[string][2]string{
		`doorward_requests_in_flight{listener="egress"}`:                   {"1", "0"},
		`doorward_streams_open{listener="egress"}`:                         {"1", "0"},
		`doorward_streams_open{listener="http"}`:                           {"0", "0"},
		`doorward_request_seconds_count{route="app"}`:                      {"", "1"},
		`doorward_upstream_seconds_count{route="app",upstream="http://a"}`: {"", "1"},
		`doorward_upstream_up{route="app",upstream="http://a"}`:            {"1", "1"},
		`doorward_upstream_up{route="app",upstream="http://b"}`:            {"0", "0"},
	} {
		if during[series] != want[0] || after[series] != want[1] {
			t.Errorf("%s: %q, then %q, want %q", series, during[series], after[series], want)
		}
	}
}

func TestUpstreamsThatDoNotAnswerAreCountedByReason(t *testing.T) {
	m := newMetrics("app")
	for code, n := range map[string]int{"upstream_timeout": 2, "upstream_unreachable": 3, "client_closed": 4} {
		for range n {
			m.requests.observe(&Record{Route: "app", Outcome: "allow", Status: 502, Code: code, Upstream: "http://a", sent: time.Now()}, 0)
		}
	}
	got := scrape(t, m)
	if got[`doorward_upstream_failures_total{reason="timeout",route="app",upstream="http://a"}`] != "2" || got[`doorward_upstream_failures_total{reason="unreachable",route="app",upstream="http://a"}`] != "3" {
		t.Errorf("%v", got)
	}
}

func TestNilMetricsAndSignalsCountNothingAndHoldNobodyUp(t *testing.T) {
	var m *Metrics
	m.Routes([]string{"a"}, nil)
	m.Reloaded(true, false, time.Now())
	m.Cache("x").Hit()
	m.Cache("x").Miss()
	var s *Signals
	s.Tell(httptest.NewRecorder(), nil, Event{Name: EventLogin})
	s.TellContext(t.Context(), Event{Name: EventLogin})
	s.ended(&Record{}, nil, time.Now())
	ctx, done := s.Calling(t.Context(), ProviderCall{})
	if done(200, ""); ctx != t.Context() {
		t.Error("the context was changed")
	}
}

// What a request costs here is part of what Doorward costs.
func TestARequestIsCountedWithoutAnAllocation(t *testing.T) {
	m := newMetrics("app")
	for name, rec := range map[string]*Record{
		"forwarded": {Route: "app", Outcome: "allow", Status: 200, Upstream: "http://a", sent: time.Now(), waited: time.Millisecond},
		"refused":   {Route: "app", Outcome: "deny", Status: 403, Code: "access_denied"},
	} {
		m.requests.observe(rec, time.Millisecond)
		if n := testing.AllocsPerRun(100, func() { m.requests.observe(rec, time.Millisecond) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkObserve(b *testing.B) {
	names := make([]string, 10_000)
	for i := range names {
		names[i] = fmt.Sprint("route-", i)
	}
	m := newMetrics(names...)
	rec := &Record{Route: "route-7", Outcome: "allow", Status: 200, Upstream: "http://10.0.0.11:8001", sent: time.Now(), waited: time.Millisecond}
	b.ReportAllocs()
	for b.Loop() {
		m.requests.observe(rec, time.Millisecond)
	}
}

// BenchmarkSignals is what the outermost handler costs with each of them.
func BenchmarkSignals(b *testing.B) {
	log := slog.New(slog.DiscardHandler)
	tracer, err := NewTracer(TraceConfig{URL: "http://127.0.0.1:1", Sampler: "always_off"}, "", nil, log)
	if err != nil {
		b.Fatal(err)
	}
	defer tracer.Close()
	audit := newAudit(b, AuditConfig{To: "stdout"}, nil, log)
	for name, s := range map[string]*Signals{"none": nil, "metrics": {Metrics: newMetrics("app")}, "metrics and audit": {Metrics: newMetrics("app"), Audit: audit}, "metrics and traces, not sampled": {Metrics: newMetrics("app"), Tracer: tracer}} {
		b.Run(name, func(b *testing.B) {
			access := NewAccessLog(logger(b, LogConfig{Format: "json", Level: "error"}, io.Discard))
			defer access.Close()
			h := access.HandlerOf(Listener{Name: "http", Signals: func() *Signals { return s }}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				rec := From(w)
				rec.Route, rec.Outcome, rec.Upstream = "app", "allow", "http://10.0.0.11:8001"
				rec.Forwarding(http.Header{})
				rec.Answered(200)
			}), nil)
			r, w := httptest.NewRequest(http.MethodGet, "/x", nil), httptest.NewRecorder()
			b.ReportAllocs()
			for b.Loop() {
				h.ServeHTTP(w, r)
			}
		})
	}
}
