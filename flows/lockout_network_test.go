package flows

import (
	"fmt"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/demo/idp"
)

func TestP170WhoeverHasAWholeIPv6RegionIsBoundedToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoors(t, 1)
		for n := range 2 * maxRegionStrikes { // a user and a network for each
			d.guess(fmt.Sprint("user", n), fmt.Sprintf("2001:db8:7:%x::1", n))
		}
		if n := d.passwordGrants(); n != maxRegionStrikes {
			t.Errorf("%d guesses from one /48 were forwarded", n)
		}
		d.want(d.guess("alice", "2001:db8:8::1"), 401, codeWrongCredentials) // the neighbours have their own
	})
}

func TestP171SomebodyInTheSameNetworkDoesNotHaveTheProviderLockAnybodyOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoors(t, 1, providerIs(func(c *idp.Config) { c.LockAfter = 30; c.LockFor = 100 * time.Hour }))
		d.want(d.try("alice", "alice", office), 200, "")
		time.Sleep(time.Hour)
		before := d.passwordGrants()
		for n := range 900 { // for ten hours, from her network and from all others at once
			d.guess("alice", office)
			d.guess("alice", street+strconv.Itoa(n%250))
			time.Sleep(40 * time.Second)
		}
		if n := d.passwordGrants() - before; n > (ofOwn+ofStrangers)*maxUserStrikes {
			t.Errorf("%d guesses were forwarded", n)
		}
		time.Sleep(longWindow)
		d.want(d.try("alice", "alice", office), 200, "")
	})
}

func TestP171AProgramAtWorkIsNotShutOutByGuessesInItsOwnNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoors(t, 1)
		d.want(d.try("alice", "alice", office), 200, "")
		for range 24 { // four hours
			for n := range 40 {
				d.guess("alice", office)
				d.guess(fmt.Sprint("user", n), office)
			}
			time.Sleep(10 * time.Minute)
			d.want(d.try("alice", "alice", office), 200, "")
		}
		// Used or not, a proof that is gone for good is a sign-in like any other.
		time.Sleep(proofLife + proofGrace - time.Second)
		for range 40 {
			d.guess("alice", office)
		}
		time.Sleep(2 * time.Second)
		d.want(d.try("alice", "alice", office), 429, codeTooMany)
	})
}

func TestAnOldPasswordIsTriedAgainOnceAndIsThenAGuess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoors(t, 1, providerIs(func(c *idp.Config) { c.Clients[0].NoRefresh = true }))
		d.want(d.try("alice", "alice", office), 200, "")
		time.Sleep(proofLife)
		d.sin(idp.OAuthError("invalid_grant"))
		before := d.passwordGrants()
		for range 300 { // for two and a half hours
			d.try("alice", "alice", office)
			time.Sleep(30 * time.Second)
		}
		if n := d.passwordGrants() - before; n > 1+ofOwn*maxUserStrikes {
			t.Errorf("an old password was tried %d times", n)
		}
	})
}

func TestP171APageOfAnotherSiteSpendsNothingOfTheUsersOwnNetwork(t *testing.T) {
	for _, site := range []string{"cross-site", "same-site", "odd"} {
		synctest.Test(t, func(t *testing.T) {
			d := newDoors(t, 1)
			d.want(d.try("alice", "alice", office), 200, "")
			time.Sleep(time.Hour)
			for n := range 200 { // https://alice:guess@app.test/, loaded by a browser in her office
				for _, user := range []string{"alice", fmt.Sprint("user", n)} {
					r := d.request(user, fmt.Sprint("guess ", n), office)
					r.Header.Set("Sec-Fetch-Site", site)
					d.send(0, r)
				}
			}
			before := d.passwordGrants()
			if before > 1+maxNetworkStrikes {
				t.Errorf("%s: %d guesses were forwarded", site, before)
			}
			d.want(d.try("alice", "alice", office), 200, "")
			d.want(d.try("bob", "bob", office), 200, "")
		})
	}
}

func TestAConfigurationSaysHowManyFailuresAProviderTakes(t *testing.T) {
	for _, most := range []int{1, 3, 20} {
		synctest.Test(t, func(t *testing.T) {
			d := newDoors(t, 1, func(p *plan) {
				add := p.flows
				p.flows = func(c *Config) { add(c); c.Logins[1].MaxFailures = most }
			})
			for n := range 60 {
				d.guess("alice", street+strconv.Itoa(n))
				time.Sleep(14 * time.Second)
			}
			if n := d.passwordGrants(); n > most || n < min(most, 10) {
				t.Errorf("%d: %d were forwarded in fourteen minutes", most, n)
			}
			for range 700 {
				d.guess("alice", street+"1")
				time.Sleep(time.Minute)
			}
			if n := d.passwordGrants(); n > ofStrangers*most || n < 2*most {
				t.Errorf("%d: %d were forwarded in twelve hours", most, n)
			}
		})
	}
	for most, good := range map[int]bool{-1: false, 0: true, 1: true, mostUserStrikes: true, mostUserStrikes + 1: false} {
		if _, err := newPassword(corp, Login{MaxFailures: most}); (err == nil) != good {
			t.Errorf("%d: %v", most, err)
		}
	}
}

func TestARefusalOfLongAgoIsNoReasonToWaitLonger(t *testing.T) {
	var s refusals
	now := time.Now()
	for range 5 {
		s.remember(digestOf{1}, wrongCredentials(nil), now)
	}
	if now = now.Add(longestRefusal - time.Second); s.find(digestOf{1}, now) == nil {
		t.Error("it is forgotten too early")
	}
	now = now.Add(2 * longestRefusal)
	s.remember(digestOf{1}, wrongCredentials(nil), now)
	if s.find(digestOf{1}, now.Add(firstRefusal)) != nil {
		t.Error("it waits as if the others had been just now")
	}
}

func TestTheLastTriesAreNotSpentInOneBreath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoors(t, 1)
		for n, wait := range []string{"", "", "10", "60", "830"} {
			d.want(d.guess("alice", street+"1"), 401, codeWrongCredentials)
			if wait == "" {
				continue
			}
			w := d.guess("alice", street+"1")
			d.want(w, 429, codeTooMany)
			if got := w.Header().Get("Retry-After"); got != wait {
				t.Errorf("after %d failures: wait %s s, want %s", n+1, got, wait)
			}
			s, _ := strconv.Atoi(wait)
			time.Sleep(time.Duration(s) * time.Second)
		}
	})
}

func TestAUserWhomAllGuessAtUsesUpNoNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoors(t, 1)
		for range 3 * maxNetworkStrikes {
			d.guess("alice", office)
		}
		d.want(d.try("bob", "bob", office), 200, "")
	})
}

func TestAProviderThatTakesItsTimeDoesNotCollectAllCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoors(t, 1)
		places := d.flows.byName["legacy"].password.places
		for range maxPasswordGrants {
			places <- struct{}{}
		}
		began := time.Now()
		d.want(d.try("alice", "alice", office), 503, codeProviderDown)
		if lasted := time.Since(began); lasted != grantWait || d.passwordGrants() > 0 {
			t.Errorf("after %s, %d grants", lasted, d.passwordGrants())
		}
		<-places
		d.want(d.try("alice", "alice", office), 200, "")
		if len(places) != maxPasswordGrants-1 {
			t.Error("a place was not given back")
		}
	})
}
