package proxy

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func newDiscardLog() *slog.Logger { return slog.New(slog.DiscardHandler) }

func certificateOf(s *httptest.Server) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
}

// newPair makes a certificate for a name, valid until then, and its key.
func newPair(t *testing.T, name string, until time.Time) (cert, key []byte) {
	t.Helper()
	k := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: until,
		DNSNames: []string{name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der := must(x509.CreateCertificate(rand.Reader, template, template, k.Public(), k))
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(k))})
}

// secure is an https E with that certificate. It says which certificate the caller has.
func secure(t *testing.T, cert, key []byte, clients *x509.CertPool) *url.URL {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			echoSocket(w, r)
			return
		}
		if len(r.TLS.PeerCertificates) > 0 {
			_, _ = io.WriteString(w, r.TLS.PeerCertificates[0].Subject.CommonName)
		}
	}))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{must(tls.X509KeyPair(cert, key))}}
	if clients != nil {
		s.TLS.ClientAuth, s.TLS.ClientCAs = tls.RequireAndVerifyClientCert, clients
	}
	s.Config.ErrorLog = newErrorLog(newDiscardLog())
	s.StartTLS()
	t.Cleanup(s.Close)
	return must(url.Parse(s.URL))
}

func behind(u *url.URL, b Balance) func(*Config, *Deps) {
	return func(c *Config, _ *Deps) {
		for i := range c.Routes {
			c.Routes[i].Upstreams, c.Routes[i].Balance = []*url.URL{u}, b
		}
	}
}

func TestP200P181AnUpstreamMustBeWhoItShouldBe(t *testing.T) {
	until := time.Now().Add(time.Hour)
	cert, key := newPair(t, "upstream.test", until)
	other, _ := newPair(t, "upstream.test", until)
	old, oldKey := newPair(t, "upstream.test", time.Now().Add(-time.Hour))
	good, expired := secure(t, cert, key, nil), secure(t, old, oldKey, nil)
	for name, c := range map[string]struct {
		u  *url.URL
		b  Balance
		ok bool
	}{
		"its own authority":      {good, Balance{RootCAs: cert, ServerName: "upstream.test"}, true},
		"nobody vouches for it":  {good, Balance{ServerName: "upstream.test"}, false},
		"another authority":      {good, Balance{RootCAs: other, ServerName: "upstream.test"}, false},
		"another name":           {good, Balance{RootCAs: cert, ServerName: "elsewhere.test"}, false},
		"the name in its URL":    {good, Balance{RootCAs: cert}, false}, // 127.0.0.1
		"expired":                {expired, Balance{RootCAs: old, ServerName: "upstream.test"}, false},
		"retries do not help":    {good, Balance{Retries: 3}, false},
		"h2, nobody vouches":     {good, Balance{Protocol: "h2"}, false},
		"h1, its own authority":  {good, Balance{Protocol: "h1", RootCAs: cert, ServerName: "upstream.test"}, true},
		"h2, which it has not":   {good, Balance{Protocol: "h2", RootCAs: cert, ServerName: "upstream.test"}, false},
		"plain http to its port": {&url.URL{Scheme: "http", Host: good.Host}, Balance{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, behind(c.u, c.b))
			want, socket := http.StatusBadGateway, http.StatusBadGateway
			if c.ok {
				want, socket = http.StatusOK, http.StatusSwitchingProtocols
			}
			if name == "plain http to its port" { // Go's server says so in HTTP
				want, socket = http.StatusBadRequest, http.StatusBadRequest
			}
			if name == "h2, which it has not" { // a WebSocket goes by HTTP/1.1
				socket = http.StatusSwitchingProtocols
			}
			l.both(t, "GET", "/x", []string{as("alice")}, func(l *lab, a answer) {
				if a.StatusCode != want || strings.Contains(a.body, "x509") {
					l.Errorf("answer %s %s", a.Status, a.body)
				}
			})
			if a := l.raw(socketRequest("/x", as("alice"), "Origin: https://app.test")); a.StatusCode != socket {
				t.Errorf("P181: answer %s to a WebSocket", a.Status)
			}
		})
	}
}

