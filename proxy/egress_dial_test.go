package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// resolver answers every question for an address with the next of these, and stays with the last: a name that turns.
func resolver(t *testing.T, answers ...[]string) *net.Resolver {
	t.Helper()
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	var mu sync.Mutex
	go func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := server.ReadFrom(buf)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buf[:n]) != nil || len(m.Questions) != 1 {
				continue
			}
			q := m.Questions[0]
			m.Response, m.Authoritative, m.RecursionAvailable, m.Additionals = true, true, true, nil
			mu.Lock()
			for _, s := range answers[0] {
				head := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}
				switch ip := netip.MustParseAddr(s); {
				case ip.Is4() && q.Type == dnsmessage.TypeA:
					m.Answers = append(m.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AResource{A: ip.As4()}})
				case ip.Is6() && q.Type == dnsmessage.TypeAAAA:
					m.Answers = append(m.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AAAAResource{AAAA: ip.As16()}})
				}
			}
			if q.Type == dnsmessage.TypeA && len(answers) > 1 {
				answers = answers[1:]
			}
			mu.Unlock()
			packed, _ := m.Pack()
			_, _ = server.WriteTo(packed, from)
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", server.LocalAddr().String())
	}}
}

// ownAddress is one of this machine that is not loopback: what a name may lead to.
func ownAddress(t *testing.T) string {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		p, err := netip.ParsePrefix(a.String())
		if err == nil && p.Addr().Is4() && !p.Addr().IsLoopback() && !p.Addr().IsLinkLocalUnicast() {
			return p.Addr().String()
		}
	}
	t.Skip("this machine has no address but loopback")
	return ""
}

// serveAt is an upstream that says where it was reached.
func serveAt(t *testing.T, address string) string {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Skipf("%s: %v", address, err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		_, _ = io.WriteString(w, r.Context().Value(http.LocalAddrContextKey).(net.Addr).String()+" "+r.Header.Get("Authorization"))
	}))
	_ = s.Listener.Close()
	s.Listener = l
	s.Start()
	t.Cleanup(s.Close)
	return l.Addr().String()
}

func TestP149ANameThatTurnsLeadsNowhere(t *testing.T) {
	private := ownAddress(t)
	at := serveAt(t, private+":0")
	serveAt(t, "127.0.0.1:"+port(at))
	o := newOutside(t, func(_ *outside, c *EgressConfig, d *EgressDeps) {
		c.Targets = []EgressTarget{{Name: "data", Upstreams: []*url.URL{address("http://rebind.test:" + port(at))}, Credential: "service"}}
		d.Resolver = resolver(t, []string{private}, []string{"127.0.0.1"})
	})
	if a := o.call("GET", "/data/x"); a.body != at+" Bearer "+theToken {
		t.Fatalf("a private address of a named upstream: %s %s", a.Status, a.body)
	}
	for range 3 {
		a := o.call("GET", "/data/x")
		if a.StatusCode != http.StatusBadGateway || a.code() != codeUpstreamUnreachable || !strings.Contains(a.body, "write the address") {
			t.Errorf("after it has turned: %s %s", a.Status, a.body)
		}
	}
	if !strings.Contains(o.log.String(), "this machine") {
		t.Errorf("the log doesn't say why: %s", o.log)
	}
}

