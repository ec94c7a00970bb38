package telemetry

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"time"

	collector "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
)

// What sending spans may cost (OTLP specification, "OTLP/HTTP").
const (
	exportTimeout = 10 * time.Second
	exportTries   = 4
	exportPause   = time.Second // doubles; or what Retry-After says, up to
	exportLongest = 30 * time.Second
	maxExportBody = 64 << 10 // bytes of an answer that are read
)

// exporter sends spans by OTLP/HTTP: protobuf, compressed.
type exporter struct {
	config   TraceConfig
	resource []attribute // what this process is
	version  string
	client   *http.Client
	metrics  *Metrics
	log      *slog.Logger
	down     bool // the last batch was not taken: said once
	picky    bool // the last one was taken in part: the same
}

func newExporter(c TraceConfig, roots *x509.CertPool, version string, m *Metrics, log *slog.Logger) *exporter {
	if c.Timeout <= 0 {
		c.Timeout = exportTimeout
	}
	resource := []attribute{{key: "service.name", text: cmp.Or(c.Service, "doorward")}, {key: "service.version", text: version}}
	for _, k := range slices.Sorted(maps.Keys(c.Resource)) {
		if k != "service.name" && k != "service.version" {
			resource = append(resource, attribute{key: k, text: bounded(c.Resource[k], maxPath)})
		}
	}
	return &exporter{config: c, resource: resource, version: version, metrics: m, log: log, client: &http.Client{
		Timeout:       c.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // headers may hold a secret
		Transport: &http.Transport{
			Proxy: nil, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}, ForceAttemptHTTP2: true,
			TLSHandshakeTimeout: 5 * time.Second, IdleConnTimeout: 90 * time.Second, MaxIdleConnsPerHost: 2, MaxResponseHeaderBytes: 64 << 10,
		},
	}}
}

// export sends a batch. What the collector does not take after some attempts is lost, which is counted, and told once.
func (x *exporter) export(ctx context.Context, spans []*recordedSpan) {
	var refused refusal
	body, err := x.pack(spans)
	if err == nil {
		refused, err = x.deliver(ctx, body)
	}
	lost := min(refused.spans, len(spans))
	if err != nil {
		lost = len(spans)
	}
	x.metrics.spansMissed(lost)
	x.metrics.spansTaken(len(spans) - lost)
	switch {
	case err == nil && x.down:
		x.log.Info("traces are sent again")
	case err != nil && !x.down:
		x.log.Warn("traces cannot be sent; they are lost until the collector takes them", "collector", x.config.URL, "error", err)
	}
	x.down = err != nil
	picky := refused != refusal{}
	if picky && !x.picky {
		x.log.Warn("the collector takes traces in part", "collector", x.config.URL, "spans_refused", refused.spans, "collector_says", refused.why)
	}
	x.picky = picky
}

func (x *exporter) pack(spans []*recordedSpan) ([]byte, error) {
	plain, err := proto.Marshal(otlp(x.resource, x.version, spans))
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(plain); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func (x *exporter) deliver(ctx context.Context, body []byte) (refusal, error) {
	pause := exportPause
	for try := 1; ; try++ {
		refused, again, wait, err := x.post(ctx, body)
		if err == nil || !again || try == exportTries {
			return refused, err
		}
		if wait == 0 {
			wait = pause/2 + rand.N(pause/2) //nolint:gosec // jitter
			pause *= 2
		}
		select {
		case <-time.After(min(wait, exportLongest)):
		case <-ctx.Done():
			return refused, err
		}
	}
}

// refusal is what a collector did not take of a batch that it took otherwise ("Partial Success"). It must not be sent again.
type refusal struct {
	spans int
	why   string
}

// post makes one request. again says that another one may succeed, wait when; 0 = it does not say.
func (x *exporter) post(ctx context.Context, body []byte) (refused refusal, again bool, wait time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, x.config.URL, bytes.NewReader(body))
	if err != nil {
		return refused, false, 0, err
	}
	for name, value := range x.config.Headers {
		req.Header.Set(name, value)
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	req.Header.Set("Content-Encoding", "gzip")
	req.Header.Set("User-Agent", "Doorward")
	res, err := x.client.Do(req)
	if err != nil {
		return refused, ctx.Err() == nil, 0, err
	}
	defer res.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(res.Body, maxExportBody)) // to its end, so that the connection is used again
	switch res.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return refused, true, retryAfter(res.Header.Get("Retry-After"), time.Now()), fmt.Errorf("the collector answered %d", res.StatusCode)
	}
	if res.StatusCode/100 != 2 {
		return refused, false, 0, fmt.Errorf("the collector answered %d", res.StatusCode)
	}
	return readRefusal(said), false, 0, nil
}

// readRefusal reads the answer of a collector. It has taken the batch, whatever else it says.
func readRefusal(said []byte) (r refusal) {
	var answer collector.ExportTraceServiceResponse
	if proto.Unmarshal(said, &answer) != nil || answer.PartialSuccess == nil {
		return r
	}
	return refusal{int(max(0, min(answer.PartialSuccess.RejectedSpans, math.MaxInt32))), bounded(answer.PartialSuccess.ErrorMessage, maxError)}
}

// retryAfter is RFC 9110 §10.2.3: seconds, or a date. 0 = nothing that can be read.
func retryAfter(s string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(s, 10, 32); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(s); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}
