package credential

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/flows/provider"
)

// hanging answers nothing for ten seconds, as provider.Client does it, while it hangs.
func hanging(p *stub, hangs func() bool) {
	p.ask = func(_ context.Context, n int64, subject string) (*provider.Response, error) {
		if !hangs() {
			return p.response(fmt.Sprintf("%s #%d", subject, n)), nil
		}
		time.Sleep(10 * time.Second)
		return nil, &provider.Error{Kind: provider.Unavailable, Code: "timeout", Detail: "token endpoint: no answer in time", Err: context.DeadlineExceeded}
	}
}

func TestAProviderThatHangsIsTriedByOneRequestAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, hangs := &stub{life: time.Hour}, true
		hanging(p, func() bool { return hangs })
		set := over(t, p, nil, orders, backup)
		s, n := set.Source("orders"), 0
		ask := func() time.Duration {
			n++
			began := time.Now()
			_, err := s.Token(t.Context(), somebody(fmt.Sprint("user", n)))
			if e := wantPage(t, err, codeProviderDown); e.RetryAfter < time.Second || e.RetryAfter > mostRest {
				t.Errorf("Retry-After %s", e.RetryAfter)
			}
			return time.Since(began)
		}
		for range patience {
			if d := ask(); d != 10*time.Second {
				t.Fatalf("waited %s", d)
			}
		}
		for range 100 {
			if d := ask(); d != 0 {
				t.Fatalf("one more waits %s", d)
			}
		}
		if _, err := set.Source("backup").Token(t.Context(), nil); wantPage(t, err, codeProviderDown) == nil || p.asked.Load() != patience {
			t.Errorf("%d calls", p.asked.Load())
		}
		time.Sleep(firstRest)
		var wg sync.WaitGroup // a crowd: one of them tries
		for i := range 200 {
			wg.Go(func() { _, _ = s.Token(t.Context(), somebody(fmt.Sprint("crowd", i))) })
		}
		wg.Wait()
		if got := p.asked.Load(); got != patience+1 {
			t.Errorf("%d calls, want one trial", got-patience)
		}
		before := p.asked.Load() // an hour of it
		for range 3600 {
			_, _ = s.Token(t.Context(), somebody(fmt.Sprint("user", p.asked.Load(), time.Now().UnixNano())))
			time.Sleep(time.Second)
		}
		if got := p.asked.Load() - before; got < 60 || got > 120 {
			t.Errorf("%d calls in an hour", got)
		}
		hangs = false
		time.Sleep(mostRest)
		for i := range 10 {
			token(t, s, somebody(fmt.Sprint("after", i)))
		}
		hangs = true
		if d := ask(); d != 10*time.Second {
			t.Error("one timeout after it came back counts like the third")
		}
	})
}

func TestACrowdThatHangsTogetherCountsLikeThree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, hangs := &stub{life: time.Hour}, true
		hanging(p, func() bool { return hangs })
		s := over(t, p, nil, orders).Source("orders")
		var wg sync.WaitGroup
		for i := range maxCalls {
			wg.Go(func() { _, _ = s.Token(t.Context(), somebody(fmt.Sprint("user", i))) })
		}
		wg.Wait()
		hangs = false
		time.Sleep(firstRest)
		token(t, s, somebody("first"))
		token(t, s, somebody("second"))
	})
}

func TestAnAnswerOfAnyKindIsNoHanging(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &stub{life: time.Hour}
		hang := func(n int64) bool { return n%patience != 0 }
		p.ask = func(_ context.Context, n int64, _ string) (*provider.Response, error) {
			if hang(n) {
				return nil, &provider.Error{Kind: provider.Unavailable, Code: "timeout"}
			}
			return nil, &provider.Error{Kind: provider.Refused, Code: "invalid_grant"}
		}
		s := over(t, p, nil, orders).Source("orders")
		for i := range 30 {
			_, _ = s.Token(t.Context(), somebody(fmt.Sprint("user", i)))
		}
		if n := p.asked.Load(); n != 30 {
			t.Errorf("%d calls", n)
		}
	})
}

func TestATrialThatBreaksOffIsNotTheLast(t *testing.T) {
	for name, last := range map[string]func() error{
		"panic":    func() error { panic("broken") },
		"canceled": func() error { return &provider.Error{Kind: provider.Unavailable, Code: "canceled"} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &stub{life: time.Hour}
				p.ask = func(_ context.Context, n int64, _ string) (*provider.Response, error) {
					switch {
					case n <= patience:
						return nil, &provider.Error{Kind: provider.Unavailable, Code: "timeout"}
					case n == patience+1:
						return nil, last()
					}
					return p.response("good"), nil
				}
				set := over(t, p, nil, orders)
				s := set.Source("orders")
				for i := range patience {
					_, _ = s.Token(t.Context(), somebody(fmt.Sprint("user", i)))
				}
				time.Sleep(firstRest)
				_, _ = s.Token(t.Context(), somebody("one who breaks off"))
				token(t, s, somebody("the next"))
				if len(set.gates["corp"].room) != 0 {
					t.Error("a place is never given back")
				}
			})
		})
	}
}

func TestAProviderThatHangsTakesNothingFromAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow, quick, hangs := &stub{name: "slow", life: time.Hour}, &stub{name: "quick", life: time.Hour}, true
		hanging(slow, func() bool { return hangs })
		partner := Config{Name: "partner", Flow: "client_credentials", Provider: "quick"}
		far := Config{Name: "far", Flow: "token_exchange", Provider: "slow", Audience: []string{"x"}}
		set := must(build([]Config{far, partner}, Deps{}.withDefaults(), map[string]client{"slow": slow, "quick": quick}))(t)
		defer set.Close()
		var wg sync.WaitGroup
		for i := range 2 * maxCalls {
			wg.Go(func() { _, _ = set.Source("far").Token(t.Context(), somebody(fmt.Sprint("user", i))) })
		}
		synctest.Wait()
		if n := slow.asked.Load(); n != maxCalls {
			t.Errorf("S18: %d calls at once", n)
		}
		began := time.Now()
		if token(t, set.Source("partner"), nil); time.Since(began) != 0 {
			t.Errorf("it waits %s for a provider that it has nothing to do with", time.Since(began))
		}
		wg.Wait()
		if n := slow.asked.Load(); n >= maxCalls+patience {
			t.Errorf("those who waited asked too: %d calls", n)
		}
		hangs = false
		time.Sleep(firstRest)
		found := 0
		for i := range 2 * maxCalls {
			if _, err := set.Source("far").Token(t.Context(), somebody(fmt.Sprint("user", i))); err == nil {
				found++
			}
		}
		if found < maxCalls {
			t.Errorf("only %d get a token when it is back: the others were never refused by it", found)
		}
		if n := len(set.gates["slow"].room); n != 0 {
			t.Errorf("%d places are never given back", n)
		}
	})
}

func TestAProviderThatWantsToBeLeftAloneForLongIsNotAskedSooner(t *testing.T) {
	g, now := newGate(), time.Now()
	for _, wait := range []time.Duration{time.Second, time.Minute, time.Second} {
		g.learn(&provider.Error{Kind: provider.Unavailable, Code: "rate_limited", RetryAfter: wait}, false, now)
	}
	g.learn(nil, false, now) // an answer that was under way
	if err := g.closed(now.Add(59 * time.Second)); err == nil || err.RetryAfter != time.Second || err.Code != "rate_limited" {
		t.Errorf("%v", err)
	}
	if err := g.closed(now.Add(time.Minute)); err != nil {
		t.Error(err)
	}
}

func TestATrialThatWasCanceledSaysNothing(t *testing.T) {
	g, now := newGate(), time.Now()
	clock := func() time.Time { return now }
	ask := func(code string) (trial bool) {
		leave, err := g.enter(t.Context(), clock)
		if err != nil {
			t.Fatal(err)
		}
		trial = g.trying
		leave(&provider.Error{Kind: provider.Unavailable, Code: code})
		return trial
	}
	for range patience {
		ask("timeout")
	}
	now = now.Add(firstRest)
	if !ask("canceled") || !ask("timeout") {
		t.Error("it counts as an answer")
	}
	if g.closed(now.Add(2*firstRest-1)) == nil {
		t.Error("it is asked by everybody after that")
	}
}

func TestWhoeverWaitsForAPlaceIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &stub{life: time.Hour}
		hanging(p, func() bool { return true })
		set := over(t, p, nil, orders)
		s := set.Source("orders")
		ctx, leave := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for i := range maxCalls + maxWaiting {
			wg.Go(func() { _, _ = s.Token(ctx, somebody(fmt.Sprint("user", i))) })
		}
		synctest.Wait()
		leave()
		before := runtime.NumGoroutine()
		for i := range 100 {
			began := time.Now()
			_, err := s.Token(t.Context(), somebody(fmt.Sprint("late", i)))
			if wantPage(t, err, codeProviderDown); time.Since(began) != 0 {
				t.Fatalf("S18: the %dth waits too", maxCalls+maxWaiting+i+1)
			}
		}
		if after := runtime.NumGoroutine(); after > before {
			t.Errorf("S18: %d goroutines more", after-before)
		}
		wg.Wait()
		time.Sleep(callLimit)
		if g := set.gates["corp"]; g.waiting.Load() != 0 || len(g.room) != 0 {
			t.Errorf("%d wait, %d ask", g.waiting.Load(), len(g.room))
		}
	})
}

func TestRetryAfterOfAWeekIsFiveMinutesForEverybody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &stub{life: 10 * time.Minute}
		limited := false
		p.ask = func(_ context.Context, n int64, subject string) (*provider.Response, error) {
			if limited {
				return nil, &provider.Error{Kind: provider.Unavailable, Code: "rate_limited", RetryAfter: 7 * 24 * time.Hour}
			}
			return p.response(fmt.Sprint(subject, n)), nil
		}
		set := over(t, p, nil, orders, backup)
		first := token(t, set.Source("backup"), nil)
		limited = true
		_, err := set.Source("orders").Token(t.Context(), somebody("alice"))
		if e := wantPage(t, err, codeProviderDown); e.RetryAfter != longestOutage {
			t.Errorf("Retry-After %s", e.RetryAfter)
		}
		before := p.asked.Load()
		for i := range 299 {
			time.Sleep(time.Second)
			_, err = set.Source("orders").Token(t.Context(), somebody(fmt.Sprint("user", i)))
			if e := wantPage(t, err, codeProviderDown); e.RetryAfter > longestOutage-time.Duration(i)*time.Second {
				t.Fatalf("Retry-After %s after %d s", e.RetryAfter, i)
			}
		}
		if p.asked.Load() != before {
			t.Errorf("CC-4: %d calls before it has passed", p.asked.Load()-before)
		}
		limited = false
		time.Sleep(time.Second)
		token(t, set.Source("orders"), somebody("bob"))
		time.Sleep(4 * time.Minute) // renewals keep to it too
		limited = true
		_, _ = set.Source("orders").Token(t.Context(), somebody("carol"))
		before = p.asked.Load()
		if token(t, set.Source("backup"), nil) != first {
			t.Error("what is cached is not served")
		}
		if synctest.Wait(); p.asked.Load() != before {
			t.Error("CC-4: a renewal asks all the same")
		}
	})
}
