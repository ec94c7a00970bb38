package proxy

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/internal/testnet"
)

// slowly is a Transport whose answers need time: head until the answer begins, then a byte at each step, so many of them.
func slowly(head, step time.Duration, bytes int) roundTrip {
	return func(r *http.Request) (*http.Response, error) {
		if r.Body != nil {
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				return nil, err
			}
		}
		select {
		case <-time.After(head):
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
		in, out := io.Pipe()
		stop := context.AfterFunc(r.Context(), func() { _ = out.CloseWithError(context.Cause(r.Context())) })
		go func() {
			defer stop()
			for range bytes {
				time.Sleep(step)
				if _, err := out.Write([]byte("x")); err != nil {
					return
				}
			}
			_ = out.Close()
		}()
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, ContentLength: -1, Body: in}, nil
	}
}

func TestRoutesBoundTheTimeOfAnExchange(t *testing.T) {
	for name, c := range map[string]struct {
		limits Timeouts
		way    roundTrip
		status int
		cut    bool
		body   int
		took   time.Duration
	}{
		"no limit":                    {Timeouts{}, slowly(time.Hour, time.Hour, 3), 200, false, 3, 4 * time.Hour},
		"total, before the answer":    {Timeouts{Total: 10 * time.Second}, slowly(time.Minute, 0, 0), 504, false, -1, 10 * time.Second},
		"total, in the answer":        {Timeouts{Total: 10 * time.Second}, slowly(0, 3*time.Second, 9), 200, true, 3, 10 * time.Second},
		"total is enough":             {Timeouts{Total: 10 * time.Second}, slowly(0, 3*time.Second, 3), 200, false, 3, 9 * time.Second},
		"idle, in the answer":         {Timeouts{Idle: 5 * time.Second}, slowly(0, 6*time.Second, 2), 200, true, 0, 5 * time.Second},
		"idle, never":                 {Timeouts{Idle: 5 * time.Second}, slowly(0, 4*time.Second, 20), 200, false, 20, 80 * time.Second},
		"idle is not until an answer": {Timeouts{Idle: 5 * time.Second}, slowly(time.Minute, time.Second, 1), 200, false, 1, 61 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, func(config *Config, d *Deps) {
				d.Transport = c.way
				for i := range config.Routes {
					config.Routes[i].Balance.Timeouts = c.limits
				}
			})
			synctest.Test(t, func(t *testing.T) {
				conn := overMemory(t, l.gateway.Config.Handler)
				begun := time.Now()
				_, _ = io.WriteString(conn, request("GET", "/public/x"))
				a := l.read(bufio.NewReader(conn), "GET")
				if a.StatusCode != c.status || a.cut != c.cut || c.body >= 0 && len(a.body) != c.body || time.Since(begun) != c.took {
					t.Errorf("answer %s, cut: %v, %q, after %s", a.Status, a.cut, a.body, time.Since(begun))
				}
				if c.status == 504 && a.code() != codeUpstreamTimeout {
					t.Errorf("code %s", a.code())
				}
				_ = conn.Close()
				time.Sleep(24 * time.Hour) // whoever still sleeps wakes up, and is gone
			})
		})
	}
}

func TestIdleCountsWhileARequestComes(t *testing.T) {
	l := newLab(t, func(c *Config, d *Deps) {
		d.Transport = slowly(time.Minute, time.Second, 1)
		c.Routes[2].Balance.Timeouts.Idle = 5 * time.Second
	})
	for name, c := range map[string]struct {
		pause  time.Duration
		status int
	}{"in time": {4 * time.Second, 200}, "too slow": {6 * time.Second, 504}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn := overMemory(t, l.gateway.Config.Handler)
				go func() {
					_, err := io.WriteString(conn, request("POST", "/public/x", "Content-Length: 10"))
					for range 10 {
						time.Sleep(c.pause)
						if err == nil {
							_, err = io.WriteString(conn, "a")
						}
					}
				}()
				if a := l.read(bufio.NewReader(conn), "POST"); a.StatusCode != c.status {
					t.Errorf("answer %s", a.Status)
				}
				_ = conn.Close()
				time.Sleep(time.Hour)
			})
		})
	}
}

func TestTheTimeUntilAnAnswerIsTheRoutes(t *testing.T) {
	for _, protocol := range []string{"", "h1"} {
		t.Run(protocol, func(t *testing.T) {
			silent := testnet.Listen()
			s := settings{protocol: protocol, connect: dialWait, header: 7 * time.Second}
			l := newLab(t, func(_ *Config, d *Deps) {
				d.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
					go func() {
						if c, err := silent.Accept(); err == nil {
							_, _ = io.Copy(io.Discard, c)
						}
					}()
					way := s.transport()
					way.DialContext = silent.Dial
					defer way.CloseIdleConnections()
					return way.RoundTrip(r)
				})
			})
			synctest.Test(t, func(t *testing.T) {
				conn := overMemory(t, l.gateway.Config.Handler)
				begun := time.Now()
				_, _ = io.WriteString(conn, request("GET", "/public/x"))
				if a := l.read(bufio.NewReader(conn), "GET"); a.StatusCode != 504 || time.Since(begun) != 7*time.Second {
					t.Errorf("answer %s after %s", a.Status, time.Since(begun))
				}
			})
		})
	}
}

