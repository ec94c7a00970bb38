package credential

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/identity"
)

func TestPausesBetweenFailedRenewalsDouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const step = 50 * time.Millisecond
		var asked []time.Time
		p := &stub{life: 2 * time.Hour}
		p.ask = func(_ context.Context, n int64, _ string) (*provider.Response, error) {
			asked = append(asked, time.Now())
			if n > 1 && n < 9 {
				return nil, &provider.Error{Kind: provider.Unavailable, Code: "server_error"}
			}
			return p.response(fmt.Sprint("#", n)), nil
		}
		s := over(t, p, nil, backup).Source("backup")
		first := token(t, s, nil)
		time.Sleep(p.life - mostLead - step)
		for len(asked) < 9 {
			if token(t, s, nil) != first {
				t.Fatal("it is not served any more")
			}
			time.Sleep(step)
			synctest.Wait()
		}
		for i, least := range []time.Duration{1 * time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, mostPause, mostPause} {
			if gap := asked[i+2].Sub(asked[i+1]); gap < least || gap > least+least/4+2*step {
				t.Errorf("%s after %d failed renewals, want %s and a quarter at most", gap, i+1, least)
			}
		}
		if raw(token(t, s, nil)) != "#9" {
			t.Error("it is not renewed when the provider is back")
		}
		if time.Sleep(p.life - mostLead - time.Second); raw(token(t, s, nil)) != "#9" || p.asked.Load() != 9 {
			t.Error("what failed before hastens the next renewal")
		}
	})
}

func TestATokenFromTheStoreThatIsOldIsRenewedSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		p := &stub{life: 10 * time.Minute}
		share := func(d *Deps) { d.Shared = w.shared }
		first := token(t, over(t, p, share, backup).Source("backup"), nil)
		time.Sleep(9 * time.Minute)
		late := over(t, p, share, backup).Source("backup") // a replica that starts now
		if raw(token(t, late, nil)) != raw(first) || p.asked.Load() != 1 {
			t.Fatal("it does not use what is there")
		}
		token(t, late, nil)
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		if raw(token(t, late, nil)) == raw(first) || p.asked.Load() != 2 {
			t.Errorf("%d calls", p.asked.Load())
		}
	})
}

func TestP143AChainEndsWithItsFirstLeg(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &stub{}
		p.ask = func(_ context.Context, n int64, subject string) (*provider.Response, error) {
			r := p.response(fmt.Sprintf("%s #%d", subject, n))
			r.Expiry = time.Now().Add(time.Hour)
			if subject == "for token-of-alice" {
				r.Expiry = time.Now().Add(10 * time.Minute)
			}
			return r, nil
		}
		chain := Config{Name: "chain", Flow: "token_exchange", Provider: "corp", Audience: []string{"far"}, Subject: "orders"}
		s, alice := over(t, p, nil, orders, chain).Source("chain"), somebody("alice")
		first := token(t, s, alice)
		time.Sleep(10 * time.Minute)
		if token(t, s, alice) == first {
			t.Error("it outlives the token that it was traded for")
		}
	})
}

func TestWhatBeginsTogetherIsNotRenewedTogether(t *testing.T) {
	now := time.Now()
	g := &grant{tokens: &identity.Tokens{ReceivedAt: now}, ends: now.Add(10 * time.Minute)}
	renewals, pauses := map[int64]bool{}, map[time.Duration]bool{}
	for range 50 {
		next := g.next()
		if share := time.Unix(0, next).Sub(now); share < 8*time.Minute || share > 8*time.Minute+30*time.Second {
			t.Errorf("renewed after %s of ten minutes", share)
		}
		renewals[next], pauses[backOff(3)] = true, true
	}
	if len(renewals) < 40 || len(pauses) < 40 {
		t.Errorf("%d and %d different ones of 50", len(renewals), len(pauses))
	}
}
