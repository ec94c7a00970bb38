package testnet

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// socketBuffer is how much one side may write before the other has read it. net.Pipe has no
// buffer at all, which deadlocks what real sockets carry: a TLS alert that crosses a session
// ticket, an early answer to a long request.
const socketBuffer = 64 << 10

// pipe returns the two ends of a connection.
func pipe(local, remote net.Addr) (client, server *conn) {
	up, down := newHalf(), newHalf()
	return &conn{in: down, out: up, local: local, remote: remote}, &conn{in: up, out: down, local: remote, remote: local}
}

// conn is one end of a connection in memory, with the addresses and the half-close of TCP. It
// waits on sync.Cond and time.AfterFunc, both of which a synctest bubble understands.
type conn struct {
	in, out       *half
	local, remote net.Addr
}

func (c *conn) Read(b []byte) (int, error)  { return c.in.read(b) }
func (c *conn) Write(b []byte) (int, error) { return c.out.write(b) }
func (c *conn) LocalAddr() net.Addr         { return c.local }
func (c *conn) RemoteAddr() net.Addr        { return c.remote }

// CloseWrite ends the stream to the other side, which reads the rest and then io.EOF.
func (c *conn) CloseWrite() error {
	c.out.change(func(h *half) { h.ended = true })
	return nil
}

func (c *conn) Close() error {
	c.out.change(func(h *half) { h.ended = true })
	c.in.change(func(h *half) { h.readerGone = true; h.buf = nil })
	return nil
}

func (c *conn) SetDeadline(t time.Time) error {
	c.in.reading.set(c.in, t)
	c.out.writing.set(c.out, t)
	return nil
}

func (c *conn) SetReadDeadline(t time.Time) error  { c.in.reading.set(c.in, t); return nil }
func (c *conn) SetWriteDeadline(t time.Time) error { c.out.writing.set(c.out, t); return nil }

// half is one direction.
type half struct {
	mu               sync.Mutex
	changed          *sync.Cond
	buf              []byte
	ended            bool // no more will be written
	readerGone       bool
	reading, writing deadline
}

func newHalf() *half {
	h := &half{}
	h.changed = sync.NewCond(&h.mu)
	return h
}

func (h *half) change(f func(*half)) {
	h.mu.Lock()
	f(h)
	h.mu.Unlock()
	h.changed.Broadcast()
}

func (h *half) read(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.readerGone:
			return 0, net.ErrClosed
		case h.reading.passed():
			return 0, os.ErrDeadlineExceeded
		case len(h.buf) > 0 || len(b) == 0:
			n := copy(b, h.buf)
			h.buf = h.buf[n:]
			h.changed.Broadcast()
			return n, nil
		case h.ended:
			return 0, io.EOF
		}
		h.changed.Wait()
	}
}

func (h *half) write(b []byte) (n int, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch room := socketBuffer - len(h.buf); {
		case h.ended:
			return n, net.ErrClosed
		case h.writing.passed():
			return n, os.ErrDeadlineExceeded
		case h.readerGone:
			return n, io.ErrClosedPipe // like EPIPE
		case len(b) == 0:
			return n, nil
		case room > 0:
			part := min(room, len(b))
			h.buf = append(h.buf, b[:part]...)
			b, n = b[part:], n+part
			h.changed.Broadcast()
			continue
		}
		h.changed.Wait()
	}
}

// deadline is guarded by its half's mutex.
type deadline struct {
	at    time.Time
	timer *time.Timer
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

func (d *deadline) set(h *half, at time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.at = at
	// One that has passed needs no timer. The runtime of Go 1.26 crashes now and then when a timer is
	// made to fire at once in a bubble under the race detector; crypto/tls does so at each Close.
	if wait := time.Until(at); !at.IsZero() && wait > 0 {
		d.timer = time.AfterFunc(wait, func() {
			h.mu.Lock() // so that a waiter is either before its check or already waiting
			defer h.mu.Unlock()
			h.changed.Broadcast()
		})
	}
	h.changed.Broadcast()
}
