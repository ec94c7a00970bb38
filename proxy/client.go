package proxy

import (
	"net/netip"
	"slices"
	"strings"
)

// trust says whose forwarding headers are believed: those of listed peers, and of nobody
// where the list is empty (S6, P035).
type trust []netip.Prefix

func (t trust) covers(a netip.Addr) bool {
	return slices.ContainsFunc(t, func(p netip.Prefix) bool { return p.Contains(a) })
}

// maxHops bounds the walk: no real chain of proxies is longer.
const maxHops = 32

// client is the one reader of X-Forwarded-For. It walks from the right, from the peer
// over proxies that are trusted, to the first address that is not: whatever stands left
// of it anybody may have written (P036). via lists the trusted proxies passed on the way, as
// they go behind the client in the header for the upstream. A chain that cannot be read
// is not used at all, and the peer is the client (P037).
func (t trust) client(remote string, chain []string) (client netip.Addr, via string) {
	peer, ok := peerAddress(remote)
	if !ok || len(chain) == 0 || !t.covers(peer) {
		return peer, ""
	}
	hops := []netip.Addr{peer} // nearest first
	for _, line := range slices.Backward(chain) {
		for more := true; more; {
			var element string
			line, element, more = cutLast(line)
			a, ok := parseHop(element)
			if !ok || len(hops) > maxHops {
				return peer, ""
			}
			if !t.covers(a) {
				return a, join(hops)
			}
			hops = append(hops, a)
		}
	}
	last := len(hops) - 1 // all are trusted: the farthest began it
	return hops[last], join(hops[:last])
}

func cutLast(s string) (before, last string, more bool) {
	if i := strings.LastIndexByte(s, ','); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return "", s, false
}

// join writes hops in the order of the header: the nearest last.
func join(hops []netip.Addr) string {
	var b strings.Builder
	for i := range hops {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(hops[len(hops)-1-i].String())
	}
	return b.String()
}

// parseHop reads one element: an address, with or without a port, in brackets or not. An
// IPv4 address in IPv6 clothes is that IPv4 address; zones mean nothing to anybody else
// and are refused (P037).
func parseHop(s string) (netip.Addr, bool) {
	s = strings.Trim(s, " \t")
	a, err := netip.ParseAddr(s)
	if err != nil {
		if bare, ok := strings.CutSuffix(strings.TrimPrefix(s, "["), "]"); ok && s[0] == '[' {
			a, err = netip.ParseAddr(bare)
		} else {
			var ap netip.AddrPort
			ap, err = netip.ParseAddrPort(s)
			a = ap.Addr()
		}
	}
	if err != nil || a.Zone() != "" || a.IsUnspecified() {
		return netip.Addr{}, false
	}
	return a.Unmap(), true
}

// peerAddress reads http.Request.RemoteAddr. A unix socket has no address.
func peerAddress(remote string) (netip.Addr, bool) {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}, false
	}
	return ap.Addr().WithZone("").Unmap(), true
}
