package edge_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/doorward/doorward/edge"
)

const patience = 10 * time.Second

// pong answers a request with one line.
func pong(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Proto) }

// client is whoever speaks HTTP/2 by frames of its own.
type client struct {
	*testing.T
	net.Conn
	framer *http2.Framer
	block  bytes.Buffer
	hpack  *hpack.Encoder
}

func newClient(t *testing.T, address string) *client {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	c := &client{T: t, Conn: conn, framer: http2.NewFramer(conn, conn)}
	c.hpack = hpack.NewEncoder(&c.block)
	_, _ = io.WriteString(conn, http2.ClientPreface)
	_ = c.framer.WriteSettings()
	return c
}

// get is a request without a body; more are further fields.
func (c *client) get(stream uint32, more ...hpack.HeaderField) []byte {
	c.block.Reset()
	for _, f := range append([]hpack.HeaderField{{Name: ":method", Value: "GET"}, {Name: ":scheme", Value: "http"}, {Name: ":authority", Value: "app.test"}, {Name: ":path", Value: "/"}}, more...) {
		_ = c.hpack.WriteField(f)
	}
	return c.block.Bytes()
}

// ends reads until the server closes, and returns how it said goodbye.
func (c *client) ends() (why http2.ErrCode, said bool) {
	c.Helper()
	for {
		f, err := c.framer.ReadFrame()
		if err != nil {
			if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
				c.Error("the connection stays open")
			}
			return why, said
		}
		if f, ok := f.(*http2.GoAwayFrame); ok {
			why, said = f.ErrCode, true
		}
	}
}

// answered expects that others are served.
func answered(t *testing.T, address string) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if res, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || res.StatusCode != http.StatusOK {
		t.Errorf("others get %v, %v", res, err)
	}
}

func TestThePublicListenerSpeaksHTTP2ToWhoeverBeginsWithIt(t *testing.T) {
	s, _, _ := start(t, edge.Config{HTTP: "127.0.0.1:0", Admin: "127.0.0.1:0"}, http.HandlerFunc(pong), nil)
	tr := &http.Transport{Protocols: new(http.Protocols)}
	tr.Protocols.SetUnencryptedHTTP2(true)
	defer tr.CloseIdleConnections()
	res, err := (&http.Client{Transport: tr}).Get("http://" + s.Address("http").String())
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := io.ReadAll(res.Body); string(b) != "HTTP/2.0" {
		t.Errorf("answer by %s", b)
	}
	if _, err := (&http.Client{Transport: tr}).Get("http://" + s.Address("admin").String()); err == nil {
		t.Error("the admin listener does so, too")
	}
	t.Run("P049 and never by Upgrade", func(t *testing.T) {
		conn, err := net.Dial("tcp", s.Address("http").String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n")
		if res, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || res.StatusCode != http.StatusOK {
			t.Errorf("answer %v, %v", res, err)
		}
	})
	t.Run("it says its limits", func(t *testing.T) {
		c := newClient(t, s.Address("http").String())
		f, err := c.framer.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		settings := f.(*http2.SettingsFrame)
		if n, _ := settings.Value(http2.SettingMaxConcurrentStreams); n != 250 {
			t.Errorf("%d streams", n)
		}
		if n, _ := settings.Value(http2.SettingMaxHeaderListSize); n == 0 || n > 80<<10 {
			t.Errorf("%d bytes of header", n)
		}
	})
}

func TestP055FloodsEndTheConnectionAndOthersGetAnswers(t *testing.T) {
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	serve := func(t *testing.T) (address string, running *atomic.Int32) {
		running = new(atomic.Int32)
		s, _, _ := start(t, edge.Config{HTTP: "127.0.0.1:0"}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.ProtoMajor == 2 {
				running.Add(1)
				defer running.Add(-1)
				<-release // as one that waits for a slow upstream
			}
			pong(w, r)
		}), nil)
		return s.Address("http").String(), running
	}
	floods := map[string]func(c *client) error{
		"rapid reset": func(c *client) (err error) {
			for i := uint32(1); err == nil && i < 200_000; {
				frame := frames(1000, func(f *http2.Framer) {
					_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: i, BlockFragment: c.get(i), EndStream: true, EndHeaders: true})
					_ = f.WriteRSTStream(i, http2.ErrCodeCancel)
					i += 2
				})
				_, err = c.Write(frame)
			}
			return err
		},
		"CONTINUATION": func(c *client) error {
			err := c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: c.get(1)})
			c.block.Reset()
			_ = c.hpack.WriteField(hpack.HeaderField{Name: "x", Value: strings.Repeat("a", 8<<10), Sensitive: true})
			for i := 0; err == nil && i < 20_000; i++ {
				err = c.framer.WriteContinuation(1, false, c.block.Bytes())
			}
			return err
		},
		"PING": func(c *client) (err error) { // and never reads an answer
			frame := frames(10_000, func(f *http2.Framer) { _ = f.WritePing(false, [8]byte{}) })
			for i := 0; err == nil && i < 500; i++ {
				_, err = c.Write(frame)
			}
			return err
		},
	}
	for name, flood := range floods {
		t.Run(name, func(t *testing.T) {
			address, _ := serve(t)
			c := newClient(t, address)
			done := make(chan error, 1)
			go func() { done <- flood(c) }()
			answered(t, address)
			if err := <-done; err == nil {
				c.ends()
			} else if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
				t.Error("the connection stays open")
			}
			answered(t, address)
		})
	}
	// What is only refused, or not read any more, ends with the connection's own time limits. Until then it must cost
	// nothing but the bytes.
	for name, flood := range map[string]func(c *client) error{
		"empty CONTINUATION": func(c *client) error {
			err := c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: c.get(1)})
			frame := frames(10_000, func(f *http2.Framer) { _ = f.WriteContinuation(1, false, nil) })
			for i := 0; err == nil && i < 50; i++ {
				_, err = c.Write(frame)
			}
			return err
		},
		"SETTINGS": func(c *client) (err error) {
			frame := frames(10_000, func(f *http2.Framer) { _ = f.WriteSettings() })
			for i := 0; err == nil && i < 50; i++ {
				_, err = c.Write(frame)
			}
			return err
		},
		"more streams than are allowed": func(c *client) (err error) {
			for i := uint32(1); err == nil && i < 10_000; i += 2 {
				err = c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: i, BlockFragment: c.get(i), EndStream: true, EndHeaders: true})
			}
			return err
		},
	} {
		t.Run(name+" costs others nothing", func(t *testing.T) {
			address, running := serve(t)
			c := newClient(t, address)
			go func() { _ = flood(c) }()
			for range 20 {
				answered(t, address)
			}
			if n := running.Load(); n > 250 {
				t.Errorf("%d handlers run for one connection", n)
			}
			_ = c.Close()
		})
	}
	t.Run("empty DATA costs others nothing", func(t *testing.T) {
		address, _ := serve(t)
		c := newClient(t, address)
		_ = c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: c.get(1), EndHeaders: true})
		frame := frames(10_000, func(f *http2.Framer) { _ = f.WriteData(1, false, nil) })
		go func() {
			for i, err := 0, error(nil); err == nil && i < 100; i++ {
				_, err = c.Write(frame)
			}
		}()
		for range 20 {
			answered(t, address)
		}
	})
}

// frames is so many of one kind.
func frames(n int, write func(*http2.Framer)) []byte {
	var b bytes.Buffer
	f := http2.NewFramer(&b, nil)
	f.AllowIllegalWrites = true
	for range n {
		write(f)
	}
	return b.Bytes()
}
