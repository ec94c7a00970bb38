package proxy

import (
	"bufio"
	"context"
	"fmt"
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

	"github.com/doorward/doorward/internal/testnet"
)

// Bodies pass as they come, in both directions, and the end of one side is the end of the other.

func TestR9AnEventArrivesBeforeTheNextIsSent(t *testing.T) {
	for _, header := range []string{"Content-Type: text/event-stream", "Content-Type: text/plain", "Content-Type: application/grpc"} {
		t.Run(header, func(t *testing.T) {
			l := newLab(t, nil)
			next := make(chan string)
			l.e.answers(func(w http.ResponseWriter, r *http.Request) {
				name, value, _ := strings.Cut(header, ": ")
				w.Header().Set(name, value)
				w.WriteHeader(http.StatusOK)
				for rc := http.NewResponseController(w); rc.Flush() == nil; {
					select {
					case s := <-next:
						_, _ = io.WriteString(w, s)
					case <-r.Context().Done():
						return
					}
				}
			})
			c := l.write(request("GET", "/x", as("alice"), "Connection: keep-alive"))
			res, err := http.ReadResponse(bufio.NewReader(c), nil) // arrives although no event was sent
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
		})
	}
}

func TestR9BothDirectionsAtOnce(t *testing.T) {
	l := newLab(t, nil)
	l.e.streams(func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		_ = rc.EnableFullDuplex()
		buf := make([]byte, 1)
		for {
			if _, err := io.ReadFull(r.Body, buf); err != nil {
				return
			}
			_, _ = w.Write(buf)
			_ = rc.Flush()
		}
	})
	h := l.h2()
	h.headers(1, false, ":method: POST", ":scheme: https", ":authority: app.test", ":path: /x", "cookie: __Host-doorward=alice")
	for _, s := range []string{"a", "b", "c"} {
		h.data(1, false, s)
		if got := h.readData(1); got != s {
			t.Fatalf("read %q", got)
		}
	}
	h.data(1, true, "")
	if a := h.read(1); a.body != "" {
		t.Errorf("after the end: %q", a.body)
	}
}

const large = 64 << 20

// zeros is that many bytes, made as they are read.
type zeros int64

func (z *zeros) Read(p []byte) (int, error) {
	if *z == 0 {
		return 0, io.EOF
	}
	n := min(len(p), int(*z))
	clear(p[:n])
	*z -= zeros(n)
	return n, nil
}

// allocated returns how many bytes the process allocated while f ran. The client and the
// upstream are in it as well: it bounds what the gateway may have kept.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestR10LargeBodiesPassInConstantMemory(t *testing.T) {
	l := newLab(t, nil)
	received := make(chan int64, 1)
	l.e.streams(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		received <- n
		if r.Method == http.MethodGet {
			z := zeros(large)
			_, _ = io.Copy(w, &z)
		}
	})
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	do := func(method string, body io.Reader, length int64) {
		r, err := http.NewRequest(method, l.gateway.URL+"/x", body)
		if err != nil {
			t.Fatal(err)
		}
		r.Host, r.ContentLength = "app.test", length
		r.Header.Set("Cookie", "__Host-doorward=alice")
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		n, err := io.Copy(io.Discard, res.Body)
		if want := int64(large); err != nil || res.StatusCode != http.StatusOK || method == http.MethodGet && n != want {
			t.Errorf("%s: %s, %d bytes, %v", method, res.Status, n, err)
		}
		if n := <-received; method == http.MethodPut && n != large {
			t.Errorf("E received %d bytes", n)
		}
	}
	for name, f := range map[string]func(){
		"upload":         func() { z := zeros(large); do("PUT", &z, large) },
		"chunked upload": func() { z := zeros(large); do("PUT", &z, -1) },
		"download":       func() { do("GET", nil, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			if n := allocated(f); n > 8<<20 {
				t.Errorf("%d MiB were allocated for 64 MiB", n>>20)
			}
		})
	}
}

func TestTrailersOfAnswersPass(t *testing.T) {
	l := newLab(t, nil)
	l.e.answers(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "Grpc-Status")
		_, _ = io.WriteString(w, "E")
		w.Header().Set("Grpc-Status", "0")
		w.Header().Set(http.TrailerPrefix+"Grpc-Message", "fine")
	})
	l.both(t, "GET", "/x", []string{as("alice")}, func(l *lab, a answer) {
		l.passed(a)
		got := a.Trailer
		if a.ProtoMajor == 2 {
			got = a.Header
		}
		if got.Get("Grpc-Status") != "0" || got.Get("Grpc-Message") != "fine" || a.body != "E" {
			l.Errorf("the client receives %v", got)
		}
	})
}

func TestInformationalAnswers(t *testing.T) {
	l := newLab(t, nil)
	l.e.answers(func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Link", "</style.css>; rel=preload")
		h.Set("Set-Cookie", "__Host-doorward=evil")
		h.Set("X-Early", "1")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusProcessing)
		h.Del("Set-Cookie")
		h.Set("X-Late", "1")
		_, _ = io.WriteString(w, "E")
	})
	c := l.write(request("GET", "/x", as("renewed")))
	r := bufio.NewReader(c)
	hints, err := http.ReadResponse(r, nil)
	if err != nil || hints.StatusCode != http.StatusEarlyHints || hints.Header.Get("Link") == "" || len(hints.Header) != 1 {
		t.Fatalf("first comes %v, %v", hints, err)
	}
	a := l.read(r, "GET")
	l.passed(a)
	if len(a.informed) != 0 || a.Header.Get("X-Late") != "1" || len(a.Header["Link"]) != 1 {
		t.Errorf("then comes %v %v", a.informed, a.Header)
	}
	if s := a.Header["Set-Cookie"]; len(s) != 1 || !strings.HasPrefix(s[0], "__Host-doorward=renewed") { // ours is not lost, theirs does not pass
		t.Errorf("Set-Cookie: %q", s)
	}
}

func TestAnEarlyAnswerDoesNotWaitForTheUpload(t *testing.T) {
	l := newLab(t, nil)
	l.e.streams(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusRequestEntityTooLarge) })
	c := l.write(request("POST", "/x", as("alice"), "Content-Length: 1000000000", "Connection: keep-alive") + "the beginning")
	if a := l.read(bufio.NewReader(c), "POST"); a.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("answer %s", a.Status)
	}
	h := l.h2()
	h.headers(1, false, ":method: POST", ":scheme: https", ":authority: app.test", ":path: /x", "cookie: __Host-doorward=alice", "content-length: 1000000000")
	h.data(1, false, "the beginning")
	if a := h.read(1); a.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("h2: answer %s", a.Status)
	}
}

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
			transport := newTransport(nil)
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

// A client that leaves is no failure of the upstream's.
func TestAClientThatLeftIsLoggedAsThat(t *testing.T) {
	left := make(chan struct{})
	l := newLab(t, func(_ *Config, d *Deps) {
		d.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			close(left)
			<-r.Context().Done()
			return nil, context.Cause(r.Context())
		})
	})
	c := l.write(request("GET", "/x", as("alice"), "Connection: keep-alive"))
	<-left
	_ = c.Close()
	l.gateway.Close() // waits for handlers
	if text := l.log.String(); !strings.Contains(text, `"code":"client_closed"`) || !strings.Contains(text, `"status":499`) {
		t.Errorf("the log says %s", text)
	}
}
