package telemetry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	answer "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/slim/otlp/common/v1"
	wire "go.opentelemetry.io/proto/slim/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/doorward/doorward/internal/testnet"
)

// answers is a collector without a network.
type answers func(*http.Request) (*http.Response, error)

func (a answers) RoundTrip(r *http.Request) (*http.Response, error) { return a(r) }

func answered(status int, body []byte, header ...string) *http.Response {
	res := &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(string(body)))}
	for i := 0; i < len(header); i += 2 {
		res.Header.Set(header[i], header[i+1])
	}
	return res
}

func newTestExporter(t *testing.T, c TraceConfig, m *Metrics, collector answers) (*exporter, *testnet.Output) {
	t.Helper()
	if c.URL == "" {
		c.URL = "http://collector.test/v1/traces"
	}
	log := &testnet.Output{}
	x := newExporter(c, nil, "1", m, logger(t, LogConfig{Format: "json"}, log))
	x.client.Transport = collector
	return x, log
}

func someSpans(n int) (all []*recordedSpan) {
	t := &Tracer{ratio: 1}
	for range n {
		s := t.start(spanContext{}, "GET", kindServer, time.Unix(1, 0))
		s.end = time.Unix(2, 0)
		all = append(all, s)
	}
	return all
}

// OTLP specification, "Failures": these four are asked again, no other is; of connections that break all are.
func TestOnlyWhatMaySucceedLaterIsSentAgain(t *testing.T) {
	for status := 100; status < 600; status++ {
		again := status == 429 || status == 502 || status == 503 || status == 504
		synctest.Test(t, func(t *testing.T) {
			calls := 0
			x, _ := newTestExporter(t, TraceConfig{}, nil, func(*http.Request) (*http.Response, error) { calls++; return answered(status, nil), nil })
			_, err := x.deliver(t.Context(), nil)
			if want := map[bool]int{true: exportTries, false: 1}[again]; calls != want || (err == nil) != (status/100 == 2) {
				t.Errorf("%d: %d requests, %v", status, calls, err)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		x, _ := newTestExporter(t, TraceConfig{}, nil, func(*http.Request) (*http.Response, error) {
			if calls++; calls < exportTries {
				return nil, errors.New("connection reset")
			}
			return answered(200, nil), nil
		})
		began := time.Now()
		if _, err := x.deliver(t.Context(), nil); err != nil || calls != exportTries {
			t.Errorf("%d requests, %v", calls, err)
		}
		if d := time.Since(began); d < 3*time.Second || d > 7*time.Second { // half of 1+2+4 at least
			t.Errorf("the pauses were %s together", d)
		}
	})
}

func TestACollectorSaysWhenToComeAgain(t *testing.T) {
	for name, c := range map[string]struct {
		after string // "+5" = a date then
		least time.Duration
		most  time.Duration
	}{
		"seconds":       {"7", 7 * time.Second, 7 * time.Second},
		"a date":        {"+5", 4 * time.Second, 5 * time.Second},
		"a past date":   {"-50", exportPause / 2, exportPause},
		"far too long":  {"86400", exportLongest, exportLongest},
		"hardly a time": {"99999999999999999999", exportPause / 2, exportPause},
		"nothing":       {"", exportPause / 2, exportPause},
		"negative":      {"-1", exportPause / 2, exportPause},
	} {
		synctest.Test(t, func(t *testing.T) {
			var at []time.Time
			x, _ := newTestExporter(t, TraceConfig{}, nil, func(*http.Request) (*http.Response, error) {
				if at = append(at, time.Now()); len(at) > 1 {
					return answered(200, nil), nil
				}
				after := c.after
				if d, err := time.ParseDuration(after + "s"); err == nil && len(after) > 1 && strings.ContainsAny(after[:1], "+-") && after != "-1" {
					after = time.Now().Add(d).UTC().Format(http.TimeFormat)
				}
				return answered(503, nil, "Retry-After", after), nil
			})
			if _, err := x.deliver(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			if waited := at[1].Sub(at[0]); waited < c.least || waited > c.most {
				t.Errorf("%s: %s", name, waited)
			}
		})
	}
}

func TestSpansThatACollectorDoesNotWantAreCountedAndNotSentAgain(t *testing.T) {
	said, err := proto.Marshal(&answer.ExportTraceServiceResponse{PartialSuccess: &answer.ExportTracePartialSuccess{RejectedSpans: 3, ErrorMessage: "too old\n\x1b[31m"}})
	if err != nil {
		t.Fatal(err)
	}
	m, calls := newMetrics(), 0
	x, log := newTestExporter(t, TraceConfig{}, m, func(*http.Request) (*http.Response, error) { calls++; return answered(200, said), nil })
	for range 2 {
		x.export(t.Context(), someSpans(10))
	}
	got := scrape(t, m)
	if calls != 2 || got["doorward_trace_spans_total"] != "14" || got["doorward_trace_spans_lost_total"] != "6" {
		t.Errorf("%d requests, %s taken, %s lost", calls, got["doorward_trace_spans_total"], got["doorward_trace_spans_lost_total"])
	}
	if strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), "too old") || strings.Contains(log.String(), "\x1b") {
		t.Errorf("the log says: %s", log)
	}
	for _, odd := range []string{"", "ok", "\x0a\xff\xff\xff\xff\x0f", "{}"} { // taken, whatever else it says
		if r := readRefusal([]byte(odd)); r != (refusal{}) {
			t.Errorf("%q: %+v", odd, r)
		}
	}
	liar, _ := proto.Marshal(&answer.ExportTraceServiceResponse{PartialSuccess: &answer.ExportTracePartialSuccess{RejectedSpans: -1 << 62}})
	if r := readRefusal(liar); r.spans != 0 {
		t.Errorf("%+v", r)
	}
}

func TestACollectorThatIsAwayIsToldOnceAndItsSpansAreCounted(t *testing.T) {
	m, away := newMetrics(), true
	x, log := newTestExporter(t, TraceConfig{Headers: map[string]string{"Api-Key": "secret-key-77"}}, m, func(r *http.Request) (*http.Response, error) {
		if r.Header.Get("Api-Key") != "secret-key-77" {
			t.Errorf("%v", r.Header)
		}
		return answered(map[bool]int{true: 400, false: 202}[away], []byte("secret-key-77 is wrong")), nil
	})
	for range 3 {
		x.export(t.Context(), someSpans(2))
	}
	away = false
	x.export(t.Context(), someSpans(2))
	if strings.Count(log.String(), "cannot be sent") != 1 || strings.Count(log.String(), "sent again") != 1 || strings.Contains(log.String(), "secret-key-77") {
		t.Errorf("%s", log)
	}
	if got := scrape(t, m); got["doorward_trace_spans_total"] != "2" || got["doorward_trace_spans_lost_total"] != "6" {
		t.Errorf("%s taken, %s lost", got["doorward_trace_spans_total"], got["doorward_trace_spans_lost_total"])
	}
}

func TestTheSecretsOfACollectorGoNowhereElse(t *testing.T) {
	var elsewhere atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer other.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		g := httptest.NewServer(http.RedirectHandler(other.URL, status))
		x := newExporter(TraceConfig{URL: g.URL, Headers: map[string]string{"Api-Key": "k"}}, nil, "1", nil, slog.New(slog.DiscardHandler))
		if _, err := x.deliver(t.Context(), nil); err == nil || elsewhere.Load() != 0 {
			t.Errorf("%d is followed: %v", status, err)
		}
		if x.client.Transport.(*http.Transport).Proxy != nil { //nolint:errcheck,forcetypeassert // else the test fails
			t.Error("a proxy of the environment gets the spans")
		}
		g.Close()
	}
}

