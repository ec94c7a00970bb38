package telemetry

import (
	"net/http"
	"strings"
)

// span is the trace of one request. The zero value is that of a request that is not traced.
type span struct {
	request, upstream *recordedSpan
}

// begin begins the span of a request. From a trusted peer (a load balancer, an application of this machine) it goes
// on with theirs, and with their choice whether it is recorded. Anybody else begins a new trace: strangers
// neither choose ids that our tools file requests under, nor fill the collector.
func (t *Tracer) begin(rec *Record, r *http.Request, trusted bool) *recordedSpan {
	parent, state := r.Header[headerTraceparent], r.Header[headerTracestate]
	delete(r.Header, headerTraceparent)
	delete(r.Header, headerTracestate)
	var s *recordedSpan
	if trusted && len(parent) == 1 && wellFormed(parent[0]) {
		s = t.remote(readParent(parent[0], state), "", rec.Start)
	} else {
		s = t.start(spanContext{}, "", kindServer, rec.Start)
	}
	rec.span, rec.Trace = span{request: s}, s.context.traceID()
	return s
}

// methodName keeps what clients invent out of span names and attributes, as the semantic conventions ask.
func methodName(m string) string {
	switch m {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "QUERY":
		return m
	}
	return otherName
}

const otherName = "_OTHER" // of the semantic conventions

// forward begins the span of the upstream's part, and names it to the upstream.
func (s *span) forward(rec *Record, h http.Header) {
	if s.request == nil {
		return
	}
	s.upstream.finish() // of an attempt before
	s.upstream = s.request.tracer.start(s.request.context, methodName(rec.Method), kindClient, rec.sent)
	s.upstream.text("http.request.method", methodName(rec.Method))
	s.upstream.text("doorward.upstream", rec.Upstream)
	h[headerTraceparent] = []string{s.upstream.context.traceparent()}
	if state := s.upstream.context.state; state != "" {
		h[headerTracestate] = []string{state}
	}
}

func (s *span) answered(status int) {
	if s.upstream == nil {
		return
	}
	s.upstream.number("http.response.status_code", status)
	if status >= http.StatusBadRequest {
		s.upstream.fail("")
	}
	s.upstream.finish()
	s.upstream = nil
}

// end ends what was begun. No attribute holds a query, a header or who is calling.
func (s *span) end(rec *Record) {
	if s.request == nil {
		return
	}
	if s.upstream != nil { // no answer came
		s.upstream.fail(orOther(rec.Code))
		s.upstream.finish()
	}
	r := s.request
	if r.name = methodName(rec.Method); r.name == otherName {
		r.name = "HTTP" // as the semantic conventions have it
	}
	if rec.Route != "" {
		r.name += " " + rec.Route
	}
	for _, a := range [...][2]string{
		{"http.request.method", methodName(rec.Method)},
		{"http.route", rec.Route},
		{"server.address", rec.Host},
		{"url.path", rec.Path},
		{"doorward.reference", rec.Reference},
		{"doorward.outcome", rec.Outcome},
		{"doorward.rule", rec.Rule},
		{"doorward.login", rec.Login},
		{"doorward.provider", rec.Provider},
	} {
		r.text(a[0], a[1])
	}
	r.number("http.response.status_code", rec.Status)
	if rec.Status >= http.StatusInternalServerError {
		r.fail(rec.Code)
	} else {
		r.text("error.type", rec.Code)
	}
	r.finish()
	*s = span{}
}

func orOther(code string) string {
	if code == "" {
		return otherName
	}
	return code
}

// valid makes a text one that protobuf carries.
func valid(s string) string { return strings.ToValidUTF8(s, "\ufffd") }
