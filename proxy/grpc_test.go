package proxy

import (
	"encoding/binary"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// gRPC as it is on the wire (its "PROTOCOL-HTTP2" document): messages with a length before each, in both directions at once, and
// a status behind them.

// plural is E with other protocols than HTTP/1.1.
func plural(t *testing.T, h http.HandlerFunc, protocols ...func(*http.Protocols)) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.Protocols = new(http.Protocols)
	for _, p := range protocols {
		p(s.Config.Protocols)
	}
	s.Config.ErrorLog = newErrorLog(newDiscardLog())
	t.Cleanup(s.Close)
	return s
}

func h1(p *http.Protocols)  { p.SetHTTP1(true) }
func h2c(p *http.Protocols) { p.SetUnencryptedHTTP2(true) }

// priorKnowledge is a client that begins with HTTP/2, without TLS.
func priorKnowledge(t *testing.T) *http.Client {
	t.Helper()
	tr := &http.Transport{Protocols: new(http.Protocols), DisableCompression: true}
	tr.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func message(s string) string {
	b := make([]byte, 5, 5+len(s))
	binary.BigEndian.PutUint32(b[1:], uint32(len(s)))
	return string(append(b, s...))
}

func readMessage(r io.Reader) (string, error) {
	head := make([]byte, 5)
	if _, err := io.ReadFull(r, head); err != nil {
		return "", err
	}
	b := make([]byte, binary.BigEndian.Uint32(head[1:]))
	_, err := io.ReadFull(r, b)
	return string(b), err
}

// echoMessages is a bidirectional stream.
func echoMessages(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/grpc")
	w.Header().Set("X-Got-Te", r.Header.Get("Te"))
	if r.URL.Path == "/refused" { // "Trailers-Only"
		w.Header().Set("Grpc-Status", "16")
		w.Header().Set("Grpc-Message", "no")
		return
	}
	if r.URL.Path == "/announced" {
		w.Header().Set("Trailer", "Grpc-Status, Grpc-Message")
	}
	rc := http.NewResponseController(w)
	_ = rc.Flush()
	for {
		s, err := readMessage(r.Body)
		if err != nil {
			break
		}
		_, _ = io.WriteString(w, message("echo "+s))
		_ = rc.Flush()
	}
	prefix := http.TrailerPrefix
	if r.URL.Path == "/announced" {
		prefix = ""
	}
	w.Header().Set(prefix+"Grpc-Status", "0")
	w.Header().Set(prefix+"Grpc-Message", "got trailers: "+r.Trailer.Get("X-Role"))
	w.Header().Set(http.TrailerPrefix+"Set-Cookie", "__Host-doorward=evil")
	if r.URL.Path == "/dies" {
		panic(http.ErrAbortHandler)
	}
}

func TestR9GRPCPassesInBothDirectionsWithItsStatusBehind(t *testing.T) {
	tls := plural(t, echoMessages, h1, func(p *http.Protocols) { p.SetHTTP2(true) })
	tls.EnableHTTP2 = true
	tls.StartTLS()
	clear := plural(t, echoMessages, h2c)
	clear.Start()
	for name, c := range map[string]struct {
		e *httptest.Server
		b Balance
	}{
		"h2c":         {clear, Balance{Protocol: "h2c"}},
		"h2":          {tls, Balance{Protocol: "h2", RootCAs: certificateOf(tls)}},
		"h2 by ALPN":  {tls, Balance{RootCAs: certificateOf(tls)}},
		"with limits": {clear, Balance{Protocol: "h2c", Retries: 1, Eject: &Eject{}, Timeouts: Timeouts{Idle: patience, Total: patience}}},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, func(config *Config, _ *Deps) {
				u, _ := url.Parse(c.e.URL)
				for i := range config.Routes {
					config.Routes[i].Upstreams, config.Routes[i].Balance = []*url.URL{u}, c.b
				}
			})
			client := priorKnowledge(t)
			call := func(path string, body io.Reader) (*http.Response, error) {
				r, _ := http.NewRequestWithContext(t.Context(), "POST", l.gateway.URL+path, body)
				r.Host = "app.test"
				r.Header = http.Header{"Content-Type": {"application/grpc"}, "Te": {"trailers"}, "Cookie": {"__Host-doorward=alice"}}
				r.Trailer = http.Header{"X-Role": {"admin"}}
				return client.Do(r)
			}
			for _, path := range []string{"/x", "/announced"} {
				in, out := io.Pipe()
				res, err := call(path, in)
				if err != nil || res.StatusCode != http.StatusOK || res.Header.Get("X-Got-Te") != "trailers" {
					t.Fatalf("answer %v, %v", res, err)
				}
				for _, s := range []string{"one", "two", strings.Repeat("long", 50_000)} {
					go func() { _, _ = io.WriteString(out, message(s)) }()
					if got, err := readMessage(res.Body); err != nil || got != "echo "+s {
						t.Fatalf("%s: read %.40q, %v", path, got, err)
					}
				}
				_ = out.Close()
				if rest, err := io.ReadAll(res.Body); err != nil || len(rest) != 0 {
					t.Errorf("%s: after the end %q, %v", path, rest, err)
				}
				if res.Trailer.Get("Grpc-Status") != "0" || res.Trailer.Get("Grpc-Message") != "got trailers: " || res.Trailer["Set-Cookie"] != nil {
					t.Errorf("%s: trailers %v", path, res.Trailer)
				}
			}
			res, err := call("/refused", strings.NewReader(message("x")))
			if err != nil || res.Header.Get("Grpc-Status") != "16" || res.Header.Get("Grpc-Message") != "no" {
				t.Fatalf("trailers only: %v, %v", res, err)
			}
			res, err = call("/dies", strings.NewReader(message("x")))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadAll(res.Body); err == nil || res.Trailer.Get("Grpc-Status") != "" {
				t.Errorf("a stream whose upstream died ends as if it was whole: %v, %v", err, res.Trailer)
			}
		})
	}
}

func TestAnUpstreamThatSpeaksHTTP2OnlyStillGetsWebSocketsByHTTP1(t *testing.T) {
	e := plural(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			echoSocket(w, r)
			return
		}
		_, _ = io.WriteString(w, r.Proto)
	}, h1, h2c)
	e.Start()
	l := newLab(t, func(c *Config, _ *Deps) {
		u, _ := url.Parse(e.URL)
		c.Routes[2].Upstreams, c.Routes[2].Balance.Protocol = []*url.URL{u}, "h2c"
	})
	if a := l.send("GET", "/public/x"); a.body != "HTTP/2.0" {
		t.Errorf("answer %s %q", a.Status, a.body)
	}
	if a := l.raw(socketRequest("/public/x", "Origin: https://app.test")); a.StatusCode != http.StatusSwitchingProtocols {
		t.Errorf("answer %s", a.Status)
	}
}
