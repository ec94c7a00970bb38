package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/doorward/doorward/internal/origin"
)

// readUpstreams reads where a route's requests go. Without any it is for forward-auth, or answers itself.
func (c *composer) readUpstreams(t table) (all []*url.URL) {
	if v := t.value("upstream"); v != nil && len(v.items) == 0 {
		t.wrong("upstream", "the list is empty; at least one is needed")
	}
	t.each("upstream", func(item string) error {
		u, err := parseUpstream(item)
		if err == nil {
			err = c.checkUpstream(u)
		}
		if err == nil {
			all = append(all, u)
		}
		return err
	})
	return all
}

const notAnUpstream = `%q is neither "http://host:port" nor "https://host" nor "unix:/path"`

func parseUpstream(item string) (*url.URL, error) {
	u, err := url.Parse(item)
	switch {
	case err != nil:
		return nil, fmt.Errorf(notAnUpstream, item)
	case u.User != nil:
		return nil, errors.New("an upstream has no user or password; headers.set sends an Authorization header")
	case u.Scheme == "unix" && strings.HasPrefix(u.Path, "/") && u.Host == "":
		return u, nil
	case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return nil, fmt.Errorf(notAnUpstream, item)
	}
	return u, nil
}

// checkUpstream refuses destinations that nobody names by accident unless something is wrong. A
// private or loopback address is fine where it is written as that.
func (c *composer) checkUpstream(u *url.URL) error {
	if u.Scheme == "unix" {
		if own := "unix:" + u.Path; own == c.c.Listen.HTTP || own == c.c.Listen.Admin || own == c.c.Listen.Egress || own == c.c.Listen.ExtAuthz {
			return fmt.Errorf("%q is a listener of Doorward's own: requests would go round in a circle", own)
		}
		return nil
	}
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	ip, err := netip.ParseAddr(host)
	switch {
	case err == nil && ip.IsUnspecified():
		return fmt.Errorf("%q: %s is for listening; name the address to connect to", u, host)
	case err == nil && ip.IsMulticast():
		return fmt.Errorf("%q: nobody answers at a multicast address", u)
	case err != nil && slices.Contains([]string{"metadata", "metadata.google.internal", "metadata.goog", "instance-data", "instance-data.ec2.internal"}, host):
		return fmt.Errorf("%q is the metadata service of a cloud, which holds this machine's own credentials; if it is really meant, write its address", host)
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	for _, own := range []string{c.c.Listen.HTTP, c.c.Listen.Admin, c.c.Listen.Egress, c.c.Listen.ExtAuthz} {
		if sameListener(own, host, port) {
			return fmt.Errorf("%q is a listener of Doorward's own: requests would go round in a circle", own)
		}
	}
	return nil
}

// sameListener tells, as far as that can be told without the network, whether host and port lead
// to our listener at address.
func sameListener(address, host, port string) bool {
	ownHost, ownPort, err := net.SplitHostPort(address)
	if err != nil || ownPort != port || port == "0" {
		return false
	}
	ownIP, err := netip.ParseAddr(ownHost)
	everywhere := ownHost == "" || err == nil && ownIP.IsUnspecified()
	near := origin.Origin{Host: bracketed(host)}.Loopback()
	return strings.EqualFold(ownHost, host) || near && (everywhere || origin.Origin{Host: bracketed(ownHost)}.Loopback() && (host == "localhost" || ownHost == "localhost"))
}

// checkLoops warns of upstreams that are hosts of Doorward's own. The name may lead elsewhere from
// here than from outside, so it is no error.
func (c *composer) checkLoops() {
	own := make(map[string]bool)
	for _, o := range c.c.origins {
		own[o.Host] = !o.Loopback()
	}
	for i, t := range c.tables {
		for _, u := range c.c.routes[i].Upstreams {
			if own[strings.ToLower(u.Hostname())] {
				c.l.warn("%s: upstream: %s is a host of Doorward's own, so that requests may come back; name where the application listens", t.path, u.Host)
			}
		}
	}
}
