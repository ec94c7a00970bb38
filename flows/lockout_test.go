package flows

import (
	"encoding/binary"
	"fmt"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/demo/idp"
)

// guess has a wrong password tried that nobody tried before.
func (d *doors) guess(user, client string) *httptest.ResponseRecorder {
	d.t.Helper()
	guesses++
	return d.try(user, "guess-"+strconv.Itoa(guesses), client)
}

var guesses int // of all tests: none is made twice

func TestP170FewGuessesReachTheProvider(t *testing.T) {
	for name, c := range map[string]struct {
		user func(n int) string
		from func(n int) string
		most int
	}{
		"one network":             {func(int) string { return "alice" }, func(int) string { return street + "1" }, maxUserStrikes},
		"a network for each":      {func(int) string { return "alice" }, func(n int) string { return street + strconv.Itoa(n) }, maxUserStrikes},
		"a user that there isn't": {func(int) string { return "nobody" }, func(n int) string { return street + strconv.Itoa(n) }, maxUserStrikes},
		"a user for each":         {func(n int) string { return fmt.Sprint("user", n) }, func(int) string { return street + "1" }, maxNetworkStrikes},
		"P172 spellings of one": {func(n int) string {
			return []string{"alice", "ALICE", " Alice ", "ａｌｉｃｅ", "al\u00adice", "aliCE\u200b"}[n%6]
		}, func(n int) string { return street + strconv.Itoa(n) }, maxUserStrikes},
		"addresses of one IPv6 net": {func(n int) string { return fmt.Sprint("user", n) }, func(n int) string { return fmt.Sprintf("2001:db8::%x", n+1) }, maxNetworkStrikes},
		"no address":                {func(int) string { return "alice" }, func(int) string { return "" }, maxUserStrikes},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDoors(t, 2)
				for n := range 100 { // in fourteen minutes, by two replicas
					r := d.request(c.user(n), fmt.Sprint("guess ", n), c.from(n))
					switch w := d.send(n%2, r); w.Code {
					case 401:
					case 429:
						if s, err := strconv.Atoi(w.Header().Get("Retry-After")); err != nil || s < 1 || s > int(strikeWindow/time.Second) {
							t.Fatalf("Retry-After %q", w.Header().Get("Retry-After"))
						}
						time.Sleep(8 * time.Second)
					default:
						t.Fatalf("%d %s", w.Code, w.Body)
					}
				}
				if n := d.passwordGrants(); n == 0 || n > c.most {
					t.Errorf("the provider was asked %d times", n)
				}
			})
		})
	}
}

func TestP170AHundredGuessesAtOnceAreNoMoreThanOneAfterAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoors(t, 2)
		d.sin(idp.Slow(time.Second))
		var all sync.WaitGroup
		for n := range 100 {
			all.Go(func() { d.send(n%2, d.request("alice", fmt.Sprint("guess ", n), street+strconv.Itoa(n))) })
		}
		all.Wait()
		if n := d.passwordGrants(); n > 3 {
			t.Errorf("%d of them were tried", n) // the others would have had to wait
		}
	})
}

func TestP171AnAttackerLocksNobodyOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoors(t, 1, providerIs(func(c *idp.Config) { c.LockAfter = 30; c.LockFor = 100 * time.Hour }))
		d.want(d.try("alice", "alice", office), 200, "") // once, some day
		time.Sleep(20 * 24 * time.Hour)
		before := d.passwordGrants()
		for n := range 1000 { // for eleven hours, from everywhere
			d.guess("alice", fmt.Sprint("198.51.", n%100, ".", n%250))
			time.Sleep(40 * time.Second)
		}
		if n := d.passwordGrants() - before; n > ofStrangers*maxUserStrikes {
			t.Errorf("%d guesses were forwarded", n)
		}
		d.want(d.try("alice", "alice", street+"1"), 429, codeTooMany) // a network that is not hers
		d.want(d.try("alice", "alice", office), 200, "")              // hers, and the provider has not locked her either
		d.want(d.try("alice", "alice", street+"1"), 200, "")          // it is she
		d.want(d.try("bob", "bob", street+"1"), 200, "")              // nobody else is touched
		time.Sleep(longWindow)
		d.want(d.try("alice", "alice", street+"2"), 200, "") // nothing is for ever
	})
}

