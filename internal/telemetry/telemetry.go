package telemetry

import (
	"io"
	"log/slog"
	"net/http"
	"time"
)

// LogConfig is [telemetry] log.
type LogConfig struct {
	Format string // "auto" (JSON unless the writer is a terminal), "json", "text"
	Level  string // "debug", "info", "warn", "error"
}

// NewLogger makes the process's logger.
func NewLogger(c LogConfig, w io.Writer) (*slog.Logger, error) { panic("unbuilt") }

// Record is what one request leaves in the access log. The handlers that know fill it in
// through [From]; strings are logged escaped and bounded.
type Record struct {
	Reference string // six characters, in the answer's Doorward-Reference on errors, the page and the log
	Start     time.Time
	Status    int
	Bytes     int64
	Host      string // configured host, never the raw header
	Method    string
	Path      string // canonical path without the query
	Client    string // address of the caller
	Route     string // name of the route; "" = none, "own" = Doorward's own endpoints
	Outcome   string // allow, login, deny, unavailable, own
	Rule      string // the rule that decided
	Code      string // stable error code
	Subject   string // who, as configured; never a token
	Provider  string
	Login     string
	Upstream  string
	Err       error // what the operator must know; never shown to the caller
}

// From returns the record of the request that w answers, found by unwrapping w. Never
// nil: where there is none (a handler tested alone) it is a fresh one that goes nowhere.
func From(w http.ResponseWriter) *Record { panic("unbuilt") }

// Handler is the outermost handler: it gives every request a Record, recovers panics
// (500 through onPanic, except http.ErrAbortHandler, which it lets pass), and writes one access line when the answer ends.
func Handler(next http.Handler, log *slog.Logger, onPanic func(w http.ResponseWriter, r *http.Request)) http.Handler {
	panic("unbuilt")
}
