package telemetry

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
)

// exchange is one request and its answer: the ResponseWriter that counts, together with the
// record, in one allocation.
type exchange struct {
	http.ResponseWriter
	record   Record
	answered bool // the final header was written, or the connection taken over

	signals  *Signals // nil = nobody is told
	metrics  *Metrics // counts this exchange as in flight on listener; nil = none does
	listener int
	stream   bool // it is counted as one
}

// streams counts an answer that stays open.
func (e *exchange) streams() {
	if e.metrics != nil && !e.stream {
		e.stream = true
		e.metrics.streams[e.listener].Add(1)
	}
}

// leave is the end of what begin counted.
func (e *exchange) leave() {
	if e.metrics == nil {
		return
	}
	e.metrics.inFlight[e.listener].Add(-1)
	if e.stream {
		e.metrics.streams[e.listener].Add(-1)
	}
}

// isStream knows answers that are flushed event by event.
func isStream(contentType string) bool {
	return strings.HasPrefix(contentType, "text/event-stream") || strings.HasPrefix(contentType, "application/grpc")
}

// Unwrap is for http.ResponseController: deadlines and full duplex.
func (e *exchange) Unwrap() http.ResponseWriter { return e.ResponseWriter }

// WriteHeader notes the final status. Informational ones (1xx) pass; 101 is final.
func (e *exchange) WriteHeader(status int) {
	if status >= 200 || status == http.StatusSwitchingProtocols {
		e.answer(status)
	}
	e.ResponseWriter.WriteHeader(status)
}

func (e *exchange) answer(status int) {
	if !e.answered {
		e.answered, e.record.Status = true, status
	}
}

func (e *exchange) Write(p []byte) (int, error) {
	e.answer(http.StatusOK)
	n, err := e.ResponseWriter.Write(p)
	e.record.Bytes += int64(n)
	return n, err
}

// WriteString spares io.WriteString a copy.
func (e *exchange) WriteString(s string) (int, error) {
	e.answer(http.StatusOK)
	n, err := io.WriteString(e.ResponseWriter, s)
	e.record.Bytes += int64(n)
	return n, err
}

// ReadFrom keeps sendfile and splice within reach of large copies.
func (e *exchange) ReadFrom(src io.Reader) (int64, error) {
	e.answer(http.StatusOK)
	n, err := io.Copy(e.ResponseWriter, src) // uses its ReadFrom, if it has one
	e.record.Bytes += n
	return n, err
}

func (e *exchange) Flush() { _ = e.FlushError() }

// FlushError is what http.ResponseController prefers to Flush.
func (e *exchange) FlushError() error {
	e.answer(http.StatusOK)
	if e.metrics != nil && !e.stream {
		if t := e.Header()["Content-Type"]; len(t) > 0 && isStream(t[0]) {
			e.streams()
		}
	}
	return http.NewResponseController(e.ResponseWriter).Flush()
}

// Hijack hands the connection over. Who takes it writes the answer past us; it is an upgrade
// unless they said otherwise before.
func (e *exchange) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(e.ResponseWriter).Hijack()
	if err == nil {
		e.answer(http.StatusSwitchingProtocols)
		e.streams()
	}
	return c, rw, err
}
