package sessions

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/internal/seal"
	"github.com/doorward/doorward/sessions/store"
)

func TestR23AStoreThatIsDownIsNeverNotSignedIn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGate(t)
		warm, cold := g.signedIn(t, app), g.signedIn(t, app)
		expect(t, warm.Open(t, app+"/"), 200, "alice")
		g.sessions.down.Store(true)
		g.shared.down.Store(true)
		for range 5 { // what is in the cache stays alive, activity or not
			expect(t, warm.Open(t, app+"/"), 200, "alice")
			time.Sleep(50 * time.Second)
		}
		for _, path := range []string{"/", "/session", "/refresh", "/logout"} {
			page := cold.Open(t, app+path)
			expect(t, page, 503, "unavailable")
			if len(page.Header.Values("Set-Cookie")) > 0 || cold.Jar.Get(app, cookie) == "" {
				t.Errorf("%s takes the cookie back", path)
			}
		}
		expect(t, g.net.Browser().Open(t, app+"/login?who=alice"), 503, "unavailable")
		expect(t, g.net.Browser().Open(t, app+"/"), 401, "nobody") // without a cookie nothing needs to be asked
		g.sessions.down.Store(false)
		g.shared.down.Store(false)
		expect(t, cold.Open(t, app+"/"), 200, "alice")
		expect(t, warm.Open(t, app+"/"), 200, "alice")
	})
}

func TestR23ASessionThatCannotBeEndedIsNotSaidToHaveEnded(t *testing.T) {
	bothHomes(t, func(t *testing.T, home func(*plan)) {
		g := newGate(t, home)
		b := g.signedIn(t, app)
		g.shared.down.Store(true)
		if g.sessions != nil {
			g.sessions.down.Store(true)
		}
		page := b.Open(t, app+"/logout")
		expect(t, page, 503, "unavailable")
		if b.Jar.Get(app, cookie) == "" {
			t.Error("the cookie was taken back: nobody can end the session any more")
		}
	})
}

func TestInCookiesAnUnknownRevocationIsUnavailable(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGate(t, inCookies)
		b := g.signedIn(t, app)
		restarted := newGate(t, inCookies, func(p *plan) { p.shared = g.shared.Store })
		restarted.shared.down.Store(true)
		if w := restarted.ask(t, app+"/", header(b, app)); w.Code != 503 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}

func TestAWriteThatIsOvertakenLosesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGate(t)
		b := g.signedIn(t, app)
		p, _ := g.presented(request(t, header(b, app)))
		later := time.Now().Add(time.Minute).Truncate(time.Millisecond)
		g.sessions.beforeGet = func([]string) {
			g.sessions.beforeGet = nil
			if _, _, err := g.home.amend(t.Context(), p, func(rec *record) { rec.seen = later }); err != nil {
				t.Error(err)
			}
		}
		e, _, err := g.home.amend(t.Context(), p, func(rec *record) { rec.refreshes++ })
		if err != nil || e == nil {
			t.Fatal(e, err)
		}
		if now := must(g.home.open(t.Context(), p))(t); !now.rec.seen.Equal(later) || now.rec.refreshes != 1 {
			t.Errorf("seen %s, %d refreshes", now.rec.seen, now.rec.refreshes)
		}
		g.sessions.beforeGet = func([]string) { // P082, at the worst moment
			g.sessions.beforeGet = nil
			if _, err := g.home.end(t.Context(), p); err != nil {
				t.Error(err)
			}
		}
		if e, _, err := g.home.amend(t.Context(), p, func(rec *record) { rec.refreshes++ }); e != nil || err != nil {
			t.Errorf("a session that had ended was written: %v %v", e, err)
		}
		if e := must(g.home.open(t.Context(), p))(t); e != nil {
			t.Error("it is back")
		}
	})
}

// What lies in the store is useless without the ticket, even to one who has the keys; and what
// is under one key opens under no other (P088).
func TestADumpOfTheStoreIsUseless(t *testing.T) {
	g := newGate(t)
	b := g.signedIn(t, app)
	value := b.Jar.Get(app, cookie)
	p := g.sites[mustOrigin(t, app)].digest([]string{value})
	blob := must(g.sessions.Store.Get(t.Context(), storeKey(p)))(t)[0].Value
	if len(blob) == 0 {
		t.Fatal("there is no record")
	}
	for _, plain := range []string{"alice", "at-1", "rt-1", "sso.test", value} {
		if bytes.Contains(blob, []byte(plain)) || strings.Contains(storeKey(p), plain) {
			t.Errorf("%q can be read", plain)
		}
	}
	ring := g.home.(*stored).ring
	tk, _ := parseTicket(value)
	if _, ok := tk.open(ring, blob, storeKey(p)); !ok {
		t.Error("it does not open with ticket and keys")
	}
	inner := must(ring.Open(purposeRecord, blob, []byte(storeKey(p))))(t)
	for _, plain := range []string{"alice", "at-1", "rt-1"} {
		if bytes.Contains(inner, []byte(plain)) {
			t.Errorf("%q can be read with the keys alone", plain)
		}
	}
	if _, ok := newTicket().open(ring, blob, storeKey(p)); ok {
		t.Error("it opens with another ticket")
	}
	if _, ok := tk.open(must(seal.New(bytes.Repeat([]byte{8}, 32)))(t), blob, storeKey(p)); ok {
		t.Error("it opens with other keys")
	}
	if _, ok := tk.open(ring, blob, storeKey(digest{1})); ok {
		t.Error("it opens under another key of the store")
	}
}