func TestAnUpstreamLearnsWhoDoorwardIs(t *testing.T) {
	until := time.Now().Add(time.Hour)
	cert, key := newPair(t, "upstream.test", until)
	ours, oursKey := newPair(t, "doorward", until)
	clients := x509.NewCertPool()
	clients.AppendCertsFromPEM(ours)
	u := secure(t, cert, key, clients)
	l := newLab(t, func(c *Config, d *Deps) {
		behind(u, Balance{RootCAs: cert, ServerName: "upstream.test"})(c, d)
		c.Routes[2].Balance.Cert, c.Routes[2].Balance.Key = ours, oursKey // public
	})
	if a := l.send("GET", "/public/x"); a.StatusCode != 200 || a.body != "doorward" {
		t.Errorf("answer %s %q", a.Status, a.body)
	}
	if a := l.send("GET", "/x", as("alice")); a.StatusCode != 502 { // another route has another way, and never this one's
		t.Errorf("without a certificate: answer %s", a.Status)
	}
}

func TestRoutesShareConnectionsIfTheyWantTheSameOfThem(t *testing.T) {
	u := must(url.Parse("http://127.0.0.1:1"))
	l := newLanes(Config{}, Deps{})
	of := func(b Balance) *lane {
		made, err := l.of(Route{Upstreams: []*url.URL{u}, Balance: b})
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	usual := of(Balance{})
	for name, b := range map[string]Balance{"the defaults in words": {Timeouts: Timeouts{Connect: dialWait, Header: responseWait}}, "what is no matter of connections": {Retries: 1, Sticky: true, Timeouts: Timeouts{Idle: 1, Total: 1}}} {
		if of(b) != usual {
			t.Errorf("%s: another lane", name)
		}
	}
	for name, b := range map[string]Balance{"connect": {Timeouts: Timeouts{Connect: 1}}, "header": {Timeouts: Timeouts{Header: 1}}, "protocol": {Protocol: "h2c"}} {
		if first, second := of(b), of(b); first == usual || first != second {
			t.Errorf("%s: not a lane of its own", name)
		}
	}
}

// A reload makes another gateway: what the old one holds goes with it.
func TestAClosedGatewayLeavesNothingBehind(t *testing.T) {
	for _, protocol := range []string{"", "h2c"} {
		t.Run(protocol, func(t *testing.T) {
			var open atomic.Int32
			e := plural(t, func(http.ResponseWriter, *http.Request) {}, h1, h2c)
			e.Config.ConnState = func(_ net.Conn, s http.ConnState) {
				switch s {
				case http.StateNew:
					open.Add(1)
				case http.StateClosed, http.StateHijacked:
					open.Add(-1)
				}
			}
			e.Start()
			before := runtime.NumGoroutine()
			var closed []*Gateway
			for range 20 {
				l := newLab(t, behind(must(url.Parse(e.URL)), Balance{Protocol: protocol, Health: &Health{Path: "/healthz"}}))
				l.g.Start()
				l.g.Start()
				for range 3 {
					if a := l.send("GET", "/public/x"); a.StatusCode != 200 {
						t.Fatalf("answer %s %s", a.Status, a.body)
					}
				}
				if a := l.raw(request("POST", "/public/x", "Content-Length: 1") + "a"); a.StatusCode != 200 {
					t.Fatalf("answer %s", a.Status)
				}
				l.g.Close()
				l.g.Close()
				if a := l.send("GET", "/public/x"); a.StatusCode != 200 { // one that began under it
					t.Fatalf("answer %s after the end", a.Status)
				}
				l.g.Close()
				l.g.Start() // never again
				closed = append(closed, l.g)
				l.gateway.Close()
				l.e.server.Close()
			}
			for end := time.Now().Add(patience); open.Load() > 0; runtime.Gosched() {
				for _, g := range closed { // an HTTP/2 connection whose last stream had only just ended then
					g.Close()
				}
				if time.Now().After(end) {
					t.Fatalf("%d connections stay open", open.Load())
				}
			}
			for end := time.Now().Add(patience); runtime.NumGoroutine() > before+10; runtime.Gosched() {
				if time.Now().After(end) {
					t.Fatalf("%d goroutines, and %d before", runtime.NumGoroutine(), before)
				}
			}
		})
	}
}