func TestACollectorThatHangsHoldsUpNobodyAndFillsNoMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMetrics()
		b := newBatch(m, func(ctx context.Context, _ []*recordedSpan) { <-ctx.Done() })
		spans := someSpans(1)
		began := time.Now()
		var all sync.WaitGroup
		const each, many = 1000, 8
		for range many {
			all.Go(func() {
				for range each {
					b.add(spans[0])
				}
			})
		}
		all.Wait()
		if time.Since(began) != 0 {
			t.Error("requests waited for the collector")
		}
		synctest.Wait()
		lost := scrape(t, m)["doorward_trace_spans_lost_total"]
		var n int
		if _, _ = fmt.Sscan(lost, &n); n < each*many-maxQueuedSpans-maxBatch || n > each*many-maxQueuedSpans {
			t.Errorf("%s of %d are lost", lost, each*many)
		}
		b.close()
		b.close()
		if d := time.Since(began); d > batchLast {
			t.Errorf("the end took %s", d)
		}
		b.add(spans[0]) // after the end: lost, and no panic
		if now := scrape(t, m)["doorward_trace_spans_lost_total"]; now == lost {
			t.Error("what came after the end is not counted")
		}
	})
}

func TestWhatWaitsIsSentAtTheEndAndBatchesAreNoLargerThanTheyMayBe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sizes []int
		b := newBatch(nil, func(_ context.Context, s []*recordedSpan) { sizes = append(sizes, len(s)) })
		spans := someSpans(maxBatch + 3)
		b.add(spans[0])
		time.Sleep(batchEvery)
		synctest.Wait()
		if fmt.Sprint(sizes) != "[1]" {
			t.Errorf("after %s: %v", batchEvery, sizes)
		}
		for _, s := range spans {
			b.add(s)
		}
		b.close()
		if fmt.Sprint(sizes) != fmt.Sprintf("[1 %d 3]", maxBatch) {
			t.Errorf("%v", sizes)
		}
	})
}

