package credential

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/secret"
)

func TestAThousandWhoAskAtOnceMakeOneCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &stub{life: time.Hour}
		p.ask = func(context.Context, int64, string) (*provider.Response, error) {
			time.Sleep(2 * time.Second)
			return p.response("one"), nil
		}
		s := over(t, p, nil, backup).Source("backup")
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() {
				if got := raw(token(t, s, nil)); got != "one" {
					t.Error(got)
				}
			})
		}
		wg.Wait()
		if n := p.asked.Load(); n != 1 {
			t.Errorf("%d calls", n)
		}
	})
}

func TestTheCallGoesOnWhenTheFirstWhoAskedLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &stub{life: time.Hour}
		p.ask = func(ctx context.Context, _ int64, _ string) (*provider.Response, error) {
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(5 * time.Second):
				return p.response("one"), nil
			}
		}
		s := over(t, p, nil, backup).Source("backup")
		first, leave := context.WithTimeout(t.Context(), time.Second)
		defer leave()
		var wg sync.WaitGroup
		wg.Go(func() {
			began := time.Now()
			_, err := s.Token(first, nil)
			if wantPage(t, err, codeProviderDown); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
				t.Errorf("after %s: %v", time.Since(began), err)
			}
		})
		synctest.Wait()
		wg.Go(func() { token(t, s, nil) })
		wg.Wait()
		if n := p.asked.Load(); n != 1 {
			t.Errorf("%d calls", n)
		}
		left, cancel := context.WithCancel(t.Context())
		cancel()
		time.Sleep(time.Second)
		if _, err := s.Fresh(left, nil); err == nil || p.asked.Load() != 1 {
			t.Error("a call for somebody who had left before")
		}
	})
}

func TestAPanicHangsNobodyAndIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &stub{life: time.Hour}
		p.ask = func(_ context.Context, n int64, _ string) (*provider.Response, error) {
			if time.Sleep(time.Second); n == 1 {
				panic("a secret in a panic")
			}
			return p.response("good"), nil
		}
		s := over(t, p, nil, backup).Source("backup")
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				_, err := s.Token(t.Context(), nil)
				if wantPage(t, err, codeRefused); strings.Contains(err.Error(), "secret") {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if got := raw(token(t, s, nil)); got != "good" {
			t.Error(got)
		}
	})
}

func TestATokenIsRenewedAheadWhileTheOldOneIsServed(t *testing.T) {
	for _, life := range []time.Duration{10 * time.Second, time.Minute, 5 * time.Minute, time.Hour, 24 * time.Hour} {
		t.Run(life.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &stub{life: life}
				p.ask = func(_ context.Context, n int64, _ string) (*provider.Response, error) {
					if n > 1 {
						time.Sleep(100 * time.Millisecond)
					}
					return p.response(fmt.Sprint("#", n)), nil
				}
				s := over(t, p, nil, backup).Source("backup")
				token(t, s, nil)
				lead := min(life/5, 5*time.Minute)
				time.Sleep(life - lead - time.Millisecond)
				if token(t, s, nil); p.asked.Load() != 1 {
					t.Fatal("it is renewed too early")
				}
				time.Sleep(lead/4 + time.Millisecond) // jitter
				for range 100 {
					if got := raw(token(t, s, nil)); got != "#1" {
						t.Fatalf("%s: who asks waits for the renewal", got)
					}
				}
				time.Sleep(100 * time.Millisecond)
				synctest.Wait()
				if got := raw(token(t, s, nil)); got != "#2" || p.asked.Load() != 2 {
					t.Errorf("%s after %d calls", got, p.asked.Load())
				}
			})
		})
	}
}

