package sessions

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// hot returns one request with a session whose tokens last, and nothing left to do for it.
func hot(t testing.TB, home func(*plan)) (*gate, *http.Request) {
	t.Helper()
	g := newGate(t, home, func(p *plan) {
		p.provider = newTokenService()
		p.provider.life = 24 * time.Hour
		p.provider.size = 1400
	})
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, app+"/", http.NoBody)
	r.Header.Set("Cookie", "a=b; "+header(g.signedIn(t, app), app)+"; c=d")
	if _, ok, err := g.Authenticate(httptest.NewRecorder(), r); !ok || err != nil {
		t.Fatal(ok, err)
	}
	return g, r
}

var homes = map[string]func(*plan){"store": func(*plan) {}, "cookie": inCookies}

func TestAllocationsOfTheHotPath(t *testing.T) {
	for name, home := range homes {
		g, r := hot(t, home)
		w := discard{}
		if n := testing.AllocsPerRun(1000, func() { _, _, _ = g.Authenticate(w, r) }); n > 2 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkAuthenticate(b *testing.B) {
	for name, home := range homes {
		b.Run(name, func(b *testing.B) {
			g, r := hot(b, home)
			w := discard{}
			b.ReportAllocs()
			for b.Loop() {
				_, _, _ = g.Authenticate(w, r)
			}
		})
		b.Run(name+"/miss", func(b *testing.B) {
			g, r := hot(b, home)
			w := discard{}
			b.ReportAllocs()
			for b.Loop() {
				g.cache.decoded.InvalidateAll()
				_, _, _ = g.Authenticate(w, r)
			}
		})
	}
}

func BenchmarkStart(b *testing.B) {
	for name, home := range homes {
		b.Run(name, func(b *testing.B) {
			g, _ := hot(b, home)
			r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, app+"/", http.NoBody)
			who := g.provider.identity("alice")
			b.ReportAllocs()
			for b.Loop() {
				_, _ = g.Start(httptest.NewRecorder(), r, who)
			}
		})
	}
}

func BenchmarkCodec(b *testing.B) {
	c := newCodec(b, 1)
	plain := make([]byte, 3000)
	text := must(c.Encode("name", plain))(b)
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = c.Encode("name", plain)
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var got []byte
			_ = c.Decode("name", text, &got)
		}
	})
}