func TestP149NamesLeadToNoAddressThatIsNotMeant(t *testing.T) {
	for _, ip := range []string{
		"127.0.0.1", "127.9.9.9", "169.254.169.254", "169.254.1.1", "0.0.0.0", "0.1.2.3", "255.255.255.255", "224.0.0.1", "100.100.100.200",
		"::1", "::", "fe80::1", "ff02::1", "fd00:ec2::254", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "::169.254.169.254",
		"64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a9fe:a9fe", "64:ff9b:1:7f00:0:100::", "2002:7f00:1::", "2002:a9fe:a9fe::1", "2001:0:7f00:1::", "2001:0:102:304:0:0:80ff:fffe",
	} {
		d := newEgressDial(nil, nil, nil)
		if err := d.named.Control("tcp", netip.AddrPortFrom(netip.MustParseAddr(ip), 80).String(), nil); !errors.Is(err, errRefusedAddress) {
			t.Errorf("%s: %v", ip, err)
		}
	}
	for _, ip := range []string{"10.0.0.1", "192.168.0.1", "172.16.0.1", "203.0.113.1", "fd12:3456::1", "2001:db8::1", "64:ff9b::cb00:7101", "64:ff9b::a00:1", "2002:cb00:7101::1", "2606:4700::1"} {
		d := newEgressDial(nil, nil, nil)
		if err := d.named.Control("tcp", netip.AddrPortFrom(netip.MustParseAddr(ip), 80).String(), nil); err != nil {
			t.Errorf("%s: %v", ip, err)
		}
	}
	// Over a real resolution and a real dial, with other answers beside the odd one.
	for _, answers := range [][]string{{"127.0.0.1"}, {"::1"}, {"::ffff:127.0.0.1"}, {"169.254.169.254", "127.0.0.1"}} {
		o := newOutside(t, func(o *outside, c *EgressConfig, d *EgressDeps) {
			c.Targets = []EgressTarget{{Name: "data", Upstreams: []*url.URL{address("http://innocent.test:" + o.e.url.Port())}, Credential: "service"}}
			d.Resolver = resolver(t, answers)
		})
		o.refused(o.call("GET", "/data/x"), 502)
	}
}

func TestP149OurOwnListenersAreNotReachedByName(t *testing.T) {
	private := ownAddress(t)
	at := serveAt(t, private+":0")
	for own, refused := range map[string]bool{
		at: true, "0.0.0.0:" + port(at): true, "[::]:" + port(at): true, private + ":1": false, "127.0.0.1:" + port(at): false, "0.0.0.0:1": false,
	} {
		o := newOutside(t, func(_ *outside, c *EgressConfig, d *EgressDeps) {
			c.Own = []netip.AddrPort{netip.MustParseAddrPort(own)}
			c.Targets = []EgressTarget{
				{Name: "named", Upstreams: []*url.URL{address("http://self.test:" + port(at))}, Credential: "service"},
				{Name: "literal", Upstreams: []*url.URL{address("http://" + at)}, Credential: "service"},
			}
			d.Resolver = resolver(t, []string{private})
		})
		if a := o.call("GET", "/named/x"); (a.StatusCode == http.StatusBadGateway) != refused {
			t.Errorf("own %s: %s %s", own, a.Status, a.body)
		}
		if a := o.call("GET", "/literal/x"); a.StatusCode != http.StatusOK {
			t.Errorf("own %s, written as an address: %s %s", own, a.Status, a.body)
		}
	}
	d := newEgressDial(nil, []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:80")}, nil)
	d.interfaces = func() ([]net.Addr, error) { return nil, errors.New("no") }
	if err := d.refuse("tcp", "203.0.113.1:80", nil); err == nil {
		t.Error("it cannot be known, and passes")
	}
}

func TestLocalhostIsThisMachineOrNothing(t *testing.T) {
	private := ownAddress(t)
	at := serveAt(t, private+":0")
	o := newOutside(t, func(o *outside, c *EgressConfig, d *EgressDeps) {
		c.Targets = []EgressTarget{
			{Name: "here", Upstreams: []*url.URL{address("http://localhost:" + o.e.url.Port())}, Credential: "service"},
			{Name: "there", Upstreams: []*url.URL{address("http://app.localhost:" + port(at))}, Credential: "service"},
		}
		d.Resolver = resolver(t, []string{private})
	})
	o.passed(o.call("GET", "/here/x")).one(t, "Authorization", "Bearer "+theToken) // from the hosts file
	if a := o.call("GET", "/there/x"); a.StatusCode != http.StatusBadGateway {
		t.Errorf("%s %s", a.Status, a.body)
	}
}
