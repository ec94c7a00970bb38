package proxy

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"
)

// dial opens connections to upstreams: to a unix socket where the address stands for one,
// else by TCP.
type dial struct {
	literal, named net.Dialer
	sockets        map[string]string
}

func newDial(sockets map[string]string, wait time.Duration) *dial {
	d := &dial{sockets: sockets}
	d.literal = net.Dialer{Timeout: wait, KeepAlive: 30 * time.Second}
	d.named = d.literal
	d.named.Control = refuseOddAddress
	return d
}

func (d *dial) context(ctx context.Context, network, address string) (net.Conn, error) {
	if path, ok := d.sockets[address]; ok {
		return d.literal.DialContext(ctx, "unix", path)
	}
	if isLiteral(address) {
		return d.literal.DialContext(ctx, network, address)
	}
	return d.named.DialContext(ctx, network, address)
}

// isLiteral reports whether the configuration itself says which machine is meant: by address,
// or as this one.
func isLiteral(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// refuseOddAddress keeps whoever can answer for a name from turning it to this machine or to
// the metadata service of its cloud (CONTRACT §4): a name may lead to a private address, to
// loopback and link-local ones never. It is asked for each address after the name was
// resolved, so that a second answer of the DNS changes nothing.
func refuseOddAddress(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%q is no address", address)
	}
	ip := to.Addr().WithZone("").Unmap()
	switch {
	case ip.IsLoopback(), ip.IsUnspecified():
		return fmt.Errorf("the upstream's name leads to %s, this machine; if that is meant, write the address", ip)
	case ip.IsLinkLocalUnicast(), ip.IsMulticast(), metadata[ip]:
		return fmt.Errorf("the upstream's name leads to %s, a link-local, multicast or metadata address; if that is meant, write the address", ip)
	}
	return nil
}

// metadata are the services of clouds outside link-local addresses that hand a machine its own
// credentials.
var metadata = map[netip.Addr]bool{
	netip.MustParseAddr("fd00:ec2::254"):   true,
	netip.MustParseAddr("fd20:ce::254"):    true,
	netip.MustParseAddr("100.100.100.200"): true,
	netip.MustParseAddr("168.63.129.16"):   true,
}
