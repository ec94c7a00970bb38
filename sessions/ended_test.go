package sessions

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/internal/identity"
)

// partings are the refresh tokens that a Keeper said nobody holds any more.
type partings struct {
	mu     sync.Mutex
	tokens []string
}

func (p *partings) note(_ context.Context, who *identity.Identity) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tokens = append(p.tokens, who.Tokens.RefreshToken.Reveal())
}

func (p *partings) expect(t *testing.T, want ...string) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if !slices.Equal(p.tokens, want) {
		t.Errorf("REF-8: told of %q, want %q", p.tokens, want)
	}
	p.tokens = nil
}

func (p *partings) plan(pl *plan) { pl.ended = p.note }

func TestREF8WhoseTokensAreLeftBehind(t *testing.T) {
	bothHomes(t, func(t *testing.T, home func(*plan)) {
		var left partings
		g := newGate(t, home, left.plan)
		b := g.signedIn(t, app) // rt-1
		expect(t, b.Open(t, app+"/logout"), 200, "alice")
		left.expect(t, "rt-1")
		expect(t, b.Open(t, app+"/logout"), 401, "nobody")
		left.expect(t)

		b = g.signedIn(t, app) // rt-2
		expect(t, b.Open(t, app+"/login?who=bob"), 200, "bob")
		left.expect(t, "rt-2")

		g.provider.sid = "one"
		b = g.signedIn(t, app) // rt-4
		expect(t, b.Open(t, app+"/login?who=alice"), 200, "alice")
		left.expect(t) // the same session at the provider goes on
		expect(t, b.Open(t, app+"/login?who=bob"), 200, "bob")
		left.expect(t, "rt-5")
		g.provider.sid = "two"
		expect(t, b.Open(t, app+"/login?who=bob"), 200, "bob")
		left.expect(t, "rt-6")
	})
}

func TestREF8P131TokensThatComeAfterTheEndAreLeftBehind(t *testing.T) {
	bothHomes(t, func(t *testing.T, home func(*plan)) {
		var left partings
		p := newTokenService()
		p.delay = 5 * time.Second
		g := newGate(t, home, left.plan, func(pl *plan) { pl.provider = p })
		b := g.signedIn(t, app)
		cookies := header(b, app)
		time.Sleep(p.life + time.Second)
		go g.ask(t, app+"/", cookies)
		time.Sleep(time.Second)
		expect(t, b.Open(t, app+"/logout"), 200, "alice")
		left.expect(t, "rt-1")
		time.Sleep(p.delay)
		synctest.Wait()
		left.expect(t, "rt-2")
	})
}

// The tokens could not be stored at first, and when they could the session was over.
func TestREF8P131TokensThatCouldNotBeStoredInTimeAreLeftBehind(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var left partings
		p := newTokenService()
		p.delay = 5 * time.Second
		g := newGate(t, left.plan, func(pl *plan) { pl.provider = p })
		b := g.signedIn(t, app)
		cookies := header(b, app)
		time.Sleep(p.life + time.Second)
		go g.ask(t, app+"/", cookies)
		time.Sleep(time.Second)
		g.sessions.readOnly.Store(true)
		time.Sleep(p.delay) // the answer has come
		r := must(http.NewRequestWithContext(t.Context(), http.MethodGet, app+"/", http.NoBody))(t)
		r.Header.Set("Cookie", cookies)
		presented, _ := g.presented(r)
		if n, err := g.sessions.Delete(t.Context(), storeKey(presented.key)); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		g.sessions.readOnly.Store(false)
		time.Sleep(time.Minute)
		synctest.Wait()
		left.expect(t, "rt-2")
	})
}

// What an identity must be is asked once for each session that is read, and one that fails is nobody.
func TestP083AnIdentityThatIsNoneAnyMoreIsNobody(t *testing.T) {
	bothHomes(t, func(t *testing.T, home func(*plan)) {
		var left partings
		before := newGate(t, home)
		b := before.signedIn(t, app)
		cookies := header(b, app)
		asked := 0
		after := newGate(t, home, left.plan, func(pl *plan) {
			pl.shared = before.shared.Store
			if before.sessions != nil {
				pl.sessions = before.sessions.Store
			}
			pl.valid = func(who *identity.Identity) bool { asked++; return who.Subject != "alice" }
		})
		for _, path := range []string{"/", "/session", "/refresh"} {
			w := after.ask(t, app+path, cookies)
			if w.Code != 401 {
				t.Errorf("%s: %d %s", path, w.Code, w.Body)
			}
			if set := w.Header().Get("Set-Cookie"); path != "/session" && set == "" {
				t.Errorf("%s: the cookie stays", path)
			}
		}
		if w := after.ask(t, app+"/logout", cookies); w.Code != 401 {
			t.Errorf("sign-out shows whose it was: %d %s", w.Code, w.Body)
		}
		left.expect(t)
		if w := before.ask(t, app+"/", cookies); w.Code != 401 {
			t.Errorf("P131: signed out, and alive where it is valid: %d", w.Code)
		}

		bob := after.net.Browser()
		expect(t, bob.Open(t, app+"/login?who=bob"), 200, "bob")
		cookies = header(bob, app)
		asked = 0
		for range 10 {
			if w := after.ask(t, app+"/", cookies); w.Code != 200 {
				t.Errorf("bob: %d %s", w.Code, w.Body)
			}
		}
		if asked > 1 {
			t.Errorf("asked %d times for ten requests", asked)
		}
	})
}
