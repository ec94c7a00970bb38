package telemetry

import (
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics is what a process counts. Every label has few values, and all of them come from the
// configuration or from a closed set here: nothing that a client writes makes a series (P060).
// docs/metrics.md describes each.
//
// It outlives reloads. A nil *Metrics counts nothing.
type Metrics struct {
	registry *prometheus.Registry
	requests *requestMetrics

	inFlight, streams [listeners]atomic.Int64

	logins     *prometheus.CounterVec
	logouts    *prometheus.CounterVec
	refreshes  *prometheus.CounterVec
	calls      *prometheus.CounterVec
	callTook   *prometheus.HistogramVec
	cache      *prometheus.CounterVec
	storeTook  *prometheus.HistogramVec
	storeFails *prometheus.CounterVec
	reloads    *prometheus.CounterVec
	reloadedAt prometheus.Gauge
	auditLost  prometheus.Counter
	auditLines prometheus.Counter
	spansLost  prometheus.Counter
	spansSent  prometheus.Counter

	upstreams atomic.Pointer[func() []UpstreamHealth]
}

// UpstreamHealth says whether an upstream of a route gets requests now.
type UpstreamHealth struct {
	Route, Upstream string
	Up              bool
}

// NewMetrics makes the metrics of a process; version is that of Doorward.
func NewMetrics(version, goVersion string) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), requests: newRequestMetrics()}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
		m.registry.MustRegister(c)
		return c
	}
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
		m.registry.MustRegister(h)
		return h
	}
	m.logins = counter("doorward_logins_total", "Logins that ended, by login, provider, result (ok, failed) and error code.", "login", "provider", "result", "code")
	m.logouts = counter("doorward_logouts_total", "Sessions that ended before their time, by reason.", "reason")
	m.refreshes = counter("doorward_refreshes_total", "Refreshes of sessions, by provider and result (ok, refused, failed).", "provider", "result")
	m.calls = counter("doorward_provider_requests_total", "Requests to identity providers, by provider, endpoint, grant and result.", "provider", "endpoint", "grant", "result")
	m.callTook = histogram("doorward_provider_request_seconds", "How long identity providers take to answer.", []float64{.01, .05, .1, .25, .5, 1, 2.5, 10}, "provider", "endpoint", "grant")
	m.cache = counter("doorward_credential_requests_total", "Credentials asked for, by credential and whether the cache had it (hit, miss).", "credential", "cache")
	m.storeTook = histogram("doorward_store_seconds", "How long operations of a store take.", []float64{.0001, .001, .01, .1, 1}, "store", "operation")
	m.storeFails = counter("doorward_store_errors_total", "Operations of a store that failed.", "store", "operation")
	m.reloads = counter("doorward_config_reloads_total", "Reloads of the configuration, by result (ok, failed).", "result")
	m.reloadedAt = prometheus.NewGauge(prometheus.GaugeOpts{Name: "doorward_config_last_success_timestamp_seconds", Help: "When the configuration in use was read."})
	m.auditLines = prometheus.NewCounter(prometheus.CounterOpts{Name: "doorward_audit_events_total", Help: "Audit events that were taken for writing."})
	m.auditLost = prometheus.NewCounter(prometheus.CounterOpts{Name: "doorward_audit_lost_total", Help: "Audit events that were lost, because the audit log could not be written."})
	m.spansSent = prometheus.NewCounter(prometheus.CounterOpts{Name: "doorward_trace_spans_total", Help: "Spans that the collector took."})
	m.spansLost = prometheus.NewCounter(prometheus.CounterOpts{Name: "doorward_trace_spans_lost_total", Help: "Spans that were lost, because the collector was away, too slow, or did not want them."})
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "doorward_build_info", Help: "Always 1; its labels say what runs.", ConstLabels: prometheus.Labels{"version": version, "go_version": goVersion},
	})
	build.Set(1)
	m.registry.MustRegister(
		m.reloadedAt, m.auditLines, m.auditLost, m.spansSent, m.spansLost, build, requestCollector{m},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	for _, result := range []string{"ok", "failed"} { // a rate needs its zero
		m.reloads.WithLabelValues(result)
	}
	return m
}

// Handler serves GET /metrics: the text format of Prometheus, or OpenMetrics for who asks for that.
func (m *Metrics) Handler(log *slog.Logger) http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		EnableOpenMetrics: true, MaxRequestsInFlight: 4, Timeout: 10 * time.Second,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn), ErrorHandling: promhttp.ContinueOnError,
	})
}

// Routes says which routes there are from now on ("app", "egress data"), and who says, at each scrape, which of their
// upstreams are up. Those that stay keep their counts.
func (m *Metrics) Routes(names []string, upstreams func() []UpstreamHealth) {
	if m == nil {
		return
	}
	m.requests.setRoutes(names, upstreams())
	m.upstreams.Store(&upstreams)
}

// Reloaded counts a reload; the first configuration of a process counts as none, but for its time.
func (m *Metrics) Reloaded(ok, first bool, at time.Time) {
	switch {
	case m == nil:
		return
	case !ok:
		m.reloads.WithLabelValues("failed").Inc()
		return
	case !first:
		m.reloads.WithLabelValues("ok").Inc()
	}
	m.reloadedAt.Set(float64(at.UnixMilli()) / 1000)
}

// CacheCounter counts how often a cache had what was asked for.
type CacheCounter struct{ hit, miss prometheus.Counter }

// Cache returns the counter of a credential's cache; nil, which counts nothing, from nil Metrics.
func (m *Metrics) Cache(credential string) *CacheCounter {
	if m == nil {
		return nil
	}
	return &CacheCounter{m.cache.WithLabelValues(credential, "hit"), m.cache.WithLabelValues(credential, "miss")}
}

// Hit counts what the cache had.
func (c *CacheCounter) Hit() {
	if c != nil {
		c.hit.Inc()
	}
}

// Miss counts what it had not.
func (c *CacheCounter) Miss() {
	if c != nil {
		c.miss.Inc()
	}
}
