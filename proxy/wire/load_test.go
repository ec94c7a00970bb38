package wire

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// mode is what an upstream does with one request of the crowd. Every answer carries the id of its request
// in its header and its body.
type mode struct {
	answer func(id string) string
	body   func(id string) string // nil = none is expected to come through
	ends   bool                   // the upstream hangs up afterwards
	fails  bool                   // an error is right
}

func same(id string) string  { return id }
func large(id string) string { return strings.Repeat(id+" ", 4000) }
func none(string) string     { return "" }

const poison = "HTTP/1.1 200 OK\r\nX-Id: poison\r\nContent-Length: 6\r\n\r\npoison"

func sized(body func(string) string, more string) func(string) string {
	return func(id string) string {
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nX-Id: %s\r\nContent-Length: %d\r\n\r\n%s%s", id, len(body(id)), body(id), more)
	}
}

var modes = map[string]mode{
	"plain":    {answer: sized(same, ""), body: same},
	"large":    {answer: sized(large, ""), body: large},
	"leaves":   {answer: sized(same, ""), body: same, ends: true},
	"poisoned": {answer: sized(same, poison), body: same},
	"interim":  {answer: func(id string) string { return "HTTP/1.1 103 Early Hints\r\n\r\n" + sized(same, "")(id) }, body: same},
	"empty":    {answer: func(id string) string { return "HTTP/1.1 204 No Content\r\nX-Id: " + id + "\r\n\r\n" }, body: none},
	"closes": {answer: func(id string) string {
		return "HTTP/1.1 200 OK\r\nX-Id: " + id + "\r\nConnection: close\r\n\r\n" + large(id)
	}, body: large, ends: true},
	"chunked": {answer: func(id string) string {
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nX-Id: %s\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", id, len(large(id)), large(id))
	}, body: large},
	"stray body": {answer: func(id string) string { return "HTTP/1.1 304 Not Modified\r\nX-Id: " + id + "\r\n\r\n" + poison }, body: none},
	"silent":     {answer: none, ends: true, fails: true},
	"cut": {answer: func(id string) string {
		return "HTTP/1.1 200 OK\r\nX-Id: " + id + "\r\nContent-Length: 999\r\n\r\n" + id
	}, ends: true, fails: true},
	"junk": {answer: func(string) string { return "junk\r\n\r\n" }, fails: true},
}

func actor(p *peer) {
	for {
		_, target, _ := strings.Cut(p.request(), " ")
		name, id, found := strings.Cut(strings.TrimPrefix(target, "/"), "/")
		if !found {
			return
		}
		id, _, _ = strings.Cut(id, " ")
		m := modes[strings.ReplaceAll(name, "%20", " ")]
		p.say(m.answer(id))
		if m.ends {
			return
		}
	}
}

// TestACrowdGetsItsOwnAnswers: 64 callers, some of whom leave at any moment.
func TestACrowdGetsItsOwnAnswers(t *testing.T) {
	u := newUpstream(t, actor)
	before := runtime.NumGoroutine()
	w := newWire(t, dialTCP)
	var answered, left atomic.Int64
	var crowd sync.WaitGroup
	end := time.Now().Add(3 * time.Second)
	for i := range 64 {
		crowd.Go(func() {
			for n := 0; time.Now().Before(end) && !t.Failed(); n++ {
				for name, m := range modes { // in any order
					if visit(t, w, u, name, m, fmt.Sprintf("%d-%d-%s", i, n, name[:2])) {
						answered.Add(1)
					} else {
						left.Add(1)
					}
				}
			}
		})
	}
	crowd.Wait()
	w.CloseIdleConnections()
	conns, heads := u.seen()
	t.Logf("%d whole answers, %d others, %d requests on %d connections", answered.Load(), left.Load(), len(heads), conns)
	if answered.Load() == 0 || left.Load() == 0 || conns >= len(heads) {
		t.Error("nothing was tested")
	}
	for range conns { // none is left open
		u.awaitGone(t)
	}
	for limit := time.Now().Add(patience); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(limit) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}

// visit tells whether the whole answer came.
func visit(t *testing.T, w *Transport, u *upstream, name string, m mode, id string) bool {
	ctx, patient := t.Context(), true
	if rand.IntN(3) == 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(rand.IntN(1500))*time.Microsecond)
		patient = false
		if rand.IntN(2) == 0 { // without an end in time: canceled just when all is done
			ctx, cancel = context.WithCancel(t.Context())
			patient = true
			defer func() { go cancel() }()
		}
		defer cancel()
	}
	req, err := http.NewRequestWithContext(ctx, "GET", u.url("/"+strings.ReplaceAll(name, " ", "%20")+"/"+id), nil)
	if err != nil {
		t.Error(err)
		return false
	}
	res, err := w.RoundTrip(req)
	if err != nil {
		if patient && !m.fails {
			t.Errorf("%s %s: %v", name, id, err)
		}
		return false
	}
	defer func() { _ = res.Body.Close() }()
	if got := res.Header.Get("X-Id"); got != id {
		t.Errorf("%s %s: the answer belongs to %q", name, id, got)
	}
	if rand.IntN(5) == 0 { // enough of it
		_, _ = io.CopyN(io.Discard, res.Body, rand.Int64N(9000))
		return false
	}
	body, err := io.ReadAll(res.Body)
	switch {
	case err != nil:
		if patient && !m.fails {
			t.Errorf("%s %s: body: %v", name, id, err)
		}
		return false
	case m.body == nil || string(body) != m.body(id):
		t.Errorf("%s %s: body %q", name, id, brief(string(body)))
	}
	return true
}
