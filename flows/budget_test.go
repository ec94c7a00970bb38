package flows

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/demo/idp"
)

// garbage makes a login from an address and answers it with a code that is none.
func (w *world) garbage(t testing.TB, client string) *http.Response {
	t.Helper()
	nav := append(navigation("none"), "X-Test-Client", client)
	begun := w.call(t, http.MethodGet, app+"/x", nav...)
	to := must(url.Parse(begun.Header.Get("Location")))(t)
	cookie, _, _ := strings.Cut(begun.Header.Get("Set-Cookie"), ";")
	back := url.Values{"code": {"garbage"}, "state": {to.Query().Get("state")}, "iss": {corp}}
	return w.call(t, http.MethodGet, app+"/oauth2/callback?"+back.Encode(), append(nav, "Cookie", cookie)...)
}

func TestS18CodesThatFailUseUpTheBudgetOfAnAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for range 3 * failureBurst {
			w.garbage(t, "192.0.2.7")
		}
		if n := w.idp.Count(idp.Token); n != failureBurst {
			t.Errorf("%d calls to the token endpoint", n)
		}
		res := w.garbage(t, "192.0.2.7")
		if res.StatusCode != http.StatusTooManyRequests || res.Header.Get("Retry-After") != "1" {
			t.Errorf("%d, Retry-After %q", res.StatusCode, res.Header.Get("Retry-After"))
		}
		if cleared := strings.Join(res.Header.Values("Set-Cookie"), "\n"); strings.Contains(cleared, loginSuffix) {
			t.Errorf("the attempt is lost, and loading again cannot go on: %s", cleared)
		}
		if res := w.garbage(t, "192.0.2.8"); res.StatusCode == http.StatusTooManyRequests {
			t.Error("another address is shut out with it")
		}
		time.Sleep(failureEvery)
		before := w.idp.Count(idp.Token)
		for range 3 {
			w.garbage(t, "192.0.2.7")
		}
		if n := w.idp.Count(idp.Token) - before; n != 1 {
			t.Errorf("a second later: %d calls", n)
		}
	})
}

func TestS18SignInsThatSucceedAreNeverCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for range failureBurst - 1 {
			w.garbage(t, "192.0.2.7")
		}
		for range 2 * failureBurst {
			b := w.net.Browser()
			b.Header.Set("X-Test-Client", "192.0.2.7")
			expect(t, b.Open(t, app+"/x").SignIn(t, "alice", "alice"), http.StatusOK, "alice sees")
		}
	})
}

func TestS18AnAttemptThatHadToWaitGoesOnWhenLoadedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		b := w.net.Browser()
		b.Header.Set("X-Test-Client", "192.0.2.7")
		to := w.answered(t, b, app+"/x")
		for range failureBurst {
			w.garbage(t, "192.0.2.7")
		}
		page := b.Open(t, to)
		expect(t, page, http.StatusTooManyRequests, codeTooMany)
		time.Sleep(failureEvery)
		expect(t, b.Open(t, to), http.StatusOK, "alice sees app.test/x")
	})
}

func TestS18OnlySoManyCodesAreRedeemedAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.garbage(t, "")
		w.idp.ResetRequests()
		w.idp.Misbehave(idp.Hanging().On(idp.Token).Always())
		answers := make([]int, 2*maxGrants)
		var all sync.WaitGroup
		for i := range answers {
			all.Go(func() { answers[i] = w.garbage(t, fmt.Sprintf("192.0.2.%d", i)).StatusCode })
		}
		time.Sleep(grantWait + time.Second)
		if n := w.idp.Count(idp.Token); n != maxGrants {
			t.Errorf("%d at a time", n)
		}
		all.Wait()
		for i, status := range answers {
			if status != http.StatusServiceUnavailable {
				t.Errorf("answer %d: %d", i, status)
			}
		}
	})
}

func TestS18TheMemoryOfFailuresIsBounded(t *testing.T) {
	now := time.Unix(1e9, 0)
	b := newBudget(func() time.Time { return now }, map[string]callback{"corp": {}})
	for i := range maxAddresses + 100 {
		b.fail(netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 32))
	}
	if n := len(b.failed); n != maxAddresses {
		t.Errorf("%d addresses", n)
	}
	now = now.Add(time.Minute)
	b.fail(network("192.0.2.1"))
	if n := len(b.failed); n != 1 {
		t.Errorf("%d addresses after a minute", n)
	}
}

func TestWhatCountsAsOneCaller(t *testing.T) {
	for client, want := range map[string]string{
		"192.0.2.7": "192.0.2.7/32", "::ffff:192.0.2.7": "192.0.2.7/32", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64",
	} {
		if got := network(client).String(); got != want {
			t.Errorf("%s: %s", client, got)
		}
	}
	b := newBudget(time.Now, map[string]callback{"corp": {}})
	for range 2 * failureBurst { // those without an address are not one caller
		done, err := b.admit(context.Background(), "corp", "")
		if err != nil {
			t.Fatal(err)
		}
		done(true)
	}
}
