package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"runtime/debug"
	"time"
)

// Codes that are given here, because nobody else is left to.
const (
	codeInternal = "internal_error"
	codeAborted  = "aborted" // the handler gave up in the midst of an answer and cut the connection
)

// message is the msg of every access line.
const message = "request"

// AccessLog writes one line for each request.
//
// For a logger of [NewLogger] that writes JSON, lines are gathered for up to 100 ms and written
// together. For any other logger each line is a record of its own, written at once.
type AccessLog struct {
	log        *slog.Logger
	lines      *lines // nil = through log
	references *references
}

// NewAccessLog makes an access log that writes where log does. Its owner calls Close at the end.
func NewAccessLog(log *slog.Logger) *AccessLog {
	a := &AccessLog{log: log, references: newReferences()}
	if h, ok := log.Handler().(*jsonHandler); ok {
		a.lines = newLines(h.out, log)
	}
	return a
}

// Close writes the lines that were still waiting. Requests that end later are written at once.
func (a *AccessLog) Close() {
	if a.lines != nil {
		a.lines.close()
	}
}

// Handler is the outermost handler: it gives every request a Record, recovers panics
// (500 through onPanic, except http.ErrAbortHandler, which it lets pass), and writes one
// access line when the answer ends.
func (a *AccessLog) Handler(next http.Handler, onPanic func(w http.ResponseWriter, r *http.Request)) http.Handler {
	return a.HandlerOf(Listener{}, next, onPanic)
}

// HandlerOf is Handler for a listener whose requests are told to signals, too.
func (a *AccessLog) HandlerOf(l Listener, next http.Handler, onPanic func(w http.ResponseWriter, r *http.Request)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e := &exchange{ResponseWriter: w}
		e.record.Reference, e.record.Start, e.record.Method = a.references.next(), time.Now(), r.Method
		if l.Signals != nil {
			if e.signals = l.Signals(); e.signals != nil {
				r = e.signals.begin(e, r, &l)
			}
		}
		defer a.end(e, r, onPanic)
		next.ServeHTTP(e, r)
	})
}

// end is deferred: it must be the function that recovers.
func (a *AccessLog) end(e *exchange, r *http.Request, onPanic func(w http.ResponseWriter, r *http.Request)) {
	failure := recover()
	cut := failure != nil
	switch {
	case failure == nil:
		e.answer(http.StatusOK) // as net/http has it
	case failure == http.ErrAbortHandler:
		if e.record.Code == "" {
			e.record.Code = codeAborted
		}
	default:
		cut = !a.panicked(e, r, failure, onPanic)
	}
	now := time.Now()
	a.write(r.Context(), &e.record, now)
	e.leave()
	e.signals.ended(&e.record, r, now)
	if cut {
		// Half an answer must not look like a whole one: net/http cuts the connection, and
		// says nothing more.
		panic(http.ErrAbortHandler)
	}
}

// panicked logs a panic and answers the request, if nothing was answered yet.
func (a *AccessLog) panicked(e *exchange, r *http.Request, failure any, onPanic func(w http.ResponseWriter, r *http.Request)) (answered bool) {
	e.record.Code = codeInternal
	a.log.ErrorContext(r.Context(), "panic", "reference", e.record.Reference, "error", describe(failure), "stack", string(debug.Stack()))
	if e.answered {
		return false
	}
	defer func() {
		if again := recover(); again != nil {
			a.log.ErrorContext(r.Context(), "panic", "reference", e.record.Reference, "error", "while answering for a panic: "+describe(again))
			answered = false
		}
	}()
	clear(e.Header()) // of an answer that will never be
	onPanic(e, r)
	e.answer(http.StatusOK)
	return true
}

// describe tells an operator what a panic was about; the stack tells where. A text that is not
// the runtime's own may hold what a client sent.
func describe(failure any) string {
	var of runtime.Error
	if err, ok := failure.(error); ok && errors.As(err, &of) {
		return bounded(of.Error(), maxError)
	}
	return fmt.Sprintf("a value of type %T", failure)
}

func (a *AccessLog) write(ctx context.Context, r *Record, now time.Time) {
	level := r.level()
	if !a.log.Enabled(ctx, level) {
		return
	}
	var room fields
	if a.lines != nil {
		var line [1024]byte
		a.lines.add(appendLine(line[:0], now, level, r.fill(&room, now.Sub(r.Start))))
		return
	}
	a.log.LogAttrs(ctx, level, message, append([]slog.Attr(nil), r.fill(&room, now.Sub(r.Start))...)...)
}
