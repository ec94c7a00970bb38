package personal

import (
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestANewLoginRenewsWhatTokensSay(t *testing.T) {
	bubble(t, func(t *testing.T) {
		shared := newMemory(t)
		same := func(p *plan) { p.store = shared }
		w, two := newWorld(t, same), newWorld(t, same)
		b := w.signedIn("alice", git)
		one, other := w.mint(b, git, named("one", "scopes", "orders.read")), w.mint(b, git, named("two"))
		bob := w.mint(w.signedIn("bob", git), git, named("bob's"))
		if g := two.who(one.Token, git).Groups; !reflect.DeepEqual(g, []string{"staff"}) {
			t.Fatalf("%v", g)
		}
		time.Sleep(time.Minute)
		next := w.change("alice", func(who *identityOf) {
			who.Groups, who.Email, who.Scopes = []string{"alumni"}, "a@example.org", []string{"openid"}
		})
		w.Renew(t.Context(), next)
		synctest.Wait()
		for _, tok := range []string{one.Token, other.Token} {
			who := two.who(tok, git)
			if !reflect.DeepEqual(who.Groups, []string{"alumni"}) || who.Email != "a@example.org" || len(who.Scopes) != 0 {
				t.Errorf("%+v", who)
			}
			if who.ACR != "2" {
				t.Error("a later login changed how the token was proved")
			}
		}
		if g := two.who(bob.Token, git).Groups; !reflect.DeepEqual(g, []string{"staff"}) {
			t.Errorf("somebody else's token changed: %v", g)
		}
		// A login of another kind may be given less, and says nothing here.
		tv := w.change("alice", func(who *identityOf) { who.Login, who.Groups = "tv", nil })
		w.Renew(t.Context(), tv)
		// What is older than what is known says nothing either.
		late := w.change("alice", func(who *identityOf) { who.Login, who.Groups = "staff", []string{"board"} })
		if err := w.renew(t.Context(), late, time.Now().Add(-time.Second)); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if g := two.who(one.Token, git).Groups; !reflect.DeepEqual(g, []string{"alumni"}) {
			t.Errorf("%v", g)
		}
	})
}

func TestAnOldSessionDoesNotBringOldRightsBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		old := w.signedIn("alice", git)
		first := w.mint(old, git, named("first"))
		time.Sleep(time.Hour)
		w.Renew(t.Context(), w.change("alice", func(who *identityOf) { who.Groups = []string{"alumni"} }))
		synctest.Wait()
		second := w.mint(old, git, named("second", "expires_in", "7776000"))
		for _, tok := range []string{first.Token, second.Token} {
			if g := w.who(tok, git).Groups; !reflect.DeepEqual(g, []string{"alumni"}) {
				t.Errorf("%v", g)
			}
		}
		w.mint(old, git, named("third", "expires_in", "60"))
		time.Sleep(60 * 24 * time.Hour)
		if w.who(first.Token, git) != nil || w.who(second.Token, git) == nil {
			t.Error("what tokens share ends before the last of them")
		}
	})
}

func TestWhatHasBecomeTooLargeEndsTheTokens(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		b := w.signedIn("alice", git)
		made := w.mint(b, git, named("ci"))
		w.expect(made.Token, git, 200, "alice")
		large := w.change("alice", func(who *identityOf) { who.Claims = claimsOf(maxClaims + 1) })
		w.Renew(t.Context(), large)
		synctest.Wait()
		w.expect(made.Token, git, 401, "nobody")
		if p := w.signedIn("alice", git).Fetch(t, "", "POST", git+"/oauth2/tokens", named("x")); p.Status != 502 || !strings.Contains(p.Body, "provider_misconfigured") {
			t.Errorf("%d %s", p.Status, p.Body)
		}
		if !strings.Contains(w.log.String(), "not renewed") {
			t.Error("nobody is told")
		}
	})
}

func TestTokensOutliveTheKeysTheyWereMadeUnder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		shared := newMemory(t)
		with := func(keys ...[]byte) func(*plan) { return func(p *plan) { p.store, p.keys = shared, keys } }
		old := newWorld(t, with(key(1)))
		made := old.mint(old.signedIn("alice", git), git, named("ci"))
		rotated := newWorld(t, with(key(2), key(1)))
		rotated.expect(made.Token, git, 200, "alice")
		synctest.Wait()
		b := rotated.signedIn("alice", git)
		list := rotated.list(b, git)
		if len(list) != 1 || list[0].ID != made.ID {
			t.Fatalf("its owner does not see it: %+v", list)
		}
		if p := b.Fetch(t, "", "POST", git+"/oauth2/tokens", url.Values{"revoke": {made.ID}}); p.Status != http.StatusNoContent {
			t.Errorf("%d", p.Status)
		}
		rotated.expect(made.Token, git, 401, "nobody")
		made = old.mint(old.signedIn("alice", git), git, named("ci"))
		for range 2 { // used once, and so moved to the new key with all that belongs to it
			rotated.expect(made.Token, git, 200, "alice")
			synctest.Wait()
		}
		newWorld(t, with(key(2))).expect(made.Token, git, 200, "alice")
		gone := newWorld(t, with(key(3)))
		gone.expect(made.Token, git, 401, "nobody")
		if p := newWorld(t, with(key(2))); len(p.list(p.signedIn("alice", git), git)) != 1 {
			t.Error("a list is lost with a key that was not needed any more")
		}
	})
}

func TestAReplicaWithOtherKeysDestroysNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		shared := newMemory(t)
		with := func(n byte) func(*plan) {
			return func(p *plan) { p.store, p.keys = shared, [][]byte{key(n)} }
		}
		w := newWorld(t, with(1))
		w.mint(w.signedIn("alice", git), git, named("ci"))
		for n := range byte(namesSlots - 2) { // several, as after some rotations
			wrong := newWorld(t, with(10+n))
			wrong.mint(wrong.signedIn("alice", git), git, named("ci"))
		}
		again := newWorld(t, with(1))
		if list := again.list(again.signedIn("alice", git), git); len(list) != 1 {
			t.Errorf("%+v", list)
		}
		for n := range byte(2 * namesSlots) { // more than there is room for: each still works
			other := newWorld(t, with(20+n))
			b := other.signedIn("alice", git)
			other.mint(b, git, named("ci"))
			if list := other.list(b, git); len(list) != 1 {
				t.Errorf("%+v", list)
			}
		}
	})
}

func TestAnAddressIsAsVerifiedAsTheLastLoginSaid(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		unproved := w.change("alice", func(who *identityOf) { who.EmailVerified = false })
		made := w.mint(w.signedIn("alice", git), git, named("ci"))
		proved := w.change("alice", func(who *identityOf) { who.EmailVerified = true })
		for i, login := range []*identityOf{unproved, proved, unproved} {
			time.Sleep(time.Minute)
			w.Renew(t.Context(), login)
			synctest.Wait()
			if who := w.who(made.Token, git); who == nil || who.EmailVerified != login.EmailVerified {
				t.Errorf("login %d: %+v", i, who)
			}
		}
	})
}
