package proxy

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// bodyWait bounds the time in which the body of a request may arrive that goes to no
// upstream: a form for an own endpoint, what net/http reads of an upload after a refusal to
// keep the connection (P053, P056), and what is left of one that an upstream has answered
// early. What is forwarded takes as long as it takes (R10).
const bodyWait = 30 * time.Second

// holdBody sets that bound. Requests without a body, and writers without deadlines (tests
// over memory), have none.
func holdBody(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength != 0 {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyWait))
	}
}

// admitBody lifts it for a request that may pass.
func admitBody(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength != 0 {
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	}
}

// body notes how reading it went: an error of the transport doesn't tell which side it came
// from. The transport may still be reading when the answer is there.
type body struct {
	io.ReadCloser
	ended  atomic.Bool // read to its end
	broken atomic.Bool // it has none
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	switch {
	case err == nil:
	case errors.Is(err, io.EOF):
		b.ended.Store(true)
	default:
		b.broken.Store(true)
	}
	return n, err
}

// early reports whether the answer begins before the body of the request has ended: a 413, or
// a stream in both directions. Such an answer must close the connection: nobody can say where
// the next request begins (P050, P052), and net/http would hold the answer back until it had
// read on.
func (b *body) early(r *http.Request) bool { return b != nil && !b.ended.Load() && r.ProtoMajor == 1 }
