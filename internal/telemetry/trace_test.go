package telemetry

import (
	"compress/gzip"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	wire "go.opentelemetry.io/proto/slim/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/doorward/doorward/internal/testnet"
)

const someTrace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func TestOnlyWellFormedTracesPass(t *testing.T) {
	for parent, ok := range map[string]bool{
		someTrace: true, someTrace[:54] + "0": true, "01" + someTrace[2:] + "-more": true, "cc" + someTrace[2:]: true,
		"": false, "00": false, someTrace + "-more": false, "ff" + someTrace[2:]: false, strings.ToUpper(someTrace): false, someTrace + "x": false, "0g" + someTrace[2:]: false,
		"00-00000000000000000000000000000000-b7ad6b7169203331-01": false, "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01": false,
		"01" + someTrace[2:] + "-a\nb": false, "01" + someTrace[2:] + "-" + strings.Repeat("x", 200): false,
	} {
		if wellFormed(parent) != ok {
			t.Errorf("%q: well-formed is %v", parent, !ok)
		}
	}
	for name, c := range map[string]struct {
		in   http.Header
		left int
		id   string
	}{
		"one":          {http.Header{"Traceparent": {someTrace}, "Tracestate": {"a=1", "b=2"}}, 2, someTrace[3:35]},
		"two":          {http.Header{"Traceparent": {someTrace, someTrace}, "Tracestate": {"a=1"}}, 0, ""},
		"broken":       {http.Header{"Traceparent": {"x"}, "Tracestate": {"a=1"}}, 0, ""},
		"state alone":  {http.Header{"Tracestate": {"a=1"}}, 0, ""},
		"long state":   {http.Header{"Traceparent": {someTrace}, "Tracestate": {strings.Repeat("a", 513)}}, 1, someTrace[3:35]},
		"broken state": {http.Header{"Traceparent": {someTrace}, "Tracestate": {"a=\x01"}}, 1, someTrace[3:35]},
		"none":         {http.Header{}, 0, ""},
	} {
		if id := passTrace(c.in); id != c.id || len(c.in) != c.left {
			t.Errorf("%s: %q, %v", name, id, c.in)
		}
	}
}

func FuzzTraceparent(f *testing.F) {
	for _, s := range []string{someTrace, "", "00-", "01" + someTrace[2:] + "-x", strings.Repeat("0", 55)} {
		f.Add(s, "a=1")
	}
	f.Fuzz(func(t *testing.T, parent, state string) {
		h := http.Header{"Traceparent": {parent}, "Tracestate": {state}}
		id := passTrace(h)
		if id == "" {
			if len(h) != 0 {
				t.Errorf("%q passes on: %v", parent, h)
			}
			return
		}
		if b, err := hex.DecodeString(id); err != nil || len(b) != 16 || strings.ContainsAny(parent, "\r\n\x00\x1b") {
			t.Errorf("%q is no trace: %q", parent, id)
		}
		if c := readParent(parent, []string{state}); c.traceID() != id || !wellFormed(c.traceparent()) {
			t.Errorf("%q is read as %q", parent, c.traceparent())
		}
	})
}

// gathered is a collector.
type gathered struct {
	*httptest.Server
	mu     sync.Mutex
	spans  []*wire.Span
	header http.Header
	about  string
	calls  int
	status func(call int) int
}

func gather(t *testing.T) *gathered {
	g := &gathered{}
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.calls++
		if g.status != nil {
			if s := g.status(g.calls); s != 200 {
				w.WriteHeader(s)
				return
			}
		}
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			t.Error(err)
			return
		}
		body, _ := io.ReadAll(z)
		var q collector.ExportTraceServiceRequest
		if err := proto.Unmarshal(body, &q); err != nil {
			t.Error(err)
			return
		}
		g.header = r.Header.Clone()
		for _, rs := range q.ResourceSpans {
			g.about = fmt.Sprint(rs.Resource.Attributes)
			for _, ss := range rs.ScopeSpans {
				g.spans = append(g.spans, ss.Spans...)
			}
		}
	}))
	t.Cleanup(g.Close)
	return g
}

