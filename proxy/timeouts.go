package proxy

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Timeouts bound what an upstream may take. Without Idle and Total, which are off by default, bodies and streams take as
// long as they take (R10).
type Timeouts struct {
	Connect time.Duration // = 5 s; with https, the same again for the handshake
	Header  time.Duration // from the end of the request to the first byte of the answer; = 2 min
	Idle    time.Duration // in which not a byte of a body passes either way; 0 = no limit
	Total   time.Duration // of a whole exchange; 0 = no limit
}

func (t Timeouts) check() error {
	switch {
	case t.Connect < 0:
		return errors.New("timeouts.connect: it must be positive")
	case t.Header < 0:
		return errors.New("timeouts.header: it must be positive")
	case t.Idle < 0:
		return errors.New("timeouts.idle: it must not be negative")
	case t.Total < 0:
		return errors.New("timeouts.total: it must not be negative")
	}
	return nil
}

// overdue is why an exchange was ended: a time-out, as net/http's are.
type overdue string

func (o overdue) Error() string { return string(o) }
func (overdue) Timeout() bool   { return true }
func (overdue) Temporary() bool { return true }

const (
	errTotal overdue = "the exchange took longer than timeouts.total"
	errIdle  overdue = "nothing passed for longer than timeouts.idle"
)

// pulse ends an exchange that takes too long. Its limits are the route's. Idle counts while the body of the request
// comes, and from the beginning of the answer; in between, timeouts.header does.
type pulse struct {
	idle   time.Duration
	last   atomic.Int64 // nanoseconds of Unix time: when something passed
	timer  *time.Timer  // of idle; nil = no limit
	cancel context.CancelCauseFunc

	mu        sync.Mutex
	counting  bool // something should pass now
	answering bool
}

// bound puts the limits of the route over a visit: the request that it returns ends by them, and end must be called.
func (v *visit) bound(r *http.Request) (bounded *http.Request, end func()) {
	t := v.route.timeouts
	ctx, cancel := context.WithCancelCause(r.Context())
	p := &pulse{idle: t.Idle, cancel: cancel}
	var total *time.Timer
	if t.Total > 0 {
		total = time.AfterFunc(t.Total, func() { v.overran(p, errTotal) })
	}
	if t.Idle > 0 {
		p.timer = time.AfterFunc(time.Hour, func() { p.look(v) })
		p.timer.Stop()
		if r.ContentLength != 0 {
			p.begin(false)
		}
		v.pulse = p
	}
	return r.WithContext(ctx), func() {
		if total != nil {
			total.Stop()
		}
		if p.timer != nil {
			p.pause(false)
		}
		cancel(nil)
	}
}

// overran ends the exchange. Whoever reads or writes a body then gets an error, and the client's connection is cut.
func (v *visit) overran(p *pulse, why overdue) {
	v.forwarder.log.LogAttrs(context.Background(), slog.LevelInfo, "exchange ended", slog.String("because", why.Error()),
		slog.String("reference", v.req.record.Reference), slog.String("route", v.route.name))
	p.cancel(why)
}

// ranOut reports whether a limit of the route has ended the outgoing request.
func (v *visit) ranOut(out *http.Request) bool {
	var why overdue
	return errors.As(context.Cause(out.Context()), &why)
}

func (p *pulse) begin(answering bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counting, p.answering = true, answering
	p.beat()
	p.timer.Reset(p.idle)
}

// sent is told that the request has arrived whole.
func (p *pulse) sent() { p.pause(true) }

// pause stops counting; unlessAnswering, only if the answer hasn't begun. A look that is under way then finds nothing to do.
func (p *pulse) pause(unlessAnswering bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if unlessAnswering && p.answering {
		return
	}
	p.counting = false
	p.timer.Stop()
}

func (p *pulse) beat() { p.last.Store(time.Now().UnixNano()) }

func (p *pulse) look(v *visit) {
	if p.silent() {
		v.overran(p, errIdle)
	}
}

// silent reports whether nothing has passed for too long; if something has, it looks again in time.
func (p *pulse) silent() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.counting {
		return false
	}
	left := p.idle - time.Duration(time.Now().UnixNano()-p.last.Load())
	if left > 0 {
		p.timer.Reset(left)
	}
	return left <= 0
}

// feelPulse begins to count for the body of an answer.
func (v *visit) feelPulse(res *http.Response) {
	p := v.pulse
	if p == nil || res.Body == nil || res.Body == http.NoBody {
		return
	}
	p.begin(true)
	b := &beating{ReadCloser: res.Body, pulse: p}
	if both, ok := res.Body.(io.ReadWriteCloser); ok && res.StatusCode == http.StatusSwitchingProtocols {
		res.Body = &beatingBoth{b, both}
		return
	}
	res.Body = b
}

// beating is a body that says when something of it passes.
type beating struct {
	io.ReadCloser
	pulse *pulse
}

func (b *beating) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 {
		b.pulse.beat()
	}
	return n, err
}

// beatingBoth is a connection that both sides write to.
type beatingBoth struct {
	*beating
	both io.ReadWriteCloser
}

func (b *beatingBoth) Write(p []byte) (int, error) {
	n, err := b.both.Write(p)
	if n > 0 {
		b.pulse.beat()
	}
	return n, err
}

// CloseWrite passes on that the client has said its last word.
func (b *beatingBoth) CloseWrite() error {
	if half, ok := b.both.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return http.ErrNotSupported
}
