package wire

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/internal/testnet"
)

// How requests end that nobody lets end by themselves. Time and network are synctest's and
// testnet's.

// inMemory runs a test on both subjects, each with an upstream that reads a request and does
// as its script says.
func inMemory(t *testing.T, script func(c net.Conn), test func(t *testing.T, s subject)) {
	t.Helper()
	for _, name := range []string{"http.Transport", "wire"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				listener := testnet.Listen()
				var s subject = newStandard(listener.Dial)
				if name == "wire" {
					s = newWire(t, listener.Dial)
				}
				var upstream sync.WaitGroup
				defer upstream.Wait()
				upstream.Go(func() {
					for {
						c, err := listener.Accept()
						if err != nil {
							return
						}
						upstream.Go(func() {
							defer func() { _ = c.Close() }()
							if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
								script(c)
							}
						})
					}
				})
				defer func() { _ = listener.Close() }()
				defer s.CloseIdleConnections()
				test(t, s)
			})
		})
	}
}

// drip says something every second, until the client leaves.
func drip(c net.Conn, before, again string) {
	_, err := io.WriteString(c, before)
	for ; err == nil; time.Sleep(time.Second) {
		_, err = io.WriteString(c, again)
	}
}

func silence(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

func TestTheHeaderOfAnAnswerMustComeInTime(t *testing.T) {
	for name, script := range map[string]func(net.Conn){
		"nothing":         silence,
		"half a header":   func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nX"); silence(c) },
		"trickling":       func(c net.Conn) { drip(c, "HTTP/1.1 200 OK\r\nX: ", "x") },
		"endless interim": func(c net.Conn) { drip(c, "", "HTTP/1.1 103 Early Hints\r\n\r\n") },
	} {
		t.Run(name, func(t *testing.T) {
			inMemory(t, script, func(t *testing.T, s subject) {
				begun := time.Now()
				if o := get(t.Context(), s, "GET", "http://app.test/"); o.Err != "timeout" {
					t.Errorf("%v", o)
				}
				if took := time.Since(begun); took != limits.ResponseHeaderTimeout {
					t.Errorf("it took %s", took)
				}
			})
		})
	}
}

func TestABodyTakesAsLongAsItTakes(t *testing.T) {
	inMemory(t, func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc")
		time.Sleep(time.Hour)
		_, _ = io.WriteString(c, "def")
	}, func(t *testing.T, s subject) {
		if o := get(t.Context(), s, "GET", "http://app.test/"); o.Body != "abcdef" || o.BodyErr != "" {
			t.Errorf("%v", o)
		}
	})
}

var errCause = errors.New("the cause")

func TestTheEndOfTheContextEndsARequestAtOnce(t *testing.T) {
	for name, script := range map[string]func(net.Conn){
		"waiting":       silence,
		"in the header": func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nX"); silence(c) },
		"after interim": func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 103 Early Hints\r\n\r\n"); silence(c) },
		"in the body": func(c net.Conn) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
			silence(c)
		},
		"in chunks":         func(c net.Conn) { _, _ = io.WriteString(c, chunk+"\r\n3\r\nabc\r\n"); silence(c) },
		"until the end":     func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\nabc"); silence(c) },
		"in the trailer":    func(c net.Conn) { _, _ = io.WriteString(c, chunk+"\r\n0\r\nX: "); silence(c) },
		"trickling body":    func(c net.Conn) { drip(c, "HTTP/1.1 200 OK\r\n\r\n", "x") },
		"trickling header":  func(c net.Conn) { drip(c, "HTTP/1.1 200 OK\r\nX: ", "x") },
		"before everything": nil,
	} {
		for class, end := range map[string]func(context.Context) (context.Context, context.CancelFunc){
			"canceled": func(ctx context.Context) (context.Context, context.CancelFunc) {
				ctx, cancel := context.WithCancel(ctx)
				time.AfterFunc(3500*time.Millisecond, cancel)
				return ctx, cancel
			},
			"timeout": func(ctx context.Context) (context.Context, context.CancelFunc) {
				return context.WithTimeout(ctx, 3500*time.Millisecond)
			},
			"broken": func(ctx context.Context) (context.Context, context.CancelFunc) {
				ctx, cancel := context.WithCancelCause(ctx)
				time.AfterFunc(3500*time.Millisecond, func() { cancel(errCause) })
				return ctx, func() { cancel(nil) }
			},
		} {
			t.Run(name+", "+class, func(t *testing.T) {
				inMemory(t, script, func(t *testing.T, s subject) {
					ctx, cancel := end(t.Context())
					defer cancel()
					begun := time.Now()
					if script == nil {
						<-ctx.Done()
					}
					o := get(ctx, s, "GET", "http://app.test/")
					if o.Err+o.BodyErr != class {
						t.Errorf("%v", o)
					}
					if took := time.Since(begun); took != 3500*time.Millisecond {
						t.Errorf("it took %s", took)
					}
				})
			})
		}
	}
}

