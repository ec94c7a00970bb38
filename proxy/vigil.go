package proxy

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/doorward/doorward/internal/identity"
)

const (
	vigilEvery = time.Second // so long at most a stream outlives its session
	shortBody  = 1 << 20     // bytes; an answer of a known length up to this needs no vigil
)

// Streams tells whether the session that a request came with is still there. Asked once a
// second for each long answer, it must cost little; it is no activity.
type Streams interface {
	Alive(r *http.Request, who *identity.Identity) (bool, error)
}

// vigil is the body of an answer that may last: a WebSocket, an event stream, a large
// download. It ends with the session of who asked for it, whether that was signed out,
// revoked or ran out (P180, P131). Where it cannot be known, the answer goes on: it began
// with a yes, and an outage of the store must not cut everybody's connections.
type vigil struct {
	io.ReadCloser
	alive func() (bool, error) // still, for who asked
	ended func()               // is told of an end that we made
	timer *time.Timer
	done  atomic.Bool
}

// mayLast reports whether an answer needs a vigil.
func mayLast(res *http.Response) bool {
	return res.Body != nil && (res.StatusCode == http.StatusSwitchingProtocols || res.ContentLength < 0 || res.ContentLength > shortBody)
}

// watch puts a vigil over an answer.
func watch(res *http.Response, alive func() (bool, error), ended func()) {
	g := &vigil{ReadCloser: res.Body, alive: alive, ended: ended}
	g.timer = time.AfterFunc(time.Hour, g.look)
	g.timer.Reset(vigilEvery) // only now may look find the timer
	res.Body = g
	if both, ok := g.ReadCloser.(io.ReadWriteCloser); ok && res.StatusCode == http.StatusSwitchingProtocols {
		res.Body = &tunnel{vigil: g, Writer: both}
	}
}

// streams is who knows whether what let a request in still would. Deps.Streams speaks for the cookie only; for
// who came by something else it is whoever vouched for them, if they can say.
func (v *visit) streams() Streams {
	if v.forwarder.streams == nil || v.claim == noClaim {
		return v.forwarder.streams
	}
	return v.by
}

// keepVigil puts a vigil over the answers that need one.
func (v *visit) keepVigil(res *http.Response) {
	streams := v.streams()
	if v.who == nil || streams == nil || !mayLast(res) {
		return
	}
	watch(res, func() (bool, error) { return streams.Alive(v.req.in, v.who) }, func() {
		v.forwarder.log.LogAttrs(context.Background(), slog.LevelInfo, "stream ended with its session",
			slog.String("reference", v.req.record.Reference), slog.String("route", v.route.name))
	})
}

func (g *vigil) look() {
	if g.done.Load() {
		return
	}
	if alive, err := g.alive(); alive || err != nil {
		g.timer.Reset(vigilEvery)
		return
	}
	g.ended()
	_ = g.ReadCloser.Close() // whoever reads it gets an error, and the client's connection is cut
}

// Close ends the vigil too.
func (g *vigil) Close() error {
	g.done.Store(true)
	g.timer.Stop()
	return g.ReadCloser.Close()
}

// tunnel is the vigil over a connection that both sides write to.
type tunnel struct {
	*vigil
	io.Writer
}

// CloseWrite passes on that the client has said its last word.
func (t *tunnel) CloseWrite() error {
	if half, ok := t.Writer.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return http.ErrNotSupported
}
