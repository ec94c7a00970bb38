package telemetry

import (
	"context"
	"net/http"
	"slices"
	"sync/atomic"
	"time"
)

// Signals is what a process tells beside its log: metrics, traces, audit events. What is off is
// nil, and so may be the Signals. A reload makes others, with the same Metrics and Tracer.
type Signals struct {
	Metrics *Metrics
	Tracer  *Tracer
	Audit   *Audit
}

// Tell is told of an event that belongs to a request, which w answers.
func (s *Signals) Tell(w http.ResponseWriter, r *http.Request, e Event) {
	if s == nil {
		return
	}
	s.count(&e)
	rec := From(w)
	if e.Name == EventLogin && e.Outcome != OK {
		rec.told = true
	}
	if s.Audit != nil {
		at := rec.scene(r)
		s.Audit.write(&e, &at, time.Now())
	}
}

// TellContext is Tell for those who know no more of the request than its context, which may have
// ended. Where the request was [Record.Known], its event says as much of it as Tell would.
func (s *Signals) TellContext(ctx context.Context, e Event) {
	if s == nil {
		return
	}
	s.count(&e)
	if s.Audit != nil {
		var at scene
		if of, ok := ctx.Value(scopeKey{}).(*scope); ok {
			at.reference, at.trace = of.reference, of.trace
			if known := of.known.Load(); known != nil {
				at = *known
			}
		}
		s.Audit.write(&e, &at, time.Now())
	}
}

// HandOver gives the audit events that are still told here to the signals of the configuration that has taken over. Both may
// be nil.
func (s *Signals) HandOver(to *Signals) {
	if s == nil || s == to {
		return
	}
	var audit *Audit
	if to != nil {
		audit = to.Audit
	}
	s.Audit.handOver(audit)
}

// count keeps the metrics of events.
func (s *Signals) count(e *Event) {
	m := s.Metrics
	if m == nil {
		return
	}
	switch e.Name {
	case EventLogin:
		m.logins.WithLabelValues(e.Login, e.Provider, e.Outcome, e.Code).Inc()
	case EventLogout:
		m.logouts.WithLabelValues(e.Reason).Inc()
	case EventRefresh:
		m.refreshes.WithLabelValues(e.Provider, e.Outcome).Inc()
	}
}

func (m *Metrics) audited() {
	if m != nil {
		m.auditLines.Inc()
	}
}

func (m *Metrics) auditMissed() {
	if m != nil {
		m.auditLost.Inc()
	}
}

func (m *Metrics) spansTaken(n int) {
	if m != nil {
		m.spansSent.Add(float64(n))
	}
}

func (m *Metrics) spansMissed(n int) {
	if m != nil {
		m.spansLost.Add(float64(n))
	}
}

// scene is what the audit log says of a request.
func (r *Record) scene(in *http.Request) scene {
	s := scene{reference: r.Reference, trace: r.Trace, client: r.Client, method: r.Method, host: r.Host, path: r.Path, route: r.Route, rule: r.Rule}
	if in != nil {
		s.agent = in.UserAgent()
	}
	return s
}

// ended is told of each request when its answer has ended.
func (s *Signals) ended(rec *Record, r *http.Request, now time.Time) {
	if s == nil {
		return
	}
	if s.Metrics != nil {
		s.Metrics.requests.observe(rec, now.Sub(rec.Start))
	}
	rec.span.end(rec)
	if s.Audit == nil {
		return
	}
	e := Event{Name: EventDeny, Outcome: Denied, Code: rec.Code, Who: rec.Who, Provider: rec.Provider, Login: rec.Login}
	switch {
	case rec.WouldDeny != "":
		e.Outcome = WouldDeny
	case !rec.denied():
		return
	}
	at := rec.scene(r)
	if rec.WouldDeny != "" {
		at.rule = rec.WouldDeny
	}
	s.Audit.write(&e, &at, now)
}

// denied reports whether a request was refused to somebody, or to what somebody brought. One of
// nobody, who is asked to sign in, is no denial; nor is one that failed.
func (r *Record) denied() bool {
	if r.told {
		return false // by an event of its own
	}
	switch r.Code {
	case "access_denied", "invalid_token", "wrong_credentials", "insufficient_scope", "step_up_required", "cross_site", "login_denied", "approval_mismatch", "approval_denied":
		return true
	case "too_many_requests":
		return r.Status == http.StatusTooManyRequests
	}
	return r.Outcome == "deny" && r.Status == http.StatusForbidden && r.Code != ""
}

// Listener is how the requests of one listener are told about.
type Listener struct {
	Name string // "http", "egress" or "ext_authz"
	// Signals are those of now; nil = none.
	Signals func() *Signals
	// Trusts reports whether what a peer ("address:port") says of a trace is believed; nil = of nobody.
	Trusts func(peer string) bool
}

func (l *Listener) index() int { return max(0, slices.Index(listenerNames[:], l.Name)) }

// scope is what a request's context says of it. Work that outlives the request may read it: nothing in it changes, but
// that known is stored.
type scope struct {
	context.Context
	reference, trace string
	span             *recordedSpan         // nil = none
	known            atomic.Pointer[scene] // nil = not yet
}

type scopeKey struct{}

func (s *scope) Value(key any) any {
	switch key.(type) {
	case scopeKey:
		return s
	case spanKey:
		return s.span
	}
	return s.Context.Value(key)
}

// begin is the beginning of a request. What it returns goes on with it: r itself where neither traces nor audit
// events need to find it again.
func (s *Signals) begin(e *exchange, r *http.Request, l *Listener) *http.Request {
	if m := s.Metrics; m != nil {
		e.listener, e.metrics = l.index(), m
		m.inFlight[e.listener].Add(1)
	}
	var span *recordedSpan
	if s.Tracer != nil {
		span = s.Tracer.begin(&e.record, r, l.Trusts != nil && l.Trusts(r.RemoteAddr))
	} else if e.record.Trace = passTrace(r.Header); s.Audit == nil {
		return r
	}
	of := &scope{Context: r.Context(), reference: e.record.Reference, trace: e.record.Trace, span: span}
	if s.Audit != nil {
		e.record.scope = of
	}
	return r.WithContext(of)
}
