package proxy

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestAnEventOfAnUpstreamArrivesBeforeTheNext(t *testing.T) {
	o := newOutside(t, nil)
	next := make(chan string)
	o.e.streams(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		rc := http.NewResponseController(w)
		for rc.Flush() == nil {
			select {
			case s := <-next:
				_, _ = io.WriteString(w, s)
			case <-r.Context().Done():
				return
			}
		}
	})
	c := o.write(request("GET", "/data/x", "Host: "+o.self, "Connection: keep-alive"))
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("answer %v, %v", res, err)
	}
	for i := range 3 {
		event := fmt.Sprintf("data: %d\n\n", i)
		next <- event
		got := make([]byte, len(event))
		if _, err := io.ReadFull(res.Body, got); err != nil || string(got) != event {
			t.Fatalf("read %q, %v", got, err)
		}
	}
}

func TestAnUploadPassesAsItComes(t *testing.T) {
	o := newOutside(t, nil)
	o.e.streams(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		_, _ = fmt.Fprint(w, n, err)
	})
	const size = 32 << 20
	z := zeros(size)
	res, err := http.Post("http://"+o.self+"/data/x", "application/octet-stream", &z)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, _ := io.ReadAll(res.Body); string(body) != fmt.Sprint(size, nil) {
		t.Errorf("E read %s", body)
	}
}

func TestAWebSocketOfAProgramIsTunnelledWithTheToken(t *testing.T) {
	o := newOutside(t, nil)
	o.e.streams(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+theToken {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		line, _ := rw.ReadString('\n')
		_, _ = io.WriteString(c, "echo "+line)
	})
	c := o.dial()
	_, _ = io.WriteString(c, request("GET", "/data/x", "Host: "+o.self, "Connection: Upgrade", "Upgrade: websocket"))
	r := bufio.NewReader(c)
	res, err := http.ReadResponse(r, nil)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v %v", res, err)
	}
	_, _ = io.WriteString(c, "hello\n")
	if line, err := r.ReadString('\n'); line != "echo hello\n" {
		t.Errorf("%q %v", line, err)
	}
}

func TestASocketIsAnUpstream(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	e := newCapture(t)
	server := &http.Server{Handler: http.HandlerFunc(e.serve)}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	o := newOutside(t, func(_ *outside, c *EgressConfig, _ *EgressDeps) {
		c.Targets[0].Upstreams = []*url.URL{{Scheme: "unix", Path: path}}
	})
	a := o.call("POST", "/data/x", "Content-Length: 2", "\r\nhi")
	if got := e.take(); a.StatusCode != http.StatusOK || len(got) != 1 || got[0].Host != "localhost" || got[0].RequestURI != "/x" || got[0].Header.Get("Authorization") != "Bearer "+theToken {
		t.Errorf("%s %s", a.Status, a.body)
	}
}

func TestTheAccessLogSaysWhichTargetAndForWhom(t *testing.T) {
	o := newOutside(t, nil)
	o.passed(o.call("GET", "/shop/orders/x?secret=1", "Authorization: Bearer alice"))
	o.call("GET", "http://evil.test/x", "Host: evil.test")
	o.gateway.Close()
	var records []map[string]any
	for line := range strings.Lines(o.log.String()) {
		var m map[string]any
		if json.Unmarshal([]byte(line), &m) == nil && m["msg"] == "request" {
			records = append(records, m)
		}
	}
	if len(records) != 2 {
		t.Fatalf("%v", records)
	}
	for key, want := range map[string]any{"route": "egress orders", "outcome": "allow", "upstream": o.e.url.String(), "user": "alice", "provider": "corp", "path": "/shop/orders/x", "host": o.self, "client": "127.0.0.1", "code": nil} {
		if records[0][key] != want {
			t.Errorf("%s: %v", key, records[0][key])
		}
	}
	for key, want := range map[string]any{"route": nil, "outcome": "deny", "code": "no_such_target", "host": nil, "status": 403.0} {
		if records[1][key] != want {
			t.Errorf("%s: %v", key, records[1][key])
		}
	}
	if s := o.log.String(); strings.Contains(s, "secret=1") || strings.Contains(s, theToken) {
		t.Error(s)
	}
}

