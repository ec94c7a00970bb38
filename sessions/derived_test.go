package sessions

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/sessions/store"
)

const proofLife = 15 * time.Minute

func (g *gate) derive(t testing.TB) *Derived {
	t.Helper()
	return must(g.Derived(proofLife))(t)
}

func at(t testing.TB, address string) *http.Request {
	t.Helper()
	return httptest.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody)
}

// whose returns the subject that a seed stands for, "" for nobody.
func whose(t testing.TB, d *Derived, r *http.Request, seed Seed) string {
	t.Helper()
	s, err := d.Authenticate(r, seed, never)
	if err != nil {
		t.Fatal(err)
	}
	if s == nil {
		return ""
	}
	return s.Who.Subject
}

func never(*Session) bool { return false }

// returned is the tokens that no session holds any more.
type returned struct {
	mu  sync.Mutex
	all []string
}

func (l *returned) hear(p *plan) {
	p.ended = func(_ context.Context, who *identity.Identity) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.all = append(l.all, token(who))
	}
}

func (l *returned) tokens() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.all)
}

func TestADerivedSessionLastsItsTimeHoweverItIsUsed(t *testing.T) {
	bothHomes(t, func(t *testing.T, home func(*plan)) {
		g := newGate(t, home)
		d, r, seed := g.derive(t), at(t, app), Seed{1}
		if who := whose(t, d, r, seed); who != "" {
			t.Error("there is one already:", who)
		}
		adopted := must(d.Adopt(t.Context(), r, seed, g.provider.identity("alice"), never))(t)
		if adopted.Who.Subject != "alice" {
			t.Error(adopted.Who.Subject)
		}
		for range 14 {
			time.Sleep(time.Minute)
			if who := whose(t, d, r, seed); who != "alice" {
				t.Fatalf("%q", who)
			}
		}
		if n := g.provider.calls.Load(); n != 3 {
			t.Errorf("%d refreshes of tokens that live five minutes, in fourteen", n)
		}
		for _, other := range []string{wiki, local, "https://elsewhere.test"} {
			if who := whose(t, d, at(t, other), seed); who != "" {
				t.Errorf("on %s it is %q", other, who)
			}
		}
		if who := whose(t, d, r, Seed{2}); who != "" {
			t.Error("another seed is", who)
		}
		time.Sleep(time.Minute)
		if who := whose(t, d, r, seed); who != "" {
			t.Error("it lasts longer than its proof may")
		}
	})
}

func TestADerivedSessionIsNoCookieAndNoTicket(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGate(t)
		d, r, seed := g.derive(t), at(t, app), Seed{1}
		must(d.Adopt(t.Context(), r, seed, g.provider.identity("alice"), never))(t)
		text := ticket(seed).value()
		if w := g.ask(t, app+"/", cookie+"="+text); w.Code != 401 {
			t.Errorf("the seed as a cookie: %d", w.Code)
		}
		if who := g.knows(t, app+"/", bearer(text)); who != "" {
			t.Errorf("the seed as a ticket: %s", who)
		}
	})
}

func TestADerivedSessionEndsWhenTheProviderRefuses(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGate(t)
		d, r, seed := g.derive(t), at(t, app), Seed{1}
		must(d.Adopt(t.Context(), r, seed, g.provider.identity("alice"), never))(t)
		g.provider.failWith(ErrRefused)
		time.Sleep(6 * time.Minute)
		if who := whose(t, d, r, seed); who != "" {
			t.Error("it outlives invalid_grant")
		}
		g.provider.failWith(nil)
		must(d.Adopt(t.Context(), r, seed, g.provider.identity("alice"), never))(t)
		if who := whose(t, d, r, seed); who != "alice" {
			t.Error("proved again, it is", who)
		}
	})
}

func TestTwoReplicasThatAdoptAtOnceShareOneSession(t *testing.T) {
	bothHomes(t, func(t *testing.T, home func(*plan)) {
		var lost returned
		g := newGate(t, home, lost.hear)
		other := newGate(t, home, lost.hear, func(p *plan) {
			p.shared, p.sessions = g.shared.Store, nil
			if g.sessions != nil {
				p.sessions = g.sessions.Store
			}
		})
		one, two, r, seed := g.derive(t), other.derive(t), at(t, app), Seed{1}
		first := must(one.Adopt(t.Context(), r, seed, g.provider.identity("alice"), never))(t)
		second := must(two.Adopt(t.Context(), r, seed, g.provider.identity("alice"), never))(t)
		if !first.Who.Tokens.AccessToken.Equal(second.Who.Tokens.AccessToken) {
			t.Error("they have different tokens")
		}
		if all := lost.tokens(); len(all) != 1 || all[0] == token(first.Who) {
			t.Errorf("tokens that nobody holds: %q", all)
		}
		if who := whose(t, two, r, seed); who != "alice" {
			t.Error(who)
		}
	})
}

