package proxy

import (
	"net"
	"strings"
	"testing"
)

func TestANameLeadsNeitherToThisMachineNorToItsCloudsMetadata(t *testing.T) {
	for address, refused := range map[string]bool{
		"10.1.2.3:80": false, "192.168.1.1:80": false, "172.16.0.1:80": false, "203.0.113.9:443": false, "[fd12::1]:80": false, "[2001:db8::1]:80": false,
		"127.0.0.1:80": true, "127.8.8.8:80": true, "[::1]:80": true, "[::ffff:127.0.0.1]:80": true, "0.0.0.0:80": true, "[::]:80": true,
		"169.254.169.254:80": true, "[fe80::1%1]:80": true, "[::ffff:169.254.169.254]:80": true, "224.0.0.1:80": true,
		"[fd00:ec2::254]:80": true, "100.100.100.200:80": true, "nonsense": true,
	} {
		if err := refuseOddAddress("tcp", address, nil); (err != nil) != refused {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestWhatTheConfigurationWritesOutIsDialled(t *testing.T) {
	for address, literal := range map[string]bool{
		"127.0.0.1:80": true, "[::1]:80": true, "169.254.169.254:80": true, "localhost:80": true, "LOCALHOST.:80": true, "app.localhost:80": true,
		"app.internal:80": false, "localhost.evil.test:80": false, "notlocalhost:80": false, "": false,
	} {
		if isLiteral(address) != literal {
			t.Errorf("%q: %v", address, !literal)
		}
	}
}

// The dialer of names is asked by address: what it refuses is where a name has led to.
func TestANameThatTurnsToLoopbackIsNotDialled(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	d := newDial(nil, dialWait)
	if c, err := d.context(t.Context(), "tcp", l.Addr().String()); err != nil {
		t.Fatalf("the literal address: %v", err)
	} else {
		_ = c.Close()
	}
	_, err = d.named.DialContext(t.Context(), "tcp", l.Addr().String())
	if err == nil || !strings.Contains(err.Error(), "this machine") {
		t.Errorf("under a name: %v", err)
	}
}
