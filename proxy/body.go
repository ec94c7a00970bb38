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

// admitBody lifts it for a request that may pass, and lets the answer begin before the body
// has ended. Otherwise net/http would hold an early answer (413, 401, or a stream in both
// directions) back until the client sends the next bytes.
func admitBody(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength != 0 {
		c := http.NewResponseController(w)
		_ = c.SetReadDeadline(time.Time{})
		_ = c.EnableFullDuplex()
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

// desynchronised reports whether the answer to a request begins before its body has ended.
// Nobody can say then where the next request on the connection begins, and net/http, which
// would otherwise see to it, leaves it to us in full duplex (P050, P052).
func (v *visit) desynchronised() bool {
	return v.body != nil && !v.body.ended.Load() && v.req.in.ProtoMajor == 1
}
