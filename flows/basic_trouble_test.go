package flows

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/secret"
)

func TestR23AStoreThatIsDownIsNoWrongPassword(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoors(t, 1)
		d.want(d.try("alice", "alice", office), 200, "")
		d.shared.down.Store(true)
		d.want(d.try("alice", "alice", office), 200, "") // cached
		d.want(d.try("bob", "bob", office), 503, codeStore)
		if n := d.passwordGrants(); n != 1 {
			t.Error("a password was forwarded uncounted")
		}
	})
}

func TestR23AStoreThatIsDownCausesNoGrantsWhoseTokensNobodyKeeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoors(t, 1)
		d.want(d.try("alice", "alice", office), 200, "")
		time.Sleep(proofLife)
		d.shared.down.Store(true)
		for range 20 {
			d.want(d.try("alice", "alice", office), 503, codeStore)
		}
		if n := d.passwordGrants(); n != 1 {
			t.Errorf("%d grants", n)
		}
	})
}

func TestREF8TokensOfAProofThatNamesNobodyAreGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoors(t, 1)
		d.idp.Misbehave(idp.Claim("iss", "https://other.test"))
		d.want(d.try("alice", "alice", office), 502, codeProviderBad)
		synctest.Wait()
		if n := d.idp.Count(idp.Revoke); n != 1 {
			t.Errorf("they were given back %d times", n)
		}
		d.want(d.try("alice", "alice", office), 200, "")
	})
}

func TestAProofGoesOnWhenTheOneWhoBeganItIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoors(t, 1)
		d.sin(idp.Slow(2 * time.Second))
		first := d.request("alice", "alice", office)
		ctx, cancel := context.WithCancel(first.Context())
		defer cancel()
		go d.send(0, first.WithContext(ctx))
		time.Sleep(time.Second)
		done := make(chan int)
		go func() { done <- d.try("alice", "alice", office).Code }()
		synctest.Wait()
		cancel()
		if status := <-done; status != http.StatusOK {
			t.Errorf("who came second gets %d", status)
		}
		if n := d.passwordGrants(); n != 1 {
			t.Errorf("%d grants", n)
		}
	})
}

func TestP173AnotherClientIsAnotherProof(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, passwords)
		name := func(client string) digestOf {
			l := *w.flows.byName["legacy"]
			l.client = must(provider.New(provider.Config{Name: "corp", Issuer: corp, ClientID: client, ClientSecret: secret.New("s"), Discovery: true}, provider.Deps{Dial: w.net.Dial}))(t)
			h := newHasher(w.ring, "basic", mustOrigin(t, app), &l)
			s := h.begin()
			s.add([]byte("alice"), []byte("alice"))
			return h.end(s)
		}
		one := name("one")
		if one == name("two") {
			t.Error("what one client has proved counts for another")
		}
		if one != name("one") {
			t.Error("the same client proves it again and again")
		}
	})
}

func TestREF8AStoreThatFailsInTheMiddleLeavesNoTokensBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoors(t, 1, func(p *plan) { p.frail = true })
		d.sin(idp.Slow(2 * time.Second))
		time.AfterFunc(time.Second, func() { d.shared.down.Store(true) })
		d.want(d.try("alice", "alice", office), 503, codeStore)
		time.Sleep(time.Minute)
		if p, r := d.passwordGrants(), d.idp.Count(idp.Revoke); p != 1 || r != 1 {
			t.Errorf("%d grants, of which %d were given back", p, r)
		}
		d.idp.Heal()
		d.shared.down.Store(false)
		d.want(d.try("alice", "alice", office), 200, "")
	})
}