func TestAStaleSessionIsReplacedOnceAndItsTokensAreGivenBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var lost returned
		g := newGate(t, lost.hear)
		d, r, seed := g.derive(t), at(t, app), Seed{1}
		old := func(s *Session) bool { return time.Since(s.Created) >= time.Minute }
		first := must(d.Adopt(t.Context(), r, seed, g.provider.identity("alice"), old))(t)
		time.Sleep(time.Minute)
		second := must(d.Adopt(t.Context(), r, seed, g.provider.identity("alice"), old))(t)
		third := must(d.Adopt(t.Context(), r, seed, g.provider.identity("alice"), old))(t) // by somebody who came too late
		if token(second.Who) == token(first.Who) || token(third.Who) != token(second.Who) {
			t.Errorf("%s, then %s, then %s", token(first.Who), token(second.Who), token(third.Who))
		}
		if all := lost.tokens(); len(all) != 2 || all[0] != token(first.Who) || all[1] == token(second.Who) {
			t.Errorf("given back: %q", all)
		}
		err := d.End(t.Context(), r, seed)
		if all := lost.tokens(); err != nil || len(all) != 3 || all[2] != token(second.Who) {
			t.Errorf("given back: %q %v", all, err)
		}
		if who := whose(t, d, r, seed); who != "" {
			t.Error("ended, it is", who)
		}
	})
}

func TestARefreshThatComesTooLateDoesNotTouchTheNextSession(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var lost returned
		g := newGate(t, lost.hear, func(p *plan) {
			p.provider = newTokenService()
			p.provider.delay = 10 * time.Second
		})
		d, r, seed := g.derive(t), at(t, app), Seed{1}
		must(d.Adopt(t.Context(), r, seed, g.provider.identity("alice"), never))(t)
		time.Sleep(4*time.Minute + 30*time.Second)
		whose(t, d, r, seed) // begins a refresh
		time.Sleep(time.Second)
		second := must(d.Adopt(t.Context(), r, seed, g.provider.identity("alice"), func(*Session) bool { return true }))(t)
		time.Sleep(time.Minute)
		now := must(d.Authenticate(r, seed, never))(t)
		if token(now.Who) != token(second.Who) || !now.Refreshed.IsZero() {
			t.Errorf("the session has %s, refreshed %s; it began with %s", token(now.Who), now.Refreshed, token(second.Who))
		}
		if n := g.provider.calls.Load(); n != 1 || len(lost.tokens()) != 2 { // of the first session, and what its refresh brought
			t.Errorf("%d refreshes, given back: %q", n, lost.tokens())
		}
	})
}

func TestARefusalThatComesTooLateDoesNotEndTheNextSession(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGate(t, func(p *plan) {
			p.provider = newTokenService()
			p.provider.delay = 10 * time.Second
		})
		d, r, seed := g.derive(t), at(t, app), Seed{1}
		must(d.Adopt(t.Context(), r, seed, g.provider.identity("alice"), never))(t)
		time.Sleep(4*time.Minute + 30*time.Second)
		whose(t, d, r, seed) // begins a refresh
		g.provider.failWith(ErrRefused)
		time.Sleep(time.Second)
		must(d.Adopt(t.Context(), r, seed, g.provider.identity("alice"), func(*Session) bool { return true }))(t)
		time.Sleep(time.Minute)
		if who := whose(t, d, r, seed); who != "alice" {
			t.Error("it ended with the one before")
		}
	})
}

func TestWhatCannotBeReadUnderASeedIsReplaced(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGate(t)
		d, r, seed := g.derive(t), at(t, app), Seed{1}
		p, _ := d.presented(r, seed)
		if err := g.sessions.Put(t.Context(), storeKey(p.key), []byte("garbage"), time.Hour); err != nil {
			t.Fatal(err)
		}
		must(d.Adopt(t.Context(), r, seed, g.provider.identity("alice"), never))(t)
		if who := whose(t, d, r, seed); who != "alice" {
			t.Error(who)
		}
	})
}

func TestAStolenStoreHoldsNothingOfASeedThatCanBeRead(t *testing.T) {
	bubble(t, func(t *testing.T) {
		kept := store.NewMemory(store.MemoryConfig{}, store.Deps{})
		defer func() { _ = kept.Close() }()
		g := newGate(t, func(p *plan) { p.sessions = kept })
		d, r, seed := g.derive(t), at(t, app), Seed(bytes.Repeat([]byte("s"), 32))
		s := must(d.Adopt(t.Context(), r, seed, g.provider.identity("alice"), never))(t)
		p, _ := d.presented(r, seed)
		items := must(kept.Get(t.Context(), storeKey(p.key)))(t)
		if items[0].Version == 0 {
			t.Fatal("it is not there")
		}
		for _, secret := range []string{string(seed[:8]), ticket(seed).value(), "alice", s.Who.Tokens.AccessToken.Reveal()} {
			if strings.Contains(string(items[0].Value), secret) {
				t.Errorf("the record shows %q", secret)
			}
		}
	})
}

func TestAStoreThatIsDownIsNoAnswerToASeed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGate(t)
		d, r := g.derive(t), at(t, app)
		g.sessions.down.Store(true)
		if s, err := d.Authenticate(r, Seed{1}, never); s != nil || err == nil {
			t.Error(s, err)
		}
		if s, err := d.Load(r, Seed{1}); s != nil || err == nil {
			t.Error(s, err)
		}
		if _, err := d.Adopt(t.Context(), r, Seed{1}, g.provider.identity("alice"), never); err == nil {
			t.Error("adopted into a store that is down")
		}
	})
}

func TestDerivedSessionsEndWithTheirKeeper(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGate(t)
		d := g.derive(t)
		g.Close()
		if !d.k.closed {
			t.Error("the derived keeper goes on")
		}
		if _, err := g.Derived(proofLife); err == nil {
			t.Error("a closed keeper makes another one")
		}
	})
}
