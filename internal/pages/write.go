package pages

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/doorward/doorward/internal/telemetry"
)

// Handle turns a handler that may fail into an http.Handler.
func (p *Pages) Handle(h func(w http.ResponseWriter, r *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			p.Error(w, r, err)
		}
	})
}

// Error answers with err: a page for a navigation, a status of the protocol for a gRPC call, application/problem+json for any
// other program. An error that is no *Error is internal_error (500) and its text is logged only.
//
// Headers that the handler has set stay (Allow, Set-Cookie), but for those that described
// the body it didn't write. If the answer has already begun, or the connection was taken over,
// the error only reaches the log.
func (p *Pages) Error(w http.ResponseWriter, r *http.Request, err error) {
	record := telemetry.From(w)
	e := judge(err)
	record.Code, record.Err = e.Code, errors.Join(record.Err, forLog(e, err))
	if record.Status != 0 {
		return
	}
	h := w.Header()
	for _, name := range bodyHeaders {
		delete(h, name)
	}
	if record.Reference != "" {
		h.Set("Doorward-Reference", record.Reference)
	}
	if e.RetryAfter > 0 {
		seconds := (e.RetryAfter + time.Second - 1) / time.Second
		h.Set("Retry-After", strconv.FormatInt(int64(seconds), 10))
	}
	if len(e.Challenge) > 0 {
		h["Www-Authenticate"] = e.Challenge // RFC 9110 §15.5.2: a 401 has one
	}
	if media := grpcKind(r); media != "" {
		p.grpc(w, r, media, e)
		return
	}
	if kind := KindOf(r); kind != Program {
		p.errorPage(w, r, e, kind, record)
		return
	}
	p.problem(w, r, e, record.Reference)
}

// bodyHeaders describe a body that will not be sent after all.
var bodyHeaders = []string{
	"Accept-Ranges", "Content-Disposition", "Content-Encoding", "Content-Language", "Content-Length",
	"Content-Range", "Etag", "Last-Modified", "Location", "Trailer",
}

// judge returns what of err may be shown. A code that isn't in the list is a mistake of ours
// and shows nothing.
func judge(err error) *Error {
	var e *Error
	if !errors.As(err, &e) {
		return &Error{Code: internalError}
	}
	if _, ok := codes[e.Code]; !ok {
		return &Error{Code: internalError}
	}
	return e
}

// forLog returns what the operator must read that the code doesn't say already.
func forLog(e *Error, err error) error {
	if given := (*Error)(nil); errors.As(err, &given) && given != e {
		return fmt.Errorf("error code %q is not in the list: %w", given.Code, err)
	}
	if err == error(e) && e.Err == nil && e.Detail == "" {
		return nil
	}
	return err
}

// status returns the error's status: its code's, unless the error names another that is one of an error.
func (e *Error) status() int {
	if e.Status >= 400 && e.Status <= 599 {
		return e.Status
	}
	return codes[e.Code].status
}

func (e *Error) detail() string {
	if e.Detail != "" {
		return clean(e.Detail, maxDetail)
	}
	return codes[e.Code].what
}

// send writes an answer of our own with the headers that all of them have (S17, P188).
//
// There is no Cross-Origin-Opener-Policy: it would cut an application off from the window that it
// opened for a login as soon as a page of ours is on the way.
//
// It does nothing if the answer has begun already, or the connection was taken over.
func send(w http.ResponseWriter, r *http.Request, status int, contentType, policy, referrer string, body []byte) {
	if telemetry.From(w).Status != 0 {
		return
	}
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY") // for browsers that don't know frame-ancestors
	h.Set("Referrer-Policy", referrer)
	h.Set("Cross-Origin-Resource-Policy", "same-origin") // no page of another site embeds it, not even blindly
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // whoever has gone does not need it
	}
}
