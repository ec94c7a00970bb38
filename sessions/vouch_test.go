package sessions

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/internal/identity"
)

// told is what a Keeper said of sessions whose tokens count no more.
type told struct {
	mu  sync.Mutex
	all []string
}

func (l *told) plan(p *plan) {
	hear := func(kind string) func(context.Context, *identity.Identity) {
		return func(_ context.Context, who *identity.Identity) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.all = append(l.all, kind+" "+who.Session+" "+token(who))
		}
	}
	p.ended = hear("ended")
	p.refreshed = func(ctx context.Context, old, now *identity.Identity) {
		kind := "refreshed"
		if now == nil {
			kind = "over"
		} else if now.Session == "" || now.Key() != old.Key() || token(now) == token(old) {
			kind = "refreshed, but not told to whom:"
		}
		hear(kind)(ctx, old)
	}
}

func (l *told) expect(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.Equal(l.all, want) {
		t.Errorf("told %q, want %q", l.all, want)
	}
	l.all = nil
}

// current is the session of a browser as the Keeper hands it out on the hot path.
func (g *gate) current(t *testing.T, cookies string) *identity.Identity {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, app+"/", http.NoBody)
	r.Header.Set("Cookie", cookies)
	who, ok, err := g.Authenticate(httptest.NewRecorder(), r)
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	return who
}

func TestAnIdentitySaysWhichSessionVouchesForIt(t *testing.T) {
	bothHomes(t, func(t *testing.T, home func(*plan)) {
		g := newGate(t, home)
		w, r := httptest.NewRecorder(), at(t, app)
		given := g.provider.identity("alice")
		begun := must(g.Start(w, r, given))(t)
		ends := begun.Ends.Truncate(time.Millisecond)
		check := func(where string, who *identity.Identity) {
			t.Helper()
			if who.Session != begun.ID || !who.Ends.Equal(ends) || begun.ID == "" {
				t.Errorf("%s: session %q until %s, want %q until %s", where, who.Session, who.Ends, begun.ID, ends)
			}
		}
		check("begun", begun.Who)
		if given.Session != "" || !given.Ends.IsZero() {
			t.Error("the identity of whoever began the session was changed")
		}
		b := g.net.Browser()
		b.Jar.Set(r.URL, w.Header().Values("Set-Cookie"))
		check("found", g.current(t, header(b, app)))
		g.cache.flush()
		check("read", g.current(t, header(b, app)))
		time.Sleep(2 * time.Minute)
		expect(t, b.Open(t, app+"/refresh"), 200, "at-2")
		check("refreshed", g.current(t, header(b, app)))
		g.cache.flush()
		check("refreshed and read", g.current(t, header(b, app)))
		time.Sleep(4*time.Minute + 30*time.Second) // it is refreshed by itself, and activity is counted
		expect(t, b.Open(t, app+"/"), 200, "alice")
		synctest.Wait()
		check("used", g.current(t, header(b, app)))

		r.Header.Set("Cookie", header(b, app))
		again := must(g.Start(httptest.NewRecorder(), r, begun.Who))(t) // a session that follows with an identity of another
		if again.ID == begun.ID || again.Who.Session != again.ID {
			t.Errorf("another session %q says %q", again.ID, again.Who.Session)
		}
		check("another session later", begun.Who)
	})
}

func TestASessionThatLosesItsIDTokenNamesItselfAllTheSame(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGate(t, inCookies)
		who := g.provider.identity("alice")
		who.Tokens.AccessToken, who.Tokens.IDToken = noise(12000), noise(8000)
		s := must(g.Start(httptest.NewRecorder(), at(t, app), who))(t)
		if !s.Who.Tokens.IDToken.IsZero() || s.ID == "" || s.Who.Session != s.ID || !s.Who.Ends.Equal(s.Ends.Truncate(time.Millisecond)) {
			t.Errorf("session %q until %s, want %q until %s", s.Who.Session, s.Who.Ends, s.ID, s.Ends)
		}
	})
}

// The request that waits for a refresh goes on with what it brought, before anybody has read that from a store.
func TestWhoWaitsForARefreshIsToldTheSessionToo(t *testing.T) {
	for name, down := range map[string]bool{"it is stored": false, "the store cannot be written": true} {
		t.Run(name, func(t *testing.T) {
			bothHomes(t, func(t *testing.T, home func(*plan)) {
				g := newGate(t, home)
				w, r := httptest.NewRecorder(), at(t, app)
				begun := must(g.Start(w, r, g.provider.identity("alice")))(t)
				b := g.net.Browser()
				b.Jar.Set(r.URL, w.Header().Values("Set-Cookie"))
				g.provider.change = func(*identity.Identity) {
					if down && g.sessions != nil { // the lock is held by then
						g.sessions.readOnly.Store(true)
					}
				}
				time.Sleep(g.provider.life + time.Second)
				who := g.current(t, header(b, app))
				if token(who) != "at-2" || who.Session != begun.ID || !who.Ends.Equal(begun.Ends.Truncate(time.Millisecond)) {
					t.Errorf("%s: session %q until %s, want %q until %s", token(who), who.Session, who.Ends, begun.ID, begun.Ends)
				}
			})
		})
	}
}

