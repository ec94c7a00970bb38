package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"sync"
	"sync/atomic"
)

// exchange is one request and its answer on one connection, and the body of that answer.
//
// Whoever changes owner from inUse decides what becomes of the connection, once: the end of
// the answer gives it back, and the end of the context, the closing of the body or an error
// close it. Those that come later do nothing. So a context that ends late can't reach a
// connection that another request has by then.
type exchange struct {
	transport *Transport
	conn      *conn
	ctx       context.Context
	unwatch   func() bool
	owner     atomic.Uint32

	mu     sync.Mutex // held by a Read; a Close doesn't wait for it
	body   io.Reader
	err    error // of the body, once there is one
	keep   bool  // the connection may be used again after the body
	closed atomic.Bool
}

const (
	inUse uint32 = iota
	givenBack
	broken
)

// exchange sends the request and reads the header of its answer. answered tells that bytes
// of an answer came. The connection belongs to it from here on.
func (t *Transport) exchange(c *conn, req *http.Request, message []byte) (res *http.Response, answered bool, err error) {
	x := &exchange{transport: t, conn: c, ctx: req.Context()}
	if x.ctx.Done() != nil {
		x.unwatch = context.AfterFunc(x.ctx, x.abandon)
	}
	res, answered, err = x.run(req, message)
	if err != nil {
		x.end(false)
		return nil, answered, x.explain(err)
	}
	x.keep = !res.Close && res.ProtoMajor == 1
	if res.Body == http.NoBody {
		x.end(x.keep)
		return res, true, nil
	}
	x.body, res.Body = res.Body, x
	return res, true, nil
}

func (x *exchange) run(req *http.Request, message []byte) (res *http.Response, answered bool, err error) {
	c := x.conn
	c.left = x.transport.config.MaxResponseHeaderBytes
	if err := c.bound(x.transport.config.ResponseHeaderTimeout); err != nil {
		return nil, false, err
	}
	if _, err := c.net.Write(message); err != nil {
		return nil, false, err
	}
	if _, err := c.reader.Peek(1); err != nil {
		return nil, false, fmt.Errorf("wire: no answer came: %w", err)
	}
	for {
		res, err := http.ReadResponse(c.reader, req)
		switch {
		case err != nil && c.failure != nil:
			return nil, true, describe(c.failure)
		case err != nil:
			return nil, true, describe(err)
		case res.StatusCode == http.StatusSwitchingProtocols:
			return nil, true, errSwitched
		case res.StatusCode < 100:
			return nil, true, errStatus
		case res.StatusCode >= 200:
			c.unbound()
			return res, true, nil
		}
		if err := x.inform(res); err != nil {
			return nil, true, err
		}
	}
}

// inform passes an interim answer on. Who listens limits how many they may be; the time for
// all of them is limited here. If nobody listens, they count as a part of the header.
func (x *exchange) inform(res *http.Response) error {
	trace := httptrace.ContextClientTrace(x.ctx)
	if trace == nil || trace.Got1xxResponse == nil {
		return nil
	}
	x.conn.left = x.transport.config.MaxResponseHeaderBytes
	return trace.Got1xxResponse(res.StatusCode, textproto.MIMEHeader(res.Header))
}

// abandon closes the connection, if it is still this exchange's.
func (x *exchange) abandon() {
	if x.owner.CompareAndSwap(inUse, broken) {
		_ = x.conn.net.Close()
	}
}

// end gives the connection back, if it may be used again, and else closes it.
func (x *exchange) end(keep bool) {
	if x.unwatch != nil {
		x.unwatch()
	}
	if keep && !x.conn.spent() && x.owner.CompareAndSwap(inUse, givenBack) {
		x.transport.idle.put(x.conn)
		return
	}
	x.abandon()
}

// explain says the reason and not its consequence.
func (x *exchange) explain(err error) error {
	if x.ctx.Err() != nil {
		return context.Cause(x.ctx)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return errTimeout
	}
	return err
}

// Read implements io.Reader for the body.
func (x *exchange) Read(p []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case x.closed.Load():
		return 0, http.ErrBodyReadAfterClose
	case x.err != nil:
		return 0, x.err
	}
	n, err := x.body.Read(p)
	if err == nil {
		return n, nil
	}
	x.end(err == io.EOF && x.keep)
	switch {
	case err == io.EOF:
		x.err = err
	case x.closed.Load():
		x.err = http.ErrBodyReadAfterClose
	default:
		x.err = x.explain(describe(err))
	}
	return n, x.err
}

// Close implements io.Closer for the body. What was not read costs the connection: nobody
// knows how long the rest would take.
func (x *exchange) Close() error {
	x.closed.Store(true)
	x.abandon()
	if x.unwatch != nil {
		x.unwatch()
	}
	return nil
}