func TestLimitsThatAreOffCostNothing(t *testing.T) {
	l := newLab(t, nil)
	for _, rt := range l.g.balanced {
		if rt.timeouts.Idle|rt.timeouts.Total != 0 {
			t.Errorf("%s has %+v", rt.name, rt.timeouts)
		}
	}
}

func TestR10AClientThatReadsSlowlyIsNotCut(t *testing.T) {
	const size = 64 << 10
	l := newLab(t, func(_ *Config, d *Deps) {
		d.Transport = roundTrip(func(*http.Request) (*http.Response, error) {
			z := zeros(size)
			return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, ContentLength: size, Body: io.NopCloser(&z)}, nil
		})
	})
	synctest.Test(t, func(t *testing.T) {
		conn := overMemory(t, l.gateway.Config.Handler)
		go func() { _, _ = io.WriteString(conn, request("GET", "/public/x")) }()
		res, err := http.ReadResponse(bufio.NewReaderSize(slow{conn}, 1<<10), nil)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, res.Body); err != nil || n != size {
			t.Errorf("%d bytes, %v", n, err)
		}
	})
}

// slow reads 1 KB/s.
type slow struct{ io.Reader }

func (s slow) Read(p []byte) (int, error) {
	time.Sleep(time.Second)
	return s.Reader.Read(p[:min(len(p), 1<<10)])
}

func TestAWebSocketEndsByTheLimitsOfItsRoute(t *testing.T) {
	for name, limits := range map[string]Timeouts{"idle": {Idle: 200 * time.Millisecond}, "total": {Total: 200 * time.Millisecond}} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, func(c *Config, _ *Deps) { c.Routes[2].Balance.Timeouts = limits })
			l.e.answers(echoSocket)
			c := l.write(socketRequest("/public/x", "Origin: https://app.test"))
			r := bufio.NewReader(c)
			if a := l.read(r, "GET"); a.StatusCode != http.StatusSwitchingProtocols {
				t.Fatalf("answer %s", a.Status)
			}
			_, _ = io.WriteString(c, "x")
			if b, err := r.ReadByte(); err != nil || b != 'x' {
				t.Fatalf("read %q, %v", b, err)
			}
			if _, err := r.ReadByte(); err == nil || strings.Contains(err.Error(), "timeout") {
				t.Errorf("it goes on: %v", err)
			}
			if !strings.Contains(l.log.String(), "exchange ended") {
				t.Errorf("the log says %s", l.log)
			}
		})
	}
	t.Run("and tells that one side has said its last word", func(t *testing.T) {
		l := newLab(t, func(c *Config, _ *Deps) { c.Routes[2].Balance.Timeouts = Timeouts{Idle: patience} })
		l.e.answers(echoSocket)
		c := l.write(socketRequest("/public/x", "Origin: https://app.test"))
		r := bufio.NewReader(c)
		_ = l.read(r, "GET")
		_ = c.(interface{ CloseWrite() error }).CloseWrite()
		if _, err := r.ReadByte(); err != io.EOF {
			t.Errorf("read %v", err)
		}
	})
}

// The same over each kind of connection, with an upstream that never answers, and one that dies in silence.
func TestLimitsHoldOverEachKindOfConnection(t *testing.T) {
	e := plural(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/half") {
			_, _ = io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
		}
		<-r.Context().Done() // and learns that nobody waits any more
	}, h1, h2c)
	e.Start()
	for _, protocol := range []string{"", "h1", "h2c"} {
		for name, limits := range map[string]Timeouts{"total": {Total: 100 * time.Millisecond}, "idle": {Idle: 100 * time.Millisecond, Header: 100 * time.Millisecond}} {
			t.Run(protocol+" "+name, func(t *testing.T) {
				l := newLab(t, behind(must(url.Parse(e.URL)), Balance{Protocol: protocol, Timeouts: limits}))
				for _, method := range []string{"GET", "POST"} {
					line := "Content-Length: 0"
					if a := l.send(method, "/public/never", line); a.StatusCode != http.StatusGatewayTimeout || a.code() != codeUpstreamTimeout {
						t.Errorf("%s: answer %s %s", method, a.Status, a.body)
					}
					if a := l.send(method, "/public/half", line); a.StatusCode != http.StatusOK || a.body != "half" || !a.cut {
						t.Errorf("%s: answer %s %q, cut: %v", method, a.Status, a.body, a.cut)
					}
				}
				if a := l.send2("GET", "/public/half"); !strings.HasPrefix(a.Status, "none: reset") {
					t.Errorf("h2: answer %s %q", a.Status, a.body)
				}
			})
		}
	}
}
