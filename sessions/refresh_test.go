package sessions

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/secret"
)

// answers of many requests at once, spread over gates, that all carry the same cookies.
func together(t *testing.T, n int, cookies string, gates ...*gate) []*httptest.ResponseRecorder {
	t.Helper()
	answers := make([]*httptest.ResponseRecorder, n)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() { answers[i] = gates[i%len(gates)].ask(t, app+"/", cookies) })
	}
	wg.Wait()
	return answers
}

func tokensOf(t *testing.T, answers []*httptest.ResponseRecorder) (tokens []string) {
	t.Helper()
	for _, w := range answers {
		words := strings.Fields(w.Body.String())
		if w.Code != 200 || len(words) == 0 {
			t.Fatalf("R1: %d %s", w.Code, w.Body)
		}
		tokens = append(tokens, words[len(words)-1])
	}
	slices.Sort(tokens)
	return slices.Compact(tokens)
}

func TestR1P081FiftyRequestsAtExpiryAreOneRefresh(t *testing.T) {
	bothHomes(t, func(t *testing.T, home func(*plan)) {
		p := newTokenService()
		p.delay = 5 * time.Second
		g := newGate(t, home, func(pl *plan) { pl.provider = p })
		b := g.signedIn(t, app)
		time.Sleep(p.life + time.Second)
		cookies := header(b, app)
		if tokens := tokensOf(t, together(t, 50, cookies, g)); !slices.Equal(tokens, []string{"at-2"}) {
			t.Errorf("the requests got %q", tokens)
		}
		if n := p.calls.Load(); n != 1 {
			t.Errorf("%d refreshes", n)
		}
		// A tab that still has the old cookie, or the answer that got lost.
		time.Sleep(time.Minute)
		if tokens := tokensOf(t, together(t, 5, cookies, g)); !slices.Equal(tokens, []string{"at-2"}) || p.calls.Load() != 1 {
			t.Errorf("a minute later: %q, %d refreshes", tokens, p.calls.Load())
		}
	})
}

func TestR1P081OneRefreshOverThreeReplicas(t *testing.T) {
	bothHomes(t, func(t *testing.T, home func(*plan)) {
		p := newTokenService()
		p.delay = 5 * time.Second
		g := newGate(t, home, func(pl *plan) { pl.provider = p })
		gates := []*gate{g}
		for range 2 {
			gates = append(gates, newGate(t, home, func(pl *plan) {
				pl.provider, pl.shared = p, g.shared.Store
				if g.sessions != nil {
					pl.sessions = g.sessions.Store
				}
			}))
		}
		b := g.signedIn(t, app)
		for round := range 3 {
			time.Sleep(p.life + time.Second)
			cookies := header(b, app)
			answers := together(t, 50, cookies, gates...)
			if tokens := tokensOf(t, answers); len(tokens) != 1 || p.calls.Load() != int64(round+1) {
				t.Fatalf("round %d: the requests got %q by %d refreshes", round, tokens, p.calls.Load())
			}
			b.Jar.Set(must(http.NewRequest(http.MethodGet, app, http.NoBody))(t).URL, answers[7].Header().Values("Set-Cookie"))
		}
	})
}

func TestAheadOfTheEndNobodyWaits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newTokenService()
		p.delay = 5 * time.Second
		g := newGate(t, func(pl *plan) { pl.provider = p })
		b := g.signedIn(t, app)
		time.Sleep(p.life/5*4 - time.Second)
		expect(t, b.Open(t, app+"/"), 200, "at-1")
		if p.calls.Load() != 0 {
			t.Error("REF-4: refreshed before four fifths of the life")
		}
		time.Sleep(time.Second)
		before := time.Now()
		if tokens := tokensOf(t, together(t, 20, header(b, app), g)); !slices.Equal(tokens, []string{"at-1"}) {
			t.Errorf("%q", tokens)
		}
		if waited := time.Since(before); waited > 0 {
			t.Errorf("they waited %s", waited)
		}
		time.Sleep(p.delay)
		synctest.Wait()
		expect(t, b.Open(t, app+"/"), 200, "at-2")
		if p.calls.Load() != 1 {
			t.Errorf("%d refreshes", p.calls.Load())
		}
	})
}

