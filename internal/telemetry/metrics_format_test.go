package telemetry

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

// used is metrics of which every one has a value, with labels as odd as a configuration can make them.
func used() *Metrics {
	m := newMetrics("app")
	odd := "http://a\"\\\n{x=\"1\"} é"
	m.Routes([]string{"app", odd}, func() []UpstreamHealth {
		return []UpstreamHealth{{"app", odd, true}, {"app", "\xff", false}, {"app", "\xff\xff", false}}
	})
	s := &Signals{Metrics: m, Audit: nil}
	ctx, done := s.Calling(context.Background(), ProviderCall{Provider: "corp", Endpoint: "token_endpoint", Grant: "refresh_token"})
	done(200, "")
	_, stored := s.StoreCall(ctx, "sessions", "get")
	stored(fmt.Errorf("down"))
	for _, name := range []string{EventLogin, EventLogout, EventRefresh} {
		s.TellContext(ctx, Event{Name: name, Outcome: OK, Login: "staff", Provider: "corp", Reason: "user"})
	}
	m.Cache("orders").Hit()
	m.Reloaded(true, false, time.Now())
	for _, up := range []string{odd, "\xff", "http://b"} {
		m.requests.observe(&Record{Route: "app", Outcome: "allow", Status: 200, Upstream: up, sent: time.Now(), waited: time.Second}, time.Second)
		m.requests.observe(&Record{Route: odd, Outcome: "deny", Status: 403, Code: up}, time.Second)
	}
	return m
}

func exposed(t testing.TB, m *Metrics, accept string) (text []byte, contentType string) {
	t.Helper()
	w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/metrics", nil)
	r.Header.Set("Accept", accept)
	m.Handler(slog.New(slog.DiscardHandler)).ServeHTTP(w, r)
	if w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	return w.Body.Bytes(), w.Header().Get("Content-Type")
}

// The linter of Prometheus reads the text by its own parser, and knows how things are to be called.
func TestMetricsAreWhatPrometheusReadsAndCallsGood(t *testing.T) {
	m := used()
	text, kind := exposed(t, m, "")
	if !strings.HasPrefix(kind, "text/plain; version=0.0.4") {
		t.Error(kind)
	}
	problems, err := promlint.New(bytes.NewReader(text)).Lint()
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "doorward_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
	if text, kind = exposed(t, m, "application/openmetrics-text; version=1.0.0"); !strings.HasPrefix(kind, "application/openmetrics-text") || !bytes.HasSuffix(text, []byte("# EOF\n")) {
		t.Errorf("%s: %s", kind, text)
	}
}

// A collector that panics ends the process: it runs in a goroutine of Prometheus' library.
func TestLabelsThatAreNoTextAreMadeOne(t *testing.T) {
	text, _ := exposed(t, used(), "")
	for _, want := range []string{
		`doorward_upstream_up{route="app",upstream="http://a\"\\\n{x=\"1\"} é"} 1`, "doorward_upstream_up{route=\"app\",upstream=\"\ufffd\"} 0",
		"doorward_upstream_seconds_count{route=\"app\",upstream=\"\ufffd\"} 1", "code=\"\ufffd\",outcome=\"deny\"",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
}

func TestUpstreamsThatARouteHasNoMoreMakeRoomForOthers(t *testing.T) {
	m := newMetrics()
	count := func(route, upstream string) {
		m.requests.observe(&Record{Route: route, Outcome: "allow", Status: 200, Upstream: upstream, sent: time.Now(), waited: 1}, 0)
	}
	for i := range 5 * maxUpstreams {
		now := fmt.Sprint("http://10.0.0.", i)
		m.Routes([]string{"app", "egress data"}, func() []UpstreamHealth { return []UpstreamHealth{{"app", now, true}, {"app", "http://stays", true}} })
		count("app", now)
		count("app", "http://stays")
		count("egress data", "http://x")
	}
	got := scrape(t, m)
	for series, want := range map[string]string{
		`route="app",upstream="http://10.0.0.319"`: "1", `route="app",upstream="http://10.0.0.318"`: "", `route="app",upstream="http://stays"`: "320",
		`route="egress data",upstream="http://x"`: "320", // nobody lists those
	} {
		if n := got["doorward_upstream_seconds_count{"+series+"}"]; n != want {
			t.Errorf("%s: %q, want %q", series, n, want)
		}
	}
	for i := range 2 * maxUpstreams {
		count("egress data", fmt.Sprint("http://y", i))
	}
	if n := scrape(t, m)[`doorward_upstream_seconds_count{route="egress data",upstream="other"}`]; n != fmt.Sprint(maxUpstreams+1) {
		t.Errorf("%s requests to upstreams beyond the bound are counted", n)
	}
}

func TestScrapesReloadsAndRequestsGoOnAtOnce(t *testing.T) {
	m := used()
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			for i := range 300 {
				m.requests.observe(&Record{Route: "app", Outcome: "allow", Status: 200, Code: fmt.Sprint("c", i%8), Upstream: fmt.Sprint("http://", g, i%5), sent: time.Now(), waited: 1}, time.Millisecond)
			}
		})
	}
	for range 10 {
		m.Routes([]string{"app"}, func() []UpstreamHealth { return []UpstreamHealth{{"app", "http://00", true}} })
		exposed(t, m, "")
	}
	all.Wait()
	var total int
	for name, n := range scrape(t, m) {
		if strings.HasPrefix(name, "doorward_requests_total{") && strings.Contains(name, `code="c`) {
			var i int
			_, _ = fmt.Sscan(n, &i)
			total += i
		}
	}
	if total != 4*300 {
		t.Errorf("%d of %d requests were counted", total, 4*300)
	}
}

func TestBucketsEndWhereTheySay(t *testing.T) {
	m := newMetrics("app")
	for _, took := range []time.Duration{5 * time.Millisecond, 5*time.Millisecond + time.Microsecond, 10 * time.Second, time.Minute} {
		m.requests.observe(&Record{Route: "app", Status: 200}, took)
	}
	m.requests.observe(&Record{Route: "app", Status: 101}, time.Hour) // how long a WebSocket stays is no latency
	got := scrape(t, m)
	for le, want := range map[string]string{"0.005": "1", "0.025": "2", "2.5": "2", "10": "3", "+Inf": "4"} {
		if n := got[`doorward_request_seconds_bucket{route="app",le="`+le+`"}`]; n != want {
			t.Errorf("up to %s: %s, want %s", le, n, want)
		}
	}
	if sum := got[`doorward_request_seconds_sum{route="app"}`]; sum != "70.010001" {
		t.Errorf("the sum is %s", sum)
	}
}
