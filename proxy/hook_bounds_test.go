package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// hanging is a decider that answers nobody until it is let go, and counts who waits.
func hanging(t *testing.T) (d *decider, at *atomic.Int64) {
	t.Helper()
	d, at = newDecider(t), new(atomic.Int64)
	free := make(chan struct{})
	t.Cleanup(func() { close(free) })
	d.does(func(_ http.ResponseWriter, r *http.Request) {
		at.Add(1)
		defer at.Add(-1)
		select {
		case <-free:
		case <-r.Context().Done():
		}
	})
	return d, at
}

func newTestHook(t *testing.T, c Hook) *hook {
	t.Helper()
	h, err := newHook(&c, Deps{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for until := time.Now().Add(5 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal("never: " + what)
		}
	}
}

func TestS18QuestionsThatWaitAreBounded(t *testing.T) {
	d, at := hanging(t)
	h := newTestHook(t, Hook{URL: d.URL, Timeout: 20 * time.Second})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var all sync.WaitGroup
	for range hookAtATime + hookWaiting {
		all.Go(func() { _, _ = h.ask(ctx, []byte("{}")) })
	}
	eventually(t, "all places are taken", func() bool { return at.Load() == hookAtATime && h.waiting.Load() == hookWaiting })
	began := time.Now()
	if _, err := h.ask(t.Context(), []byte("{}")); err == nil || !strings.Contains(err.Error(), "wait already") {
		t.Errorf("one more: %v", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it waited for %s", took)
	}
	if at.Load() > hookAtATime {
		t.Errorf("%d questions at a time", at.Load())
	}
	cancel()
	all.Wait()
	if len(h.places) != 0 || h.waiting.Load() != 0 {
		t.Errorf("%d places are taken, %d wait", len(h.places), h.waiting.Load())
	}
}

func TestS18AReasonIsKeptAsFarAsAnybodyReadsIt(t *testing.T) {
	a, err := readAnswer([]byte(`{"result":{"allow":false,"reason":"` + strings.Repeat("x", 60_000) + `"}}`))
	if err != nil || a.allow || len(a.reason) > hookReason+1 || presentable(a.reason) {
		t.Errorf("%d bytes, %v, for people %v", len(a.reason), err, presentable(a.reason))
	}
	a, err = readAnswer([]byte(`{"result":{"allow":false,"reason":"` + strings.Repeat("x", hookReason) + `"}}`))
	if err != nil || len(a.reason) != hookReason || !presentable(a.reason) {
		t.Errorf("%d bytes, %v", len(a.reason), err)
	}
}

// Thousands of streams may be due in one second, and their questions must not take every place from people who come.
func TestStreamsLeavePlacesForWhoeverComes(t *testing.T) {
	d, at := hanging(t)
	l := decided(t, d, func(_ *Route, h *Hook) { h.Cache, h.Timeout = 0, 2*time.Second })
	rt := ruledRoute(l)
	who := everybody()["alice"]
	var all sync.WaitGroup
	for range 4 * hookAtATime {
		s := &standing{asked: nil, of: rt, at: time.Now()}
		req := &CanonicalRequest{Method: "GET", Path: "/ruled/x", decoded: "/ruled/x", site: &site{authority: "app.test"}, in: typical()}
		all.Go(func() {
			if !s.due(rt, who) {
				t.Error("it is not due")
				return
			}
			if v := s.askAgain(rt, req, who, verdict{outcome: Allow}); v.outcome != Allow && v.outcome != Unavailable {
				t.Errorf("the outcome is %s", v.outcome)
			}
		})
	}
	eventually(t, "streams ask", func() bool { return at.Load() == hookAgain })
	d.says(`{"result":true}`)
	if a := l.send("GET", "/ruled/x", as("root")); a.StatusCode != 200 {
		t.Errorf("somebody who comes gets %s", a.Status)
	}
	if n := at.Load(); n > hookAgain {
		t.Errorf("%d questions of streams at a time", n)
	}
	all.Wait()
}

func TestAStreamThatGotNoPlaceIsDueAgain(t *testing.T) {
	d := newDecider(t)
	l := decided(t, d, func(_ *Route, h *Hook) { h.Timeout = 10 * time.Millisecond })
	rt := ruledRoute(l)
	for range hookAgain {
		rt.hook.again <- struct{}{}
	}
	who := everybody()["alice"]
	s := &standing{}
	if v := s.askAgain(rt, nil, who, verdict{outcome: Allow, rule: "as it was"}); v.outcome != Allow || v.rule != "as it was" || !s.due(rt, who) || d.asked() != 0 {
		t.Errorf("%+v, due %v, asked %d times", v, s.due(rt, who), d.asked())
	}
}

func TestADecisionsConnectionIsGoodAfterItsErrors(t *testing.T) {
	d := newDecider(t)
	h := newTestHook(t, Hook{URL: d.URL, Timeout: 5 * time.Second})
	for name, does := range map[string]http.HandlerFunc{
		"a redirect to elsewhere": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://169.254.169.254/latest/meta-data")
			w.WriteHeader(http.StatusTemporaryRedirect)
		},
		"a redirect to itself": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusSeeOther) },
		"an endless answer": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := w.Write(bytes.Repeat([]byte(" "), 1<<10)); err != nil {
					return
				}
				_ = http.NewResponseController(w).Flush()
			}
		},
		"half an answer": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte(`{"result":true}`))
		},
		"an answer and more": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"result":true}{"result":true}`)) },
		"a created yes": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(201)
			_, _ = w.Write([]byte(`{"result":true}`))
		},
		"an early yes": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(103); w.WriteHeader(204) },
		"headers without end": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X", strings.Repeat("x", 80<<10))
			w.WriteHeader(200)
		},
		"a panic": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		d.does(does)
		if a, err := h.ask(t.Context(), []byte("{}")); err == nil || a.allow || strings.Contains(err.Error(), d.URL) {
			t.Errorf("%s: %+v, %v", name, a, err)
		}
		d.says(`{"result":true}`)
		if a, err := h.ask(t.Context(), []byte("{}")); err != nil || !a.allow {
			t.Errorf("after %s: %+v, %v", name, a, err)
		}
	}
	if len(h.places) != 0 || h.waiting.Load() != 0 {
		t.Errorf("%d places are taken, %d wait", len(h.places), h.waiting.Load())
	}
}

func TestAFlightThatFailsIsNotRemembered(t *testing.T) {
	d := newDecider(t)
	d.says(`{}`)
	h := newTestHook(t, Hook{URL: d.URL, Cache: time.Hour})
	if _, err := h.answer(t.Context(), []byte("q")); !errors.Is(err, errNoResult) {
		t.Error(err)
	}
	d.says(`{"result":true}`)
	if a, err := h.answer(t.Context(), []byte("q")); err != nil || !a.allow {
		t.Errorf("%+v, %v", a, err)
	}
}

// A reload makes another hook, and nobody closes the old one.
func TestHooksThatNobodyUsesLeaveNothingRunning(t *testing.T) {
	before := runtime.NumGoroutine()
	for i := range 50 {
		newTestHook(t, Hook{URL: fmt.Sprintf("http://127.0.0.1:1/%d", i), Cache: time.Minute})
	}
	if n := runtime.NumGoroutine() - before; n > 10 {
		t.Errorf("%d goroutines more", n)
	}
}

func ruledRoute(l *lab) *route {
	for _, rt := range l.g.balanced {
		if rt.name == "ruled" {
			return rt
		}
	}
	panic("there is no such route")
}