func newTracer(t *testing.T, c TraceConfig, log *slog.Logger) *Tracer {
	t.Helper()
	tr, err := NewTracer(c, "1.2.3", nil, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.Close)
	return tr
}

// through sends a request with these headers through a traced handler, and returns the spans, and what went upstream.
func through(t *testing.T, c TraceConfig, trusted bool, h http.Header) (spans map[string]*wire.Span, up http.Header, at *gathered) {
	t.Helper()
	g := gather(t)
	c.URL = g.URL
	tr := newTracer(t, c, slog.New(slog.DiscardHandler))
	s := &Signals{Tracer: tr}
	up = http.Header{}
	server, _ := watched(t, s, Listener{Trusts: func(string) bool { return trusted }}, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Traceparent") != "" || r.Header.Get("Tracestate") != "" {
			t.Error("the client's trace is still there")
		}
		rec := From(w)
		rec.Route, rec.Outcome, rec.Path, rec.Upstream = "app", "allow", "/x", "http://a"
		rec.Client = "198.51.100.7"
		ctx, done := s.Calling(r.Context(), ProviderCall{Provider: "corp", Endpoint: "token_endpoint", Grant: "urn:ietf:params:oauth:grant-type:token-exchange"})
		_, stored := s.StoreCall(ctx, "sessions", "get")
		stored(nil)
		done(400, "")
		rec.Forwarding(up)
		rec.Answered(200)
	})
	req, _ := http.NewRequest(http.MethodGet, server.URL+"/x?secret=1", nil)
	req.Header = h
	res, err := server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	server.Close()
	tr.Close()
	spans = make(map[string]*wire.Span)
	for _, sp := range g.spans {
		spans[fmt.Sprint(sp.Name, " ", sp.Kind)] = sp
	}
	return spans, up, g
}

func TestATrustedPeersTraceGoesOnAndAStrangersDoesNot(t *testing.T) {
	given := func() http.Header {
		return http.Header{"Traceparent": {someTrace}, "Tracestate": {"vendor=1"}}
	}
	spans, up, g := through(t, TraceConfig{Service: "front", Headers: map[string]string{"Api-Key": "k"}, Resource: map[string]string{"deployment.environment": "prod"}}, true, given())
	request, upstream := spans["GET app SPAN_KIND_SERVER"], spans["GET SPAN_KIND_CLIENT"]
	call, stored := spans["token_endpoint token_exchange SPAN_KIND_CLIENT"], spans["store get SPAN_KIND_CLIENT"]
	if request == nil || upstream == nil || call == nil || stored == nil {
		t.Fatalf("%v", spans)
	}
	trace := someTrace[3:35]
	for _, sp := range spans {
		if hex.EncodeToString(sp.TraceId) != trace {
			t.Errorf("%s is of trace %x", sp.Name, sp.TraceId)
		}
		if strings.Contains(fmt.Sprint(sp.Attributes), "secret") {
			t.Errorf("a query is in %v", sp)
		}
		if strings.Contains(fmt.Sprint(sp.Attributes), "198.51.100.7") {
			t.Errorf("%s says who is calling", sp.Name)
		}
	}
	if hex.EncodeToString(request.ParentSpanId) != someTrace[36:52] || string(upstream.ParentSpanId) != string(request.SpanId) || string(call.ParentSpanId) != string(request.SpanId) || string(stored.ParentSpanId) != string(call.SpanId) {
		t.Error("the spans don't hang together")
	}
	if want := fmt.Sprintf("00-%s-%x-01", trace, upstream.SpanId); up.Get("Traceparent") != want || up.Get("Tracestate") != "vendor=1" {
		t.Errorf("upstream got %v, want %s", up, want)
	}
	if call.Status.Code != wire.Status_STATUS_CODE_ERROR || request.Status.Code != wire.Status_STATUS_CODE_UNSET || request.EndTimeUnixNano < request.StartTimeUnixNano {
		t.Errorf("%v %v", call, request)
	}
	if g.header.Get("Api-Key") != "k" || !strings.Contains(g.about, "front") || !strings.Contains(g.about, "prod") || !strings.Contains(g.about, "1.2.3") {
		t.Errorf("%v %s", g.header, g.about)
	}

	spans, up, _ = through(t, TraceConfig{}, false, given())
	if r := spans["GET app SPAN_KIND_SERVER"]; r == nil || hex.EncodeToString(r.TraceId) == trace || len(r.ParentSpanId) != 0 || strings.Contains(up.Get("Traceparent"), trace) || up.Get("Tracestate") != "" {
		t.Errorf("a stranger's trace goes on: %v %v", r, up)
	}
}

