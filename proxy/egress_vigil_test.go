package proxy

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestAnOutgoingStreamEndsWithItsTarget(t *testing.T) {
	outside := newOutside(t, nil)
	data := EgressTarget{Name: "data", Upstreams: []*url.URL{address("http://one.test")}, Credential: "service"}
	other := EgressTarget{Name: "other", Upstreams: []*url.URL{address("http://two.test")}, Credential: "service"}
	with := func(change func(*EgressTarget)) []EgressTarget {
		t := data
		change(&t)
		return []EgressTarget{t, other}
	}
	for name, c := range map[string]struct {
		targets []EgressTarget // nil = there is no outbound side any more
		goesOn  bool
	}{
		"the same":          {[]EgressTarget{data, other}, true},
		"no target":         {[]EgressTarget{other}, false},
		"nothing":           {nil, false},
		"a token is wanted": {with(func(t *EgressTarget) { t.Accept = "bearer" }), false},
		"another upstream":  {with(func(t *EgressTarget) { t.Upstreams = []*url.URL{address("http://three.test")} }), false},
		"one upstream more": {with(func(t *EgressTarget) { t.Upstreams = append(t.Upstreams[:1:1], address("http://three.test")) }), true},
		"other methods":     {with(func(t *EgressTarget) { t.Methods = []string{"POST"} }), false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pipe, feed := io.Pipe()
				way := roundTrip(func(r *http.Request) (*http.Response, error) {
					return &http.Response{StatusCode: 200, Header: http.Header{}, Body: pipe, ContentLength: -1, Request: r}, nil
				})
				var now atomic.Pointer[Egress]
				build := func(targets []EgressTarget) *Egress {
					e, err := NewEgress(EgressConfig{Self: []string{outside.self}, Targets: targets}, EgressDeps{
						Pages: outside.egress.pages, Log: outside.egress.log, Transport: way, Current: now.Load,
						Sources: map[string]Source{"service": newVault(theToken)}, Bearers: map[string]Bearer{"data": &checker{}},
					})
					if err != nil {
						t.Fatal(err)
					}
					return e
				}
				now.Store(build([]EgressTarget{data, other}))
				var ended atomic.Bool
				go func() {
					now.Load().ServeHTTP(httptest.NewRecorder(), asked("GET", "/data/x", outside.self))
					ended.Store(true)
				}()
				_, _ = io.WriteString(feed, "one")
				time.Sleep(10 * time.Second)
				synctest.Wait()
				if ended.Load() {
					t.Fatal("it ended by itself")
				}
				if now.Store(nil); c.targets != nil {
					now.Store(build(c.targets))
				}
				time.Sleep(vigilEvery)
				synctest.Wait()
				if ended.Load() == c.goesOn {
					t.Errorf("ended: %v", ended.Load())
				}
				_ = feed.Close()
			})
		})
	}
}