func TestTheCauseOfAContextIsTheError(t *testing.T) {
	inMemory(t, silence, func(t *testing.T, s subject) {
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(errCause) })
		req, _ := http.NewRequestWithContext(ctx, "GET", "http://app.test/", nil)
		if _, err := s.RoundTrip(req); !errors.Is(err, errCause) {
			t.Errorf("error %v", err)
		}
	})
}

func TestDialing(t *testing.T) {
	for name, c := range map[string]struct {
		dial  dialer
		ends  time.Duration // of the context; 0 = never
		class string
		took  time.Duration
	}{
		"refused":  {func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("refused") }, 0, "broken", 0},
		"deadline": {hang, time.Second, "timeout", time.Second},
		"succeeds when it is too late": {func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			c, _ := net.Pipe()
			return c, nil
		}, time.Second, "timeout", time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			for _, of := range []string{"http.Transport", "wire"} {
				synctest.Test(t, func(t *testing.T) {
					var s subject = newStandard(c.dial)
					if of == "wire" {
						s = newWire(t, c.dial)
					}
					defer s.CloseIdleConnections()
					ctx, begun := t.Context(), time.Now()
					if c.ends > 0 {
						var cancel context.CancelFunc
						ctx, cancel = context.WithTimeout(ctx, c.ends)
						defer cancel()
					}
					if o := get(ctx, s, "GET", "http://app.test/"); o.Err != c.class {
						t.Errorf("%s: %v", of, o)
					}
					if took := time.Since(begun); took != c.took {
						t.Errorf("%s: it took %s", of, took)
					}
				})
			}
		})
	}
	t.Run("takes too long", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			begun := time.Now()
			o := get(t.Context(), newWire(t, hang), "GET", "http://app.test/")
			if took := time.Since(begun); o.Err != "timeout" || took != limits.DialTimeout {
				t.Errorf("%v after %s", o, took)
			}
		})
	})
}

func hang(ctx context.Context, _, _ string) (net.Conn, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestABodyThatIsClosedEarlyEndsTheConnection(t *testing.T) {
	both(t, dialTCP, func(t *testing.T, s subject) {
		for name, answer := range map[string]string{
			"nothing read": "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
			"endless":      "HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n" + strings.Repeat("x", 99999),
			"chunked":      chunk + "\r\n3\r\nabc\r\n",
		} {
			u := newUpstream(t, always(answer))
			req, _ := http.NewRequestWithContext(t.Context(), "GET", u.url("/"), nil)
			res, err := s.RoundTrip(req)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			for range 2 {
				if err := res.Body.Close(); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			if n, err := res.Body.Read(make([]byte, 1)); n != 0 || err == nil || err == io.EOF {
				t.Errorf("%s: read %d, %v after Close", name, n, err)
			}
			u.awaitGone(t)
		}
	})
}

func TestCloseEndsARead(t *testing.T) {
	both(t, dialTCP, func(t *testing.T, s subject) {
		u := newUpstream(t, always("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"))
		req, _ := http.NewRequestWithContext(t.Context(), "GET", u.url("/"), nil)
		res, err := s.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		begun, done := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			if _, err := io.ReadFull(res.Body, make([]byte, 3)); err != nil {
				t.Errorf("read: %v", err)
			}
			close(begun)
			if n, err := res.Body.Read(make([]byte, 9)); n != 0 || err == nil || err == io.EOF {
				t.Errorf("read %d, %v", n, err)
			}
		}()
		await(t, begun, "the first bytes")
		_ = res.Body.Close()
		await(t, done, "the end of a Read")
		u.awaitGone(t)
	})
}

func TestTheEndIsReadAgain(t *testing.T) {
	both(t, dialTCP, func(t *testing.T, s subject) {
		u := newUpstream(t, always(abc))
		req, _ := http.NewRequestWithContext(t.Context(), "GET", u.url("/"), nil)
		res, err := s.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.ReadAll(res.Body)
		if n, err := res.Body.Read(make([]byte, 9)); n != 0 || err != io.EOF {
			t.Errorf("read %d, %v", n, err)
		}
		if err := res.Body.Close(); err != nil {
			t.Error(err)
		}
		if o := get(t.Context(), s, "GET", u.url("/")); o.Body != "abc" {
			t.Errorf("%v", o)
		}
		if conns, _ := u.seen(); conns != 1 {
			t.Errorf("%d connections", conns)
		}
	})
}

// The context of a request that is over often ends just when the next has its connection.
func TestALateEndHarmsNobodyElse(t *testing.T) {
	u := newUpstream(t, always(abc))
	w := newWire(t, dialTCP)
	defer w.CloseIdleConnections()
	for range 3000 {
		ctx, cancel := context.WithCancel(t.Context())
		req, _ := http.NewRequestWithContext(ctx, "GET", u.url("/"), nil)
		res, err := w.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(res.Body); string(b) != "abc" || err != nil {
			t.Fatalf("read %q, %v", b, err)
		}
		go cancel()
	}
	if conns, _ := u.seen(); conns != 1 {
		t.Errorf("%d connections", conns)
	}
}
