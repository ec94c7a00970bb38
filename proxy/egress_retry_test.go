package proxy

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/internal/credentials"
	"github.com/doorward/doorward/internal/telemetry"
)

// script answers attempts in turn, and stays with the last.
type script struct {
	mu    sync.Mutex
	steps []func(r *http.Request) (*http.Response, error)
	sent  []string // "one.test Bearer …"
	at    []time.Time
}

func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	s.sent, s.at = append(s.sent, r.URL.Host+" "+r.Header.Get("Authorization")), append(s.at, time.Now())
	step := s.steps[0]
	if len(s.steps) > 1 {
		s.steps = s.steps[1:]
	}
	s.mu.Unlock()
	return step(r)
}

func says(status int, lines ...string) func(*http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) {
		h := http.Header{}
		for _, line := range lines {
			name, value, _ := strings.Cut(line, ": ")
			h.Add(name, value)
		}
		return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(fmt.Sprint(status))), Request: r}, nil
	}
}

func breaks(err error) func(*http.Request) (*http.Response, error) {
	return func(*http.Request) (*http.Response, error) { return nil, err }
}

func never(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, context.Cause(r.Context())
}

var (
	refusedConnection = &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	resetConnection   = &net.OpError{Op: "read", Err: syscall.ECONNRESET}
)

func TestOnlyWhatMayBeSentAgainIsSentAgain(t *testing.T) {
	outer := newOutside(t, nil)
	ready := says(200)
	for name, c := range map[string]struct {
		method, body string
		retries      int
		steps        []func(*http.Request) (*http.Response, error)
		status, sent int
		least, most  time.Duration
	}{
		"a connection that is refused":  {"GET", "", 2, list(breaks(refusedConnection), ready), 200, 2, 25 * time.Millisecond, 50 * time.Millisecond},
		"one that is reset":             {"GET", "", 2, list(breaks(resetConnection), breaks(io.ErrUnexpectedEOF), ready), 200, 3, 75 * time.Millisecond, 150 * time.Millisecond},
		"not ready":                     {"GET", "", 2, list(says(502), says(503), ready), 200, 3, 75 * time.Millisecond, 150 * time.Millisecond},
		"504":                           {"HEAD", "", 1, list(says(504), ready), 200, 2, 0, time.Second},
		"OPTIONS":                       {"OPTIONS", "", 1, list(says(503), ready), 200, 2, 0, time.Second},
		"no retries":                    {"GET", "", 0, list(says(503), ready), 503, 1, 0, 0},
		"never ready":                   {"GET", "", 3, list(says(503)), 503, 4, 0, time.Second},
		"never there":                   {"GET", "", 3, list(breaks(refusedConnection)), 502, 4, 0, time.Second},
		"POST":                          {"POST", "", 3, list(breaks(refusedConnection), ready), 502, 1, 0, 0},
		"PUT":                           {"PUT", "", 3, list(says(503), ready), 503, 1, 0, 0},
		"DELETE":                        {"DELETE", "", 3, list(says(503), ready), 503, 1, 0, 0},
		"a body":                        {"GET", "x", 3, list(says(503), ready), 503, 1, 0, 0},
		"500":                           {"GET", "", 3, list(says(500), ready), 500, 1, 0, 0},
		"429":                           {"GET", "", 3, list(says(429), ready), 429, 1, 0, 0},
		"an answer that is none":        {"GET", "", 3, list(breaks(errors.New("malformed HTTP response")), ready), 502, 1, 0, 0},
		"a refused address":             {"GET", "", 3, list(breaks(&net.OpError{Op: "dial", Err: errRefusedAddress}), ready), 502, 1, 0, 0},
		"no such name":                  {"GET", "", 3, list(breaks(&net.OpError{Op: "dial", Err: &net.DNSError{IsNotFound: true}}), ready), 502, 1, 0, 0},
		"a name server that is away":    {"GET", "", 3, list(breaks(&net.OpError{Op: "dial", Err: &net.DNSError{IsTimeout: true}}), ready), 200, 2, 0, time.Second},
		"too slow":                      {"GET", "", 3, list(never, ready), 504, 1, time.Minute, time.Minute},
		"Retry-After":                   {"GET", "", 3, list(says(503, "Retry-After: 2"), ready), 200, 2, 2 * time.Second, 2 * time.Second},
		"a long Retry-After":            {"GET", "", 3, list(says(503, "Retry-After: 3"), ready), 503, 1, 0, 0},
		"an odd Retry-After":            {"GET", "", 3, list(says(503, "Retry-After: soon"), ready), 503, 1, 0, 0},
		"a negative Retry-After":        {"GET", "", 3, list(says(503, "Retry-After: -1"), ready), 503, 1, 0, 0},
		"Retry-After by date, long ago": {"GET", "", 3, list(says(503, "Retry-After: Mon, 02 Jan 1995 15:04:05 GMT"), ready), 200, 2, 0, 0},
		"beyond the deadline":           {"GET", "", 100, list(says(503, "Retry-After: 2")), 503, 30, 58 * time.Second, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				way := &script{steps: c.steps}
				o := inside(t, outer, way, func(e *EgressTarget) { e.Retries, e.Timeout = c.retries, time.Minute })
				r := asked(c.method, "/data/x", o.self)
				if c.body != "" {
					r.Body, r.ContentLength = io.NopCloser(strings.NewReader(c.body)), int64(len(c.body))
				}
				w, begun := httptest.NewRecorder(), time.Now()
				o.egress.ServeHTTP(w, r)
				if took := time.Since(begun); w.Code != c.status || len(way.sent) != c.sent || took < c.least || took > c.most {
					t.Errorf("%d after %d attempts and %s", w.Code, len(way.sent), took)
				}
			})
		})
	}
}

