package testnet

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
)

// Listener is a net.Listener whose connections exist in memory only. Make one with [Listen] or [Network.Listen].
type Listener struct {
	addr    net.TCPAddr
	waiting chan net.Conn
	closed  chan struct{}
	once    sync.Once
	mu      sync.Mutex
	port    int // of the next client
}

// Listen returns a listener of its own, outside any Network, which calls itself 192.0.2.80:80.
func Listen() *Listener { return newListener(netip.MustParseAddrPort("192.0.2.80:80")) }

func newListener(at netip.AddrPort) *Listener {
	return &Listener{
		addr:    *net.TCPAddrFromAddrPort(at),
		waiting: make(chan net.Conn),
		closed:  make(chan struct{}),
		port:    40000,
	}
}

// Accept waits for the next Dial. After Close it returns net.ErrClosed.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.waiting:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close ends Accept and refuses further Dials. Connections that exist stay open.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr returns an address that looks like TCP, so that code that splits host and port works.
func (l *Listener) Addr() net.Addr { return &l.addr }

// Dial connects to the listener from 192.0.2.1; network and addr are ignored, so that it fits http.Transport.DialContext.
func (l *Listener) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	return l.DialFrom(ctx, DefaultClient)
}

// DefaultClient is the address that a server sees unless DialFrom says another. It is not
// loopback, so that nothing is trusted by accident.
var DefaultClient = netip.AddrFrom4([4]byte{192, 0, 2, 1})

// DialFrom connects to the listener; the server sees the client at ip.
func (l *Listener) DialFrom(ctx context.Context, ip netip.Addr) (net.Conn, error) {
	l.mu.Lock()
	l.port++
	from := net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip, uint16(l.port)))
	l.mu.Unlock()
	client, server := pipe(from, &l.addr)
	select {
	case l.waiting <- server:
		return client, nil
	case <-l.closed:
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: &l.addr, Err: errors.New("connection refused")}
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