func TestFlagsAndTracestateAreThoseOfTheStandard(t *testing.T) {
	for given, c := range map[string]struct {
		up    string
		flags uint32
	}{
		"01": {"-01", 0x301},
		"03": {"-03", 0x303}, // level 2: "random" goes on
		"ff": {"-03", 0x303}, // what is not known does not
		"0d": {"-01", 0x301},
	} {
		spans, up, _ := through(t, TraceConfig{}, true, http.Header{"Traceparent": {someTrace[:53] + given}})
		r := spans["GET app SPAN_KIND_SERVER"]
		if r == nil || r.Flags != c.flags || !strings.HasSuffix(up.Get("Traceparent"), c.up) {
			t.Errorf("%s: %v, and %q upstream", given, r, up.Get("Traceparent"))
		}
		if u := spans["GET SPAN_KIND_CLIENT"]; u == nil || u.Flags != c.flags&^0x200 {
			t.Errorf("%s: the upstream's span is %v", given, u)
		}
	}
	spans, _, _ := through(t, TraceConfig{}, false, http.Header{})
	if r := spans["GET app SPAN_KIND_SERVER"]; r == nil || r.Flags != 0x101 {
		t.Errorf("a root: %v", r)
	}
	long := make([]string, 33)
	for i := range long {
		long[i] = fmt.Sprintf("k%d=v", i)
	}
	for name, c := range map[string]struct {
		lines []string
		want  string
	}{
		"one":                {[]string{"a=1"}, "a=1"},
		"several lines":      {[]string{"a=1", "b=2,c=3"}, "a=1,b=2,c=3"},
		"spaces and nothing": {[]string{"a=1 , ,\tb=2"}, "a=1 , ,\tb=2"},
		"of a tenant":        {[]string{"t@v=x y"}, "t@v=x y"},
		"32":                 {long[:32], strings.Join(long[:32], ",")},
		"33":                 {long, ""},
		"512 bytes":          {[]string{"a=" + strings.Repeat("1", 253), "b=" + strings.Repeat("2", 254)}, "a=" + strings.Repeat("1", 253) + ",b=" + strings.Repeat("2", 254)},
		"513 bytes":          {[]string{"a=" + strings.Repeat("1", 254), "b=" + strings.Repeat("2", 254)}, ""},
		"a key twice":        {[]string{"a=1", "a=2"}, ""},
		"no value":           {[]string{"a"}, ""},
		"an empty value":     {[]string{"a="}, ""},
		"a large key":        {[]string{"A=1"}, ""},
		"a key of none":      {[]string{"=1"}, ""},
		"a key begins odd":   {[]string{"@a=1"}, ""},
		"two =":              {[]string{"a=1=2"}, ""},
		"not visible":        {[]string{"a=\x01"}, ""},
		"not ASCII":          {[]string{"a=\u00e9"}, ""},
		"nothing":            {[]string{"", " , "}, ""},
	} {
		if got := joinState(c.lines); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	spans, up, _ := through(t, TraceConfig{}, true, http.Header{"Traceparent": {someTrace}, "Tracestate": {"a=1", "b=2"}})
	if up.Get("Tracestate") != "a=1,b=2" || spans["GET app SPAN_KIND_SERVER"].TraceState != "a=1,b=2" {
		t.Errorf("%v", up)
	}
}

// What is in a configuration must not make a batch that nobody can read.
func TestWhateverIsInASpanTheCollectorCanReadIt(t *testing.T) {
	_, _, g := through(t, TraceConfig{Resource: map[string]string{"empty": "", "odd\xff": "\xffé", "service.name": "no", "service.version": "no"}}, false, http.Header{})
	for _, want := range []string{`key:"empty" value:{string_value:""}`, `odd\ufffd`, `string_value:"doorward"`, `string_value:"1.2.3"`} {
		about := strings.ReplaceAll(strings.ReplaceAll(g.about, "  ", " "), "\ufffd", `\ufffd`)
		if !strings.Contains(about, want) {
			t.Errorf("no %s in %s", want, about)
		}
	}
	r := someSpans(1)[0]
	rec := Record{Method: "EVIL\n", Path: "/\xff", Route: "app"}
	rec.span.request = r
	r.tracer.batch = newBatch(nil, func(context.Context, []*recordedSpan) {})
	defer r.tracer.batch.close()
	rec.span.end(&rec)
	text, err := proto.Marshal(otlp(nil, "1", []*recordedSpan{r}))
	var q answer.ExportTraceServiceRequest
	if err != nil || proto.Unmarshal(text, &q) != nil {
		t.Fatal(err)
	}
	s := q.ResourceSpans[0].ScopeSpans[0].Spans[0]
	if s.Name != "HTTP app" || attributeOf(s, "http.request.method").GetStringValue() != "_OTHER" || attributeOf(s, "url.path").GetStringValue() != "/\ufffd" || attributeOf(s, "http.response.status_code") != nil {
		t.Errorf("%v", s)
	}
}

func attributeOf(s *wire.Span, key string) *common.AnyValue {
	for _, a := range s.Attributes {
		if a.Key == key {
			return a.Value
		}
	}
	return nil
}

func TestIdsAreNeverAlikeAndARatioIsARatio(t *testing.T) {
	tr := &Tracer{ratio: 0.25}
	traces, sampled := map[[16]byte]bool{}, 0
	const many = 20_000
	for range many {
		s := tr.start(spanContext{}, "", kindServer, time.Time{})
		traces[s.context.trace] = true
		if s.context.sampled {
			sampled++
		}
		if s.context.sampled != tr.samples(s.context.trace) {
			t.Fatal("two who ask about one trace do not agree")
		}
	}
	if len(traces) != many || sampled < many/5 || sampled > many*3/10 {
		t.Errorf("%d traces, %d sampled", len(traces), sampled)
	}
	// The boundary is that of OpenTelemetry's own samplers: the last 63 bits against the ratio.
	half := &Tracer{ratio: 0.5}
	if !half.samples([16]byte{8: 0x7f, 9: 0xff}) || half.samples([16]byte{8: 0x80}) {
		t.Error("not the same traces as others choose")
	}
}
