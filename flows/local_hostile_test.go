package flows

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/internal/secret"
)

// Three whose name and password are the same: a person of the provider, a client of it, and local users of two tables.
func TestP173AliceOfOneKindIsNeverAliceOfAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		users := []User{
			{Name: "alice", Hash: secret.New(quick("alice")), Groups: []string{"local"}},
			{Name: "team", Lines: []byte("alice:" + quick("alice")), Groups: []string{"team"}},
		}
		d := newDoors(t, 1, func(p *plan) {
			people := p.flows
			p.flows = func(c *Config) { people(c); c.Users = users }
		}, providerIs(func(c *idp.Config) {
			c.Clients = append(c.Clients, idp.Client{ID: "alice", Secret: "alice", Grants: []string{clientGrant}, Scopes: []string{"data.read"}})
		}))
		for _, in := range []lets{byClients("data.read"), byUsers("alice"), byUsers("team")} {
			d.open(in)
		}
		want := []string{corp + " false legacy [staff admins]", corp + " true  []", IssuerUsers + " false  [local]", IssuerUsers + ":team false  [team]"}
		seen := make(map[string]bool)
		for n := range 12 {
			kind := (n * 3) % 4
			if n >= 8 {
				kind = n % 4
			}
			d.want(d.send(kind, d.request("alice", "alice", office)), 200, "")
			who := d.who
			if got := fmt.Sprint(who.Issuer, who.Machine, " ", who.Login, who.Groups); strings.ReplaceAll(got, " ", "") != strings.ReplaceAll(want[kind], " ", "") {
				t.Errorf("route %d lets %q in, want %q", kind, got, want[kind])
			}
			seen[who.Session] = true
		}
		if len(seen) != 4 {
			t.Errorf("four kinds of alice have %d sessions", len(seen))
		}
	})
}

// A trial that never came to a verdict is taken back, also when its time is over: a machine that is too slow must not lock
// those out who wait for it.
func TestATrialThatRanOutOfTimeIsHeldAgainstNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := locals(t, 1)
		hashing := d.flows.local.hashing
		for range cap(hashing) {
			hashing <- struct{}{}
		}
		for range 2 * maxUserStrikes {
			began := time.Now()
			d.want(d.try("bob", "bob", office), 503, codeOverloaded)
			if lasted := time.Since(began); lasted != passwordLimit {
				t.Fatal(lasted)
			}
		}
		for range cap(hashing) {
			<-hashing
		}
		d.want(d.try("bob", "bob", office), 200, "")
	})
}

// tallest notes how many hashes are computed at a time.
type tallest struct {
	passwordHash
	now, most *atomic.Int64
}

func (h tallest) matches(password []byte) bool {
	n := h.now.Add(1)
	defer h.now.Add(-1)
	for most := h.most.Load(); n > most && !h.most.CompareAndSwap(most, n); most = h.most.Load() {
	}
	time.Sleep(20 * time.Millisecond)
	return h.passwordHash.matches(password)
}

func TestAFloodOfGuessesTakesAProcessorsWorthOfHashesAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := locals(t, 1)
		var now, most atomic.Int64
		for _, u := range d.flows.local.all {
			u.hash = tallest{u.hash, &now, &most}
		}
		var all sync.WaitGroup
		for n := range 1000 { // each a user and a network of its own, so no budget stops them
			all.Go(func() {
				w := d.try(fmt.Sprint("user", n), strings.Repeat("x", maxTyped), fmt.Sprintf("10.%d.%d.1", n/250, n%250))
				if w.Code != 401 && w.Code != 503 {
					t.Errorf("%d %s", w.Code, w.Body)
				}
			})
		}
		all.Wait()
		if n := most.Load(); n == 0 || n > int64(cap(d.flows.local.hashing)) {
			t.Errorf("%d hashes at a time", n)
		}
		d.want(d.try("alice", "alice", office), 200, "")
	})
}

// What nobody could sign in with has no hash: each is taken for something of ours before it is a password.
func TestTicketsAndKeysAreNoPasswords(t *testing.T) {
	for _, bad := range []string{"dw1.secret", "dwp.secret", "dwk.secret"} {
		if _, err := HashPassword(secret.New(bad)); err == nil {
			t.Errorf("%q has a hash, and is refused wherever it is tried", bad)
		}
	}
}

// A list of an htpasswd file's columns in the wrong order has the hash where the name is.
func TestAHashInThePlaceOfANameIsNotShown(t *testing.T) {
	for name, hash := range map[string]string{"argon2id": quick("x"), "bcrypt": htpasswdB(t, "x"), "SHA-1": "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g="} {
		_, err := readHtpasswd(User{Name: "team", Lines: []byte(hash + ":bob")})
		if err == nil || strings.Contains(err.Error(), hash[4:16]) || !strings.Contains(err.Error(), "line 1") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAHashIsNoPassword(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hash := quick("alice")
		d := locals(t, 1)
		d.want(d.try("alice", hash, office), 401, codeWrongCredentials)
	})
}

// A caller that goes away leaves no trial half done: what it began is judged, counted and kept.
func TestACallerThatLeavesIsCountedAllTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := locals(t, 1)
		hashed := d.count(time.Second)
		for range 2 * maxUserStrikes {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			r := d.request("alice", "guess"+fmt.Sprint(hashed.Load()), office).WithContext(ctx)
			d.serve[0].ServeHTTP(httptest.NewRecorder(), r)
			cancel()
			time.Sleep(70 * time.Second)
		}
		if n := hashed.Load(); n != maxUserStrikes {
			t.Errorf("%d guesses were hashed", n)
		}
	})
}

// For a name that nobody has somebody's hash is compared. Whoever knows that one's password is not in by any name.
func TestAPasswordCountsForItsOwnNameOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := locals(t, 1, func(p *plan) {
			p.flows = func(c *Config) { c.Users = []User{{Name: "alice", Hash: secret.New(quick("alice"))}} }
		})
		for n, name := range []string{"nobody", "Alice", "alice ", "ａｌｉｃｅ", "*"} {
			d.want(d.try(name, "alice", street+fmt.Sprint(n)), 401, codeWrongCredentials)
			time.Sleep(longWindow)
		}
		d.want(d.try("alice", "alice", office), 200, "")
	})
}

func TestWhateverIsSaidOfALocalUserCountsAtOnce(t *testing.T) {
	hash := quick("alice")
	file := func(name, user string) User { return User{Name: name, Lines: []byte(user + ":" + hash)} }
	for name, c := range map[string]struct {
		before, after []User // of the same names: to the route nothing changes
		want          string
	}{
		"another address": {
			[]User{{Name: "alice", Hash: secret.New(hash), Email: "old@example.com"}},
			[]User{{Name: "alice", Hash: secret.New(hash), Email: "new@example.com"}},
			IssuerUsers + " new@example.com",
		},
		"another file": {[]User{file("here", "alice"), file("there", "bob")}, []User{file("here", "bob"), file("there", "alice")}, IssuerUsers + ":there "},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := locals(t, 1, func(p *plan) { p.flows = func(conf *Config) { conf.Users = c.before } })
				d.want(d.try("alice", "alice", office), 200, "")
				d.plan.flows = func(conf *Config) { conf.Users = c.after }
				d.replica(t)
				d.open(byUsers())
				d.want(d.send(1, d.request("alice", "alice", office)), 200, "")
				if got := d.who.Issuer + " " + d.who.Email; got != c.want {
					t.Errorf("%q is let in, want %q", got, c.want)
				}
			})
		})
	}
}
