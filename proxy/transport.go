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

// wire makes the usual way to upstreams: package wire for what is most frequent, at half of
// the cost (docs/adr/0005), and an http.Transport for everything else.
func (s settings) wire(otherwise *http.Transport) (*wire.Transport, error) {
	return wire.New(wire.Config{
		DialTimeout:            s.connect,
		ResponseHeaderTimeout:  s.header,
		IdleTimeout:            idleConn,
		IdlePerHost:            idlePerHost,
		MaxResponseHeaderBytes: maxAnswerHeader,
	}, wire.Deps{Fallback: otherwise, Dial: newDial(s.sockets, s.connect).context})
}

// once makes the way of requests that were approved: each over a connection of its own, and over HTTP/1.1.
// package wire and http.Transport send a request again if a connection that was used before closes before the
// answer, also a POST with an Idempotency-Key; HTTP/2 does so if the upstream resets the stream. Nobody knows then whether the
// first one was read, and one consent is good for one request.
func (s settings) once() *http.Transport {
	s.protocol = "h1"
	t := s.transport()
	t.DisableKeepAlives = true
	return t
}

// How soon it is noticed that nobody is at the other end of an HTTP/2 connection: it may carry streams that are silent for
// hours, and every new request.
const (
	pingAfter = 30 * time.Second
	pingWait  = 15 * time.Second
)

// transport uses no proxy of the environment, asks for no compression of its own, and
// follows no redirects (a RoundTripper never does).
func (s settings) transport() *http.Transport {
	t := &http.Transport{
		Proxy:                  nil,
		DialContext:            newDial(s.sockets, s.connect).context,
		TLSClientConfig:        s.tls,
		TLSHandshakeTimeout:    s.connect,
		ResponseHeaderTimeout:  s.header,
		IdleConnTimeout:        idleConn,
		MaxIdleConnsPerHost:    idlePerHost,
		DisableCompression:     true,
		ForceAttemptHTTP2:      true, // by ALPN, so on https only
		MaxResponseHeaderBytes: maxAnswerHeader,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingWait},
	}
	if s.protocol != "" {
		t.Protocols = new(http.Protocols)
		t.Protocols.SetHTTP1(s.protocol == "h1")
		t.Protocols.SetHTTP2(s.protocol == "h2")
		t.Protocols.SetUnencryptedHTTP2(s.protocol == "h2c")
	}
	return t
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
