package sessions

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func bubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

func TestASessionIsThereFromStartToEnd(t *testing.T) {
	bothHomes(t, func(t *testing.T, home func(*plan)) {
		g := newGate(t, home)
		for _, address := range []string{app, local} {
			b := g.net.Browser()
			expect(t, b.Open(t, address+"/"), 401, "nobody")
			expect(t, b.Open(t, address+"/session"), 401, "nobody")
			id := expect(t, b.Open(t, address+"/login?who=alice"), 200, "alice")[1]
			if len(b.Jar.Refused) > 0 {
				t.Errorf("refused: %q", b.Jar.Refused)
			}
			expect(t, b.Open(t, address+"/"), 200, "alice")
			if got := expect(t, b.Open(t, address+"/session"), 200, "alice")[1]; got != id || len(id) < 32 {
				t.Errorf("the id was %q and is %q", id, got)
			}
			if got := expect(t, b.Open(t, address+"/logout"), 200, "alice")[1]; got != id {
				t.Errorf("ended %q, not %q", got, id)
			}
			if left := b.Jar.Names(address); len(left) > 0 {
				t.Errorf("cookies left: %q", left)
			}
			expect(t, b.Open(t, address+"/"), 401, "nobody")
			expect(t, b.Open(t, address+"/logout"), 401, "nobody")
		}
	})
}

func TestP074CookieAttributes(t *testing.T) {
	for name, c := range map[string]struct {
		address string
		cookie  Cookie
		want    string
	}{
		"https":           {app, Cookie{Name: "doorward"}, "__Host-doorward=…; Path=/; HttpOnly; Secure; SameSite=Lax"},
		"strict":          {app, Cookie{Name: "doorward", SameSite: http.SameSiteStrictMode}, "__Host-doorward=…; Path=/; HttpOnly; Secure; SameSite=Strict"},
		"none":            {app, Cookie{Name: "doorward", SameSite: http.SameSiteNoneMode}, "__Host-doorward=…; Path=/; HttpOnly; Secure; SameSite=None"},
		"another name":    {app, Cookie{Name: "sid"}, "__Host-sid=…; Path=/; HttpOnly; Secure; SameSite=Lax"},
		"a domain":        {"https://app.corp.test", Cookie{Name: "doorward", Domain: "corp.test"}, "__Secure-doorward=…; Path=/; Domain=corp.test; HttpOnly; Secure; SameSite=Lax"},
		"http":            {local, Cookie{Name: "doorward"}, "doorward=…; Path=/; HttpOnly; SameSite=Lax"},
		"none over http":  {local, Cookie{Name: "doorward", SameSite: http.SameSiteNoneMode}, "doorward=…; Path=/; HttpOnly; SameSite=Lax"},
		"explicitly lax":  {app, Cookie{Name: "doorward", SameSite: http.SameSiteLaxMode}, "__Host-doorward=…; Path=/; HttpOnly; Secure; SameSite=Lax"},
		"browser default": {app, Cookie{Name: "doorward", SameSite: http.SameSiteDefaultMode}, "__Host-doorward=…; Path=/; HttpOnly; Secure; SameSite=Lax"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGate(t, func(p *plan) { p.config.Cookie, p.origins = c.cookie, []string{c.address} })
			set := g.ask(t, c.address+"/login?who=alice", "").Header().Values("Set-Cookie")
			if len(set) != 1 {
				t.Fatalf("%d cookies: %q", len(set), set)
			}
			cut, rest, _ := strings.Cut(set[0], ";")
			cookieName, value, _ := strings.Cut(cut, "=")
			if got := cookieName + "=…;" + rest; got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if len(value) >= 100 {
				t.Errorf("R3: %d bytes", len(value))
			}
		})
	}
}

func TestP072TheOldCookieIsDeadAfterALogin(t *testing.T) {
	bothHomes(t, func(t *testing.T, home func(*plan)) {
		g := newGate(t, home)
		b := g.signedIn(t, app)
		id, before := expect(t, b.Open(t, app+"/session"), 200, "alice")[1], header(b, app)
		if now := expect(t, b.Open(t, app+"/login?who=alice"), 200, "alice")[1]; now == id {
			t.Error("the id is the same")
		}
		if w := g.ask(t, app+"/", before); w.Code != 401 {
			t.Errorf("the old cookie gets %d", w.Code)
		}
		expect(t, b.Open(t, app+"/"), 200, "alice")
	})
}