func TestP143NoTokenIsServedPastItsEndHoweverItsRenewalFares(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &stub{life: time.Minute}
		down := &provider.Error{Kind: provider.Unavailable, Code: "unreachable"}
		p.ask = func(_ context.Context, n int64, _ string) (*provider.Response, error) {
			if n == 1 {
				return p.response("old"), nil
			}
			return nil, down
		}
		s := over(t, p, nil, backup).Source("backup")
		began := time.Now()
		served := 0
		for time.Since(began) < 2*time.Minute {
			c, err := s.Token(t.Context(), nil)
			switch {
			case err == nil && time.Since(began) >= time.Minute:
				t.Fatalf("served %s after it began", time.Since(began))
			case err == nil:
				served++
				_ = c
			case time.Since(began) < 54*time.Second:
				t.Fatalf("not served after %s though it is good: %v", time.Since(began), err)
			default:
				wantPage(t, err, codeProviderDown)
			}
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
		}
		if n := p.asked.Load(); served < 500 || n > 14 {
			t.Errorf("served %d times, %d calls: it does not back off", served, n)
		}
	})
}

func TestATokenWithoutAnEndLivesAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &stub{}
		s := over(t, p, nil, backup).Source("backup")
		token(t, s, nil)
		time.Sleep(45 * time.Second)
		if token(t, s, nil); p.asked.Load() != 1 {
			t.Error("CC-3: it is not cached")
		}
		time.Sleep(15 * time.Second)
		if token(t, s, nil); p.asked.Load() < 2 {
			t.Error("CC-3: it lives longer")
		}
	})
}

func TestAProvidersClockMayBeBehindAsFarAsEverywhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		behind := 30 * time.Second
		p := &stub{life: 30 * time.Second}
		p.ask = func(context.Context, int64, string) (*provider.Response, error) {
			body := fmt.Sprintf(`{"exp":%d}`, time.Now().Add(p.life-behind).Unix())
			return p.response("h." + base64.RawURLEncoding.EncodeToString([]byte(body)) + ".s"), nil
		}
		s := over(t, p, nil, backup).Source("backup")
		token(t, s, nil)
		time.Sleep(15 * time.Second)
		if token(t, s, nil); p.asked.Load() != 1 {
			t.Error("it is not cached")
		}
		behind = 5 * time.Minute
		_, err := s.Fresh(t.Context(), nil)
		if e := wantPage(t, err, codeRefused); !strings.Contains(e.Err.Error(), "clocks") {
			t.Error(err)
		}
	})
}

func TestNothingIsMadeForASessionThatHasJustEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := over(t, &stub{}, nil, Config{Name: "signed", Flow: "assertion", Audience: []string{"x"}}).Source("signed")
		alice := somebody("alice")
		alice.Ends = time.Now()
		if c, err := s.Token(t.Context(), alice); c != nil || err == nil {
			t.Error("an assertion outlives the session")
		}
		if c, err := s.Token(t.Context(), &identity.Identity{Issuer: corp, Subject: "a", Ends: time.Now()}); c != nil {
			t.Error("an assertion outlives the token")
		} else {
			wantRefusal(t, err, "invalid_token")
		}
	})
}

func TestP143TheLifeOfWhatWasTradedEndsWithSubjectTokenAndSession(t *testing.T) {
	for name, change := range map[string]func(*identity.Identity){
		"subject token": func(who *identity.Identity) { who.Tokens.Expiry = time.Now().Add(100 * time.Second) },
		"session":       func(who *identity.Identity) { who.Ends = time.Now().Add(100 * time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &stub{life: time.Hour}
				s := over(t, p, nil, orders).Source("orders")
				alice := somebody("alice")
				change(alice)
				for range 89 {
					if c := token(t, s, alice); c.Tokens.Expiry.After(time.Now().Add(100 * time.Second)) {
						t.Error("callers are told a later end")
					}
					time.Sleep(time.Second)
					synctest.Wait()
				}
				if n := p.asked.Load(); n != 1 {
					t.Errorf("%d calls for what cannot live longer", n)
				}
				time.Sleep(11 * time.Second)
				if _, err := s.Token(t.Context(), alice); err == nil {
					t.Error("P143: it outlives what it was made from")
				}
			})
		})
	}
}

