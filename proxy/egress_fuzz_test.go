package proxy

import (
	"bufio"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path"
	"strings"
	"testing"
)

// FuzzEgress: whatever an application writes, a token goes to the scheme, host and port of the target that it belongs to,
// below the path of its upstream, and to no other.
func FuzzEgress(f *testing.F) {
	for _, s := range [][2]string{
		{"/api/x", "127.0.0.1:4182"},
		{"/api", "localhost:4182"},
		{"/x?y", "data.local"},
		{"http://data.local/x", "data.local"},
		{"http://api.test/v1/x", "api.test"},
		{"http://api.test/v2/x", "api.test"},
		{"https://api.test:443/v1", "evil.test"},
		{"http://api.test@evil.test/", "api.test"},
		{"https://plain.test/", "plain.test"},
		{"http://plain.test:80/x", ""},
		{"/api/../plain/x", "127.0.0.1:4182"},
		{"/x", "data.local@evil.test"},
		{"/x", "evil.test#data.local"},
		{"http://evil.test\\@api.test/v1/", "x"},
		{"//api.test/v1", "data.local"},
		{"/plain/http://evil.test/", "127.0.0.1:4182"},
		{"/%61pi/x", "127.0.0.1:4182"},
		{"/api/%2e%2e/x", "127.0.0.1:4182"},
		{"*", "data.local"},
		{"/token", "127.0.0.1:4182"},
		{"http://[::1]:4182/api/x", "[::1]:4182"},
		{"/x", "DATA.local.:4182"},
		{"http://api.test/v1;x/y", "api.test"},
		{"http://api.test/v1/..;/x", "api.test"},
		{"/api/a%2fb", "127.0.0.1:4182"},
		{"/api%2f..%2fplain", "127.0.0.1:4182"},
		{"http://api.test/v1%2fx", "api.test"},
	} {
		f.Add("GET", s[0], s[1])
	}
	f.Add("CONNECT", "api.test:443", "api.test:443")
	wire := &onWire{}
	o := newOutside(f, func(_ *outside, c *EgressConfig, d *EgressDeps) {
		c.Self = []string{"127.0.0.1:4182", "[::1]:4182"}
		d.Transport = wire
		d.Sources = map[string]Source{"api": newVault("token-of-the-api"), "plain": newVault("token-of-plain")}
		c.Targets = []EgressTarget{
			{Name: "api", Host: "data.local", Upstreams: []*url.URL{address("https://api.test/v1")}, Credential: "api", Encoded: []string{"slash"}},
			{Name: "plain", Upstreams: []*url.URL{address("http://plain.test")}, Credential: "plain"},
		}
	})
	sent := make(chan *http.Request, 1)
	for _, list := range o.egress.directory.paths {
		for _, t := range list {
			t.transport = roundTrip(func(r *http.Request) (*http.Response, error) {
				sent <- r
				return wire.RoundTrip(r)
			})
		}
	}
	f.Fuzz(func(t *testing.T, method, target, host string) {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(method + " " + target + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n")))
		if err != nil {
			return
		}
		r.RemoteAddr = "127.0.0.1:1"
		wire.got = nil
		w := httptest.NewRecorder()
		o.egress.ServeHTTP(w, r)
		select {
		case out := <-sent:
			base := ""
			switch token := out.Header.Get("Authorization"); {
			case token == "Bearer token-of-the-api" && out.URL.Scheme == "https" && out.URL.Host == "api.test" && out.Host == "api.test":
				base = "/v1"
			case token == "Bearer token-of-plain" && out.URL.Scheme == "http" && out.URL.Host == "plain.test" && out.Host == "plain.test":
			default:
				t.Fatalf("%q %q: %q goes to %s as %s", target, host, token, out.URL, out.Host)
			}
			if wire.got == nil {
				t.Fatalf("%q %q: what goes to %s is no request", target, host, out.URL)
			}
			p, _, _ := strings.Cut(wire.got.RequestURI, "?")
			if !strings.HasPrefix(p, "/") || strings.HasPrefix(p, "//") || strings.ContainsAny(p, "#\\ ") {
				t.Fatalf("%q %q: the upstream receives %q", target, host, p)
			}
			if clean := path.Clean(wire.got.URL.Path); !liesIn(clean, base) {
				t.Fatalf("%q %q: the upstream receives %q, which is not below %q", target, host, p, base)
			}
		default:
			if w.Code == http.StatusOK && !strings.HasPrefix(w.Body.String(), "API ") || w.Code == http.StatusNoContent {
				t.Fatalf("%q %q: %d, and nothing was sent", target, host, w.Code)
			}
		}
	})
}

// FuzzEgressAddress: no IPv6 clothes make an odd IPv4 address pass.
func FuzzEgressAddress(f *testing.F) {
	for _, s := range []string{"127.0.0.1", "10.0.0.1", "169.254.169.254", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "fe80::1%eth0", "2001:0:102:304:0:0:80ff:fffe"} {
		f.Add(s)
	}
	d := newEgressDial(nil, nil, nil)
	f.Fuzz(func(t *testing.T, s string) {
		ip, err := netip.ParseAddr(s)
		if err != nil {
			return
		}
		if d.refuse("tcp", netip.AddrPortFrom(ip, 80).String(), nil) != nil {
			return
		}
		ip = ip.WithZone("").Unmap()
		if ip.IsLoopback() || ip.IsLinkLocalUnicast() || ip.IsUnspecified() || ip.IsMulticast() {
			t.Fatalf("%s passes", s)
		}
		if ip.Is4() {
			four := ip.As4()
			mapped := netip.AddrFrom16([16]byte{10: 0xff, 11: 0xff, 12: four[0], 13: four[1], 14: four[2], 15: four[3]})
			if d.refuse("tcp", netip.AddrPortFrom(mapped, 80).String(), nil) != nil {
				t.Fatalf("%s passes, and %s does not", ip, mapped)
			}
		}
	})
}
