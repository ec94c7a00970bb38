package wire

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/testnet"
)

// FuzzAnswer: whatever an upstream answers, wire understands of it what http.Transport
// understands.
func FuzzAnswer(f *testing.F) {
	for _, b := range behaviours {
		f.Add(b.verb() == "HEAD", []byte(said(b.script)))
	}
	f.Fuzz(func(t *testing.T, head bool, answer []byte) {
		method := http.MethodGet
		if head {
			method = http.MethodHead
		}
		right := answered(t, newStandard, method, answer)
		got := answered(t, func(d dialer) *Transport { return newWire(t, d) }, method, answer)
		if right.Err == "" && (right.Status < "1" || strings.HasPrefix(right.Status, "101")) {
			return // TestAnswersThatHTTPTransportLetsThrough
		}
		if got, right := got.String(), right.String(); got != right {
			t.Errorf("wire:\n%s\nhttp.Transport:\n%s", brief(got), brief(right))
		}
	})
}

// said is what a script says to one request.
func said(script func(*peer)) string {
	client, server := net.Pipe()
	p := &peer{Conn: server, upstream: &upstream{}, reader: bufio.NewReader(strings.NewReader("GET / HTTP/1.1\r\n\r\n")), number: 1}
	go func() {
		script(p)
		_ = server.Close()
	}()
	b, _ := io.ReadAll(client)
	return string(b)
}

func answered[S subject](t *testing.T, of func(dialer) S, method string, answer []byte) outcome {
	t.Helper()
	listener := testnet.Listen()
	defer func() { _ = listener.Close() }()
	go func() {
		c, err := listener.Accept()
		if err != nil {
			return
		}
		if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
			_, _ = c.Write(answer)
		}
		_ = c.Close()
	}()
	s := of(listener.Dial)
	defer s.CloseIdleConnections()
	return get(context.Background(), s, method, "http://app.test/")
}

// FuzzRequest: whatever a request holds, what goes over the wire is one request, and says
// the same.
func FuzzRequest(f *testing.F) {
	f.Add("/a", "b=c", "app.test", "X", "y")
	f.Add("/a\r\n", "b c", "app.test\r\nX: y", "Content-Length", "5\r\n\r\n")
	f.Add("*", "", "", "transfer-encoding", "chunked")
	f.Add("/12345678 HTTP/1.1", "\x7f", "[::1]:80", "User-Agent", "\ta\tb\t")
	f.Fuzz(func(t *testing.T, path, query, host, name, value string) {
		r := request(t.Context(), func(r *http.Request) {
			r.URL.Path, r.URL.RawQuery, r.Host = path, query, host
			r.Header[name] = []string{value}
		})
		message, fits, err := appendRequest(nil, r)
		if err != nil || !fits {
			return
		}
		reader := bufio.NewReader(strings.NewReader(string(message)))
		got, err := http.ReadRequest(reader)
		if err != nil {
			t.Fatalf("%q: %v", message, err)
		}
		if rest, _ := io.ReadAll(reader); len(rest) > 0 || got.ContentLength != 0 || got.TransferEncoding != nil {
			t.Errorf("%q: more than one request", message)
		}
		if got.RequestURI != r.URL.RequestURI() || host != "" && got.Host != host {
			t.Errorf("%q: %s of %s", message, got.RequestURI, got.Host)
		}
		if classify(name) == ordinary && name != "" && got.Header.Get(name) != textproto.TrimString(value) {
			t.Errorf("%q: %s is %q", message, name, got.Header.Get(name))
		}
		for other := range got.Header {
			if other != textproto.CanonicalMIMEHeaderKey(name) && other != "User-Agent" {
				t.Errorf("%q: a field %q", message, other)
			}
		}
	})
}