func TestAProviderThatAnswersWithTheSameTokenIsNotAskedAtEachRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &stub{}
		end := time.Now().Add(10 * time.Minute)
		p.ask = func(context.Context, int64, string) (*provider.Response, error) {
			r := p.response("the same")
			r.Expiry = end
			return r, nil
		}
		s := over(t, p, nil, backup).Source("backup")
		for time.Until(end) > 15*time.Second {
			token(t, s, nil)
			time.Sleep(50 * time.Millisecond)
			synctest.Wait()
		}
		if n := p.asked.Load(); n > 20 {
			t.Errorf("%d calls in ten minutes", n)
		}
	})
}

// TestP142TokensOfTwoPeopleAreNeverSwapped lets 200 people ask at random times, with renewals, rejections, logouts and failures in between.
func TestP142TokensOfTwoPeopleAreNeverSwapped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &stub{}
		p.ask = func(_ context.Context, n int64, subject string) (*provider.Response, error) {
			time.Sleep(time.Duration(rand.N(300)) * time.Millisecond)
			switch n % 17 {
			case 0:
				return nil, &provider.Error{Kind: provider.Unavailable, Code: "timeout"}
			case 1:
				return nil, &provider.Error{Kind: provider.Refused, Code: "invalid_grant", Detail: subject}
			}
			r := p.response(fmt.Sprintf("%s #%d", subject, n))
			r.Expiry = time.Now().Add(time.Duration(2+rand.N(20)) * time.Second)
			return r, nil
		}
		chain := Config{Name: "chain", Flow: "jwt_bearer", Provider: "corp", Scopes: []string{"x"}, Subject: "orders"}
		w := newWorld(t, nil)
		sets := []*Set{
			over(t, p, func(d *Deps) { d.Shared = w.shared }, orders, chain),
			over(t, p, func(d *Deps) { d.Shared = w.shared }, orders, chain),
		}
		var wg sync.WaitGroup
		for i := range 200 {
			name := fmt.Sprintf("user-%03d.", i/2) // each has two sessions
			who := somebody(name)
			who.Session += fmt.Sprint(i % 2)
			wg.Go(func() {
				for range 40 {
					time.Sleep(time.Duration(rand.N(900)) * time.Millisecond)
					set := sets[rand.N(2)]
					s := set.Source([]string{"orders", "chain"}[rand.N(2)])
					c, err := s.Token(t.Context(), who)
					if err != nil {
						if strings.Contains(err.Error(), "token-of") && !strings.Contains(err.Error(), name) {
							t.Errorf("%s: the error of somebody else: %v", name, err)
						}
						continue
					}
					if !strings.Contains(raw(c), "token-of-"+name) {
						t.Errorf("%s got %s", name, raw(c))
					}
					switch rand.N(12) {
					case 0:
						s.Rejected(t.Context(), who, c)
					case 1:
						set.Forget(t.Context(), who)
					case 2:
						_, _ = s.Fresh(t.Context(), who)
					}
				}
			})
		}
		wg.Wait()
	})
}

func TestP131ForgottenTokensAreGoneHereAndAtOtherReplicas(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		one, two := w.replica(orders), w.replica(orders)
		alice, bob := w.person("alice"), w.person("bob")
		first, bobs := token(t, one.Source("orders"), alice), token(t, one.Source("orders"), bob)
		if raw(token(t, two.Source("orders"), alice)) != raw(first) || w.granted() != 2 {
			t.Fatal("the replicas do not share")
		}
		two.Forget(t.Context(), alice)
		synctest.Wait()
		for name, set := range map[string]*Set{"here": two, "at the other": one} {
			if raw(token(t, set.Source("orders"), alice)) == raw(first) {
				t.Errorf("%s it is still served", name)
			}
		}
		if token(t, one.Source("orders"), bob) != bobs {
			t.Error("somebody else lost theirs")
		}
		one.Forget(t.Context(), alice)
		one.Forget(t.Context(), bob)
		one.Forget(t.Context(), nil)
		synctest.Wait()
		for _, index := range []digest{one.ownerOf(alice), one.ownerOf(bob)} {
			if keys := must(w.shared.List(t.Context(), ownerIndex+encoded(index), "", 10))(t); len(keys) != 0 {
				t.Errorf("the store keeps %d", len(keys))
			}
		}
	})
}

