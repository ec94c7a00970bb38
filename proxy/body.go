package proxy

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// bodyWait bounds the time in which the body of a request may arrive that goes to no
// upstream: a form for an own endpoint, or what net/http reads of an upload after a refusal
// to keep the connection (P053, P056). What is forwarded takes as long as it takes (R10).
const bodyWait = 30 * time.Second

// holdBody sets that bound as long as nothing is authorised. Requests without a body, and
// writers without deadlines (tests over memory), have none.
func holdBody(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength != 0 {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyWait))
	}
}

// admitBody lifts it.
func admitBody(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength != 0 {
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	}
}

// body notes whether reading it failed: an error of the transport doesn't tell which side
// it came from. The transport may still be reading when the answer is there.
type body struct {
	io.ReadCloser
	broken atomic.Bool
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		b.broken.Store(true)
	}
	return n, err
}
