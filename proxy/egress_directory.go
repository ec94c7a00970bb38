package proxy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/doorward/doorward/internal/origin"
)

// directory knows every address that an application may call, and which target each stands for. It is made of the
// configuration alone.
type directory struct {
	origins map[origin.Origin]*entry
	places  map[string]*entry          // the same by the spelling of the configuration, without the upstreams': what Host says
	paths   map[string][]*egressTarget // below the listener's own address, by their first segment; the longest first
	example string                     // a URL, for a text
	slashed bool                       // some target takes encoded slashes
}

// entry is what an authority means: the listener itself, one target, or upstreams that are called as if over a proxy.
type entry struct {
	authority string
	self      bool
	target    *egressTarget
	upstreams []origins // the longest path first
	exact     bool      // the upstreams are of this very scheme
}

type origins struct {
	target   *egressTarget
	upstream *upstream
}

func newDirectory(self []string, targets []*egressTarget) (*directory, error) {
	d := &directory{origins: make(map[origin.Origin]*entry), places: make(map[string]*entry), paths: make(map[string][]*egressTarget), example: "http://HOST/"}
	ports, err := d.addSelf(self)
	if err != nil {
		return nil, err
	}
	for _, t := range targets {
		if err := d.addPath(t); err != nil {
			return nil, fmt.Errorf("egress.%s: %w", t.name, err)
		}
		d.slashed = d.slashed || t.slash
	}
	for _, t := range targets {
		if err := d.addHost(t, ports); err != nil {
			return nil, fmt.Errorf("egress.%s: %w", t.name, err)
		}
	}
	for _, t := range targets {
		if err := d.addUpstreams(t); err != nil {
			return nil, fmt.Errorf("egress.%s: %w", t.name, err)
		}
	}
	return d, nil
}

// addSelf returns the ports of the listener.
func (d *directory) addSelf(self []string) (ports []string, err error) {
	for i, s := range self {
		o, err := origin.Parse("http://" + s)
		if err != nil {
			return nil, fmt.Errorf("listen.egress: %w", err)
		}
		if i == 0 {
			d.example = "http://" + o.Authority() + "/NAME/"
		}
		spellings := []origin.Origin{o}
		if ip, err := netip.ParseAddr(strings.Trim(o.Host, "[]")); err == nil && ip.Unmap().IsLoopback() {
			spellings = append(spellings, origin.Origin{Scheme: o.Scheme, Host: "localhost", Port: o.Port})
		}
		for _, o := range spellings {
			p := &entry{authority: o.Authority(), self: true}
			d.origins[o], d.places[p.authority] = p, p
		}
		if o.Port != "" && !slices.Contains(ports, o.Port) {
			ports = append(ports, o.Port)
		}
	}
	return ports, nil
}

func (d *directory) addPath(t *egressTarget) error {
	first, _, _ := strings.Cut(t.path[1:], "/")
	for _, other := range d.paths[first] {
		if other.path == t.path {
			return fmt.Errorf("path: %q is that of egress.%s already", t.path, other.name)
		}
	}
	d.paths[first] = append(d.paths[first], t)
	slices.SortStableFunc(d.paths[first], func(a, b *egressTarget) int { return b.depth - a.depth })
	return nil
}

// addHost makes a target known by its host, with the listener's port or without one: programs that connect to the
// listener under another name write its port, and programs that speak to it as their proxy don't.
func (d *directory) addHost(t *egressTarget, ports []string) error {
	if t.host == "" {
		return nil
	}
	if strings.Contains(t.host, "://") {
		return fmt.Errorf("host: %q must be a name, without a scheme", t.host)
	}
	o, err := origin.Parse("http://" + t.host)
	if err != nil {
		return fmt.Errorf("host: %w", err)
	}
	spellings := []origin.Origin{o}
	if o.Port == "" {
		for _, port := range ports {
			spellings = append(spellings, origin.Origin{Scheme: o.Scheme, Host: o.Host, Port: port})
		}
	}
	for _, s := range spellings {
		switch old := d.origins[s]; {
		case old == nil:
		case old.self:
			return fmt.Errorf("host: %q is the listener's own address", t.host)
		default:
			return fmt.Errorf("host: %q is that of egress.%s already", t.host, old.target.name)
		}
		p := &entry{authority: s.Authority(), target: t}
		d.origins[s], d.places[p.authority] = p, p
	}
	return nil
}

// addUpstreams makes a target known by the address of its upstream, as a program writes it that has Doorward for its proxy.
// What is called by http:// and has an https upstream goes over https: no token leaves in clear (P148). The other way
// round nothing is found: whoever asks for https gets no less.
func (d *directory) addUpstreams(t *egressTarget) error {
	for i := range t.upstreams {
		up := &t.upstreams[i]
		if up.socket != "" {
			continue
		}
		o := originOf(up)
		if err := d.addUpstream(t, up, o, true); err != nil {
			return err
		}
		if o.Scheme != "https" {
			continue
		}
		upgraded := []string{o.Port}
		if o.Port == "" {
			upgraded = append(upgraded, "443")
		}
		for _, port := range upgraded {
			if err := d.addUpstream(t, up, origin.Origin{Scheme: "http", Host: o.Host, Port: port}, false); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *directory) addUpstream(t *egressTarget, up *upstream, o origin.Origin, exact bool) error {
	p := d.origins[o]
	switch {
	case p == nil:
		p = &entry{authority: o.Authority(), exact: exact}
		d.origins[o] = p
	case p.self:
		return nil // called by path
	case p.target == t && up.base == "":
		return nil // its host is its upstream's, and means the same
	case p.target == t:
		return fmt.Errorf("host: %q is the host of the upstream too, and one of them would call %s, the other %s; leave host out", t.host, up.base+"/x", "/x")
	case p.target != nil:
		return fmt.Errorf("upstream: %s is the host of egress.%s too, so nobody could say which one a call means; give that one another host", o.Authority(), p.target.name)
	case p.exact && !exact:
		return nil
	case exact && !p.exact:
		p.exact, p.upstreams = true, nil
	}
	p.upstreams = append(p.upstreams, origins{t, up})
	slices.SortStableFunc(p.upstreams, func(a, b origins) int { return len(b.upstream.decodedBase) - len(a.upstream.decodedBase) })
	return nil
}