func list(steps ...func(*http.Request) (*http.Response, error)) []func(*http.Request) (*http.Response, error) {
	return steps
}

func TestAFurtherAttemptGoesToTheNextUpstreamWithTheSameToken(t *testing.T) {
	outer := newOutside(t, nil)
	synctest.Test(t, func(t *testing.T) {
		way := &script{steps: list(breaks(refusedConnection), says(503), says(200))}
		o := inside(t, outer, way, func(e *EgressTarget) {
			e.Retries = 2
			e.Upstreams = []*url.URL{address("http://one.test"), address("http://two.test")}
		})
		o.egress.ServeHTTP(httptest.NewRecorder(), asked("GET", "/data/x", o.self))
		if got := fmt.Sprint(way.sent); got != "[two.test Bearer "+theToken+" one.test Bearer "+theToken+" two.test Bearer "+theToken+"]" {
			t.Errorf("sent %s", got)
		}
		// One that was named stays.
		way = &script{steps: list(breaks(refusedConnection), says(200))}
		o = inside(t, outer, way, func(e *EgressTarget) {
			e.Retries = 2
			e.Upstreams = []*url.URL{address("http://one.test"), address("http://two.test/base")}
		})
		o.egress.ServeHTTP(httptest.NewRecorder(), asked("GET", "http://two.test/base/x", "two.test"))
		if got := fmt.Sprint(way.sent); got != "[two.test Bearer "+theToken+" two.test Bearer "+theToken+"]" {
			t.Errorf("sent %s", got)
		}
	})
}