// In a cookie the result must go out with an answer; one request waits for it.
func TestAheadOfTheEndOneRequestCarriesTheNewCookie(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newTokenService()
		p.delay = 5 * time.Second
		g := newGate(t, inCookies, func(pl *plan) { pl.provider = p })
		b := g.signedIn(t, app)
		time.Sleep(p.life / 5 * 4)
		answers := together(t, 20, header(b, app), g)
		if tokens := tokensOf(t, answers); !slices.Equal(tokens, []string{"at-1", "at-2"}) {
			t.Errorf("%q", tokens)
		}
		given := 0
		for _, w := range answers {
			if strings.HasSuffix(w.Body.String(), "at-2") {
				given++
				if len(w.Header().Values("Set-Cookie")) != 1 || w.Header().Get("Cache-Control") != "private" {
					t.Errorf("the answer says %v", w.Header())
				}
			}
		}
		if given != 1 || p.calls.Load() != 1 {
			t.Errorf("%d answers carry the new cookie, %d refreshes", given, p.calls.Load())
		}
	})
}

func TestARefreshOutlivesTheRequestThatBeganIt(t *testing.T) {
	bothHomes(t, func(t *testing.T, home func(*plan)) {
		p := newTokenService()
		p.delay = 5 * time.Second
		g := newGate(t, home, func(pl *plan) { pl.provider = p })
		b := g.signedIn(t, app)
		time.Sleep(p.life + time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		r := must(http.NewRequestWithContext(ctx, http.MethodGet, app, http.NoBody))(t)
		r.Header.Set("Cookie", header(b, app))
		before := time.Now()
		if who, ok, err := g.Authenticate(httptest.NewRecorder(), r); !ok || err != nil || token(who) != "at-1" || time.Since(before) != time.Second {
			t.Errorf("%v %v after %s", ok, err, time.Since(before))
		}
		time.Sleep(p.delay)
		expect(t, b.Open(t, app+"/"), 200, "at-2")
		if p.calls.Load() != 1 {
			t.Errorf("%d refreshes", p.calls.Load())
		}
	})
}

func TestP084ClaimsAreJudgedAnewAtARefresh(t *testing.T) {
	bothHomes(t, func(t *testing.T, home func(*plan)) {
		g := newGate(t, home)
		b := g.signedIn(t, app)
		g.provider.change = func(who *identity.Identity) { who.Groups = []string{"guests"} }
		time.Sleep(g.provider.life + time.Second)
		expect(t, b.Open(t, app+"/"), 200, "alice")
		r := must(http.NewRequest(http.MethodGet, app, http.NoBody))(t)
		r.Header.Set("Cookie", header(b, app))
		if s := must(g.Load(r))(t); !slices.Equal(s.Who.Groups, []string{"guests"}) || !s.Refreshed.Equal(time.Now().Truncate(time.Millisecond)) {
			t.Errorf("%q, refreshed at %s", s.Who.Groups, s.Refreshed)
		}
	})
}

func TestP080WithoutARefreshTokenTheSessionGoesOn(t *testing.T) {
	bothHomes(t, func(t *testing.T, home func(*plan)) {
		g := newGate(t, home)
		b := g.net.Browser()
		r := must(http.NewRequest(http.MethodGet, app, http.NoBody))(t)
		w := httptest.NewRecorder()
		who := g.provider.identity("alice")
		tokens := *who.Tokens
		tokens.RefreshToken = secret.String{}
		who.Tokens = &tokens
		s := must(g.Start(w, r, who))(t)
		b.Jar.Set(r.URL, w.Header().Values("Set-Cookie"))
		if next, until := g.NextRefresh(s); !next.IsZero() || !until.IsZero() {
			t.Errorf("next refresh %s, %s", next, until)
		}
		time.Sleep(time.Hour)
		expect(t, b.Open(t, app+"/"), 200, "alice")
		expect(t, b.Open(t, app+"/refresh"), 200, "alice")
		if g.provider.calls.Load() != 0 {
			t.Error("the provider was asked")
		}
	})
}

func TestRefreshOnDemandOnceAMinute(t *testing.T) {
	bothHomes(t, func(t *testing.T, home func(*plan)) {
		g := newGate(t, home)
		b := g.signedIn(t, app)
		expect(t, b.Open(t, app+"/refresh"), 200, "at-2")
		time.Sleep(30 * time.Second)
		expect(t, b.Open(t, app+"/refresh"), 200, "at-2")
		r := must(http.NewRequest(http.MethodGet, app, http.NoBody))(t)
		r.Header.Set("Cookie", header(b, app))
		now := time.Now()
		next, until := g.NextRefresh(must(g.Load(r))(t))
		if next.Sub(now).Round(time.Second) != 210*time.Second || until.Sub(now).Round(time.Second) != 30*time.Second {
			t.Errorf("next refresh in %s, cooldown for %s", next.Sub(now), until.Sub(now))
		}
		time.Sleep(30 * time.Second)
		expect(t, b.Open(t, app+"/refresh"), 200, "at-3")
		g.provider.failWith(errors.New("corp: 502"))
		time.Sleep(time.Minute)
		for range 3 {
			expect(t, b.Open(t, app+"/refresh"), 500, "corp: 502")
		}
		if n := g.provider.calls.Load(); n != 3 {
			t.Errorf("%d refreshes", n)
		}
		expect(t, b.Open(t, app+"/"), 200, "at-3")
		g.provider.failWith(ErrRefused)
		time.Sleep(time.Minute)
		expect(t, b.Open(t, app+"/refresh"), 401, "nobody")
		expect(t, b.Open(t, app+"/"), 401, "nobody")
	})
}

func TestTokensThatAreBornDeadAreNotRefreshedAtEveryRequest(t *testing.T) {
	for name, change := range map[string]func(*identity.Tokens){
		"no life":     func(t *identity.Tokens) { t.Expiry = t.ReceivedAt },
		"no birthday": func(t *identity.Tokens) { t.ReceivedAt = time.Time{} },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				g := newGate(t)
				g.provider.change = func(who *identity.Identity) { change(who.Tokens) }
				b := g.signedIn(t, app)
				time.Sleep(g.provider.life + time.Second)
				for range 100 {
					expect(t, b.Open(t, app+"/"), 200, "at-2")
				}
				if n := g.provider.calls.Load(); n != 1 {
					t.Errorf("%d refreshes", n)
				}
			})
		})
	}
}

