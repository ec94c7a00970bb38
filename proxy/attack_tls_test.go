package proxy

import (
	"crypto/tls"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"
)

// P199: Doorward has no TLS listener yet. Where it is the client, it speaks nothing that is older than TLS 1.2, and no cipher
// suite of those days, whatever an upstream would take.
func TestP199NothingOlderThanTLS12IsSpokenToAnUpstream(t *testing.T) {
	cert, key := newPair(t, "upstream.test", time.Now().Add(time.Hour))
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		tls    *tls.Config
		status int
	}{
		"TLS 1.0":      {&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10}, http.StatusBadGateway},
		"TLS 1.1":      {&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, http.StatusBadGateway},
		"RC4":          {&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_RC4_128_SHA}}, http.StatusBadGateway},
		"TLS 1.2":      {&tls.Config{MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12}, http.StatusOK},
		"what is best": {&tls.Config{}, http.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
			server.TLS = c.tls.Clone()
			server.TLS.Certificates = []tls.Certificate{pair}
			server.StartTLS()
			t.Cleanup(server.Close)
			u, err := url.Parse(server.URL)
			if err != nil {
				t.Fatal(err)
			}
			l := newLab(t, behind(u, Balance{RootCAs: cert, ServerName: "upstream.test"}))
			l.both(t, "GET", "/x", []string{as("alice")}, func(l *lab, a answer) {
				if a.StatusCode != c.status {
					l.Errorf("answer %s %s", a.Status, a.body)
				}
			})
		})
	}
}
