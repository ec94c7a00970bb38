package proxy

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"
)

const (
	vigilEvery = time.Second // so long at most a stream outlives what lets it in
	shortBody  = 1 << 20     // bytes; an answer of a known length up to this needs no vigil
)

// vigil is the body of an answer that may last: a WebSocket, an event stream, a large
// download. It ends with the session of who asked for it, whether that was signed out,
// revoked or ran out (P180, P131), and with their right to have asked: once a refresh has taken
// a group from them, or a reload the route. Where it cannot be known, the answer goes on: it began
// with a yes, and an outage of the store must not cut everybody's connections.
//
// The connection is cut, of a WebSocket too. A close frame (1008) would have to stand between two frames, and where one
// ends nobody knows who does not read them all.
type vigil struct {
	io.ReadCloser
	look  func() (why string, err error) // what has ended it; "" = nothing
	ended func(why string)               // is told of an end that we made
	every time.Duration
	timer *time.Timer
	done  atomic.Bool
}

// mayLast reports whether an answer needs a vigil.
func mayLast(res *http.Response) bool {
	return res.Body != nil && (res.StatusCode == http.StatusSwitchingProtocols || res.ContentLength < 0 || res.ContentLength > shortBody)
}

// watch puts a vigil over an answer.
func watch(res *http.Response, every time.Duration, look func() (why string, err error), ended func(why string)) {
	g := &vigil{ReadCloser: res.Body, look: look, ended: ended, every: every}
	g.timer = time.AfterFunc(time.Hour, g.turn)
	g.timer.Reset(every) // only now may turn find the timer
	res.Body = g
	if both, ok := g.ReadCloser.(io.ReadWriteCloser); ok && res.StatusCode == http.StatusSwitchingProtocols {
		res.Body = &tunnel{vigil: g, Writer: both}
	}
}

// keepVigil puts a vigil over the answers that need one.
func (v *visit) keepVigil(res *http.Response) {
	f := v.forwarder
	if f.current == nil && (v.who == nil || v.streams() == nil) || !mayLast(res) {
		return
	}
	s := &standing{visit: v, asked: v.who, of: v.route, at: v.route.now()}
	watch(res, f.vigil, s.ended, func(why string) {
		f.log.LogAttrs(context.Background(), slog.LevelInfo, "stream ended with "+why,
			slog.String("reference", v.req.record.Reference), slog.String("route", v.route.name))
	})
}

func (g *vigil) turn() {
	if g.done.Load() {
		return
	}
	why, err := g.judged()
	if why == "" || err != nil {
		g.timer.Reset(g.every)
		return
	}
	g.ended(why)
	_ = g.ReadCloser.Close() // whoever reads it gets an error, and the client's connection is cut
}

// judged makes an end of a panic: it would be the process's otherwise, and comes again each second.
func (g *vigil) judged() (why string, err error) {
	defer func() {
		if p := recover(); p != nil {
			why, err = "a panic while deciding: "+describe(p), nil
		}
	}()
	return g.look()
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
