package telemetry

import (
	"bufio"
	"io"
	"net"
	"net/http"
)

// exchange is one request and its answer: the ResponseWriter that counts, together with the
// record, in one allocation.
type exchange struct {
	http.ResponseWriter
	record   Record
	answered bool // the final header was written, or the connection taken over
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
	return http.NewResponseController(e.ResponseWriter).Flush()
}

// Hijack hands the connection over. Who takes it writes the answer past us; it is an upgrade
// unless they said otherwise before.
func (e *exchange) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(e.ResponseWriter).Hijack()
	if err == nil {
		e.answer(http.StatusSwitchingProtocols)
	}
	return c, rw, err
}
