package sessions

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/internal/identity"
)

func TestR2ARefusedRefreshEndsTheSessionAtOnce(t *testing.T) {
	bothHomes(t, func(t *testing.T, home func(*plan)) {
		g := newGate(t, home)
		b := g.signedIn(t, app)
		copied := header(b, app)
		time.Sleep(g.provider.life + time.Second)
		g.provider.failWith(fmt.Errorf("corp: %w: invalid_grant", ErrRefused))
		for _, w := range together(t, 20, copied, g) {
			if w.Code != 401 || len(w.Header().Values("Set-Cookie")) != 1 || !strings.Contains(w.Header().Get("Set-Cookie"), "Max-Age=0") {
				t.Fatalf("%d %v", w.Code, w.Header())
			}
		}
		if n := g.provider.calls.Load(); n != 1 {
			t.Errorf("%d refreshes", n)
		}
		g.provider.failWith(nil)
		if w := g.ask(t, app+"/", copied); w.Code != 401 {
			t.Errorf("afterwards: %d", w.Code)
		}
		if g.sessions != nil {
			if n := must(g.sessions.Store.Delete(t.Context(), storeKey(g.sites[mustOrigin(t, app)].digest([]string{b.Jar.Get(app, cookie)}))))(t); n != 0 {
				t.Error("the record is still there")
			}
		}
	})
}

func TestR2ARefusedSessionThatTheStoreCannotEndIsNobodyAllTheSame(t *testing.T) {
	bothHomes(t, func(t *testing.T, home func(*plan)) {
		g := newGate(t, home)
		b := g.signedIn(t, app)
		copied := header(b, app)
		time.Sleep(g.provider.life + time.Second)
		g.provider.failWith(ErrRefused)
		s := g.shared
		s.noPut.Store(true)
		if g.sessions != nil {
			s = g.sessions
			s.readOnly.Store(true)
		}
		for range 20 {
			if w := g.ask(t, app+"/", copied); w.Code != 401 {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
		}
		if n := g.provider.calls.Load(); n != 1 {
			t.Errorf("%d refreshes", n)
		}
		s.noPut.Store(false)
		s.readOnly.Store(false)
		time.Sleep(longestPause)
		g.ask(t, app+"/", copied)
		g.provider.failWith(nil)
		if w := g.ask(t, app+"/", copied); w.Code != 401 {
			t.Errorf("it was not ended later: %d", w.Code)
		}
	})
}

// The lock was lost, and another replica was quicker: the refusal of a token that is not
// the newest says nothing.
func TestARefusalOfAnOutdatedTokenEndsNothing(t *testing.T) {
	bothHomes(t, func(t *testing.T, home func(*plan)) {
		p := newTokenService()
		p.delay = 5 * time.Second
		g := newGate(t, home, func(pl *plan) { pl.provider = p })
		b := g.signedIn(t, app)
		time.Sleep(p.life + time.Second)
		presented, _ := g.presented(request(t, header(b, app)))
		p.failWith(ErrRefused)
		var wg sync.WaitGroup
		wg.Go(func() { expect(t, b.Open(t, app+"/"), 200, "at-2") })
		synctest.Wait()
		newer := p.identity("alice")
		if _, _, err := g.home.amend(t.Context(), presented, func(rec *record) { rec.who, rec.refreshes = newer, rec.refreshes+1 }); err != nil {
			t.Error(err)
		}
		wg.Wait()
		expect(t, b.Open(t, app+"/"), 200, "at-2")
	})
}

func TestP083ARefreshThatChangesTheUserEndsTheSession(t *testing.T) {
	for name, change := range map[string]func(*identity.Identity){
		"another subject": func(who *identity.Identity) { who.Subject = "bob" },
		"another issuer":  func(who *identity.Identity) { who.Issuer = "https://evil.test" },
	} {
		t.Run(name, func(t *testing.T) {
			bothHomes(t, func(t *testing.T, home func(*plan)) {
				g := newGate(t, home)
				b := g.signedIn(t, app)
				time.Sleep(g.provider.life + time.Second)
				g.provider.change = change
				expect(t, b.Open(t, app+"/"), 401, "nobody")
				g.provider.change = nil
				expect(t, b.Open(t, app+"/"), 401, "nobody")
			})
		})
	}
}

func TestREF3PassingTroubleEndsNothingAndIsNotHammered(t *testing.T) {
	bothHomes(t, func(t *testing.T, home func(*plan)) {
		g := newGate(t, home)
		b := g.signedIn(t, app)
		g.provider.failWith(errors.New("corp: 502"))
		time.Sleep(g.provider.life + time.Second)
		for range 120 { // two minutes, a request a second
			expect(t, b.Open(t, app+"/"), 200, "at-1")
			time.Sleep(time.Second)
		}
		if n := g.provider.calls.Load(); n < 3 || n > 9 {
			t.Errorf("%d refreshes in two minutes of outage", n)
		}
		g.provider.failWith(nil)
		time.Sleep(longestPause)
		expect(t, b.Open(t, app+"/"), 200, "at-2")
	})
}

func TestP082LogoutDuringARefreshStaysLoggedOut(t *testing.T) {
	bothHomes(t, func(t *testing.T, home func(*plan)) {
		p := newTokenService()
		p.delay = 5 * time.Second
		g := newGate(t, home, func(pl *plan) { pl.provider = p })
		b := g.signedIn(t, app)
		copied := header(b, app)
		time.Sleep(p.life + time.Second)
		var late *httptest.ResponseRecorder
		var wg sync.WaitGroup
		wg.Go(func() { late = g.ask(t, app+"/", copied) })
		synctest.Wait()
		expect(t, b.Open(t, app+"/logout"), 200, "alice")
		wg.Wait()
		if p.calls.Load() != 1 || late.Code != 401 {
			t.Errorf("the request that waited for the refresh gets %d", late.Code)
		}
		for _, cookies := range []string{copied, strings.SplitN(late.Header().Get("Set-Cookie"), ";", 2)[0]} {
			if w := g.ask(t, app+"/", cookies); w.Code != 401 {
				t.Errorf("the session is back: %d %s", w.Code, w.Body)
			}
		}
	})
}

func TestAPanicInARefreshIsPassingTrouble(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGate(t)
		b := g.signedIn(t, app)
		g.provider.change = func(*identity.Identity) { panic("a provider's answer broke a parser") }
		time.Sleep(g.provider.life + time.Second)
		expect(t, b.Open(t, app+"/"), 200, "at-1")
	})
}