func TestP171TheVictimsOwnNetworkIsNoPartOfIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoors(t, 1)
		d.want(d.try("alice", "alice", office), 200, "")
		time.Sleep(20 * 24 * time.Hour)
		for n := range 50 {
			d.guess("alice", street+strconv.Itoa(n))
		}
		d.want(d.guess("alice", street+"1"), 429, codeTooMany)
		d.want(d.try("alice", "alice", office), 200, "")
		d.want(d.try("alice", "alice", street+"77"), 200, "") // cached: it is she
		time.Sleep(proofLife)
		d.want(d.try("alice", "alice", office), 200, "")

		// Somebody in the office uses that budget up, and the rest of the world's too: it ends with the window.
		for range 3 {
			d.guess("alice", office)
		}
		d.want(d.guess("alice", office), 429, codeTooMany)
		time.Sleep(strikeWindow + time.Second)
		d.want(d.try("alice", "alice", office), 200, "")
		d.want(d.try("bob", "bob", office), 200, "")
	})
}

func TestAnOfficeThatSignsInAtOnceIsNoAttack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const people = 120
		d := newDoors(t, 1, providerIs(func(c *idp.Config) {
			for n := range people {
				name := fmt.Sprint("person", n)
				c.Users = append(c.Users, idp.User{Username: name, Password: name})
			}
		}))
		d.sin(idp.Slow(100 * time.Millisecond))
		answers := make([]*httptest.ResponseRecorder, people)
		var all sync.WaitGroup
		for n := range people {
			all.Go(func() { name := fmt.Sprint("person", n); answers[n] = d.try(name, name, office) })
		}
		all.Wait()
		if got := statuses(answers); len(got) != 1 || got[0] != 200 {
			t.Errorf("%v", got)
		}
	})
}

func TestASuccessForgetsWhatWasMistypedInOnesOwnNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoors(t, 1)
		d.want(d.try("alice", "alice", office), 200, "")
		for range 8 { // of which the last would be too many with those before
			time.Sleep(proofLife)
			d.want(d.guess("alice", office), 401, codeWrongCredentials)
			d.want(d.guess("alice", office), 401, codeWrongCredentials)
			d.want(d.try("alice", "alice", office), 200, "")
		}
	})
}

func TestASuccessDoesNotForgetGuessesFromElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoors(t, 1)
		d.want(d.try("alice", "alice", office), 200, "")
		d.guess("alice", street+"1")
		d.guess("alice", street+"2")
		d.guess("alice", street+"3")
		time.Sleep(proofLife - 10*time.Second)
		d.guess("alice", street+"4")
		d.want(d.try("alice", "alice", office), 200, "")
		d.guess("alice", street+"5")
		before := d.passwordGrants()
		d.want(d.guess("alice", street+"6"), 429, codeTooMany)
		if d.passwordGrants() != before {
			t.Error("it was forwarded all the same")
		}
	})
}

func TestTheSameWrongPasswordAgainAndAgainCausesFewCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoors(t, 1)
		first := d.try("alice", "old", office)
		d.want(first, 401, codeWrongCredentials)
		for range 60 { // a cron job, for an hour
			time.Sleep(time.Minute)
			d.want(d.try("alice", "old", office), 401, codeWrongCredentials)
		}
		if n := d.passwordGrants(); n > 8 {
			t.Errorf("%d calls", n)
		}
		d.want(d.try("alice", "alice", office), 200, "") // it shuts nobody out who sits next to it
	})
}

func TestP174KnownAndUnknownUsersAreToldTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoors(t, 1)
		d.sin(idp.Slow(300 * time.Millisecond))
		said := func(user string) (all []string) {
			for range 8 {
				began := time.Now()
				w := d.guess(user, street+user)
				body := decode(t, w.Body.String())
				delete(body, "reference")
				header := w.Header().Clone()
				header.Del("Doorward-Reference")
				header.Del("Content-Length")
				all = append(all, fmt.Sprint(w.Code, body, header, time.Since(began)))
			}
			return all
		}
		known, unknown := said("alice"), said("nobody")
		if strings.Join(known, "\n") != strings.Join(unknown, "\n") {
			t.Errorf("known\n%s\nunknown\n%s", strings.Join(known, "\n"), strings.Join(unknown, "\n"))
		}
	})
}

func TestAStoreThatIsDownLetsNoGuessThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoors(t, 1)
		d.shared.down.Store(true)
		for range 10 {
			d.want(d.guess("alice", street+"1"), 503, codeStore)
		}
		if n := d.passwordGrants(); n > 0 {
			t.Errorf("%d guesses were tried uncounted", n)
		}
	})
}

func TestTheStoreOfFailuresNamesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoors(t, 1)
		d.guess("alice", office)
		k := d.flows.lockout(d.flows.byName["legacy"])
		key := k.key("user", "alice")
		items := must(d.shared.Get(t.Context(), key))(t)
		if items[0].Version == 0 || strings.Contains(key, "alice") || len(items[0].Value) != 8 {
			t.Errorf("%s %q", key, items[0].Value)
		}
		elsewhere := k
		elsewhere.issuer = "https://another.test"
		if elsewhere.key("user", "alice") == key {
			t.Error("two providers share a budget")
		}
		if k.key("user", "alic", "e") == k.key("user", "alice") || k.key("own", "a", "bc") == k.key("own", "ab", "c") {
			t.Error("two tuples have one key")
		}
	})
}

func TestP172CanonicalUser(t *testing.T) {
	for _, same := range [][]string{
		{"alice", "ALICE", "Alice", " alice", "alice\t", "ａｌｉｃｅ", "\u00a0alice\u00a0", "al\u00adice", "\u200ealice", "ALICE\ufeff"},
		{"strasse", "straße", "STRASSE"},
		{"jose", "josé", "jose\u0301", "JOSÉ", "jo\u0301\u0301se", "j\ufe0fose"},
		{"a b", "a  b", "a\u00a0 b"},
	} {
		for _, name := range same {
			if got := canonicalUser(name); got != canonicalUser(same[0]) {
				t.Errorf("%q is %q", name, got)
			}
		}
	}
	seen := map[string]string{}
	for _, name := range []string{"alice", "аlice", "alice@test", "bob", "a lice", "alice1", "กา", "กี"} { // the second one's а is Cyrillic
		if other := seen[canonicalUser(name)]; other != "" {
			t.Errorf("%q and %q are one", name, other)
		}
		seen[canonicalUser(name)] = name
	}
}

func TestRefusalsAreBounded(t *testing.T) {
	var s refusals
	now := time.Now()
	for n := range maxRefusals + 500 {
		var name digestOf
		binary.BigEndian.PutUint64(name[:], uint64(n))
		s.remember(name, wrongCredentials(nil), now)
	}
	if len(s.all) > maxRefusals {
		t.Errorf("%d are remembered", len(s.all))
	}
	s.remember(digestOf{1}, wrongCredentials(nil), now.Add(time.Hour))
	if len(s.all) != 1 {
		t.Errorf("%d of those that are over are still there", len(s.all)-1)
	}
}

func FuzzStrikes(f *testing.F) {
	f.Add([]byte{}, int64(1_700_000_000_000))
	f.Add(encodeStrikes([]int64{1_700_000_000_000, 1_699_999_999_000}), int64(1_700_000_000_500))
	f.Add([]byte("12345678"), int64(-1))
	f.Fuzz(func(t *testing.T, value []byte, at int64) {
		at = max(min(at, 1<<50), -1<<50)
		strikes := recentStrikes(value, at)
		if len(strikes) > len(value)/8 || len(strikes) > mostRemembered {
			t.Errorf("%d strikes in %d bytes", len(strikes), len(value))
		}
		k := lockout{most: maxUserStrikes}
		for _, rules := range [][]rule{k.rules(ofOwn), k.rules(ofStrangers), lockout{most: mostUserStrikes}.rules(ofStrangers), lockout{most: 1}.rules(ofOwn)} {
			wait := mustWait(strikes, at, rules)
			if wait > longWindow+strikeWindow {
				t.Errorf("%v at %d: %s", strikes, at, wait)
			}
			for _, r := range rules {
				within := 0
				for _, s := range strikes {
					if s > at-r.within.Milliseconds() {
						within++
					}
				}
				if within >= r.most && wait <= 0 {
					t.Errorf("%d failures within %s, and the next may come", within, r.within)
				}
			}
		}
	})
}

func FuzzCanonicalUser(f *testing.F) {
	for _, s := range []string{"alice", "ＡＬＩＣＥ", "ß", "İ", "\u00ad", "ﬁ", "\xff", "e\u0301\u0327"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		once := canonicalUser(name)
		if twice := canonicalUser(once); twice != once {
			t.Errorf("%q is %q, which is %q", name, once, twice)
		}
	})
}
