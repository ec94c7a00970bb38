package proxy

import (
	"encoding/hex"
	"net/http"
	"sync"
	"time"

	"github.com/doorward/doorward/proxy/wire"
)

// How long an upstream may take. There is no limit on a whole request or answer: uploads,
// downloads and streams take as long as they take (R10). responseWait counts from the end
// of the request's body to the first byte of the answer.
const (
	dialWait        = 5 * time.Second
	handshakeWait   = 5 * time.Second
	responseWait    = 2 * time.Minute
	idleConn        = 90 * time.Second
	maxAnswerHeader = 256 << 10 // bytes
	idlePerHost     = 512       // at least the concurrency, or connections are thrown away: 2.4 × the cost
)

// newLane makes the one way to all upstreams: package wire for what is most frequent, at half of
// the cost (docs/adr/0005), and an http.Transport for everything else.
func newLane(sockets map[string]string) (http.RoundTripper, error) {
	return wire.New(wire.Config{
		DialTimeout:            dialWait,
		ResponseHeaderTimeout:  responseWait,
		IdleTimeout:            idleConn,
		IdlePerHost:            idlePerHost,
		MaxResponseHeaderBytes: maxAnswerHeader,
	}, wire.Deps{Fallback: newTransport(sockets), Dial: newDial(sockets).context})
}

// newOnce makes the way of requests that were approved: each over a connection of its own, and over HTTP/1.1.
// package wire and http.Transport send a request again if a connection that was used before closes before the
// answer, also a POST with an Idempotency-Key; HTTP/2 does so if the upstream resets the stream. Nobody knows then whether the
// first one was read, and one consent is good for one request.
func newOnce(sockets map[string]string) *http.Transport {
	t := newTransport(sockets)
	t.DisableKeepAlives = true
	t.Protocols = new(http.Protocols)
	t.Protocols.SetHTTP1(true)
	return t
}

// newTransport uses no proxy of the environment, asks for no compression of its own, and
// follows no redirects (a RoundTripper never does).
func newTransport(sockets map[string]string) *http.Transport {
	return &http.Transport{
		Proxy:                  nil,
		DialContext:            newDial(sockets).context,
		TLSHandshakeTimeout:    handshakeWait,
		ResponseHeaderTimeout:  responseWait,
		IdleConnTimeout:        idleConn,
		MaxIdleConnsPerHost:    idlePerHost,
		DisableCompression:     true,
		ForceAttemptHTTP2:      true, // by ALPN, so on https only
		MaxResponseHeaderBytes: maxAnswerHeader,
	}
}

// socketHost makes a host name for a unix socket, under which the transport keeps its
// connections apart from others. ".invalid" never resolves (RFC 6761 §6.4).
func socketHost(path string) string { return hex.EncodeToString([]byte(path)) + ".unix.invalid" }

// socketsOf maps what the transport dials to the paths of sockets.
func socketsOf(routes []Route) map[string]string {
	sockets := make(map[string]string)
	for _, rt := range routes {
		for _, u := range rt.Upstreams {
			if u.Scheme == "unix" {
				sockets[socketHost(u.Path)+":80"] = u.Path
			}
		}
	}
	return sockets
}

// bufferSize is that of ReverseProxy's own buffers. Larger ones gain 10 % on large bodies
// only; smaller ones cost twice as much.
const bufferSize = 32 << 10

// buffers is an httputil.BufferPool. It holds arrays, because putting a slice into a
// sync.Pool allocates its header.
type buffers struct{ pool sync.Pool }

func newBuffers() *buffers {
	return &buffers{sync.Pool{New: func() any { return new([bufferSize]byte) }}}
}

func (b *buffers) Get() []byte  { return b.pool.Get().(*[bufferSize]byte)[:] }
func (b *buffers) Put(p []byte) { b.pool.Put((*[bufferSize]byte)(p)) }