func TestP143ATokenThatTheUpstreamRefusesIsReplacedOnce(t *testing.T) {
	const challenge = `Www-Authenticate: Bearer realm="x", error="invalid_token"`
	outer := newOutside(t, nil)
	for name, c := range map[string]struct {
		method, body             string
		tokens                   []string
		steps                    []func(*http.Request) (*http.Response, error)
		status, sent, rejections int
	}{
		"another helps":           {"GET", "", []string{"old-token", "new-token"}, list(says(401, challenge), says(200)), 200, 2, 1},
		"of any method":           {"POST", "", []string{"old-token", "new-token"}, list(says(401, challenge), says(200)), 200, 2, 1},
		"not twice":               {"GET", "", []string{"old-token", "new-token", "newer-token"}, list(says(401, challenge)), 401, 2, 2},
		"the same again is none":  {"GET", "", []string{"old-token"}, list(says(401, challenge)), 401, 1, 1},
		"a body is gone":          {"POST", "x", []string{"old-token", "new-token"}, list(says(401, challenge), says(200)), 401, 1, 1},
		"about something else":    {"GET", "", []string{"old-token", "new-token"}, list(says(401, `Www-Authenticate: Bearer error="insufficient_scope"`), says(200)), 401, 1, 0},
		"without a challenge":     {"GET", "", []string{"old-token", "new-token"}, list(says(401), says(200)), 401, 1, 0},
		"403 is no matter of it":  {"GET", "", []string{"old-token", "new-token"}, list(says(403, challenge), says(200)), 403, 1, 0},
		"then a failure, retried": {"GET", "", []string{"old-token", "new-token"}, list(says(503), says(401, challenge), says(503), says(200)), 200, 4, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				way := &script{steps: c.steps}
				o := inside(t, outer, way, func(e *EgressTarget) { e.Retries = 3 })
				o.vault.tokens = c.tokens
				r := asked(c.method, "/data/x", o.self)
				if c.body != "" {
					r.Body, r.ContentLength = io.NopCloser(strings.NewReader(c.body)), int64(len(c.body))
				}
				w := httptest.NewRecorder()
				o.egress.ServeHTTP(w, r)
				if w.Code != c.status || len(way.sent) != c.sent || o.vault.rejected != c.rejections {
					t.Errorf("%d after %v, %d rejections", w.Code, way.sent, o.vault.rejected)
				}
				if c.status == 200 && !strings.HasSuffix(way.sent[len(way.sent)-1], "new-token") {
					t.Errorf("sent %v", way.sent)
				}
			})
		})
	}
	t.Run("no other can be had", func(t *testing.T) {
		o := inside(t, outer, nil, nil)
		way := roundTrip(func(r *http.Request) (*http.Response, error) {
			o.vault.fails(&credentials.Refusal{Word: credentials.InvalidToken, Description: "It is exchanged no more"})
			return says(401, challenge)(r)
		})
		o.egress = inside(t, outer, way, nil).egress
		for _, target := range o.egress.directory.paths["data"] {
			target.source = o.vault
		}
		w := httptest.NewRecorder()
		o.egress.ServeHTTP(w, asked("GET", "/data/x", o.self))
		if w.Code != 401 || !strings.Contains(w.Body.String(), codeInvalidToken) || !strings.Contains(w.Header().Get("Www-Authenticate"), o.self) {
			t.Errorf("%d %s %v", w.Code, w.Body, w.Header())
		}
	})
}

func TestOnlySoManyAreWithATargetAtATime(t *testing.T) {
	outer := newOutside(t, nil)
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int64
		release := make(chan struct{})
		way := roundTrip(func(r *http.Request) (*http.Response, error) {
			n := now.Add(1)
			defer now.Add(-1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			<-release
			return says(200)(r)
		})
		o := inside(t, outer, way, func(e *EgressTarget) { e.Concurrent = 2 })
		var statuses [8]*httptest.ResponseRecorder
		var wg sync.WaitGroup
		for i := range statuses {
			statuses[i] = httptest.NewRecorder()
			wg.Go(func() { o.egress.ServeHTTP(statuses[i], asked("GET", "/data/x", o.self)) })
			synctest.Wait() // they wait by the order in which they come
		}
		finish := func() { release <- struct{}{}; synctest.Wait() }
		finish()
		finish()
		time.Sleep(turnWait)
		synctest.Wait()
		var refused int
		for _, w := range statuses[4:] {
			if w.Code == http.StatusServiceUnavailable && w.Header().Get("Retry-After") != "" && strings.Contains(w.Body.String(), codeOverloaded) {
				refused++
			}
		}
		if refused != 4 {
			t.Errorf("%d of the last four were refused: %s", refused, codes(statuses[:]))
		}
		finish()
		finish()
		wg.Wait()
		if most.Load() != 2 {
			t.Errorf("%d at a time", most.Load())
		}
		for i, w := range statuses[:4] {
			if w.Code != 200 {
				t.Errorf("%d: %d", i, w.Code)
			}
		}
		if len(o.vault.asked) != 4 {
			t.Errorf("%d tokens", len(o.vault.asked))
		}
	})
}

func codes(all []*httptest.ResponseRecorder) string {
	var s []int
	for _, w := range all {
		s = append(s, w.Code)
	}
	return fmt.Sprint(s)
}