func TestWhatIsUnderWayWhenASessionEndsIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &stub{life: time.Hour}
		p.ask = func(_ context.Context, n int64, subject string) (*provider.Response, error) {
			time.Sleep(time.Second)
			return p.response(fmt.Sprintf("%s #%d", subject, n)), nil
		}
		w := newWorld(t, nil)
		set := over(t, p, func(d *Deps) { d.Shared = w.shared }, orders)
		s, alice := set.Source("orders"), somebody("alice")
		var wg sync.WaitGroup
		wg.Go(func() { token(t, s, alice) })
		time.Sleep(500 * time.Millisecond)
		set.Forget(t.Context(), alice)
		wg.Go(func() { // does not join what was begun before
			if got := raw(token(t, s, alice)); !strings.HasSuffix(got, "#2") {
				t.Errorf("got %s", got)
			}
		})
		wg.Wait()
		if got := raw(token(t, s, alice)); !strings.HasSuffix(got, "#2") {
			t.Errorf("kept %s", got)
		}
	})
}

func TestP143ARejectedTokenIsReplacedOnceInAWhile(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		set := w.replica(orders)
		s, alice := set.Source("orders"), w.person("alice")
		first := token(t, s, alice)
		s.Rejected(t.Context(), w.person("bob"), first) // not his
		if token(t, s, alice) != first {
			t.Fatal("one person's rejection drops another's token")
		}
		s.Rejected(t.Context(), alice, first)
		second := token(t, s, alice)
		if raw(second) == raw(first) {
			t.Fatal("P143: the store gave back the rejected one")
		}
		s.Rejected(t.Context(), alice, first) // late: another request had the old one too
		s.Rejected(t.Context(), alice, second)
		if token(t, s, alice) != second || w.granted() != 2 {
			t.Error("an upstream that accepts nothing makes us ask the provider at each request")
		}
		time.Sleep(forcedPause)
		if s.Rejected(t.Context(), alice, first); token(t, s, alice) != second {
			t.Error("a late word about the first drops the second")
		}
		s.Rejected(t.Context(), alice, second)
		if raw(token(t, s, alice)) == raw(second) || w.granted() != 3 {
			t.Error("it is never replaced again")
		}
		s.Rejected(t.Context(), nil, second)
		s.Rejected(t.Context(), alice, nil)
	})
}

func TestP143ARejectedTokenThatStaysInTheStoreIsNotTakenFromThere(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		set := w.replica(backup)
		s := set.Source("backup")
		first := token(t, s, nil)
		key := tokenKeys + set.shared.name(s.same)
		blob := must(w.shared.Get(t.Context(), key))(t)[0].Value
		s.Rejected(t.Context(), nil, first)
		if must(w.shared.Get(t.Context(), key))(t)[0].Version != 0 {
			t.Error("it stays in the store")
		}
		_ = w.shared.Put(t.Context(), key, blob, time.Hour) // as if deleting had failed
		if raw(token(t, s, nil)) == raw(first) {
			t.Error("it is served again")
		}
	})
}

func TestARenewalThatWasRefusedDoesNotOutliveTheTokenItWasFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &stub{life: time.Minute}
		p.ask = func(_ context.Context, n int64, _ string) (*provider.Response, error) {
			if n == 1 || time.Now().Second() >= 54 || time.Now().Second() < 40 {
				return p.response(fmt.Sprint("#", n)), nil
			}
			return nil, &provider.Error{Kind: provider.Refused, Code: "access_denied"}
		}
		s := over(t, p, nil, backup).Source("backup") // the clock of a bubble begins at a full minute
		token(t, s, nil)
		time.Sleep(53 * time.Second)
		if got := raw(token(t, s, nil)); got != "#1" {
			t.Fatal(got)
		}
		synctest.Wait()
		time.Sleep(time.Second)
		if got := raw(token(t, s, nil)); got == "#1" || p.asked.Load() != 3 {
			t.Errorf("%s after %d calls", got, p.asked.Load())
		}
	})
}

func TestCloseEndsRenewalsAndLeavesTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &stub{life: time.Minute}
		p.ask = func(ctx context.Context, n int64, _ string) (*provider.Response, error) {
			if n == 2 {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return p.response(fmt.Sprint("#", n)), nil
		}
		set := over(t, p, nil, backup)
		s := set.Source("backup")
		token(t, s, nil)
		time.Sleep(52 * time.Second)
		token(t, s, nil)
		synctest.Wait()
		began := time.Now()
		if set.Close(); time.Since(began) != 0 || p.asked.Load() != 2 {
			t.Errorf("%s, %d calls", time.Since(began), p.asked.Load())
		}
		if raw(token(t, s, nil)) != "#1" {
			t.Error("a token that is good is lost")
		}
		time.Sleep(2 * time.Second)
		if raw(token(t, s, nil)) != "#3" {
			t.Error("requests that were under way at a reload get no token")
		}
	})
}

func TestFreshGoesPastTheCacheAndReplacesIt(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		one, two := w.replica(backup), w.replica(backup)
		first := token(t, one.Source("backup"), nil)
		time.Sleep(time.Second)
		fresh := must(one.Source("backup").Fresh(t.Context(), nil))(t)
		for range 100 { // in a loop
			if must(one.Source("backup").Fresh(t.Context(), nil))(t) != fresh {
				t.Fatal("skip_cache hammers the provider")
			}
		}
		if raw(fresh) == raw(first) || token(t, one.Source("backup"), nil) != fresh || w.granted() != 2 {
			t.Errorf("%d requests", w.granted())
		}
		if raw(token(t, two.Source("backup"), nil)) != raw(fresh) {
			t.Error("other replicas have the old one")
		}
		w.idp.Misbehave(idp.Named("client_credentials_invalid_scope").Always())
		time.Sleep(time.Second)
		for range 20 {
			_, err := one.Source("backup").Fresh(t.Context(), nil)
			wantPage(t, err, codeRefused)
		}
		if n := w.granted(); n != 3 {
			t.Errorf("%d requests: skip_cache hammers the provider", n)
		}
	})
}

func TestTwoReplicasMakeOneCallAndRenewOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &stub{life: time.Hour}
		p.ask = func(_ context.Context, n int64, subject string) (*provider.Response, error) {
			time.Sleep(300 * time.Millisecond)
			return p.response(fmt.Sprintf("%s #%d", subject, n)), nil
		}
		w := newWorld(t, nil)
		share := func(d *Deps) { d.Shared = w.shared }
		sets := []*Set{over(t, p, share, orders, backup), over(t, p, share, orders, backup)}
		alice := []*identity.Identity{somebody("alice"), somebody("alice")} // each replica has read the session itself
		ask := func() {
			var wg sync.WaitGroup
			for i := range 40 {
				wg.Go(func() { token(t, sets[i%2].Source("orders"), alice[i%2]) })
				wg.Go(func() { token(t, sets[i%2].Source("backup"), nil) })
			}
			wg.Wait()
			time.Sleep(2 * time.Second)
			synctest.Wait()
		}
		if ask(); p.asked.Load() != 2 {
			t.Fatalf("%d calls for two tokens", p.asked.Load())
		}
		for range 25 { // the window of renewal and its jitter pass
			time.Sleep(2 * time.Minute)
			ask()
		}
		time.Sleep(7 * time.Minute)
		ask()
		if n := p.asked.Load(); n != 4 {
			t.Errorf("%d calls after renewals of two tokens", n)
		}
		a, b := token(t, sets[0].Source("orders"), alice[0]), token(t, sets[1].Source("orders"), alice[1])
		if raw(a) != raw(b) {
			t.Errorf("%s and %s", raw(a), raw(b))
		}
	})
}