func TestADerivedSessionNamesItself(t *testing.T) {
	bothHomes(t, func(t *testing.T, home func(*plan)) {
		var heard told
		g := newGate(t, home, heard.plan)
		d, r, seed := g.derive(t), at(t, app), Seed{1}
		given := g.provider.identity("alice")
		s := must(d.Adopt(t.Context(), r, seed, given, never))(t)
		read := must(d.Load(r, seed))(t)
		if s.ID == "" || s.Who.Session != s.ID || read.Who.Session != s.ID || !read.Who.Ends.Equal(s.Who.Ends) || !s.Who.Ends.Equal(s.Created.Add(proofLife).Truncate(time.Millisecond)) || given.Session != "" {
			t.Errorf("%q %q %q %s %s", s.ID, s.Who.Session, read.Who.Session, s.Who.Ends, read.Who.Ends)
		}
		if other := must(d.Adopt(t.Context(), r, Seed{2}, given, never))(t); other.Who.Session == s.ID {
			t.Error("two seeds have one session")
		}
		if err := d.End(t.Context(), r, seed); err != nil {
			t.Fatal(err)
		}
		heard.expect(t, "ended "+s.ID+" at-1")

		late := must(d.Adopt(t.Context(), r, Seed{2}, g.provider.identity("alice"), never))(t) // the first stays
		if token(late.Who) != "at-1" {
			t.Error(token(late.Who))
		}
		heard.expect(t, "ended  at-2") // tokens of no session: nothing of the one that stays may go with them
	})
}

func TestEveryEndOfTokensIsTold(t *testing.T) {
	bothHomes(t, func(t *testing.T, home func(*plan)) {
		var heard told
		g := newGate(t, home, heard.plan)
		b := g.net.Browser()
		id := expect(t, b.Open(t, app+"/login?who=alice"), 200, "alice")[1]
		heard.expect(t)
		expect(t, b.Open(t, app+"/refresh"), 200, "at-2")
		heard.expect(t, "refreshed "+id+" at-1")
		expect(t, b.Open(t, app+"/refresh"), 200, "at-2") // too soon: nothing was refreshed
		heard.expect(t)
		expect(t, b.Open(t, app+"/logout"), 200, "alice")
		heard.expect(t, "ended "+id+" at-2")

		id = expect(t, b.Open(t, app+"/login?who=alice"), 200, "alice")[1]
		g.provider.failWith(fmt.Errorf("%w: invalid_grant", ErrRefused))
		expect(t, b.Open(t, app+"/refresh"), 401, "nobody")
		heard.expect(t, "over "+id+" at-3")
		g.provider.failWith(nil)

		g.provider.sid = "one" // ten tabs are ten logins, and one session at the provider
		id = expect(t, b.Open(t, app+"/login?who=alice"), 200, "alice")[1]
		expect(t, b.Open(t, app+"/login?who=alice"), 200, "alice")
		heard.expect(t, "over "+id+" at-4")

		g.provider.failWith(fmt.Errorf("the provider is down"))
		b.Open(t, app+"/refresh")
		heard.expect(t) // passing trouble: everything is as it was
	})
}

// The race detector is the judge: whoever begins sessions may use one identity for many.
func TestAnIdentityThatIsSharedIsNotTouched(t *testing.T) {
	bothHomes(t, func(t *testing.T, home func(*plan)) {
		g := newGate(t, home)
		d, who := g.derive(t), g.provider.identity("alice")
		var mu sync.Mutex
		var ids []string
		var all sync.WaitGroup
		for n := range 20 {
			all.Go(func() {
				var s *Session
				if n%2 == 0 {
					s, _ = g.Start(httptest.NewRecorder(), at(t, app), who)
				} else {
					s, _ = d.Adopt(t.Context(), at(t, app), Seed{byte(n)}, who, never)
				}
				mu.Lock()
				defer mu.Unlock()
				ids = append(ids, s.Who.Session)
			})
		}
		all.Wait()
		slices.Sort(ids)
		if ids = slices.Compact(ids); len(ids) != 20 || ids[0] == "" || who.Session != "" {
			t.Errorf("%d sessions are named, and the identity says %q", len(ids), who.Session)
		}
	})
}

func TestAKeeperKnowsThatItIsClosed(t *testing.T) {
	g := newGate(t)
	if g.Closed() {
		t.Error("it is open")
	}
	g.Close()
	if !g.Closed() {
		t.Error("it is closed")
	}
}
