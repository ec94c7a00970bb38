package proxy

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"github.com/doorward/doorward/internal/testnet"
)

// The end of one side is the end of the other, and each is told what it can use.

func TestAClientThatLeavesEndsTheRequestUpstream(t *testing.T) {
	for name, request := range map[string]string{
		"while it waits":     request("GET", "/x", as("alice"), "Connection: keep-alive"),
		"while it uploads":   request("POST", "/x", as("alice"), "Content-Length: 1000") + "abc",
		"while it downloads": request("GET", "/x?stream", as("alice"), "Connection: keep-alive"),
		"from a WebSocket":   socketRequest("/x", as("alice"), "Origin: https://app.test"),
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, nil)
			arrived, left := make(chan struct{}), make(chan struct{})
			l.e.streams(func(w http.ResponseWriter, r *http.Request) {
				defer close(left)
				if r.Header.Get("Upgrade") != "" {
					close(arrived)
					echoSocket(w, r)
					return
				}
				if r.URL.RawQuery == "stream" {
					_, _ = io.WriteString(w, "E")
					_ = http.NewResponseController(w).Flush()
				}
				close(arrived)
				if r.Method == http.MethodPost {
					_, _ = io.Copy(io.Discard, r.Body)
					return
				}
				<-r.Context().Done()
			})
			c := l.write(request)
			<-arrived
			_ = c.Close()
			within(t, left, "E to learn that the client has left")
		})
	}
}

func within(t *testing.T, done <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatalf("waited in vain for %s", what)
	}
}

func TestAnUpstreamThatDiesInTheMiddleLooksLikeThat(t *testing.T) {
	for name, head := range map[string]string{
		"with a length": "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
		"chunked":       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
		"bad chunk":     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, raws(t, head))
			if a := l.send("GET", "/x", as("alice")); a.StatusCode != 0 && (!a.cut || a.body != "half") {
				t.Errorf("answer %s, cut: %v, %q", a.Status, a.cut, a.body)
			}
			if a := l.send2("GET", "/x", as("alice")); !strings.HasPrefix(a.Status, "none") {
				t.Errorf("h2: answer %s %q", a.Status, a.body)
			}
		})
	}
	for name, head := range map[string]string{
		"no answer":       "",
		"no HTTP":         "SSH-2.0-OpenSSH_9.9\r\n",
		"half a header":   "HTTP/1.1 200 OK\r\nContent-Le",
		"two lengths":     "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
		"endless headers": "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: "+strings.Repeat("a", 1000)+"\r\n", 400),
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, raws(t, head))
			l.both(t, "GET", "/x", []string{as("alice")}, func(l *lab, a answer) {
				if a.StatusCode != http.StatusBadGateway || a.code() != codeUpstreamUnreachable || strings.Contains(a.body, "SSH") {
					l.Errorf("answer %s %s", a.Status, a.body)
				}
			})
		})
	}
}

// raws is a configuration with an upstream that answers every request with these bytes, and
// hangs up.
func raws(t *testing.T, answer string) func(*Config, *Deps) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
					_, _ = io.WriteString(c, answer)
				}
			}()
		}
	}()
	return upstreamAt(&url.URL{Scheme: "http", Host: listener.Addr().String()})
}

func upstreamAt(u *url.URL) func(*Config, *Deps) {
	return func(c *Config, _ *Deps) {
		for i := range c.Routes {
			c.Routes[i].Upstreams = []*url.URL{u}
		}
	}
}

func TestAnUpstreamThatCannotBeReachedIs502(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = listener.Close()
	for _, u := range []*url.URL{{Scheme: "http", Host: listener.Addr().String()}, {Scheme: "http", Host: "nowhere.invalid"}, {Scheme: "unix", Path: filepath.Join(t.TempDir(), "none.sock")}} {
		t.Run(u.Scheme+u.Host, func(t *testing.T) {
			l := newLab(t, upstreamAt(u))
			l.both(t, "GET", "/x", []string{as("alice")}, func(l *lab, a answer) {
				if a.StatusCode != http.StatusBadGateway || a.code() != codeUpstreamUnreachable {
					l.Errorf("answer %s %s", a.Status, a.body)
				}
			})
		})
	}
}