func TestP072ACookieThatWasPlantedIsNotTakenOver(t *testing.T) {
	g := newGate(t)
	planted := newTicket().value()
	b := g.net.Browser()
	if reason := b.Jar.Put(app, &http.Cookie{Name: cookie, Value: planted, Path: "/", Secure: true}); reason != "" {
		t.Fatal(reason)
	}
	expect(t, b.Open(t, app+"/login?who=alice"), 200, "alice")
	if b.Jar.Get(app, cookie) == planted {
		t.Error("the session has the planted ticket")
	}
	if w := g.ask(t, app+"/", cookie+"="+planted); w.Code != 401 {
		t.Errorf("the planted ticket gets %d", w.Code)
	}
}

func TestP086ALoginAsAnotherLeavesNothingBehind(t *testing.T) {
	bothHomes(t, func(t *testing.T, home func(*plan)) {
		g := newGate(t, home)
		b := g.signedIn(t, app)
		alice := header(b, app)
		expect(t, b.Open(t, app+"/login?who=bob"), 200, "bob")
		expect(t, b.Open(t, app+"/"), 200, "bob")
		if w := g.ask(t, app+"/", alice); w.Code != 401 {
			t.Errorf("alice's cookie gets %d %s", w.Code, w.Body)
		}
	})
}

func TestP073ACopyOfTheCookieIsDeadAfterLogoutOnEveryReplica(t *testing.T) {
	bothHomes(t, func(t *testing.T, home func(*plan)) {
		g := newGate(t, home)
		other := newGate(t, home, func(p *plan) {
			p.shared, p.sessions = g.shared.Store, nil
			if g.sessions != nil {
				p.sessions = g.sessions.Store
			}
		})
		b := g.signedIn(t, app)
		copied := header(b, app)
		for _, replica := range []*gate{g, other} {
			if w := replica.ask(t, app+"/", copied); w.Code != 200 { // now it is in both caches
				t.Fatalf("%d %s", w.Code, w.Body)
			}
		}
		expect(t, b.Open(t, app+"/logout"), 200, "alice")
		for _, replica := range []*gate{g, other} {
			for _, path := range []string{"/", "/session", "/refresh", "/logout"} {
				if w := replica.ask(t, app+path, copied); w.Code != 401 {
					t.Errorf("%s: the copy gets %d %s", path, w.Code, w.Body)
				}
			}
		}
	})
}

func TestP079IdleAndAbsoluteLifetime(t *testing.T) {
	bothHomes(t, func(t *testing.T, home func(*plan)) {
		g := newGate(t, home, func(p *plan) { p.config.Idle, p.config.Lifetime = time.Minute, 3*time.Minute })
		b := g.signedIn(t, app)
		for i := range 9 { // within the absolute lifetime
			time.Sleep(19 * time.Second)
			if page := b.Open(t, app+"/"); page.Status != 200 {
				t.Fatalf("after %d s: %d", 19*(i+1), page.Status)
			}
		}
		time.Sleep(10 * time.Second)
		expect(t, b.Open(t, app+"/"), 401, "nobody")
		if left := b.Jar.Names(app); len(left) > 0 {
			t.Errorf("cookies left: %q", left)
		}

		idle := g.signedIn(t, app)
		expect(t, idle.Open(t, app+"/"), 200, "alice")
		time.Sleep(time.Minute + time.Second)
		expect(t, idle.Open(t, app+"/"), 401, "nobody")
	})
}

func TestLookingIsNoActivity(t *testing.T) {
	bothHomes(t, func(t *testing.T, home func(*plan)) {
		g := newGate(t, home, func(p *plan) { p.config.Idle = time.Minute })
		b := g.signedIn(t, app)
		time.Sleep(40 * time.Second)
		expect(t, b.Open(t, app+"/session"), 200, "alice")
		time.Sleep(25 * time.Second)
		expect(t, b.Open(t, app+"/session"), 401, "nobody")
	})
}

