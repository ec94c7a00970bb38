package proxy

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"time"
)

// keepVigil ends an answer that lasts with the token of the application's own caller: what was obtained for them goes on no
// longer than they may.
func (v *trip) keepVigil(res *http.Response) {
	switching := res.StatusCode == http.StatusSwitchingProtocols
	if v.who == nil || res.Body == nil || !switching && res.ContentLength >= 0 && res.ContentLength <= shortBody {
		return
	}
	g := &vigil{ReadCloser: res.Body, streams: bearerStreams{v.target.bearer}}
	g.timer = time.AfterFunc(time.Hour, func() { v.look(g) })
	g.timer.Reset(vigilEvery) // only now may look find the timer
	res.Body = g
	if both, ok := g.ReadCloser.(io.ReadWriteCloser); ok && switching {
		res.Body = &tunnel{vigil: g, Writer: both}
	}
}

func (v *trip) look(g *vigil) {
	if g.done.Load() {
		return
	}
	alive, err := g.streams.Alive(v.call.in, v.who)
	if alive || err != nil {
		g.timer.Reset(vigilEvery)
		return
	}
	v.egress.log.LogAttrs(context.Background(), slog.LevelInfo, "stream ended with the token of its caller",
		slog.String("reference", v.call.record.Reference), slog.String("route", v.target.label))
	_ = g.ReadCloser.Close()
}