func TestAnUpstreamThatDoesNotAnswerInTimeIs504(t *testing.T) {
	l := newLab(t, func(_ *Config, d *Deps) {
		d.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			silent := testnet.Listen()
			go func() {
				if c, err := silent.Accept(); err == nil {
					_, _ = io.Copy(io.Discard, c)
				}
			}()
			transport := testSettings().transport()
			transport.DialContext = silent.Dial
			defer transport.CloseIdleConnections()
			return transport.RoundTrip(r)
		})
	})
	synctest.Test(t, func(t *testing.T) {
		conn := overMemory(t, l.gateway.Config.Handler)
		begun := time.Now()
		_, _ = io.WriteString(conn, request("GET", "/x", as("alice")))
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || res.StatusCode != http.StatusGatewayTimeout {
			t.Fatalf("answer %v, %v", res, err)
		}
		if took := time.Since(begun); took != responseWait {
			t.Errorf("it took %s", took)
		}
	})
}

type roundTrip func(r *http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestAUnixSocketIsAnUpstream(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.sock")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Host+r.RequestURI) })}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	l := newLab(t, upstreamAt(&url.URL{Scheme: "unix", Path: path}))
	if a := l.send("GET", "/x?y", as("alice")); a.body != "app.test/x?y" {
		t.Errorf("answer %s %q", a.Status, a.body)
	}
}

func TestUpstreamsTakeTurns(t *testing.T) {
	other := newCapture(t)
	l := newLab(t, func(c *Config, _ *Deps) { c.Routes[0].Upstreams = append(c.Routes[0].Upstreams, other.url) })
	for range 6 {
		if a := l.send("GET", "/x", as("alice")); a.StatusCode != http.StatusOK {
			t.Fatalf("answer %s", a.Status)
		}
	}
	if one, two := len(l.e.take()), len(other.take()); one != 3 || two != 3 {
		t.Errorf("%d and %d requests", one, two)
	}
}

func TestPX5TheUpstreamsOwn401AndRedirectsPass(t *testing.T) {
	l := newLab(t, nil)
	l.e.answers(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/x/moved" {
			http.Redirect(w, r, "https://elsewhere.test/", http.StatusFound)
			return
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="app"`)
		http.Error(w, "E says no", http.StatusUnauthorized)
	})
	l.both(t, "GET", "/x", append([]string{as("alice")}, navigation...), func(l *lab, a answer) {
		if a.StatusCode != 401 || a.body != "E says no\n" || a.Header.Get("Www-Authenticate") != `Basic realm="app"` {
			l.Errorf("answer %s %v %q", a.Status, a.Header, a.body)
		}
	})
	l.both(t, "GET", "/x/moved", []string{as("alice")}, func(l *lab, a answer) {
		if a.StatusCode != 302 || a.Header.Get("Location") != "https://elsewhere.test/" {
			l.Errorf("answer %s %v", a.Status, a.Header)
		}
	})
}

// A client that leaves is no failure of the upstream's, and none of its own.
func TestAClientThatLeftIsLoggedAsThat(t *testing.T) {
	for name, upload := range map[string]bool{"while it waits": false, "while it uploads": true} {
		t.Run(name, func(t *testing.T) {
			arrived := make(chan struct{})
			l := newLab(t, func(_ *Config, d *Deps) {
				d.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
					close(arrived)
					if upload {
						_, err := io.Copy(io.Discard, r.Body)
						return nil, err
					}
					<-r.Context().Done()
					return nil, context.Cause(r.Context())
				})
			})
			h := l.h2()
			h.headers(1, !upload, ":method: POST", ":scheme: https", ":authority: app.test", ":path: /x", "cookie: __Host-doorward=alice")
			<-arrived
			_ = h.framer.WriteRSTStream(1, http2.ErrCodeCancel)
			for end := time.Now().Add(patience); !strings.Contains(l.log.String(), `"msg":"request"`) && time.Now().Before(end); {
				runtime.Gosched()
			}
			if text := l.log.String(); !strings.Contains(text, `"code":"client_closed"`) || !strings.Contains(text, `"status":499`) {
				t.Errorf("the log says %s", text)
			}
		})
	}
}

// testSettings are those of a route that says nothing of its connections.
func testSettings() settings { return settings{connect: dialWait, header: responseWait} }
