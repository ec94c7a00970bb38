package telemetry

import (
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// TraceConfig is [telemetry] otlp, together with what OTEL_* variables say.
type TraceConfig struct {
	URL     string            // of POST requests, "http://127.0.0.1:4318/v1/traces"; "" = nothing is traced
	Headers map[string]string // sent along; they may hold a secret
	Timeout time.Duration     // of one request; 0 = 10 s
	CA      []byte            // PEM: the only authorities that vouch for the collector; nil = the system's

	Service  string            // "" = "doorward"
	Resource map[string]string // further attributes of this process
	Sampler  string            // a value of OTEL_TRACES_SAMPLER; "" = parentbased_always_on
	Ratio    float64           // of the samplers with "traceidratio"
}

// Tracer makes spans and sends them to a collector. A nil *Tracer makes none.
//
// It is ours, and not OpenTelemetry's SDK, for what that links: nine modules more, where this is three short
// files (docs/adr).
type Tracer struct {
	ratio    float64 // of the traces that begin here, how many are recorded
	byParent bool    // of others, whoever began them has chosen
	batch    *batch
}

// NewTracer validates, starts what sends in the background, and touches no network before there is a span. It is nil
// if nothing is traced. End it with Close.
func NewTracer(c TraceConfig, version string, m *Metrics, log *slog.Logger) (*Tracer, error) {
	if c.URL == "" {
		return nil, nil
	}
	if err := CheckCollector(c.URL); err != nil {
		return nil, fmt.Errorf("telemetry.otlp: %w", err)
	}
	ratio, byParent, err := c.sampler()
	if err != nil {
		return nil, err
	}
	var roots *x509.CertPool
	if c.CA != nil {
		if roots = x509.NewCertPool(); !roots.AppendCertsFromPEM(c.CA) {
			return nil, errors.New("OTEL_EXPORTER_OTLP_CERTIFICATE: the file holds no certificate")
		}
	}
	x := newExporter(c, roots, version, m, log)
	return &Tracer{ratio: ratio, byParent: byParent, batch: newBatch(m, x.export)}, nil
}

// Close sends what waits, for three seconds at most.
func (t *Tracer) Close() {
	if t != nil {
		t.batch.close()
	}
}

// CheckCollector validates the URL of a collector.
func CheckCollector(raw string) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return fmt.Errorf("%q is not a URL such as \"http://127.0.0.1:4318\"", raw)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("no user, query or fragment is possible here; headers come from OTEL_EXPORTER_OTLP_HEADERS")
	}
	return nil
}

// sampler reads one of the specification's names.
func (c TraceConfig) sampler() (ratio float64, byParent bool, err error) {
	name, byParent := strings.CutPrefix(c.Sampler, "parentbased_")
	switch {
	case c.Sampler == "":
		return 1, true, nil
	case name == "always_on":
		return 1, byParent, nil
	case name == "always_off":
		return 0, byParent, nil
	case name == "traceidratio":
		return c.Ratio, byParent, nil
	}
	return 0, false, fmt.Errorf("OTEL_TRACES_SAMPLER: %q is none of always_on, always_off, traceidratio, and these with parentbased_", c.Sampler)
}

// ParseRatio reads OTEL_TRACES_SAMPLER_ARG; "" is 1.
func ParseRatio(s string) (float64, error) {
	if s == "" {
		return 1, nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || !(f >= 0 && f <= 1) {
		return 0, fmt.Errorf("%q is not a number from 0 to 1", s)
	}
	return f, nil
}

// CheckSampler validates the sampler.
func (c TraceConfig) CheckSampler() error {
	_, _, err := c.sampler()
	return err
}
