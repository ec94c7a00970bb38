package telemetry

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/doorward/doorward/internal/identity"
)

// Record is what one request leaves in the access log. The handlers that know fill it in
// through [From]; strings are logged escaped and bounded. It belongs to the goroutine that serves
// the request, and ends with it.
type Record struct {
	Reference string // six characters, in the answer's Doorward-Reference on errors, the page and the log
	Start     time.Time
	Status    int    // of the answer; 0 until there is one
	Bytes     int64  // of the body, as written; what passes after an upgrade isn't counted
	Host      string // configured host, never the raw header
	Method    string
	Path      string // canonical path without the query
	Client    string // address of the caller
	Route     string // name of the route; "" = none, "own" = Doorward's own endpoints
	Outcome   string // allow, login, deny, unavailable, held, own
	Rule      string // the rule that decided; "…, approved" with a consent of its own
	Code      string // stable error code
	Subject   string // who, as configured; never a token
	Provider  string
	Login     string
	Upstream  string
	Err       error // what the operator must know; never shown to the caller

	Trace     string             // id of the trace that the request belongs to; "" = of none
	Who       *identity.Identity // whom Subject names, for the audit log; nil = nobody, or not known
	WouldDeny string             // the rule that would have refused it on a route that only says so

	sent   time.Time     // when it went upstream; zero = it did not
	waited time.Duration // from then to the header of the answer; 0 = none came
	told   bool          // an event of its own says how it ended
	span   span
	scope  *scope // nil = there is no audit log that wants to know
}

// Known says that Client, Host and Path are what they will be, so that events that know only the request's context can
// name them. Without an audit log it costs nothing.
func (r *Record) Known(in *http.Request) {
	if r.scope != nil {
		now := r.scene(in)
		r.scope.known.Store(&now)
	}
}

// Forwarding is told that the request goes upstream now, with these headers: they get the trace that the upstream
// belongs to.
func (r *Record) Forwarding(h http.Header) {
	r.sent = time.Now()
	r.span.forward(r, h)
}

// Answered is told that the header of the upstream's answer has come.
func (r *Record) Answered(status int) {
	if r.sent.IsZero() {
		return
	}
	r.waited = max(time.Since(r.sent), 1)
	r.span.answered(status)
}

// From returns the record of the request that w answers, found by unwrapping w. Never
// nil: where there is none (a handler tested alone) it is a fresh one that goes nowhere.
func From(w http.ResponseWriter) *Record {
	for {
		switch t := w.(type) {
		case *exchange:
			return &t.record
		case interface{ Unwrap() http.ResponseWriter }:
			w = t.Unwrap()
		default:
			return &Record{}
		}
	}
}

// Limits of strings in a line, in bytes. A request's headers may be 64 KiB; a line must not.
const (
	maxMethod = 32
	maxField  = 256
	maxPath   = 1024
	maxError  = 1024
)

// fields is room for a record's keys.
type fields [19]slog.Attr

// fill puts the keys of a line into a, in their order, and returns those in use. They are the
// contract of docs/logs.md. What is empty is left out; the numbers are always there.
func (r *Record) fill(a *fields, took time.Duration) []slog.Attr {
	f := a[:0]
	text := func(key, value string, limit int) {
		if value != "" {
			f = append(f, slog.String(key, bounded(value, limit)))
		}
	}
	text("reference", r.Reference, maxField)
	text("trace_id", r.Trace, maxField)
	text("method", r.Method, maxMethod)
	text("host", r.Host, maxField)
	text("path", r.Path, maxPath)
	f = append(f, slog.Int("status", r.Status), slog.Int64("bytes", r.Bytes),
		slog.Float64("duration_ms", float64(took.Microseconds())/1000))
	text("client", r.Client, maxField)
	text("route", r.Route, maxField)
	text("outcome", r.Outcome, maxField)
	text("rule", r.Rule, maxField)
	text("code", r.Code, maxField)
	text("user", r.Subject, maxField)
	text("provider", r.Provider, maxField)
	text("login", r.Login, maxField)
	text("upstream", r.Upstream, maxField)
	if r.Err != nil {
		text("error", r.Err.Error(), maxError)
	}
	return f
}

// level is how much a request deserves attention. What an upstream answers by itself is its own
// affair, whatever the status; only our own failures have a code.
func (r *Record) level() slog.Level {
	switch {
	case r.Code == codeInternal:
		return slog.LevelError
	case r.Code != "" && r.Status >= http.StatusInternalServerError:
		return slog.LevelWarn
	}
	return slog.LevelInfo
}
