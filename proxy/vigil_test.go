package proxy

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/identity"
)

// fate is a Streams whose answer a test can change.
type fate struct{ gone, broken atomic.Bool }

func (f *fate) Alive(r *http.Request, who *identity.Identity) (bool, error) {
	if f.broken.Load() {
		return false, errors.New("the store does not answer")
	}
	return !f.gone.Load() && who.Subject != "" && r.Header.Get("Cookie") != "", nil
}

// impatience is how long laboratories wait between two looks at a stream: the sockets are real, and so is the time. That
// the product waits no longer than a second is held by TestP180AStreamEndsWithTheTokenThatBeganIt.
const impatience = 40 * time.Millisecond

func TestP180AStreamEndsWithItsSession(t *testing.T) {
	for name, open := range map[string]string{
		"an event stream":  request("GET", "/x?stream", as("alice"), "Connection: keep-alive"),
		"a large download": request("GET", "/x?large", as("alice"), "Connection: keep-alive"),
		"a WebSocket":      socketRequest("/x", as("alice"), "Origin: https://app.test"),
	} {
		t.Run(name, func(t *testing.T) {
			session := &fate{}
			l := newLab(t, func(_ *Config, d *Deps) { d.Streams, d.vigil = session, impatience })
			begun, ended := make(chan struct{}), make(chan struct{})
			l.e.streams(func(w http.ResponseWriter, r *http.Request) {
				defer close(ended)
				if r.Header.Get("Upgrade") != "" {
					close(begun)
					echoSocket(w, r)
					return
				}
				if r.URL.RawQuery == "large" {
					w.Header().Set("Content-Length", "10000000")
				}
				_, _ = io.WriteString(w, "E")
				_ = http.NewResponseController(w).Flush()
				close(begun)
				<-r.Context().Done()
			})
			c := l.write(open)
			<-begun
			session.broken.Store(true) // an outage of the store ends nothing
			silent := time.AfterFunc(4*impatience, func() {
				session.broken.Store(false)
				session.gone.Store(true)
			})
			defer silent.Stop()
			began := time.Now()
			if err := readToEnd(c); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Logf("the client reads %v", err)
			}
			if lasted := time.Since(began); lasted < 4*impatience {
				t.Errorf("it ended after %s, when the store could not be asked", lasted)
			}
			within(t, ended, "E to see the end")
			if !strings.Contains(l.log.String(), "stream ended with its session") {
				t.Error("the log does not say why")
			}
		})
	}
}

func readToEnd(r io.Reader) error {
	_, err := io.Copy(io.Discard, bufio.NewReader(r))
	return err
}