func TestAReplicaThatDiesHoldingTheLockDelaysOthersASecond(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		set := w.replica(backup)
		name := set.shared.name(set.Source("backup").same)
		if !must(w.shared.Swap(t.Context(), lockKeys+name, 0, []byte("dead"), time.Hour))(t) {
			t.Fatal("no lock")
		}
		began := time.Now()
		token(t, set.Source("backup"), nil)
		if took := time.Since(began); took > 1100*time.Millisecond {
			t.Errorf("took %s", took)
		}
	})
}

func TestTheStoreHoldsNothingReadableAndMayBeBroken(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		one, two := w.replica(orders), w.replica(orders)
		alice := w.person("alice")
		first := token(t, one.Source("orders"), alice)
		key := tokenKeys + one.shared.name(must(one.Source("orders").handle(alice))(t))
		blob := must(w.shared.Get(t.Context(), key))(t)[0].Value
		for _, s := range []string{raw(first), "8f2c-alice", "orders", alice.Session} {
			if strings.Contains(string(blob), s) || strings.Contains(key, s) {
				t.Errorf("%q lies open in the store", s)
			}
		}
		bob := w.person("bob") // alice's token under bob's name: whoever writes into the store
		bobsKey := tokenKeys + two.shared.name(must(two.Source("orders").handle(bob))(t))
		_ = w.shared.Put(t.Context(), bobsKey, blob, time.Hour)
		if got := claims(t, raw(token(t, two.Source("orders"), bob))); got["sub"] != "77aa-bob" {
			t.Fatalf("P142: a token was moved: %v", got)
		}
		for _, junk := range [][]byte{nil, {1}, []byte("null"), blob[:20], append(blob, 1)} {
			carol := w.person("alice")
			_ = w.shared.Put(t.Context(), tokenKeys+two.shared.name(must(two.Source("orders").handle(carol))(t)), junk, time.Hour)
			token(t, two.Source("orders"), carol)
		}
		_ = w.shared.Close()
		before := w.granted()
		dave := w.person("alice")
		if token(t, two.Source("orders"), dave); w.granted() != before+1 {
			t.Error("without the store nothing is fetched")
		}
		two.Forget(t.Context(), dave)
		if token(t, two.Source("orders"), dave); w.granted() != before+2 {
			t.Error("without the store nothing is forgotten")
		}
	})
}

func TestTheCacheStaysWithinItsBound(t *testing.T) {
	const bound = 4 << 20
	p := &stub{life: time.Hour, size: 1500}
	set := over(t, p, func(d *Deps) { d.MaxBytes = bound }, orders)
	s := set.Source("orders")
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	for i := range 10_000 {
		token(t, s, somebody(fmt.Sprint("user", i)))
	}
	used := int64(heap()) - int64(before)
	if weighed := set.cache.kept.WeightedSize(); weighed > bound || used > bound+bound/8 {
		t.Errorf("%d bytes by its own account, %d on the heap, of %d", weighed, used, bound)
	}
	if used < bound/2 {
		t.Errorf("only %d bytes are used: entries are weighed too heavy", used)
	}
	runtime.KeepAlive(set)
}

func TestRefusalsAreRememberedWithinABound(t *testing.T) {
	n := must(newNegative())(t)
	for i := range 3 * refusals {
		var key digest
		key[0], key[1], key[2] = byte(i), byte(i>>8), byte(i>>16)
		n.put(key, errBroken, &provider.Error{Kind: provider.Refused}, time.Now())
	}
	if size := n.kept.EstimatedSize(); size > refusals+refusals/8 {
		t.Errorf("%d refusals", size)
	}
}

