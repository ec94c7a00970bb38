package telemetry

import (
	"github.com/prometheus/client_golang/prometheus"
)

var (
	descRequests = prometheus.NewDesc("doorward_requests_total", "Requests that ended, by route, outcome, class of the status, and error code of Doorward's own.", []string{"route", "outcome", "status", "code"}, nil)
	descTook     = prometheus.NewDesc("doorward_request_seconds", "How long requests took, from their header to the end of the answer; without WebSockets.", []string{"route"}, nil)
	descInFlight = prometheus.NewDesc("doorward_requests_in_flight", "Requests that are served now, streams among them.", []string{"listener"}, nil)
	descStreams  = prometheus.NewDesc("doorward_streams_open", "WebSockets, event streams and gRPC answers that are open now.", []string{"listener"}, nil)
	descUpstream = prometheus.NewDesc("doorward_upstream_seconds", "How long upstreams took to the header of their answer.", []string{"route", "upstream"}, nil)
	descFailures = prometheus.NewDesc("doorward_upstream_failures_total", "Requests to which no answer came from the upstream, by reason (unreachable, timeout).", []string{"route", "upstream", "reason"}, nil)
	descUp       = prometheus.NewDesc("doorward_upstream_up", "1 if the upstream gets requests, 0 if it is left out.", []string{"route", "upstream"}, nil)
)

// requestCollector shows what requestMetrics has counted. A label that is not UTF-8 would end the process in the midst of a
// scrape, so what is not a constant or a checked name is made valid.
type requestCollector struct{ m *Metrics }

func (c requestCollector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descRequests, descTook, descInFlight, descStreams, descUpstream, descFailures, descUp} {
		to <- d
	}
}

func (c requestCollector) Collect(to chan<- prometheus.Metric) {
	codes := c.m.requests.codes.byIndex()
	for _, rt := range *c.m.requests.routes.Load() {
		rt.collect(to, &codes)
	}
	for i, name := range listenerNames {
		to <- prometheus.MustNewConstMetric(descInFlight, prometheus.GaugeValue, float64(c.m.inFlight[i].Load()), name)
		to <- prometheus.MustNewConstMetric(descStreams, prometheus.GaugeValue, float64(c.m.streams[i].Load()), name)
	}
	if ask := c.m.upstreams.Load(); ask != nil {
		seen := make(map[UpstreamHealth]bool)
		for _, u := range (*ask)() {
			key := UpstreamHealth{Route: u.Route, Upstream: valid(u.Upstream)}
			if seen[key] { // one that is listed twice: a series must not be
				continue
			}
			seen[key] = true
			up := 0.0
			if u.Up {
				up = 1
			}
			to <- prometheus.MustNewConstMetric(descUp, prometheus.GaugeValue, up, key.Route, key.Upstream)
		}
	}
}

func (rt *routeMetrics) collect(to chan<- prometheus.Metric, codes *[maxCodes]string) {
	counter := func(n uint64, outcome, class int, code string) {
		if n > 0 {
			to <- prometheus.MustNewConstMetric(descRequests, prometheus.CounterValue, float64(n), rt.name, outcomes[outcome], classes[class], valid(code))
		}
	}
	for o := range rt.plain {
		for s := range rt.plain[o] {
			counter(rt.plain[o][s].Load(), o, s, "")
		}
	}
	for key, n := range rt.coded.all() {
		counter(n.Load(), int(key.outcome), int(key.class), codes[key.code])
	}
	rt.took.collect(to, descTook, &requestBuckets, rt.name)
	for name, up := range rt.upstreams.all() {
		name = valid(name)
		up.took.collect(to, descUpstream, &upstreamBuckets, rt.name, name)
		to <- prometheus.MustNewConstMetric(descFailures, prometheus.CounterValue, float64(up.unreachable.Load()), rt.name, name, "unreachable")
		to <- prometheus.MustNewConstMetric(descFailures, prometheus.CounterValue, float64(up.timeout.Load()), rt.name, name, "timeout")
	}
}

// collect shows a histogram, unless nothing was counted yet.
func (h *histogram) collect(to chan<- prometheus.Metric, d *prometheus.Desc, bounds *[len(requestBuckets)]float64, labels ...string) {
	sum := float64(h.micros.Load()) / 1e6
	cumulative, buckets := uint64(0), make(map[float64]uint64, len(bounds))
	for i := range h.counts {
		cumulative += h.counts[i].Load()
		if i < len(bounds) {
			buckets[bounds[i]] = cumulative
		}
	}
	if cumulative > 0 {
		to <- prometheus.MustNewConstHistogram(d, cumulative, sum, buckets, labels...)
	}
}
