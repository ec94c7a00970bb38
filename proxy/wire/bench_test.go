package wire

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// BenchmarkRoundTrip is one request with the header of a browser and an answer of 1 KB over
// loopback TCP. The upstream is a part of the costs, for both.
func BenchmarkRoundTrip(b *testing.B) {
	answer := "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Length: 1024\r\n\r\n" + strings.Repeat("x", 1024)
	for name, of := range map[string]func() subject{
		"transport": func() subject { return newStandard(dialTCP) },
		"wire":      func() subject { return newWire(b, dialTCP) },
	} {
		u := newUpstream(b, func(p *peer) {
			read := make([]byte, 16<<10)
			for {
				if _, err := p.Read(read); err != nil { // the whole request, as it is written at once
					return
				}
				p.say(answer)
			}
		})
		b.Run(name, func(b *testing.B) {
			s := of()
			defer s.CloseIdleConnections()
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				req, _ := http.NewRequestWithContext(b.Context(), "GET", u.url("/path?query"), nil)
				req.Header = manyFields(12)
				req.Header.Set("Authorization", "Bearer "+strings.Repeat("a", 1500))
				for pb.Next() {
					res, err := s.RoundTrip(req)
					if err != nil {
						b.Fatal(err)
					}
					_, _ = io.Copy(io.Discard, res.Body)
					_ = res.Body.Close()
				}
			})
		})
	}
}
