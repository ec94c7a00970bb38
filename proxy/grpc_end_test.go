package proxy

import (
	"io"
	"math"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/identity"
)

// ending is a Streams that says when sessions have ended.
type ending func() bool

func (e ending) Alive(*http.Request, *identity.Identity) (bool, error) { return !e(), nil }

// A stream in both directions whose client says nothing ends with its upstream and with its session nevertheless, and not with
// the client's next word.
func TestR9P180AStreamEndsAlsoWhereItsClientIsSilent(t *testing.T) {
	for _, protocol := range []string{"h2c"} { // over HTTP/1.1 an upstream cannot end a request that it still reads
		for _, how := range []string{"upstream", "session", "upstream at once"} {
			for _, client := range []string{"HTTP/1.1", "HTTP/2"} {
				t.Run(protocol+" "+how+" "+client, func(t *testing.T) {
					var dead atomic.Bool
					die, gone := make(chan struct{}), make(chan struct{})
					e := plural(t, func(w http.ResponseWriter, r *http.Request) {
						if how == "upstream at once" {
							panic(http.ErrAbortHandler)
						}
						_ = http.NewResponseController(w).EnableFullDuplex()
						_, _ = io.WriteString(w, "hello")
						_ = http.NewResponseController(w).Flush()
						select {
						case <-die:
							panic(http.ErrAbortHandler)
						case <-r.Context().Done():
							close(gone)
						}
					}, h1, h2c)
					e.Start()
					l := newLab(t, func(c *Config, d *Deps) {
						c.Routes[0].Upstreams, c.Routes[0].Balance = []*url.URL{must(url.Parse(e.URL))}, Balance{Protocol: protocol, Retries: 1}
						d.Streams = ending(func() bool { return dead.Load() })
					})
					in, out := io.Pipe()
					defer out.Close()
					r, _ := http.NewRequestWithContext(t.Context(), "POST", l.gateway.URL+"/x", in)
					r.Host, r.Header = "app.test", http.Header{"Cookie": {"__Host-doorward=alice"}}
					way := priorKnowledge(t)
					if client == "HTTP/1.1" {
						way = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
					}
					done := make(chan struct{})
					go func() {
						defer close(done)
						res, err := way.Do(r)
						switch {
						case how == "upstream at once":
							if err != nil || res.StatusCode != http.StatusBadGateway {
								t.Errorf("answer %v, %v", res, err)
							}
							return
						case err != nil:
							t.Error(err)
							return
						}
						_, _ = io.ReadFull(res.Body, make([]byte, 5))
						if how == "upstream" {
							close(die)
						}
						dead.Store(true)
						if rest, err := io.ReadAll(res.Body); err == nil {
							t.Errorf("the stream ends as if it was whole, after %q", rest)
						}
						if how == "session" {
							<-gone
						}
					}()
					select {
					case <-done:
					case <-time.After(patience):
						t.Fatal("the stream goes on")
					}
					if how == "upstream at once" && strings.Contains(l.log.String(), codeBadRequest) {
						t.Errorf("the client is blamed: %s", l.log)
					}
				})
			}
		}
	}
}

func TestTheTimeOfAGRPCCallIsRead(t *testing.T) {
	for s, want := range map[string]time.Duration{"1H": time.Hour, "2M": 2 * time.Minute, "3S": 3 * time.Second, "99999999m": 99999999 * time.Millisecond, "5u": 5 * time.Microsecond, "6n": 6, "0n": 0, "99999999H": math.MaxInt64 / time.Hour * time.Hour} {
		if got, ok := grpcTimeout(s); !ok || got != want {
			t.Errorf("%s is %s, %v", s, got, ok)
		}
	}
	for _, s := range []string{"", "1", "m", "-1m", "+1m", " 1m", "1 m", "1x", "100000000m", "1.5S", "0x1S"} {
		if got, ok := grpcTimeout(s); ok {
			t.Errorf("%q is %s", s, got)
		}
	}
}
