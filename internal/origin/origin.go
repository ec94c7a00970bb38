package origin

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// Origin is one outside URL without a path. The zero value is no origin.
type Origin struct {
	Scheme string // "https" or "http"
	Host   string // lower-case name or address (IPv6 in brackets), no port, no trailing dot
	Port   string // "" for the scheme's own
}

// Parse reads a host of the configuration: a name ("app.example.com", which means
// https://app.example.com) or an origin written in full ("http://localhost:4180").
func Parse(s string) (Origin, error) {
	raw := s
	if !strings.Contains(s, "://") {
		raw = "https://" + s
	}
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return Origin{}, fmt.Errorf("%q is neither a host name nor an origin such as \"https://app.example.com\"", s)
	}
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return Origin{}, fmt.Errorf("%q: the scheme must be https or http", s)
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || (u.Path != "" && u.Path != "/"):
		return Origin{}, fmt.Errorf("%q: a host has no user, path or query; use the key path for a path", s)
	}
	host, port, ok := split(u.Host)
	if !ok {
		return Origin{}, fmt.Errorf("%q is not a host name in ASCII (write an international name as xn--…)", s)
	}
	return Origin{Scheme: u.Scheme, Host: host, Port: elide(u.Scheme, port)}, nil
}

// String returns the origin as browsers write it, without a trailing slash.
func (o Origin) String() string { return o.Scheme + "://" + o.Authority() }

// Authority returns host[:port], the port only where it is not the scheme's own.
func (o Origin) Authority() string {
	if o.Port == "" {
		return o.Host
	}
	return o.Host + ":" + o.Port
}

// Secure reports whether the origin is https.
func (o Origin) Secure() bool { return o.Scheme == "https" }

// IsZero reports whether o is no origin.
func (o Origin) IsZero() bool { return o == Origin{} }

// Loopback reports whether the host is this machine by name or by address.
func (o Origin) Loopback() bool {
	if o.Host == "localhost" || strings.HasSuffix(o.Host, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(strings.Trim(o.Host, "[]"))
	return err == nil && ip.Unmap().IsLoopback()
}

// Set is the immutable set of all configured origins.
type Set struct {
	byAuthority map[string]Origin
	list        []Origin
}

// NewSet makes a set. Two origins that differ only in their scheme are refused: a Host
// header could not tell them apart.
func NewSet(origins ...Origin) (*Set, error) {
	var b Builder
	for _, o := range origins {
		if _, err := b.Add(o); err != nil {
			return nil, err
		}
	}
	return &Set{b.byAuthority, b.list}, nil
}

// Builder gathers origins one by one, by the rule of [NewSet]. The zero value is ready.
type Builder struct {
	byAuthority map[string]Origin
	list        []Origin
}

// Add reports whether o is new. One that is refused changes nothing.
func (b *Builder) Add(o Origin) (added bool, err error) {
	spellings := keys(o)
	for _, key := range spellings {
		if old, ok := b.byAuthority[key]; ok {
			if old != o {
				return false, fmt.Errorf("%s and %s cannot be told apart by their Host header", old, o)
			}
			return false, nil
		}
	}
	if b.byAuthority == nil {
		b.byAuthority = make(map[string]Origin)
	}
	for _, key := range spellings {
		b.byAuthority[key] = o
	}
	b.list = append(b.list, o)
	return true, nil
}

// All returns the origins in the order in which they were given.
func (s *Set) All() []Origin { return s.list }

// Lookup returns the origin that a Host header (or :authority) names. Case, one trailing
// dot and the scheme's own port do not matter; anything else must be equal (P011, P039).
func (s *Set) Lookup(host string) (Origin, bool) {
	if o, ok := s.byAuthority[host]; ok { // the usual case costs one look and no allocation
		return o, true
	}
	name, port, ok := split(host)
	if !ok {
		return Origin{}, false
	}
	if port != "" {
		name += ":" + port
	}
	o, ok := s.byAuthority[name]
	return o, ok
}

// keys lists the spellings of an origin that a Host header may use.
func keys(o Origin) []string {
	if o.Port != "" {
		return []string{o.Authority()}
	}
	port := "443"
	if !o.Secure() {
		port = "80"
	}
	return []string{o.Host, o.Host + ":" + port}
}

func elide(scheme, port string) string {
	if scheme == "https" && port == "443" || scheme == "http" && port == "80" {
		return ""
	}
	return port
}

// split takes host[:port] apart and normalises the host. It refuses whatever is not a
// plain ASCII name, an IPv4 address or a bracketed IPv6 address without a zone.
func split(hostport string) (host, port string, ok bool) {
	host = hostport
	if strings.HasPrefix(host, "[") {
		end := strings.IndexByte(host, ']')
		if end < 0 {
			return "", "", false
		}
		host, port = hostport[:end+1], hostport[end+1:]
		ip, err := netip.ParseAddr(host[1:end])
		if err != nil || !ip.Is6() || ip.Zone() != "" {
			return "", "", false
		}
		host = "[" + ip.String() + "]"
	} else if i := strings.IndexByte(host, ':'); i >= 0 {
		host, port = hostport[:i], hostport[i:]
	}
	if port != "" {
		port = port[1:]
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
			return "", "", false
		}
	}
	if strings.HasPrefix(host, "[") {
		return host, port, true
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	return host, port, validName(host)
}

func validName(host string) bool {
	if host == "" || len(host) > 253 {
		return false
	}
	if net.ParseIP(host) != nil {
		return true
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			if c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
				return false
			}
		}
	}
	return true
}
