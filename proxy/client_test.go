package proxy

import (
	"net/netip"
	"strings"
	"testing"
)

var tenSlashEight = trust{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}

func TestTheClientIsFoundFromTheRight(t *testing.T) {
	for name, c := range map[string]struct {
		trust       trust
		peer        string
		chain       []string
		client, via string
	}{
		"no header":                              {tenSlashEight, "10.0.0.1:1", nil, "10.0.0.1", ""},
		"P034 nobody is trusted":                 {nil, "10.0.0.1:1", []string{"6.6.6.6"}, "10.0.0.1", ""},
		"P034 this peer is not trusted":          {tenSlashEight, "192.0.2.1:1", []string{"6.6.6.6"}, "192.0.2.1", ""},
		"P036 the first untrusted":               {tenSlashEight, "10.0.0.1:1", []string{"127.0.0.1, 6.6.6.6, 10.0.0.9"}, "6.6.6.6", "10.0.0.9, 10.0.0.1"},
		"P036 several lines":                     {tenSlashEight, "10.0.0.1:1", []string{"127.0.0.1", "6.6.6.6", "10.0.0.9"}, "6.6.6.6", "10.0.0.9, 10.0.0.1"},
		"all trusted":                            {tenSlashEight, "10.0.0.1:1", []string{"10.0.0.7, 10.0.0.9"}, "10.0.0.7", "10.0.0.9, 10.0.0.1"},
		"P037 garbage":                           {tenSlashEight, "10.0.0.1:1", []string{"a"}, "10.0.0.1", ""},
		"P037 garbage left of the client":        {tenSlashEight, "10.0.0.1:1", []string{"a, 6.6.6.6"}, "6.6.6.6", "10.0.0.1"},
		"P037 garbage behind a trusted hop":      {tenSlashEight, "10.0.0.1:1", []string{"a, 10.0.0.9"}, "10.0.0.1", ""},
		"P037 empty":                             {tenSlashEight, "10.0.0.1:1", []string{""}, "10.0.0.1", ""},
		"P037 mapped IPv4 is IPv4":               {tenSlashEight, "10.0.0.1:1", []string{"::ffff:127.0.0.1"}, "127.0.0.1", "10.0.0.1"},
		"P037 mapped trusted proxy":              {tenSlashEight, "[::ffff:10.0.0.1]:1", []string{"6.6.6.6, ::ffff:10.0.0.9"}, "6.6.6.6", "10.0.0.9, 10.0.0.1"},
		"P037 zone":                              {tenSlashEight, "10.0.0.1:1", []string{"fe80::1%lo"}, "10.0.0.1", ""},
		"P037 zone, encoded":                     {tenSlashEight, "10.0.0.1:1", []string{"127.0.0.1%25lo"}, "10.0.0.1", ""},
		"P037 octal":                             {tenSlashEight, "10.0.0.1:1", []string{"010.0.0.1"}, "10.0.0.1", ""},
		"with ports":                             {tenSlashEight, "10.0.0.1:1", []string{"6.6.6.6:4711, 10.0.0.9:80"}, "6.6.6.6", "10.0.0.9, 10.0.0.1"},
		"IPv6 in brackets":                       {tenSlashEight, "[fd00::1]:1", []string{"[2001:db8::1]:4711"}, "2001:db8::1", "fd00::1"},
		"IPv6 in brackets, no port":              {tenSlashEight, "[fd00::1]:1", []string{"[2001:db8::1]"}, "2001:db8::1", "fd00::1"},
		"IPv6 bare":                              {tenSlashEight, "[fd00::1]:1", []string{"2001:db8::1"}, "2001:db8::1", "fd00::1"},
		"too many hops":                          {tenSlashEight, "10.0.0.1:1", []string{strings.Repeat("10.0.0.9,", 100) + "10.0.0.9"}, "10.0.0.1", ""},
		"unspecified":                            {tenSlashEight, "10.0.0.1:1", []string{"0.0.0.0"}, "10.0.0.1", ""},
		"unix socket":                            {tenSlashEight, "@", []string{"6.6.6.6"}, "invalid IP", ""},
		"link-local peer: the zone is ours only": {nil, "[fe80::1%eth0]:1", nil, "fe80::1", ""},
	} {
		t.Run(name, func(t *testing.T) {
			client, via := c.trust.client(c.peer, c.chain)
			if client.String() != c.client || via != c.via {
				t.Errorf("got %s via %q, want %s via %q", client, via, c.client, c.via)
			}
		})
	}
}

// FuzzForwardedFor: the client is never an address that nobody vouched for.
func FuzzForwardedFor(f *testing.F) {
	for _, s := range []string{"6.6.6.6", "127.0.0.1, 6.6.6.6, 10.0.0.9", "[::1]:80", "a", ",", "::ffff:10.0.0.1", "fe80::1%lo", "[1.2.3.4]"} {
		f.Add(s, "10.0.0.9")
	}
	f.Fuzz(func(t *testing.T, one, two string) {
		client, via := tenSlashEight.client("10.0.0.1:1", []string{one, two})
		if !client.IsValid() || client.Zone() != "" || client.Is4In6() {
			t.Fatalf("the client is %v", client)
		}
		elements := strings.Split(one+","+two, ",")
		last, ok := parseHop(elements[len(elements)-1])
		if ok && !tenSlashEight.covers(last) && client != last {
			t.Fatalf("%q, %q: the client is %s and not the nearest untrusted", one, two, client)
		}
		if client != netip.MustParseAddr("10.0.0.1") { // then everybody right of it is trusted and can be read
			for i := len(elements) - 1; i >= 0; i-- {
				hop, ok := parseHop(elements[i])
				if !ok {
					t.Fatalf("%q, %q: the client is %s, left of what cannot be read", one, two, client)
				}
				if trusted := tenSlashEight.covers(hop); !trusted || i == 0 {
					if hop != client {
						t.Fatalf("%q, %q: the client is %s and not %s", one, two, client, hop)
					}
					break
				}
			}
		}
		if strings.ContainsAny(via, "\r\n\x00") {
			t.Fatalf("via is %q", via)
		}
		if untrusted, _ := tenSlashEight.client("192.0.2.1:1", []string{one, two}); untrusted != netip.MustParseAddr("192.0.2.1") {
			t.Fatalf("an untrusted peer is believed: %s", untrusted)
		}
	})
}