func TestSamplersAreThoseOfTheSpecification(t *testing.T) {
	notSampled := http.Header{"Traceparent": {someTrace[:54] + "0"}}
	for name, c := range map[string]struct {
		config  TraceConfig
		trusted bool
		h       http.Header
		want    int
	}{
		"on":                       {TraceConfig{Sampler: "always_on"}, true, notSampled, 4},
		"off":                      {TraceConfig{Sampler: "always_off"}, true, http.Header{}, 0},
		"default, parent says no":  {TraceConfig{}, true, notSampled, 0},
		"default, a stranger says": {TraceConfig{}, false, notSampled, 4},
		"ratio 0":                  {TraceConfig{Sampler: "traceidratio"}, false, http.Header{}, 0},
		"ratio 1":                  {TraceConfig{Sampler: "parentbased_traceidratio", Ratio: 1}, false, http.Header{}, 4},
	} {
		spans, up, _ := through(t, c.config, c.trusted, c.h)
		if len(spans) != c.want {
			t.Errorf("%s: %d spans", name, len(spans))
		}
		if tail := up.Get("Traceparent"); !strings.HasSuffix(tail, map[bool]string{true: "-01", false: "-00"}[c.want > 0]) {
			t.Errorf("%s: the upstream is told %q", name, tail)
		}
	}
	if _, err := NewTracer(TraceConfig{URL: "http://127.0.0.1:4318", Sampler: "often"}, "", nil, nil); err == nil {
		t.Error("any sampler is taken")
	}
	for _, u := range []string{"127.0.0.1:4318", "grpc://x", "http://user:pw@x", "http://x?y=1"} {
		if _, err := NewTracer(TraceConfig{URL: u}, "", nil, nil); err == nil {
			t.Errorf("%s is taken", u)
		}
	}
}

func TestACollectorThatIsBusyIsAskedAgainAndOneThatIsAwayIsToldOnce(t *testing.T) {
	g := gather(t)
	g.status = func(call int) int { return map[bool]int{true: 503, false: 200}[call == 1] }
	log := &testnet.Output{}
	x := newExporter(TraceConfig{URL: g.URL}, nil, "1", nil, logger(t, LogConfig{Format: "json"}, log))
	if _, err := x.deliver(t.Context(), mustPack(t)); err != nil || g.calls != 2 {
		t.Errorf("%d calls, %v", g.calls, err)
	}
	g.status = func(int) int { return 400 }
	before := g.calls
	if _, err := x.deliver(t.Context(), mustPack(t)); err == nil || g.calls != before+1 {
		t.Errorf("a refusal is asked again: %d, %v", g.calls, err)
	}
}

func mustPack(t *testing.T) []byte {
	t.Helper()
	var b strings.Builder
	z := gzip.NewWriter(&b)
	_ = z.Close()
	return []byte(b.String())
}

func TestWhatIsNotTracedCostsNothing(t *testing.T) {
	access := NewAccessLog(logger(t, LogConfig{Format: "json"}, io.Discard))
	defer access.Close()
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	quiet := func(w http.ResponseWriter, _ *http.Request) { From(w).Route = "app" }
	cost := func(h http.Handler) float64 {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return testing.AllocsPerRun(200, func() { h.ServeHTTP(w, r) })
	}
	plain := cost(access.Handler(http.HandlerFunc(quiet), nil))
	s := &Signals{Metrics: newMetrics("app")}
	with := cost(access.HandlerOf(Listener{Name: "http", Signals: func() *Signals { return s }}, http.HandlerFunc(quiet), nil))
	if with != plain {
		t.Errorf("%v allocations with metrics, %v without", with, plain)
	}
}
