package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"time"

	"github.com/doorward/doorward/proxy/wire"
)

// egressLimits are what of a target concerns its connections.
type egressLimits struct {
	timeout    time.Duration
	concurrent int
	roots      *x509.CertPool // nil = the system's
}

// newEgressTransport makes the way to the upstreams of one target. Each target has connections of its own, because its
// deadline and the authorities that it trusts are its own. Nothing here uses a proxy of the environment or follows a
// redirect: what leaves with a token goes to the upstream, or nowhere (S15, P147).
func newEgressTransport(tc EgressTarget, l egressLimits, d *egressDial) (http.RoundTripper, error) {
	idle := min(l.concurrent, idlePerHost)
	t := &http.Transport{
		Proxy:                  nil,
		DialContext:            d.context,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: l.roots},
		TLSHandshakeTimeout:    handshakeWait,
		ResponseHeaderTimeout:  l.timeout,
		IdleConnTimeout:        idleConn,
		MaxIdleConnsPerHost:    idle,
		DisableCompression:     true,
		ForceAttemptHTTP2:      true, // by ALPN, so on https only
		MaxResponseHeaderBytes: maxAnswerHeader,
	}
	for _, u := range tc.Upstreams {
		if u.Scheme != "https" {
			return wire.New(wire.Config{
				DialTimeout:            dialWait,
				ResponseHeaderTimeout:  l.timeout,
				IdleTimeout:            idleConn,
				IdlePerHost:            idle,
				MaxResponseHeaderBytes: maxAnswerHeader,
			}, wire.Deps{Fallback: t, Dial: d.context})
		}
	}
	return t, nil
}

func socketsOfTarget(tc EgressTarget) map[string]string {
	return socketsOf([]Route{{Upstreams: tc.Upstreams}})
}