func TestALockOutlivesTheCallItGuardsAndEndsWithItsOwner(t *testing.T) {
	bubble(t, func(t *testing.T) {
		shared := frail(t, nil)
		l := locks{shared}
		ctx := t.Context()
		first := must(l.acquire(ctx, digest{1}))(t)
		if got := must(l.acquire(ctx, digest{2}))(t); got == nil {
			t.Error("another session's lock is not free")
		} else {
			got.release(ctx)
		}
		time.Sleep(10 * lease)
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if _, err := l.acquire(short, digest{1}); err == nil {
			t.Error("two hold the lock")
		}
		first.release(ctx)
		before := time.Now()
		second := must(l.acquire(ctx, digest{1}))(t)
		if waited := time.Since(before); waited > 0 {
			t.Errorf("a released lock was held for %s", waited)
		}
		second.stop() // its owner is gone
		<-second.done
		before = time.Now()
		must(l.acquire(ctx, digest{1}))(t).release(ctx)
		if waited := time.Since(before); waited > lease+time.Second {
			t.Errorf("a dead owner kept it for %s", waited)
		}
	})
}

func TestAClosedKeeperStillAnswers(t *testing.T) {
	bothHomes(t, func(t *testing.T, home func(*plan)) {
		g := newGate(t, home)
		b := g.signedIn(t, app)
		g.Close()
		time.Sleep(g.provider.life + time.Second)
		expect(t, b.Open(t, app+"/"), 200, "at-1")
		expect(t, b.Open(t, app+"/refresh"), 503, "replaced")
		elsewhere := g.signedIn(t, app)
		expect(t, elsewhere.Open(t, app+"/"), 200, "alice")
		if g.sessions != nil {
			must(g.sessions.Store.Delete(t.Context(), storeKey(g.sites[mustOrigin(t, app)].digest([]string{elsewhere.Jar.Get(app, cookie)}))))(t)
			expect(t, elsewhere.Open(t, app+"/"), 401, "nobody")
		}
		expect(t, b.Open(t, app+"/logout"), 200, "alice")
		if g.provider.calls.Load() != 0 {
			t.Error("it refreshes")
		}
	})
}