// P088, and a record that an older or a newer version wrote: no session, and no error.
func TestARecordThatCannotBeReadIsNoSession(t *testing.T) {
	for name, change := range map[string]func(g *gate, tk ticket, key string, blob []byte) []byte{
		"garbage":   func(_ *gate, _ ticket, _ string, _ []byte) []byte { return []byte("garbage") },
		"empty":     func(_ *gate, _ ticket, _ string, _ []byte) []byte { return []byte{} },
		"truncated": func(_ *gate, _ ticket, _ string, blob []byte) []byte { return blob[:len(blob)-1] },
		"flipped":   func(_ *gate, _ ticket, _ string, blob []byte) []byte { blob[50] ^= 1; return blob },
		"huge":      func(_ *gate, _ ticket, _ string, _ []byte) []byte { return make([]byte, 1<<20) },
		"another version": func(g *gate, tk ticket, key string, blob []byte) []byte {
			plain, _ := tk.open(g.home.(*stored).ring, blob, key)
			plain[0]++
			return tk.seal(g.home.(*stored).ring, plain, key)
		},
		"another session's": func(g *gate, tk ticket, key string, blob []byte) []byte {
			plain, _ := tk.open(g.home.(*stored).ring, blob, key)
			plain[1] ^= 1
			return tk.seal(g.home.(*stored).ring, plain, key)
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGate(t)
			b := g.signedIn(t, app)
			tk, _ := parseTicket(b.Jar.Get(app, cookie))
			key := storeKey(g.sites[mustOrigin(t, app)].digest([]string{tk.value()}))
			blob := bytes.Clone(must(g.sessions.Store.Get(t.Context(), key))(t)[0].Value)
			if err := g.sessions.Store.Put(t.Context(), key, change(g, tk, key, blob), time.Hour); err != nil {
				t.Fatal(err)
			}
			for _, path := range []string{"/session", "/refresh", "/"} {
				if w := g.ask(t, app+path, header(b, app)); w.Code != 401 {
					t.Errorf("%s: %d %s", path, w.Code, w.Body)
				}
			}
			expect(t, b.Open(t, app+"/login?who=alice"), 200, "alice")
		})
	}
}

func TestKeyRotation(t *testing.T) {
	old, now := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)
	for name, home := range map[string]func(*plan){"in a store": func(*plan) {}, "in cookies": inCookies} {
		t.Run(name, func(t *testing.T) {
			g := newGate(t, home, func(p *plan) { p.keys = [][]byte{old} })
			copied := header(g.signedIn(t, app), app)
			with := func(keys ...[]byte) int {
				return newGate(t, home, func(p *plan) {
					p.keys, p.shared = keys, g.shared.Store
					if g.sessions != nil {
						p.sessions = g.sessions.Store
					}
				}).ask(t, app+"/", copied).Code
			}
			if code := with(now, old); code != 200 {
				t.Errorf("with the old key behind the new one: %d", code)
			}
			if code := with(now); code != 401 {
				t.Errorf("P088 without the old key: %d", code)
			}
		})
	}
}

func TestSessionsOutliveARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sessions.db")
	open := func() *store.Bolt { return must(store.OpenBolt(store.BoltConfig{Path: path}, store.Deps{}))(t) }
	first := open()
	g := newGate(t, func(p *plan) { p.sessions, p.shared = first, first })
	b := g.signedIn(t, app)
	expect(t, b.Open(t, app+"/"), 200, "alice")
	g.Close()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second := open()
	t.Cleanup(func() { _ = second.Close() })
	again := newGate(t, func(p *plan) { p.sessions, p.shared = second, second })
	if w := again.ask(t, app+"/", header(b, app)); w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestTheStoreForgetsSessionsThatEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGate(t, func(p *plan) { p.config.Idle = time.Minute })
		b := g.signedIn(t, app)
		key := storeKey(g.sites[mustOrigin(t, app)].digest([]string{b.Jar.Get(app, cookie)}))
		time.Sleep(50 * time.Second)
		expect(t, b.Open(t, app+"/"), 200, "alice")
		synctest.Wait()
		time.Sleep(50 * time.Second)
		if must(g.sessions.Store.Get(t.Context(), key))(t)[0].Version == 0 {
			t.Error("activity does not keep the record")
		}
		time.Sleep(12 * time.Second)
		if must(g.sessions.Store.Get(t.Context(), key))(t)[0].Version != 0 {
			t.Error("the record outlives its session")
		}
	})
}

func TestEndedContextsAreUnavailableAndNotNobody(t *testing.T) {
	g := newGate(t)
	b := g.signedIn(t, app)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := must(http.NewRequestWithContext(ctx, http.MethodGet, app, http.NoBody))(t)
	r.Header.Set("Cookie", header(b, app))
	if s, err := g.Load(r); err == nil && s == nil || err != nil && !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("%v %v", s, err)
	}
}
