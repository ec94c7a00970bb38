package sessions

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

func bearer(ticket string) []string { return []string{"Bearer " + ticket} }

func basic(user, password string) []string {
	return []string{"Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))}
}

// carry asks as a program does that keeps its ticket itself: no cookie, only Authorization.
func (g *gate) carry(t testing.TB, address string, authorization []string) (*http.Request, *httptest.ResponseRecorder) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody)
	r.Header["Authorization"] = authorization
	return r, httptest.NewRecorder()
}

// knows returns the subject for whom a ticket stands, "" for nobody.
func (g *gate) knows(t testing.TB, address string, authorization []string) string {
	t.Helper()
	r, w := g.carry(t, address, authorization)
	who, ok, err := g.Tickets().Authenticate(w, r)
	if err != nil || ok != (who != nil) {
		t.Fatalf("%v %v %v", who, ok, err)
	}
	if len(w.Header()) > 0 {
		t.Errorf("the answer has %v", w.Header())
	}
	if !ok {
		return ""
	}
	return who.Subject
}

func TestATicketIsTheSessionWithoutItsCookie(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGate(t)
		b := g.signedIn(t, app)
		ticket := b.Jar.Get(app, cookie)
		for name, a := range map[string][]string{
			"bearer": bearer(ticket), "in another spelling": {"bearer   " + ticket}, "a password": basic("git", ticket), "any user name": basic("", ticket),
		} {
			if who := g.knows(t, app+"/", a); who != "alice" {
				t.Errorf("%s: %q", name, who)
			}
		}
		tail := "A"
		if ticket[len(ticket)-1] == 'A' {
			tail = "E"
		}
		for name, a := range map[string][]string{
			"nothing":            nil,
			"twice":              {"Bearer " + ticket, "Bearer " + ticket},
			"with a second one":  {"Bearer " + ticket, "Basic eDp5"},
			"as a user name":     basic(ticket, "x"),
			"cut":                bearer(ticket[:len(ticket)-1]),
			"longer":             bearer(ticket + "A"),
			"another one":        bearer(ticket[:len(ticket)-1] + tail),
			"none of ours":       bearer(newTicket().value()),
			"a token":            bearer("eyJhbGciOiJub25lIn0.e30."),
			"another scheme":     {"Token " + ticket},
			"without a scheme":   {ticket},
			"in a list":          {"Bearer " + ticket + ", Basic eDp5"},
			"with a parameter":   {"Bearer " + ticket + " x=y"},
			"broken Basic":       {"Basic " + ticket},
			"Basic without user": {"Basic " + base64.StdEncoding.EncodeToString([]byte(ticket))},
		} {
			if who := g.knows(t, app+"/", a); who != "" {
				t.Errorf("%s: %q", name, who)
			}
		}
		if who := g.knows(t, wiki+"/", bearer(ticket)); who != "" {
			t.Errorf("P071: the ticket of one host counts on another: %q", who)
		}
		if who := g.knows(t, "https://elsewhere.test/", bearer(ticket)); who != "" {
			t.Errorf("a host that is not served: %q", who)
		}
		expect(t, b.Open(t, app+"/logout"), 200, "alice")
		if who := g.knows(t, app+"/", bearer(ticket)); who != "" {
			t.Errorf("P073: the ticket outlives its session: %q", who)
		}
	})
}

func TestTheCookieDoesNotHelpATicket(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGate(t)
		b := g.signedIn(t, app)
		r, w := g.carry(t, app+"/", bearer(newTicket().value()))
		r.Header.Set("Cookie", header(b, app))
		if who, ok, err := g.Tickets().Authenticate(w, r); ok || err != nil {
			t.Errorf("%v %v", who, err)
		}
		if set := w.Header().Values("Set-Cookie"); len(set) > 0 {
			t.Errorf("a bad ticket takes the cookie back: %q", set)
		}
		r.Header.Del("Authorization")
		if who, ok, err := g.Tickets().Authenticate(w, r); ok || err != nil {
			t.Errorf("%v %v", who, err)
		}
	})
}

func TestATicketCountsAsActivityAndIsRefreshed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGate(t, func(p *plan) { p.config.Idle = time.Hour })
		ticket := g.signedIn(t, app).Jar.Get(app, cookie)
		for range 10 { // five hours, of which no cookie knows
			time.Sleep(30 * time.Minute)
			if who := g.knows(t, app+"/", bearer(ticket)); who != "alice" {
				t.Fatal("the session timed out under a ticket that was used")
			}
		}
		if n := g.provider.calls.Load(); n != 10 {
			t.Errorf("%d refreshes of tokens that live five minutes", n)
		}
		time.Sleep(time.Hour + time.Second)
		if who := g.knows(t, app+"/", bearer(ticket)); who != "" {
			t.Error("it outlives its idle end")
		}
	})
}

func TestATicketIsAliveAsLongAsItsSession(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGate(t)
		b := g.signedIn(t, app)
		r, w := g.carry(t, app+"/", bearer(b.Jar.Get(app, cookie)))
		who, _, _ := g.Tickets().Authenticate(w, r)
		if alive, err := g.Tickets().Alive(r, who); !alive || err != nil {
			t.Error(alive, err)
		}
		if alive, _ := g.Alive(r, who); alive {
			t.Error("the Keeper of cookies found a session without one")
		}
		if alive, _ := g.Tickets().Alive(r, g.provider.identity("bob")); alive {
			t.Error("alive for somebody else")
		}
		g.sessions.down.Store(true)
		g.cache.flush()
		if _, err := g.Tickets().Alive(r, who); err == nil {
			t.Error("a store that is down is no answer")
		}
		if _, ok, err := g.Tickets().Authenticate(w, r); ok || err == nil {
			t.Error("a store that is down is no answer")
		}
		g.sessions.down.Store(false)
		b.Open(t, app+"/logout")
		if alive, err := g.Tickets().Alive(r, who); alive || err != nil {
			t.Error(alive, err)
		}
	})
}

func TestInCookieModeThereAreNoTickets(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGate(t, inCookies)
		b := g.signedIn(t, app)
		for _, a := range [][]string{bearer(b.Jar.Get(app, cookie)), bearer(newTicket().value()), basic("x", newTicket().value())} {
			if who := g.knows(t, app+"/", a); who != "" {
				t.Errorf("%.20s: %q", a[0], who)
			}
		}
	})
}

func TestAllocationsOfATicket(t *testing.T) {
	g, r := hot(t, homes["store"])
	c, err := r.Cookie(cookie)
	if err != nil {
		t.Fatal(err)
	}
	w, tickets := discard{}, g.Tickets()
	r.Header["Authorization"] = bearer(c.Value)
	if n := testing.AllocsPerRun(1000, func() { _, _, _ = tickets.Authenticate(w, r) }); n > 2 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkTickets(b *testing.B) {
	g, r := hot(b, homes["store"])
	c, _ := r.Cookie(cookie)
	w, tickets := discard{}, g.Tickets()
	for name, a := range map[string][]string{"bearer": bearer(c.Value), "basic": basic("git", c.Value)} {
		b.Run(name, func(b *testing.B) {
			r.Header["Authorization"] = a
			b.ReportAllocs()
			for b.Loop() {
				_, _, _ = tickets.Authenticate(w, r)
			}
		})
	}
}
