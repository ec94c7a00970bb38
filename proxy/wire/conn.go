package wire

import (
	"bufio"
	"context"
	"math"
	"net"
	"net/url"
	"syscall"
	"time"
)

// conn is a connection to an upstream. All but its Close is used by one goroutine at a time:
// the owner's (see [exchange]).
type conn struct {
	net    net.Conn
	host   string // key of the pool
	reader *bufio.Reader
	peer   quiet
	since  time.Time // unused since

	left     int64 // so many bytes may still be read
	deadline bool  // one is set
	bounded  bool  // and holds
	failure  error // of a read: textproto loses it in the middle of a line
}

// connect makes a new connection.
func (t *Transport) connect(ctx context.Context, u *url.URL) (*conn, error) {
	port := u.Port()
	if port == "" {
		port = "80"
	}
	dialing, cancel := context.WithTimeout(ctx, t.config.DialTimeout)
	defer cancel()
	nc, err := t.dial(dialing, "tcp", net.JoinHostPort(u.Hostname(), port))
	switch {
	case ctx.Err() != nil:
		if err == nil {
			_ = nc.Close()
		}
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, err
	}
	c := &conn{net: nc, host: u.Host}
	c.reader = bufio.NewReader(c)
	c.peer.watch(nc)
	return c, nil
}

// reuse returns a connection that was used before, or nil. Its peer has neither closed it
// nor said anything since: what an upstream sends unasked would be taken for the answer to
// the next request, which is somebody else's.
func (t *Transport) reuse(host string) *conn {
	for {
		c := t.idle.take(host)
		if c == nil {
			return nil
		}
		if err := c.bound(t.config.ResponseHeaderTimeout); err == nil && c.peer.isQuiet() {
			return c
		}
		_ = c.net.Close()
	}
}

// bound begins the time in which the header of an answer must have come.
func (c *conn) bound(limit time.Duration) error {
	c.deadline, c.bounded = true, true
	return c.net.SetDeadline(time.Now().Add(limit))
}

// unbound ends it: there is none for a body. The deadline itself goes with the next read, if
// there is one; a short answer has been read with its header.
func (c *conn) unbound() {
	c.bounded = false
	c.left = math.MaxInt64
}

// Read is for reader.
func (c *conn) Read(p []byte) (int, error) {
	if c.left <= 0 {
		c.failure = errHeaderTooLong
		return 0, c.failure
	}
	if c.deadline && !c.bounded {
		c.deadline = false
		if err := c.net.SetDeadline(time.Time{}); err != nil {
			return 0, err
		}
	}
	n, err := c.net.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	if err != nil {
		c.failure = err
	}
	return n, err
}

// spent tells why the connection must not be used again after an answer that was read to its
// end, as far as the connection knows.
func (c *conn) spent() bool { return c.failure != nil || c.reader.Buffered() != 0 || !c.peer.known() }

// socket is what both kinds of connections have that can be asked without reading.
func socket(nc net.Conn) syscall.RawConn {
	var raw syscall.RawConn
	var err error
	switch nc := nc.(type) { // not any syscall.Conn: a wrapper may hold bytes back
	case *net.TCPConn:
		raw, err = nc.SyscallConn()
	case *net.UnixConn:
		raw, err = nc.SyscallConn()
	}
	if err != nil {
		return nil
	}
	return raw
}
