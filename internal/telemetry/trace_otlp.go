package telemetry

import (
	collector "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/slim/otlp/common/v1"
	about "go.opentelemetry.io/proto/slim/otlp/resource/v1"
	wire "go.opentelemetry.io/proto/slim/otlp/trace/v1"
)

// otlp is a batch as the protocol has it. All spans are of one process and of one instrumentation: ours.
func otlp(resource []attribute, version string, spans []*recordedSpan) *collector.ExportTraceServiceRequest {
	all := &wire.ScopeSpans{Scope: &common.InstrumentationScope{Name: "github.com/doorward/doorward", Version: version}}
	for _, s := range spans {
		all.Spans = append(all.Spans, otlpSpan(s))
	}
	return &collector.ExportTraceServiceRequest{ResourceSpans: []*wire.ResourceSpans{{
		Resource: &about.Resource{Attributes: otlpAttributes(resource)}, ScopeSpans: []*wire.ScopeSpans{all},
	}}}
}

func otlpSpan(s *recordedSpan) *wire.Span {
	w := &wire.Span{
		TraceId: s.context.trace[:], SpanId: s.context.span[:], TraceState: s.context.state, Flags: otlpFlags(s), Name: valid(s.name), Kind: wire.Span_SpanKind(s.kind),
		StartTimeUnixNano: uint64(max(0, s.start.UnixNano())), EndTimeUnixNano: uint64(max(0, s.end.UnixNano())),
		Attributes: otlpAttributes(s.attributes), Status: &wire.Status{},
	}
	if s.parent != [8]byte{} {
		w.ParentSpanId = s.parent[:]
	}
	if s.failed {
		w.Status.Code = wire.Status_STATUS_CODE_ERROR
	}
	return w
}

// otlpFlags are those of the trace, and whether the parent is in another process (SpanFlags of the protocol).
func otlpFlags(s *recordedSpan) uint32 {
	f := uint32(s.context.flags()) | uint32(wire.SpanFlags_SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK)
	if s.remote {
		f |= uint32(wire.SpanFlags_SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK)
	}
	return f
}

func otlpAttributes(list []attribute) (all []*common.KeyValue) {
	for _, a := range list {
		v := &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: valid(a.text)}}
		if a.numeric {
			v.Value = &common.AnyValue_IntValue{IntValue: a.number}
		}
		all = append(all, &common.KeyValue{Key: valid(a.key), Value: v})
	}
	return all
}
