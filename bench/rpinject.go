package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/doorward/doorward/proxy/wire"
)

const (
	rolePrefix = "role:"
	roleBare   = rolePrefix + "rp-inject"
)

// playRole is main of a child process: rp-inject ADDRESS UPSTREAM TRANSPORT, the token by environment.
func playRole(args []string) int {
	if len(args) != 4 || args[0] != roleBare {
		fmt.Fprintln(os.Stderr, "bench: unknown role")
		return 2
	}
	to, err := url.Parse(args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 2
	}
	transport, err := bareTransport(args[3])
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	server := &http.Server{ // with the limits of package edge: nobody runs a proxy without them
		Addr: args[1], Handler: bareProxy(to, os.Getenv("BENCH_TOKEN"), transport),
		ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, func() { _ = server.Close() })
	if err := server.ListenAndServe(); err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	return 0
}

// bareProxy is the honest base: httputil.ReverseProxy with the transport settings of package proxy
// and a buffer pool, one instance for all requests, which removes the cookie and injects a
// token. It knows nobody and judges nothing.
func bareProxy(to *url.URL, token string, transport http.RoundTripper) http.Handler {
	bearer := []string{"Bearer " + token}
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.SetXForwarded()
			delete(r.Out.Header, "Cookie")
			r.Out.Header["Authorization"] = bearer
		},
		Transport:  transport,
		BufferPool: &pool{},
	}
}

// Values of -base.
const (
	baseHTTP = "http" // http.Transport, which everybody has
	baseWire = "wire" // the one that doorward sends GET and HEAD by
)

func bareTransport(which string) (http.RoundTripper, error) {
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}
	tuned := &http.Transport{
		DialContext:            dialer.DialContext,
		IdleConnTimeout:        90 * time.Second,
		MaxIdleConnsPerHost:    512,
		DisableCompression:     true,
		ForceAttemptHTTP2:      true,
		ResponseHeaderTimeout:  2 * time.Minute,
		MaxResponseHeaderBytes: 256 << 10,
	}
	if which != baseWire {
		return tuned, nil
	}
	return wire.New(wire.Config{
		DialTimeout: 5 * time.Second, ResponseHeaderTimeout: 2 * time.Minute, IdleTimeout: 90 * time.Second, IdlePerHost: 512, MaxResponseHeaderBytes: 256 << 10,
	}, wire.Deps{Fallback: tuned, Dial: dialer.DialContext})
}

type pool struct{ sync.Pool }

func (p *pool) Get() []byte {
	if b, ok := p.Pool.Get().(*[32 << 10]byte); ok {
		return b[:]
	}
	return new([32 << 10]byte)[:]
}

func (p *pool) Put(b []byte) { p.Pool.Put((*[32 << 10]byte)(b)) }
