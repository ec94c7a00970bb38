package wire

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
)

func TestErrorsQuoteNoAnswer(t *testing.T) {
	for name, answer := range map[string]string{
		"status line": "secret: secret\r\n\r\n",
		"status":      "HTTP/1.1 secret\r\n\r\n",
		"version":     "HTTP/secret 200 OK\r\n\r\n",
		"no colon":    "HTTP/1.1 200 OK\r\nsecret\r\n\r\n",
		"folded":      "HTTP/1.1 200 OK\r\n secret\r\n\r\n",
		"bad value":   "HTTP/1.1 200 OK\r\nX: secret\x00\r\n\r\n",
		"length":      "HTTP/1.1 200 OK\r\nContent-Length: secret\r\n\r\n",
		"two lengths": "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: secret\r\n\r\n",
		"coding":      "HTTP/1.1 200 OK\r\nTransfer-Encoding: secret\r\n\r\n",
		"codings":     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: secret\r\n\r\n",
		"chunk":       chunk + "\r\nsecret\r\n",
		"trailer":     chunk + "\r\n0\r\nsecret\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			u := newUpstream(t, once(answer))
			res, err := newWire(t, u.dial).RoundTrip(request(t.Context(), func(*http.Request) {}))
			if err == nil {
				_, err = io.ReadAll(res.Body)
			}
			if err == nil || strings.Contains(err.Error(), "secret") || !strings.HasPrefix(err.Error(), "wire: ") {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestAnswersThatHTTPTransportLetsThrough(t *testing.T) {
	for name, c := range map[string]struct {
		answer string
		err    error
	}{
		"101":       {"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n", errSwitched},
		"below 100": {"HTTP/1.1 099 X\r\nContent-Length: 0\r\n\r\n", errStatus},
		"zero":      {"HTTP/1.1 000 X\r\nContent-Length: 0\r\n\r\n", errStatus},
	} {
		t.Run(name, func(t *testing.T) {
			u := newUpstream(t, always(c.answer))
			if _, err := newWire(t, u.dial).RoundTrip(request(t.Context(), func(*http.Request) {})); !errors.Is(err, c.err) {
				t.Errorf("error %v", err)
			}
			u.awaitGone(t)
		})
	}
	t.Run("another major version is not used again", func(t *testing.T) {
		u := newUpstream(t, always("HTTP/3.0 200 OK\r\nContent-Length: 3\r\n\r\nabc"))
		if o := take(newWire(t, u.dial), request(t.Context(), func(*http.Request) {}), outcome{}); o.Body != "abc" {
			t.Errorf("%v", o)
		}
		u.awaitGone(t)
	})
}

func TestWhoListensToInterimAnswersCanRefuseThem(t *testing.T) {
	both(t, dialTCP, func(t *testing.T, s subject) {
		u := newUpstream(t, once("HTTP/1.1 103 Early Hints\r\n\r\n"+abc))
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(int, textproto.MIMEHeader) error { return errCause }})
		req, _ := http.NewRequestWithContext(ctx, "GET", u.url("/"), nil)
		if _, err := s.RoundTrip(req); !errors.Is(err, errCause) {
			t.Errorf("error %v", err)
		}
		u.awaitGone(t)
	})
}

func TestInterimAnswersNobodyListensToCountAsHeader(t *testing.T) {
	both(t, dialTCP, func(t *testing.T, s subject) {
		for n, class := range map[int]string{10: "", 1000: "broken"} {
			u := newUpstream(t, once(strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", n)+abc))
			req, _ := http.NewRequestWithContext(t.Context(), "GET", u.url("/"), nil)
			if o := take(s, req, outcome{}); o.Err != class {
				t.Errorf("%d: %v", n, o)
			}
		}
	})
}