func TestAWaitingCallerWhoLeavesTakesNoPlace(t *testing.T) {
	outer := newOutside(t, nil)
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		way := roundTrip(func(r *http.Request) (*http.Response, error) { <-release; return says(200)(r) })
		o := inside(t, outer, way, func(e *EgressTarget) { e.Concurrent = 1 })
		var wg sync.WaitGroup
		wg.Go(func() { o.egress.ServeHTTP(httptest.NewRecorder(), asked("GET", "/data/x", o.self)) })
		synctest.Wait()
		ctx, leave := context.WithCancel(t.Context())
		w := httptest.NewRecorder()
		wg.Go(func() { o.egress.ServeHTTP(w, asked("GET", "/data/x", o.self).WithContext(ctx)) })
		synctest.Wait()
		leave()
		synctest.Wait()
		if w.Code != statusClientClosed {
			t.Errorf("%d", w.Code)
		}
		release <- struct{}{}
		wg.Wait()
		target := o.egress.directory.paths["data"][0]
		if len(target.gate.places) != 0 || target.gate.waiting.Load() != 0 {
			t.Error("a place is lost")
		}
	})
}

func TestAPlaceIsFreeAgainAfterAPanic(t *testing.T) {
	outer := newOutside(t, nil)
	way := roundTrip(func(*http.Request) (*http.Response, error) { panic("odd") })
	o := inside(t, outer, way, func(e *EgressTarget) { e.Concurrent = 1 })
	access := telemetry.NewAccessLog(o.egress.log)
	t.Cleanup(access.Close)
	h := access.Handler(o.egress, func(w http.ResponseWriter, r *http.Request) { o.egress.pages.Error(w, r, errors.New("panic")) })
	for range 3 {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, asked("GET", "/data/x", o.self))
		if w.Code != http.StatusInternalServerError {
			t.Errorf("%d", w.Code)
		}
	}
}

func TestTheQueueOfATargetHasAnEnd(t *testing.T) {
	g := newTurnstile(1)
	ctx, cancel := context.WithCancel(t.Context())
	if err := g.enter(ctx); err != nil {
		t.Fatal(err)
	}
	g.waiting.Store(g.most)
	if err := g.enter(ctx); err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	cancel()
	if g.waiting.Load() != g.most {
		t.Error("the count is wrong")
	}
}

// The same over real connections: an upstream that hangs up before it answers.
func TestAnUpstreamThatHangsUpIsAskedAgain(t *testing.T) {
	for _, scheme := range []string{"http", "https"} {
		t.Run(scheme, func(t *testing.T) {
			var asked atomic.Int64
			h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if asked.Add(1) <= 2 {
					panic(http.ErrAbortHandler)
				}
				_, _ = io.WriteString(w, "third "+r.Header.Get("Authorization"))
			})
			e := httptest.NewUnstartedServer(h)
			if scheme == "https" {
				e.StartTLS()
			} else {
				e.Start()
			}
			t.Cleanup(e.Close)
			o := newOutside(t, func(_ *outside, c *EgressConfig, _ *EgressDeps) {
				c.Targets[0].Upstreams, c.Targets[0].Retries = []*url.URL{address(e.URL)}, 2
				if scheme == "https" {
					c.Targets[0].RootCAs = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: e.Certificate().Raw})
				}
			})
			if a := o.call("GET", "/data/x"); a.body != "third Bearer "+theToken {
				t.Errorf("%s %s", a.Status, a.body)
			}
			asked.Store(0)
			if a := o.call("POST", "/data/x", "Content-Length: 0"); a.StatusCode != http.StatusBadGateway || asked.Load() != 1 {
				t.Errorf("POST: %s after %d", a.Status, asked.Load())
			}
		})
	}
}

func TestEarlyHintsPassWithoutTheToken(t *testing.T) {
	o := newOutside(t, nil)
	o.e.answers(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</style.css>; t="+r.Header.Get("Authorization"))
		w.Header().Set("Set-Cookie", "early=1")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		w.WriteHeader(http.StatusOK)
	})
	c := o.write(request("GET", "/data/x", "Host: "+o.self))
	all, err := io.ReadAll(c)
	s := string(all)
	if err != nil || !strings.HasPrefix(s, "HTTP/1.1 103 ") || !strings.Contains(s, "Link: </style.css>; t=Bearer "+scrubbed) || strings.Contains(s, theToken) || !strings.Contains(s, "HTTP/1.1 200 OK") {
		t.Errorf("%v %s", err, s)
	}
}
