package sessions

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/identity"
)

// R2: what cannot be confirmed lets nobody pass, and ends no session.
func TestASessionThatWaitsLetsNobodyPassAndIsNotEnded(t *testing.T) {
	bothHomes(t, func(t *testing.T, home func(*plan)) {
		why, asked := errors.New("groups are not known"), 0
		g := newGate(t, home, func(p *plan) {
			p.waits = func(*identity.Identity) error { asked++; return why }
		})
		b := g.signedIn(t, app)
		if w := g.ask(t, app+"/", header(b, app)); w.Code != 200 || asked != 0 {
			t.Fatalf("%d; asked %d times while the access token lasts", w.Code, asked)
		}
		time.Sleep(g.provider.life + time.Second)
		g.provider.failWith(errors.New("503"))
		w := g.ask(t, app+"/", header(b, app))
		if w.Code != 500 || !strings.Contains(w.Body.String(), why.Error()) || strings.Contains(w.Header().Get("Set-Cookie"), "Max-Age=0") {
			t.Fatalf("%d %s %v", w.Code, w.Body, w.Header())
		}
		time.Sleep(longestPause)
		g.provider.failWith(nil)
		if w := g.ask(t, app+"/", header(b, app)); w.Code != 200 {
			t.Errorf("the provider is back: %d %s", w.Code, w.Body)
		}
	})
}

func TestATicketAndADerivedSessionWaitToo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		why := errors.New("groups are not known")
		g := newGate(t, func(p *plan) { p.waits = func(*identity.Identity) error { return why } })
		b := g.signedIn(t, app)
		ticket, _ := g.carry(t, app+"/", bearer(b.Jar.Get(app, cookie)))
		d := g.derive(t)
		seed := Seed{1}
		must(d.Adopt(t.Context(), at(t, app), seed, g.provider.identity("alice"), never))(t)
		time.Sleep(g.provider.life + time.Second)
		g.provider.failWith(errors.New("503"))
		if _, _, err := g.Tickets().Authenticate(nil, ticket); !errors.Is(err, why) {
			t.Errorf("a ticket: %v", err)
		}
		if _, err := d.Authenticate(at(t, app), seed, never); !errors.Is(err, why) {
			t.Errorf("a derived session: %v", err)
		}
		if _, err := d.Authenticate(at(t, app), seed, func(*Session) bool { return true }); err != nil {
			t.Errorf("one that is about to be replaced: %v", err)
		}
	})
}
