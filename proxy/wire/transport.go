package wire

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"
)

// Config holds the limits. All must be positive.
type Config struct {
	DialTimeout            time.Duration
	ResponseHeaderTimeout  time.Duration // from the request to the end of the answer's header
	IdleTimeout            time.Duration // a connection unused for so long is closed
	IdlePerHost            int           // so many unused connections are kept for a host
	MaxResponseHeaderBytes int64         // of the header and all interim answers before it
}

// Deps are what a Transport is built on.
type Deps struct {
	// Fallback carries the requests that are not taken: an *http.Transport, as a rule.
	Fallback http.RoundTripper
	// Dial must return when ctx ends.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Transport is an http.RoundTripper. It is safe for concurrent use.
type Transport struct {
	config   Config
	fallback http.RoundTripper
	dial     func(ctx context.Context, network, address string) (net.Conn, error)
	idle     pool
	buffers  sync.Pool // of *[]byte, for requests
}

// New validates and never touches the network.
func New(c Config, d Deps) (*Transport, error) {
	switch {
	case c.DialTimeout <= 0 || c.ResponseHeaderTimeout <= 0 || c.IdleTimeout <= 0:
		return nil, errors.New("wire: every timeout must be positive")
	case c.IdlePerHost <= 0 || c.MaxResponseHeaderBytes <= 0:
		return nil, errors.New("wire: IdlePerHost and MaxResponseHeaderBytes must be positive")
	case d.Fallback == nil:
		return nil, errors.New("wire: no fallback for what it does not carry itself")
	case d.Dial == nil:
		return nil, errors.New("wire: no way to dial")
	}
	return &Transport{
		config:   c,
		fallback: d.Fallback,
		dial:     d.Dial,
		idle:     pool{timeout: c.IdleTimeout, perHost: c.IdlePerHost},
		buffers:  sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }},
	}, nil
}

// CloseIdleConnections closes what is unused, of the fallback too. Connections in use are
// closed when they end, unless another request comes before.
func (t *Transport) CloseIdleConnections() {
	t.idle.close()
	if f, ok := t.fallback.(interface{ CloseIdleConnections() }); ok {
		f.CloseIdleConnections()
	}
}

// maxBuffer is the size up to which a buffer is kept for the next request.
const maxBuffer = 64 << 10

// RoundTrip implements http.RoundTripper. An error for which Timeout() is true, or which is
// context.DeadlineExceeded, means that the upstream took too long.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if !ours(req) {
		return t.fallback.RoundTrip(req)
	}
	buf := t.buffers.Get().(*[]byte)
	defer func() {
		if cap(*buf) <= maxBuffer {
			t.buffers.Put(buf)
		}
	}()
	var fits bool
	var err error
	if *buf, fits, err = appendRequest((*buf)[:0], req); err != nil {
		return nil, err
	}
	if !fits {
		return t.fallback.RoundTrip(req)
	}
	return t.send(req, *buf)
}

// send tries a connection that was used before, and a new one. That a request may arrive
// twice is why only GET and HEAD come here (RFC 9110 §9.2.2, RFC 9112 §9.3.1).
func (t *Transport) send(req *http.Request, message []byte) (*http.Response, error) {
	ctx := req.Context()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if c := t.reuse(req.URL.Host); c != nil {
		res, answered, err := t.exchange(c, req, message)
		if err == nil || answered || ctx.Err() != nil || errors.Is(err, errTimeout) {
			return res, err
		}
		// It was closed while the request was on its way: not the fault of the request.
	}
	c, err := t.connect(ctx, req.URL)
	if err != nil {
		return nil, err
	}
	res, _, err := t.exchange(c, req, message)
	return res, err
}