func TestKeysDifferInEveryInput(t *testing.T) {
	seen := map[digest]string{}
	note := func(what string, d digest) {
		if other, ok := seen[d]; ok {
			t.Errorf("%s and %s have the same key", what, other)
		}
		seen[d] = what
	}
	p := &stub{}
	base := Config{Name: "c", Flow: "token_exchange", Provider: "corp", Audience: []string{"a"}}
	alice := somebody("alice")
	for what, change := range map[string]func(*Config){
		"nothing": func(*Config) {}, "name": func(c *Config) { c.Name = "d" }, "audience": func(c *Config) { c.Audience = []string{"a", "b"} },
		"joined audience": func(c *Config) { c.Audience = []string{"ab"} }, "resource": func(c *Config) { c.Resource = []string{"https://a"} },
		"scopes": func(c *Config) { c.Scopes = []string{"a"} }, "parameters": func(c *Config) { c.Parameters = map[string][]string{"p": {"q"}} },
		"other parameters": func(c *Config) { c.Parameters = map[string][]string{"pq": {""}} }, "requested type": func(c *Config) { c.RequestedType = "jwt" },
		"subject": func(c *Config) { c.Subject = "id_token" }, "actor": func(c *Config) { c.Actor = "backup" }, "first leg": func(c *Config) { c.Subject = "orders" },
		"flow": func(c *Config) { c.Flow = "jwt_bearer" },
		"entra": func(c *Config) {
			c.Flow, c.Dialect, c.Audience, c.Scopes = "jwt_bearer", "entra_obo", nil, []string{"a"}
		},
		"place": func(c *Config) { c.Header = "X-Token" },
	} {
		c := base
		change(&c)
		s := over(t, p, nil, c, backup, orders).Source(c.Name)
		note(what, must(s.handle(alice))(t).key)
	}
	s := over(t, p, nil, base).Source("c")
	for what, change := range map[string]func(*identity.Identity){
		"issuer": func(i *identity.Identity) { i.Issuer = "https://other.test" }, "another person": func(i *identity.Identity) { i.Subject = "bob" },
		"session": func(i *identity.Identity) { i.Session = "s2" }, "login": func(i *identity.Identity) { i.Login = "l2" }, "provider": func(i *identity.Identity) { i.Provider = "p2" },
		"subject token": func(i *identity.Identity) { i.Tokens = &identity.Tokens{AccessToken: secret.New("t2")} },
		"no token":      func(i *identity.Identity) { i.Tokens = nil },
		"moved":         func(i *identity.Identity) { i.Login, i.Session = i.Session, i.Login },
	} {
		who := copyOf(alice)
		change(who)
		note(what, must(s.handle(who))(t).key)
	}
	narrow := backup
	narrow.Scopes = []string{"read"}
	acting := base
	acting.Actor = "backup"
	note("an actor of other scopes", must(over(t, p, nil, acting, narrow).Source("c").handle(alice))(t).key)
	signed := over(t, p, nil, Config{Name: "signed", Flow: "assertion", Audience: []string{"x"}}).Source("signed")
	for what, change := range map[string]func(*identity.Identity){
		"nothing": func(*identity.Identity) {}, "groups": func(i *identity.Identity) { i.Groups = []string{"a"} }, "machine": func(i *identity.Identity) { i.Machine = true },
		"client": func(i *identity.Identity) { i.Client = "a" }, "email": func(i *identity.Identity) { i.Email = "a" }, "name": func(i *identity.Identity) { i.Name = "a" },
		"verified": func(i *identity.Identity) { i.EmailVerified = true }, "username": func(i *identity.Identity) { i.Username = "a" },
		"token": func(i *identity.Identity) { i.Tokens = &identity.Tokens{AccessToken: secret.New("t2")} },
	} {
		who := copyOf(alice)
		change(who)
		note("an assertion, "+what, must(signed.handle(who))(t).key)
	}
	if again := must(s.handle(copyOf(alice)))(t); seen[again.key] != "nothing" {
		t.Error("the same inputs make another key: replicas would not share")
	}
}