func TestActivityIsWrittenOnceAMinuteAtMost(t *testing.T) {
	bothHomes(t, func(t *testing.T, home func(*plan)) {
		g := newGate(t, home, func(p *plan) { p.provider = newTokenService(); p.provider.life = 24 * time.Hour })
		b := g.signedIn(t, app)
		began := time.Now()
		writes := func() int64 { return g.shared.writes.Load() }
		if g.sessions != nil {
			writes = func() int64 { return g.sessions.writes.Load() }
		}
		before, given := writes(), 0
		for range 60 { // ten minutes
			time.Sleep(10 * time.Second)
			given += len(b.Open(t, app+"/").Header.Values("Set-Cookie"))
			synctest.Wait()
		}
		if g.sessions != nil {
			given = int(writes() - before)
		}
		if given < 8 || given > 10 {
			t.Errorf("activity was written %d times in ten minutes", given)
		}
		r := must(http.NewRequest(http.MethodGet, app, http.NoBody))(t)
		r.Header.Set("Cookie", header(b, app))
		s := must(g.Load(r))(t)
		if lag := time.Since(s.Seen); lag > time.Minute || !s.TimesOut.Equal(s.Seen.Add(8*time.Hour)) || s.Created.Sub(began).Abs() > time.Millisecond {
			t.Errorf("seen %s ago, times out %s later, created %s", lag, s.TimesOut.Sub(s.Seen), s.Created)
		}
	})
}

// A stricter configuration holds for the sessions that are there.
func TestShorterLimitsApplyToOldSessions(t *testing.T) {
	bothHomes(t, func(t *testing.T, home func(*plan)) {
		g := newGate(t, home, func(p *plan) { p.provider = newTokenService(); p.provider.life = 24 * time.Hour })
		b := g.signedIn(t, app)
		copied := header(b, app)
		stricter := newGate(t, home, func(p *plan) {
			p.shared, p.config.Lifetime, p.config.Idle = g.shared.Store, time.Hour, 20*time.Minute
			if g.sessions != nil {
				p.sessions = g.sessions.Store
			}
		})
		if w := stricter.ask(t, app+"/", copied); w.Code != 200 {
			t.Errorf("%d", w.Code)
		}
		time.Sleep(21 * time.Minute)
		if w := stricter.ask(t, app+"/", copied); w.Code != 401 {
			t.Errorf("without a request for 21 minutes: %d", w.Code)
		}
		if w := g.ask(t, app+"/", copied); w.Code != 200 {
			t.Errorf("the other configuration: %d", w.Code)
		}
		synctest.Wait()
		if w := stricter.ask(t, app+"/", copied); w.Code != 200 && g.sessions != nil {
			t.Errorf("after activity: %d", w.Code)
		}
		time.Sleep(40 * time.Minute)
		if w := stricter.ask(t, app+"/", copied); w.Code != 401 {
			t.Errorf("after an hour: %d", w.Code)
		}
		if w := g.ask(t, app+"/", copied); w.Code != 200 {
			t.Errorf("the other configuration: %d", w.Code)
		}
	})
}

func TestTheIdentityStaysTheSamePointer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGate(t, func(p *plan) { p.provider = newTokenService(); p.provider.life = 24 * time.Hour })
		b := g.signedIn(t, app)
		authenticate := func() any {
			r := must(http.NewRequest(http.MethodGet, app, http.NoBody))(t)
			r.Header.Set("Cookie", header(b, app))
			who, _, _ := g.Authenticate(discard{}, r)
			return who
		}
		first := authenticate()
		for range 10 {
			time.Sleep(time.Minute)
			if authenticate() != first {
				t.Fatal("what was built from the identity is lost when activity is written")
			}
			synctest.Wait()
		}
	})
}

type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) WriteHeader(int)             {}

// Two applications behind one gateway, two origins: a cookie of one is nothing at the other.
func TestACookieCountsWhereItWasSet(t *testing.T) {
	bothHomes(t, func(t *testing.T, home func(*plan)) {
		g := newGate(t, home)
		copied := header(g.signedIn(t, app), app)
		if w := g.ask(t, wiki+"/", copied); w.Code != 401 {
			t.Errorf("at another host it gets %d", w.Code)
		}
		if w := g.ask(t, "https://unknown.test/", copied); w.Code != 401 {
			t.Errorf("at an unknown host it gets %d", w.Code)
		}
	})
}

func TestACookieOfADomainCountsInAllOfIt(t *testing.T) {
	bothHomes(t, func(t *testing.T, home func(*plan)) {
		g := newGate(t, home, func(p *plan) {
			p.origins = []string{"https://app.corp.test", "https://wiki.corp.test"}
			p.config.Cookie.Domain = "corp.test"
		})
		b := g.signedIn(t, "https://app.corp.test")
		expect(t, b.Open(t, "https://wiki.corp.test/"), 200, "alice")
		expect(t, b.Open(t, "https://wiki.corp.test/logout"), 200, "alice")
		expect(t, b.Open(t, "https://app.corp.test/"), 401, "nobody")
	})
}
