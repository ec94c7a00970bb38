package edge

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/doorward/doorward/internal/testnet"
)

// TestP053NobodyHoldsAConnectionByAHeaderThatNeverEnds: a client that says a little every few seconds, by either version,
// and one that says nothing at all.
func TestP053NobodyHoldsAConnectionByAHeaderThatNeverEnds(t *testing.T) {
	for name, client := range map[string]func(net.Conn){
		"h1 a byte at a time": func(c net.Conn) {
			_, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nX: ")
			for ; err == nil; time.Sleep(5 * time.Second) {
				_, err = io.WriteString(c, "a")
			}
		},
		"h1 the first line": func(c net.Conn) {
			for _, b := range []byte("GET /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa") {
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(5 * time.Second)
			}
		},
		"h1 nothing": func(net.Conn) {},
		"h2 the preface": func(c net.Conn) {
			for _, b := range []byte(http2.ClientPreface) {
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(5 * time.Second)
			}
		},
		"h2 the preface alone": func(c net.Conn) { _, _ = io.WriteString(c, http2.ClientPreface) },
		"h2 CONTINUATION": func(c net.Conn) {
			_, _ = io.WriteString(c, http2.ClientPreface)
			framer := http2.NewFramer(c, nil)
			_ = framer.WriteSettings()
			var block bytes.Buffer
			encoder := hpack.NewEncoder(&block)
			for _, f := range [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "x"}, {":path", "/"}} {
				_ = encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
			}
			err := framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes()})
			for range 10_000 {
				if err != nil {
					return
				}
				block.Reset()
				_ = encoder.WriteField(hpack.HeaderField{Name: "x", Value: "a", Sensitive: true})
				err = framer.WriteContinuation(1, false, block.Bytes())
				time.Sleep(5 * time.Second)
			}
		},
		"h2 half a frame": func(c net.Conn) {
			_, _ = io.WriteString(c, http2.ClientPreface)
			framer := http2.NewFramer(c, nil)
			_ = framer.WriteSettings()
			_, err := c.Write([]byte{0, 64, 0, 1, 4, 0, 0, 0, 1}) // HEADERS of 16 kB
			for range 10_000 {
				if err != nil {
					return
				}
				_, err = c.Write([]byte{0x82})
				time.Sleep(5 * time.Second)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, err := New(Config{HTTP: "127.0.0.1:0"}, Deps{Public: http.NotFoundHandler(), Log: slog.New(slog.DiscardHandler)})
				if err != nil {
					t.Fatal(err)
				}
				listener := testnet.Listen()
				server := s.servers[0].server
				go func() { _ = server.Serve(listener) }()
				conn, err := listener.Dial(t.Context(), "tcp", "x:80")
				if err != nil {
					t.Fatal(err)
				}
				begun := time.Now()
				go client(conn)
				_, _ = io.Copy(io.Discard, conn) // until it is closed
				took := time.Since(begun)
				limit := 30 * time.Second
				if strings.HasPrefix(name, "h2") && name != "h2 the preface" {
					limit = idleTimeout + 5*time.Second // until a request is whole it is a connection without one, and has their time
				}
				if took > limit {
					t.Errorf("it is held for %s", took)
				}
				_ = conn.Close()
				_ = server.Close()
				time.Sleep(time.Minute) // the client notices
			})
		})
	}
}
