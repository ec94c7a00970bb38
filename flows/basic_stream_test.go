package flows

import (
	"fmt"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/demo/idp"
)

func TestP180AStreamOutlivesItsProofAndEndsWhenTheProviderSaysNo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoors(t, 1)
		r := d.request("alice", "alice", office)
		who, ok, err := d.basic[0].Authenticate(httptest.NewRecorder(), r)
		if !ok || err != nil {
			t.Fatal(err)
		}
		for range 16 {
			time.Sleep(time.Minute)
			if alive, err := d.basic[0].Alive(r, who); !alive || err != nil {
				t.Fatal(alive, err)
			}
		}
		if n := d.passwordGrants(); n != 2 {
			t.Errorf("%d grants for a stream of sixteen minutes", n)
		}
		if alive, _ := d.basic[0].Alive(d.request("bob", "bob", office), who); alive {
			t.Error("alive for somebody else")
		}
		d.sin(idp.Sin{Status: 503, Body: "{}"})
		time.Sleep(proofLife)
		if alive, err := d.basic[0].Alive(r, who); alive || err == nil {
			t.Errorf("a provider that is down is no answer: %v", alive)
		}
		d.idp.Heal()
		d.sin(idp.OAuthError("invalid_grant"))
		if alive, err := d.basic[0].Alive(r, who); alive || err != nil {
			t.Error(alive, err)
		}
	})
}

func TestP180NobodyKeepsAStreamByKeepingThePasswordFromBeingTried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoors(t, 2, func(p *plan) { p.frail = true })
		r := d.request("alice", "alice", office)
		who, _, err := d.basic[0].Authenticate(httptest.NewRecorder(), r)
		if err != nil {
			t.Fatal(err)
		}
		stop := make(chan struct{})
		go func() { // from wherever they like, they fail at alice as fast as they may
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				case <-time.After(5 * time.Second):
					d.send(1, d.request("alice", fmt.Sprint("guess ", n), street+fmt.Sprint(n%250)))
				}
			}
		}()
		time.Sleep(proofLife)
		if alive, err := d.basic[0].Alive(r, who); !alive || err != nil {
			t.Errorf("a stream with the right password: %v %v", alive, err)
		}
		d.sin(idp.Sin{Status: 503, Body: "{}"})
		time.Sleep(proofLife)
		began := time.Now()
		for {
			alive, err := d.basic[0].Alive(r, who)
			if !alive && err == nil {
				break
			}
			if time.Since(began) > streamGrace {
				t.Fatal("a stream goes on for ever while nobody can be asked")
			}
			time.Sleep(time.Second)
		}
		if lasted := time.Since(began); lasted < streamGrace-time.Minute {
			t.Errorf("it was cut after %s of an outage", lasted)
		}
		d.shared.down.Store(true)
		if _, err := d.basic[0].Alive(d.request("bob", "bob", office), who); err == nil {
			t.Error("a store that is down is an answer")
		}
		d.shared.down.Store(false)
		close(stop)
	})
}
