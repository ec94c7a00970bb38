// Package telemetry is what a process says about itself: the logger, the access log with one line
// per request, metrics, audit events and traces.
//
// [AccessLog.HandlerOf] is the outermost handler. It gives each request a [Record] with a reference
// of six characters, and the handlers that know something put it there by [From]. When the answer
// ends, the record becomes one line whose keys are documented in docs/logs.md, and is counted. It is
// also the place where a panic ends.
//
// [Signals] are [Metrics], [Audit] and [Tracer], each of which may be off. They learn most from the
// record; what happens within or beyond a request is told by [Signals.Tell], [Signals.TellContext]
// and [Signals.Calling].
//
// It never logs a query string, a header or a body, never lets what a client wrote break a line,
// make a series or reach a terminal as it is, and never makes requests wait for the log's reader: a
// reader that is too slow loses lines, and the log says how many.
//
// Start at [AccessLog.HandlerOf] in access.go; the keys are in record.go, events in audit.go.
package telemetry