func TestAnAnswerMadeForOneCallerIsKeptByNoSharedCache(t *testing.T) {
	o := newOutside(t, nil)
	o.e.answers(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Cache-Control", "public, max-age=600") })
	if a := o.call("GET", "/shop/orders/x", "Authorization: Bearer alice"); a.Header.Get("Cache-Control") != "private, max-age=600" {
		t.Errorf("for alice: %q", a.Header.Get("Cache-Control"))
	}
	if a := o.call("GET", "/data/x"); a.Header.Get("Cache-Control") != "public, max-age=600" {
		t.Errorf("for the service: %q", a.Header.Get("Cache-Control"))
	}
}

// The client of a stream whose caller's token is revoked hears no more.
func TestAStreamEndsWithTheTokenOfItsCaller(t *testing.T) {
	o := newOutside(t, nil)
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan struct{})
		pipe, feed := io.Pipe()
		stream := roundTrip(func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: pipe, ContentLength: -1, Request: r}, nil
		})
		o := inside(t, o, stream, nil)
		r := asked("GET", "/shop/orders/x", o.self)
		r.Header.Set("Authorization", "Bearer alice")
		go func() {
			defer close(ended)
			o.egress.ServeHTTP(httptest.NewRecorder(), r)
		}()
		_, _ = io.WriteString(feed, "one")
		time.Sleep(10 * time.Second)
		select {
		case <-ended:
			t.Fatal("it ended by itself")
		default:
		}
		o.caller.mu.Lock()
		o.caller.gone = true
		o.caller.mu.Unlock()
		time.Sleep(2 * vigilEvery)
		<-ended
	})
}

// inside makes an Egress in a bubble, over memory.
func inside(t *testing.T, o *outside, way http.RoundTripper, change func(*EgressTarget)) *outside {
	t.Helper()
	copied := *o
	copied.vault, copied.caller = newVault(theToken), &checker{}
	c := EgressConfig{Self: []string{o.self}, Targets: []EgressTarget{
		{Name: "data", Host: "data.local", Upstreams: []*url.URL{address("http://one.test")}, Credential: "service"},
		{Name: "orders", Path: "/shop/orders", Upstreams: []*url.URL{address("http://one.test")}, Accept: "bearer", Credential: "service"},
	}}
	if change != nil {
		change(&c.Targets[0])
	}
	var err error
	copied.egress, err = NewEgress(c, EgressDeps{
		Pages: o.egress.pages, Log: o.egress.log, Transport: way,
		Sources: map[string]Source{"service": copied.vault}, Bearers: map[string]Bearer{"orders": copied.caller},
	})
	if err != nil {
		t.Fatal(err)
	}
	return &copied
}

// asked is a request as net/http hands it to a handler.
func asked(method, target, host string) *http.Request {
	r := httptest.NewRequest(method, target, nil)
	r.Host = host
	return r
}

// pki makes a certificate that only its own authority vouches for.
func pki(t *testing.T, name string, ends time.Time) (cert tls.Certificate, authority []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: ends,
		DNSNames: []string{name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	if ip := net.ParseIP(name); ip != nil {
		c.DNSNames, c.IPAddresses = nil, []net.IP{ip}
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func TestACertificateThatIsNotTrustedIsExplained(t *testing.T) {
	for name, c := range map[string]struct {
		host string
		ends time.Duration
		ours bool // its authority is in ca_file
		want string
	}{
		"unknown authority": {"127.0.0.1", time.Hour, false, "egress.data.ca_file"},
		"another name":      {"other.test", time.Hour, true, "egress.data.upstream"},
		"expired":           {"127.0.0.1", -time.Hour, true, "has expired"},
		"good":              {"127.0.0.1", time.Hour, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			cert, authority := pki(t, c.host, time.Now().Add(c.ends))
			_, other := pki(t, "127.0.0.1", time.Now().Add(time.Hour))
			e := newCapture(t)
			secure := httptest.NewUnstartedServer(http.HandlerFunc(e.serve))
			secure.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
			secure.Config.ErrorLog = e.server.Config.ErrorLog
			secure.StartTLS()
			t.Cleanup(secure.Close)
			o := newOutside(t, func(_ *outside, conf *EgressConfig, _ *EgressDeps) {
				conf.Targets[0].Upstreams, conf.Targets[0].RootCAs = []*url.URL{address(secure.URL)}, other
				if c.ours {
					conf.Targets[0].RootCAs = authority
				}
			})
			a := o.call("GET", "/data/x")
			sent := e.take()
			if c.want == "" {
				if a.StatusCode != http.StatusOK || len(sent) != 1 {
					t.Errorf("%s %s", a.Status, a.body)
				}
				return
			}
			if a.StatusCode != http.StatusBadGateway || a.code() != codeUpstreamUnreachable || !strings.Contains(a.body, c.want) || len(sent) != 0 {
				t.Errorf("%s %s", a.Status, a.body)
			}
		})
	}
	o := newOutside(t, func(o *outside, c *EgressConfig, _ *EgressDeps) {
		c.Targets[0].Upstreams = []*url.URL{address("https://" + o.e.url.Host)}
	})
	if a := o.call("GET", "/data/x"); a.StatusCode != http.StatusBadGateway || !strings.Contains(a.body, "No TLS is spoken") {
		t.Errorf("%s %s", a.Status, a.body)
	}
}
