package proxy

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/doorward/doorward/proxy/wire"
)

// lane is a way to upstreams. Routes that want the same of it share one, and its connections.
type lane struct {
	transport http.RoundTripper
	once      http.RoundTripper // HTTP/1.1 over a connection of its own; never sends anything a second time
	plural    bool              // transport may speak HTTP/2
	only2     bool              // and nothing else
}

// lanes are all of a gateway.
type lanes struct {
	sockets map[string]string
	given   http.RoundTripper // of Deps; nil = our own
	made    map[[sha256.Size]byte]*lane
	all     []interface{ CloseIdleConnections() }
}

func newLanes(c Config, d Deps) *lanes {
	return &lanes{sockets: socketsOf(c.Routes), given: d.Transport, made: make(map[[sha256.Size]byte]*lane)}
}

// of returns the lane of a route.
func (l *lanes) of(rc Route) (*lane, error) {
	s, err := newSettings(rc, l.sockets)
	if err != nil {
		return nil, err
	}
	key := rc.Balance.laneKey(s)
	if made := l.made[key]; made != nil {
		return made, nil
	}
	made := &lane{only2: s.protocol == "h2" || s.protocol == "h2c"}
	made.plural = made.only2 || s.protocol == ""
	l.made[key] = made
	if l.given != nil {
		made.transport, made.once = l.given, l.given
		return made, nil
	}
	transport, once := s.transport(), s.once()
	l.all = append(l.all, transport, once)
	made.transport, made.once = transport, once
	if !made.only2 {
		made.transport, err = s.wire(transport)
	}
	if w, ok := made.transport.(*wire.Transport); ok {
		l.all = append(l.all, w)
	}
	return made, err
}

func (l *lanes) close() {
	for _, t := range l.all {
		t.CloseIdleConnections()
	}
}

// laneKey is what two routes must have in common to share connections: all that decides whom a connection is made to and
// who is believed to be there.
func (b Balance) laneKey(s settings) [sha256.Size]byte {
	h := sha256.New()
	for _, part := range [][]byte{[]byte(s.protocol), b.RootCAs, b.Cert, b.Key, []byte(b.ServerName)} {
		_ = binary.Write(h, binary.BigEndian, uint64(len(part)))
		_, _ = h.Write(part)
	}
	_ = binary.Write(h, binary.BigEndian, [2]int64{int64(s.connect), int64(s.header)})
	_ = binary.Write(h, binary.BigEndian, b.RootCAs == nil)
	return [sha256.Size]byte(h.Sum(nil))
}

// settings are what of a route concerns its connections.
type settings struct {
	protocol        string
	connect, header time.Duration
	tls             *tls.Config // nil = the system's authorities, and no certificate of ours
	sockets         map[string]string
}

func newSettings(rc Route, sockets map[string]string) (settings, error) {
	b := rc.Balance
	s := settings{protocol: b.Protocol, connect: b.Timeouts.Connect, header: b.Timeouts.Header, sockets: sockets}
	orElse(&s.connect, dialWait)
	orElse(&s.header, responseWait)
	secure, plain := 0, 0
	for _, u := range rc.Upstreams {
		if u.Scheme == "https" {
			secure++
		} else {
			plain++
		}
	}
	switch {
	case !slices.Contains([]string{"", "h1", "h2", "h2c"}, s.protocol):
		return s, fmt.Errorf("protocol: %q is none of \"h1\", \"h2\" and \"h2c\"", s.protocol)
	case s.protocol == "h2" && plain > 0:
		return s, errors.New("protocol: \"h2\" is negotiated by TLS, so every upstream must be https; without TLS it is \"h2c\"")
	case s.protocol == "h2c" && secure > 0:
		return s, errors.New("protocol: \"h2c\" is HTTP/2 without TLS, so no upstream can be https; with TLS it is \"h2\"")
	case (s.protocol == "h2" || s.protocol == "h2c") && rc.Approve != nil:
		return s, errors.New("protocol: requests that were approved go over HTTP/1.1, one by one, because HTTP/2 may send one twice; leave protocol out")
	}
	var err error
	s.tls, err = b.tls()
	if s.tls != nil && secure == 0 && len(rc.Upstreams) > 0 {
		return s, errors.New("upstream_tls: no upstream is https")
	}
	return s, err
}

// tls is nil where nothing differs from the default. There is no way to believe just anybody (P200).
func (b Balance) tls() (*tls.Config, error) {
	if b.RootCAs == nil && b.Cert == nil && b.Key == nil && b.ServerName == "" {
		return nil, nil
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: b.ServerName}
	if b.RootCAs != nil {
		if t.RootCAs = x509.NewCertPool(); !t.RootCAs.AppendCertsFromPEM(b.RootCAs) {
			return nil, errors.New("upstream_tls.ca_file: it holds no certificate in PEM form")
		}
	}
	switch {
	case b.Cert == nil && b.Key == nil:
		return t, nil
	case b.Cert == nil || b.Key == nil:
		return nil, errors.New("upstream_tls: cert and key belong together; one of them is missing")
	}
	pair, err := tls.X509KeyPair(b.Cert, b.Key)
	if err != nil {
		return nil, errors.New("upstream_tls.cert: cert and key are not a certificate in PEM form and its key") // err may quote them
	}
	t.Certificates = []tls.Certificate{pair}
	return t, nil
}
