package testnet

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"testing"
)

// Network maps "host:port" to listeners, so that a provider, a gateway and an upstream can live
// together in one process or one synctest bubble. It is safe for concurrent use. Nothing listens
// anywhere else: a Dial to an address without a listener fails like a refused connection.
type Network struct {
	mu         sync.Mutex
	listeners  map[string]*Listener
	transports []*http.Transport
	ca         *authority // made when first needed
	next       byte
}

// New returns an empty network. End it with Close (NewFor does so by itself).
func New() *Network { return &Network{listeners: map[string]*Listener{}} }

// NewFor is New, closed when the test ends.
func NewFor(t testing.TB) *Network {
	n := New()
	t.Cleanup(n.Close)
	return n
}

// Listen returns the listener of an address such as "idp.test:80". A second Listen of the same
// address replaces the first, which is closed: that is how a server restarts.
func (n *Network) Listen(address string) *Listener {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, _, err := net.SplitHostPort(address); err != nil {
		panic(fmt.Sprintf("testnet: Listen(%q): want host:port", address))
	}
	if old := n.listeners[address]; old != nil {
		_ = old.Close()
	}
	n.next++
	l := newListener(netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, 100 + n.next%100}), 80))
	n.listeners[address] = l
	return l
}

// Dial connects to a listener of the network. It fits http.Transport.DialContext and every Deps.Dial.
func (n *Network) Dial(ctx context.Context, _, address string) (net.Conn, error) {
	return n.dial(ctx, address, DefaultClient)
}

// DialFrom returns a Dial whose connections come from ip.
func (n *Network) DialFrom(ip string) func(ctx context.Context, network, address string) (net.Conn, error) {
	from := netip.MustParseAddr(ip)
	return func(ctx context.Context, _, address string) (net.Conn, error) { return n.dial(ctx, address, from) }
}

func (n *Network) dial(ctx context.Context, address string, from netip.Addr) (net.Conn, error) {
	n.mu.Lock()
	l := n.listeners[address]
	n.mu.Unlock()
	if l == nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: fmt.Errorf("nothing listens at %s", address)}
	}
	return l.DialFrom(ctx, from)
}

// Transport returns a transport of its own that dials through the network and trusts its
// certificates (ServeTLS). Its idle connections are closed by Close.
func (n *Network) Transport() *http.Transport {
	t := &http.Transport{DialContext: n.Dial, TLSClientConfig: &tls.Config{RootCAs: n.authority().pool}}
	n.mu.Lock()
	n.transports = append(n.transports, t)
	n.mu.Unlock()
	return t
}

// Client returns a client over Transport that follows no redirects and keeps no cookies.
func (n *Network) Client() *http.Client {
	return &http.Client{Transport: n.Transport(), CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
}

// Browser returns a browser over Transport.
func (n *Network) Browser() *Browser { return NewBrowser(n.Transport()) }

// Serve runs an http.Server with this handler at the address ("app.test:80") until the test ends
// or the returned server is closed.
func (n *Network) Serve(t testing.TB, address string, h http.Handler) *http.Server {
	return n.serve(t, n.Listen(address), h)
}

// ServeTLS is Serve with TLS and a certificate for the address's host that the network's
// transports trust ("app.test:443").
func (n *Network) ServeTLS(t testing.TB, address string, h http.Handler) *http.Server {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatalf("testnet: ServeTLS(%q): %v", address, err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{n.authority().certificate(host)}}
	return n.serve(t, tls.NewListener(n.Listen(address), config), h)
}

func (n *Network) serve(t testing.TB, l net.Listener, h http.Handler) *http.Server {
	t.Helper()
	server := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)}
	var done sync.WaitGroup
	done.Go(func() { _ = server.Serve(l) })
	t.Cleanup(func() {
		n.closeIdle()
		_ = server.Close()
		done.Wait()
	})
	return server
}

// Close closes every listener and every idle connection of the network's transports, so that no
// goroutine outlives a test.
func (n *Network) Close() {
	n.mu.Lock()
	for _, l := range n.listeners {
		_ = l.Close()
	}
	n.mu.Unlock()
	n.closeIdle()
}

func (n *Network) closeIdle() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, t := range n.transports {
		t.CloseIdleConnections()
	}
}

func (n *Network) authority() *authority {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ca == nil {
		n.ca = newAuthority()
	}
	return n.ca
}