// A rotated refresh token that is lost ends the session at the next refresh.
func TestRefreshedTokensOutliveAStoreThatCannotBeWritten(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGate(t)
		b := g.signedIn(t, app)
		time.Sleep(g.provider.life + time.Second)
		g.sessions.readOnly.Store(true)
		for range 30 {
			expect(t, b.Open(t, app+"/"), 200, "at-2")
			time.Sleep(time.Second)
		}
		g.sessions.readOnly.Store(false)
		time.Sleep(31 * time.Second)
		restarted := newGate(t, func(p *plan) { p.sessions, p.shared, p.provider = g.sessions.Store, g.shared.Store, g.provider })
		if w := restarted.ask(t, app+"/", header(b, app)); !strings.HasSuffix(w.Body.String(), "at-2") {
			t.Errorf("another replica finds %d %s", w.Code, w.Body)
		}
		if g.provider.calls.Load() != 1 {
			t.Errorf("%d refreshes", g.provider.calls.Load())
		}
	})
}

func TestRefreshedTokensOutliveAnOutageInCookieModeToo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGate(t, inCookies)
		b := g.signedIn(t, app)
		copied := header(b, app)
		expect(t, b.Open(t, app+"/"), 200, "at-1") // cached, so that the outage is bearable
		time.Sleep(g.provider.life + time.Second)
		g.provider.change = func(*identity.Identity) { g.shared.down.Store(true) } // under the lock
		for range 30 {
			if w := g.ask(t, app+"/", copied); !strings.HasSuffix(w.Body.String(), "at-2") {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			time.Sleep(time.Second)
		}
		g.shared.down.Store(false)
		g.provider.change = nil
		time.Sleep(31 * time.Second)
		expect(t, b.Open(t, app+"/"), 200, "at-2")
		if g.provider.calls.Load() != 1 {
			t.Errorf("%d refreshes", g.provider.calls.Load())
		}
	})
}

func TestCloseStoresWhatWasRefreshed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGate(t)
		b := g.signedIn(t, app)
		time.Sleep(g.provider.life + time.Second)
		g.sessions.readOnly.Store(true)
		expect(t, b.Open(t, app+"/"), 200, "at-2")
		g.sessions.readOnly.Store(false)
		g.Close()
		restarted := newGate(t, func(p *plan) { p.sessions, p.shared, p.provider = g.sessions.Store, g.shared.Store, g.provider })
		if w := restarted.ask(t, app+"/", header(b, app)); !strings.HasSuffix(w.Body.String(), "at-2") {
			t.Errorf("another replica finds %d %s", w.Code, w.Body)
		}
	})
}
