package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"time"
)

// errRefusedAddress is what every refusal of an address is.
var errRefusedAddress = errors.New("the address was refused")

// egressDial opens connections to upstreams of targets. Where a name leads is judged between its resolution and the
// connection, for each address anew and for the very address that is dialled: a second answer of the DNS changes nothing
// (P149, S15).
type egressDial struct {
	literal, local, named net.Dialer
	sockets               map[string]string
	own                   []netip.AddrPort
	interfaces            func() ([]net.Addr, error)
}

func newEgressDial(sockets map[string]string, own []netip.AddrPort, resolver *net.Resolver) *egressDial {
	d := &egressDial{sockets: sockets, own: own, interfaces: net.InterfaceAddrs}
	d.literal = net.Dialer{Timeout: dialWait, KeepAlive: 30 * time.Second, Resolver: resolver}
	d.local, d.named = d.literal, d.literal
	d.local.Control = onlyThisMachine
	d.named.Control = func(network, address string, c syscall.RawConn) error {
		if err := d.refuse(network, address, c); err != nil {
			return fmt.Errorf("%w: %w", errRefusedAddress, err)
		}
		return nil
	}
	return d
}

func (d *egressDial) context(ctx context.Context, network, address string) (net.Conn, error) {
	if path, ok := d.sockets[address]; ok {
		return d.literal.DialContext(ctx, "unix", path)
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return d.literal.DialContext(ctx, network, address) // the configuration itself says which machine is meant
	}
	if isLiteral(address) {
		return d.local.DialContext(ctx, network, address)
	}
	return d.named.DialContext(ctx, network, address)
}

// onlyThisMachine holds localhost to its word (RFC 6761 §6.3).
func onlyThisMachine(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil || !to.Addr().Unmap().IsLoopback() {
		return fmt.Errorf("%w: localhost leads to %s, which is not this machine", errRefusedAddress, address)
	}
	return nil
}

// refuse keeps whoever can answer for a name from turning it to this machine, to a metadata service or to ourselves.
func (d *egressDial) refuse(network, address string, c syscall.RawConn) error {
	if err := refuseOddAddress(network, address, c); err != nil {
		return err
	}
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%q is no address", address)
	}
	ip := to.Addr().WithZone("").Unmap()
	if ip.Is4() && (ip.As4()[0] == 0 || ip == netip.AddrFrom4([4]byte{255, 255, 255, 255})) {
		return fmt.Errorf("the upstream's name leads to %s, which is no machine", ip)
	}
	for _, inner := range embedded(ip) {
		if ip.Is6() && refuseOddAddress(network, netip.AddrPortFrom(inner, to.Port()).String(), c) != nil {
			return fmt.Errorf("the upstream's name leads to %s, which is %s in other words; if that is meant, write the address", ip, inner)
		}
	}
	if d.isOwn(netip.AddrPortFrom(ip, to.Port())) {
		return fmt.Errorf("the upstream's name leads to %s, where Doorward itself listens; if that is meant, write the address", to)
	}
	return nil
}

// Prefixes of IPv6 addresses that stand for an IPv4 address, which a translator on the way takes out again.
var (
	prefixNAT64      = netip.MustParsePrefix("64:ff9b::/96")   // RFC 6052 §2.1
	prefixNAT64Local = netip.MustParsePrefix("64:ff9b:1::/48") // RFC 8215
	prefix6to4       = netip.MustParsePrefix("2002::/16")      // RFC 3056 §2
	prefixTeredo     = netip.MustParsePrefix("2001::/32")      // RFC 4380 §4
	prefixCompatible = netip.MustParsePrefix("::/96")          // RFC 4291 §2.5.5.1
)

// embedded lists the IPv4 addresses that an IPv6 address may stand for.
func embedded(ip netip.Addr) []netip.Addr {
	if !ip.Is6() {
		return nil
	}
	b := ip.As16()
	at := func(i int) netip.Addr { return netip.AddrFrom4([4]byte(b[i : i+4])) }
	switch {
	case prefixNAT64.Contains(ip), prefixCompatible.Contains(ip):
		return []netip.Addr{at(12)}
	case prefixNAT64Local.Contains(ip): // the operator's own choice of prefix length decides where it stands (RFC 6052 §2.2)
		return []netip.Addr{at(12), netip.AddrFrom4([4]byte{b[6], b[7], b[9], b[10]}), netip.AddrFrom4([4]byte{b[7], b[9], b[10], b[11]}), at(9)}
	case prefix6to4.Contains(ip):
		return []netip.Addr{at(2)}
	case prefixTeredo.Contains(ip):
		return []netip.Addr{at(4), netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]})}
	}
	return nil
}

// isOwn reports whether Doorward listens there.
func (d *egressDial) isOwn(to netip.AddrPort) bool {
	for _, own := range d.own {
		if own.Port() != to.Port() {
			continue
		}
		if at := own.Addr().Unmap(); at == to.Addr() || at.IsUnspecified() && d.isThisMachine(to.Addr()) {
			return true
		}
	}
	return false
}

// isThisMachine reports whether one of our network interfaces has the address. If that cannot be known, it may be.
func (d *egressDial) isThisMachine(ip netip.Addr) bool {
	all, err := d.interfaces()
	return err != nil || slices.ContainsFunc(all, func(a net.Addr) bool {
		p, err := netip.ParsePrefix(a.String())
		return err == nil && p.Addr().Unmap() == ip
	})
}

// metadataName knows the metadata services of clouds by name: they need none of their addresses to be reached.
func metadataName(host string) bool {
	switch host {
	case "metadata", "metadata.google.internal", "metadata.goog", "instance-data", "instance-data.ec2.internal":
		return true
	}
	return strings.HasSuffix(host, ".metadata.google.internal")
}
