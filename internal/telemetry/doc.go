// Package telemetry is what a process says about itself: the logger, and the access log with one
// line per request.
//
// [AccessLog.Handler] is the outermost handler. It gives each request a [Record] with a reference
// of six characters, and the handlers that know something put it there by [From]. When the answer
// ends, the record becomes one line whose keys are documented in docs/logs.md. It is also the place
// where a panic ends.
//
// It never logs a query string, a header or a body, never lets what a client wrote break a line or
// reach a terminal as it is, and never makes requests wait for the log's reader: a reader that is
// too slow loses lines, and the log says how many.
//
// Start at [AccessLog.Handler] in access.go; the keys are in record.go.
package telemetry
