package proxy

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// bodyWait bounds the time in which the body of a request may arrive that goes to no
// upstream: a form for an own endpoint, for instance (P053, P056). What is forwarded takes as
// long as it takes (R10).
const bodyWait = 30 * time.Second

// How much of a body that nobody wants is waited for. With what has come at once the connection can be used again: a
// client that is refused often need not connect each time. For the rest, it is closed; but not before the client had the
// time to read the answer, which a reset would take from it (RFC 9112 §9.6).
const (
	smallBody  = 64 << 10 // bytes
	atOnce     = 20 * time.Millisecond
	lingerWait = 5 * time.Second
)

// holdBody sets that bound, until [admitBody] lifts it. Requests without a body have none. Whatever is answered before a
// body of HTTP/1.1 has ended closes the connection: net/http would hold the answer back until it had read on, for a client
// that may never send what it announced (P056, P057).
func holdBody(w http.ResponseWriter, r *http.Request) (http.ResponseWriter, *http.Request) {
	if r.ContentLength == 0 {
		return w, r
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyWait))
	if r.ProtoMajor != 1 {
		return w, r
	}
	in := *r
	h := &unread{ResponseWriter: w, body: &body{ReadCloser: r.Body}, small: r.ContentLength > 0 && r.ContentLength <= smallBody && r.Header["Expect"] == nil}
	h.last = r.ContentLength < 0
	in.Body = h.body
	return h, &in
}

// admitBody lifts the bound for a request that may pass.
func admitBody(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength != 0 {
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	}
}

// leaveBody says that nobody will read on but net/http, to spare the client a reset. An answer that breaks off, whole being
// false, needs no such care, and ends now.
func leaveBody(w http.ResponseWriter, whole *bool) {
	u, ok := w.(*unread)
	if !ok || u.body.ended.Load() {
		return
	}
	until := time.Unix(1, 0)
	if *whole {
		until = time.Now().Add(lingerWait)
	}
	_ = http.NewResponseController(u).SetReadDeadline(until)
}

// unread is the ResponseWriter of a request over HTTP/1.1 that has a body.
type unread struct {
	http.ResponseWriter
	body  *body
	small bool // it can be waited for
	begun bool // the answer

	// The body is chunked, and the connection ends with this answer. Who sends a Content-Length as well may carry what
	// somebody has smuggled past another server, and must get no second answer (RFC 9112 §6.1, P050). net/http drops that
	// length before anybody sees it, so all who could have sent one are treated as if they had.
	last bool
}

// Unwrap is for http.ResponseController and telemetry.From.
func (u *unread) Unwrap() http.ResponseWriter { return u.ResponseWriter }

func (u *unread) WriteHeader(status int) {
	if status >= 200 {
		u.begin()
	}
	u.ResponseWriter.WriteHeader(status)
}

func (u *unread) Write(p []byte) (int, error) {
	u.begin()
	return u.ResponseWriter.Write(p)
}

func (u *unread) begin() {
	if u.begun {
		return
	}
	u.begun = true
	h := u.Header()
	if !u.last && (u.body.ended.Load() || h["Connection"] != nil || u.small && !u.body.broken.Load() && u.drained()) {
		return // what is forwarded while it comes says itself that the connection closes: it must not be read here
	}
	h["Connection"] = []string{"close"}
}

// drained reads a body that has come with the header, or right behind it. The time for it must not run out after its end:
// net/http watches the connection from then on, and takes that for a client that has left.
func (u *unread) drained() bool {
	begun, c := time.Now(), http.NewResponseController(u.ResponseWriter)
	if c.SetReadDeadline(begun.Add(atOnce)) != nil {
		return false
	}
	_, _ = io.CopyN(io.Discard, u.body, smallBody+1)
	return c.SetReadDeadline(begun.Add(bodyWait)) == nil && u.body.ended.Load() && time.Since(begun) < atOnce
}

// body notes how reading it went: an error of the transport doesn't tell which side it came
// from. The transport may still be reading when the answer is there.
type body struct {
	io.ReadCloser
	pulse   *pulse              // nil = no limit on idleness
	client  http.ResponseWriter // of a body that a transport reads; nil = of one that a handler does
	touched atomic.Bool         // somebody has begun to read
	reading atomic.Bool         // and is at it
	closed  atomic.Bool         // by the transport
	cut     atomic.Bool         // a Read was ended by that: net/http then takes the client for one that has left
	ended   atomic.Bool         // read to its end
	broken  atomic.Bool         // it has none
}

var errBodyClosed = errors.New("the body of the request is not wanted any more")

// Close of a transport ends a Read that waits for a client who says nothing: HTTP/2 gives up a stream only when that has
// returned, so that the death of an upstream, or the end of a session, would reach the client with its own next word. The
// body itself is closed by ReverseProxy: a transport does so, too, when it has found nobody, and another may be asked then.
func (b *body) Close() error {
	if b.client == nil {
		return b.ReadCloser.Close()
	}
	if !b.closed.Swap(true) && b.reading.Load() {
		b.cut.Store(true)
		_ = http.NewResponseController(b.client).SetReadDeadline(time.Unix(1, 0))
	}
	return nil
}

// anew is the same for another attempt.
func (b *body) anew() *body { return &body{ReadCloser: b.ReadCloser, pulse: b.pulse, client: b.client} }

func (b *body) Read(p []byte) (int, error) {
	b.touched.Store(true)
	b.reading.Store(true)
	defer b.reading.Store(false)
	if b.closed.Load() {
		return 0, errBodyClosed
	}
	n, err := b.ReadCloser.Read(p)
	if b.pulse != nil && n > 0 {
		b.pulse.beat()
	}
	switch {
	case err == nil:
	case errors.Is(err, io.EOF):
		b.ended.Store(true)
		if b.pulse != nil {
			b.pulse.sent()
		}
	case !b.closed.Load():
		b.broken.Store(true)
	}
	return n, err
}

// early reports whether the answer begins before the body of the request has ended: a 413, or
// a stream in both directions. Such an answer must close the connection: nobody can say where
// the next request begins (P050, P052), and net/http would hold the answer back until it had
// read on.
func (b *body) early(r *http.Request) bool { return b != nil && !b.ended.Load() && r.ProtoMajor == 1 }
