package proxy

import (
	"bytes"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/doorward/doorward/internal/testnet"
)

// Groups E and T over HTTP/2, in a time of their own.

// TestP053P056OverHTTP2BodiesThatNobodyAskedForMayNotTakeForEver: a stream is given up like a connection would be, and the
// other streams of the connection go on.
func TestP053P056OverHTTP2BodiesThatNobodyAskedForMayNotTakeForEver(t *testing.T) {
	l := newLab(t, func(_ *Config, d *Deps) {
		mux := http.NewServeMux()
		mux.HandleFunc("/oauth2/callback", func(w http.ResponseWriter, r *http.Request) {
			if _, err := io.ReadAll(r.Body); err != nil {
				w.WriteHeader(http.StatusRequestTimeout)
			}
		})
		d.Own = mux
		d.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			_, err := io.Copy(io.Discard, r.Body)
			return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody}, err
		})
	})
	synctest.Test(t, func(t *testing.T) {
		listener := testnet.Listen()
		server := &http.Server{Handler: l.gateway.Config.Handler, Protocols: new(http.Protocols)}
		server.Protocols.SetUnencryptedHTTP2(true)
		go func() { _ = server.Serve(listener) }()
		conn, err := listener.Dial(t.Context(), "tcp", "app.test:443")
		if err != nil {
			t.Fatal(err)
		}
		framer := http2.NewFramer(conn, conn)
		framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
		var block bytes.Buffer
		encoder := hpack.NewEncoder(&block)
		begun := time.Now()
		go func() { // the client
			_, _ = io.WriteString(conn, http2.ClientPreface)
			_ = framer.WriteSettings()
			for i, path := range []string{"/oauth2/callback", "/x"} {
				stream := uint32(2*i + 1)
				block.Reset()
				for _, f := range [][2]string{{":method", "POST"}, {":scheme", "https"}, {":authority", "app.test"}, {":path", path}, {"cookie", "__Host-doorward=alice"}} {
					_ = encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
				}
				_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block.Bytes(), EndHeaders: true})
			}
			for range 40 { // 200 seconds
				time.Sleep(5 * time.Second)
				_ = framer.WriteData(1, false, []byte("a"))
				_ = framer.WriteData(3, false, []byte("a"))
			}
			_ = framer.WriteData(3, true, nil)
		}()
		answers := make(map[uint32]string)
		at := make(map[uint32]time.Duration)
		for len(answers) < 2 {
			f, err := framer.ReadFrame()
			if err != nil {
				t.Fatal(err)
			}
			if h, ok := f.(*http2.MetaHeadersFrame); ok {
				answers[h.StreamID], at[h.StreamID] = h.PseudoValue("status"), time.Since(begun)
			}
		}
		if answers[1] != "408" || at[1] > bodyWait {
			t.Errorf("own endpoint: answer %s after %s", answers[1], at[1])
		}
		if answers[3] != "200" || at[3] != 200*time.Second { // R10: what is forwarded takes as long as it takes
			t.Errorf("upload: answer %s after %s", answers[3], at[3])
		}
		_ = conn.Close()
		_ = server.Close()
		time.Sleep(time.Minute) // the client notices
	})
}
