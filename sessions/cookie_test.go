package sessions

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/origin"
)

func TestOwns(t *testing.T) {
	c := Cookie{Name: "doorward"}
	own := []string{
		"doorward", "__Host-doorward", "__Secure-doorward", "doorward.1", "__Host-doorward.1", "__Host-doorward.4", "__Host-doorward.5", "__Secure-doorward.2",
		"__Host-doorward-login.Zm9v", "doorward-login.Zm9v", "__Host-doorward-login.loop", "__Host-doorward-post.Zm9v", "doorward-post.x", "__Host-doorward-at.0a1b", "__Secure-doorward-login.x",
	}
	foreign := []string{
		"", "doorward2", "mydoorward", "doorwar", "doorward-", "doorward.", "doorward.0", "doorward.6", "doorward.10", "doorward.1x", "doorward.x", "doorward_1", "doorward-login",
		"doorward-logins.x", "doorward-posted", "Doorward", "__Host-", "__Host-mydoorward", "__Host-__Host-doorward", "__Secure-__Host-doorward", "__host-doorward", "x__Host-doorward",
		"__Host-doorward2", "__Host-doorward2-login.x", "session", "__Host-session",
	}
	for _, name := range own {
		if !c.Owns(name) {
			t.Errorf("%q is ours", name)
		}
	}
	for _, name := range foreign {
		if c.Owns(name) {
			t.Errorf("%q is not ours", name)
		}
	}
	all := true
	if n := testing.AllocsPerRun(100, func() {
		for _, name := range own {
			all = c.Owns(name) && all
		}
	}); n != 0 || !all {
		t.Errorf("%v allocations", n)
	}
}

func TestEveryCookieThatIsSetIsOwned(t *testing.T) {
	for _, c := range []Cookie{{Name: "doorward"}, {Name: "s", Domain: "app.test"}} {
		for _, o := range []string{app, local} {
			s := newSite(c, mustOrigin(t, o), "")
			names := append(slices.Clone(s.names[:]), c.Prefixed(mustOrigin(t, o), "-login.x"), c.Prefixed(mustOrigin(t, o), "-post.x"))
			for _, name := range names {
				if !c.Owns(name) {
					t.Errorf("%s on %s", name, o)
				}
			}
		}
	}
}

func TestPrefixed(t *testing.T) {
	https, http := mustOrigin(t, app), mustOrigin(t, local)
	for _, c := range []struct {
		cookie Cookie
		origin origin.Origin
		want   string
	}{
		{Cookie{Name: "doorward"}, https, "__Host-doorward-login.x"},
		{Cookie{Name: "doorward", Domain: "app.test"}, https, "__Secure-doorward-login.x"},
		{Cookie{Name: "doorward"}, http, "doorward-login.x"},
		{Cookie{Name: "doorward", Domain: "localhost"}, http, "doorward-login.x"},
	} {
		if got := c.cookie.Prefixed(c.origin, "-login.x"); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}

// P075, P076, P077, P078 in a store: whatever is no ticket of ours is nobody, never an error.
func TestHostileTickets(t *testing.T) {
	g := newGate(t)
	b := g.signedIn(t, app)
	good := b.Jar.Get(app, cookie)
	foreign := newGate(t, func(p *plan) { p.keys = [][]byte{make([]byte, 31, 32)}; p.keys[0] = append(p.keys[0], 9) }).signedIn(t, app)
	for name, c := range map[string]struct {
		cookies string
		cleared bool
	}{
		"none at all":                   {"", false},
		"another cookie":                {"session=" + good, false},
		"P075 empty":                    {cookie + "=", true},
		"P075 null":                     {cookie + "=null", true},
		"P075 of another gateway":       {cookie + "=" + foreign.Jar.Get(app, cookie), true},
		"P075 truncated":                {cookie + "=" + good[:len(good)-1], true},
		"P075 longer":                   {cookie + "=" + good + "A", true},
		"P075 quoted":                   {cookie + `="` + good + `"`, true},
		"P075 another spelling":         {cookie + "=" + good[:len(good)-1] + other(good[len(good)-1]), true},
		"P075 another prefix":           {cookie + "=dw2." + good[4:], true},
		"P075 nonsense of right length": {cookie + "=dw1." + strings.Repeat("*", 43), true},
		"P076 a sealed cookie":          {cookie + "=dwc1." + strings.Repeat("A", 400), true},
		"P077 twice":                    {cookie + "=" + newTicket().value() + "; " + cookie + "=" + good, false},
		"P077 twice, other order":       {cookie + "=" + good + "; " + cookie + "=" + newTicket().value(), false},
		"P077 twice the same":           {cookie + "=" + good + "; " + cookie + "=" + good, false},
		"S18 oversized":                 {cookie + "=" + strings.Repeat("A", 500_000), true},
		"of another spelling":           {"__host-doorward=" + good + "; doorward=" + good + "; __Secure-doorward=" + good, false},
		"without a name":                {"=" + cookie + "=" + good, false},
		"without a value":               {cookie, false},
	} {
		t.Run(name, func(t *testing.T) {
			for _, path := range []string{"/", "/session", "/refresh"} {
				w := g.ask(t, app+path, c.cookies)
				if w.Code != 401 {
					t.Errorf("%s: %d %s", path, w.Code, w.Body)
				}
				if path == "/" && (len(w.Header().Values("Set-Cookie")) == 1) != c.cleared {
					t.Errorf("cleared: %q", w.Header().Values("Set-Cookie"))
				}
			}
		})
	}
	t.Run("P077 in two lines", func(t *testing.T) {
		r := must(http.NewRequest(http.MethodGet, app, http.NoBody))(t)
		r.Header["Cookie"] = []string{cookie + "=" + good, cookie + "=" + newTicket().value()}
		if s, err := g.Load(r); s != nil || err != nil {
			t.Errorf("%v %v", s, err)
		}
	})
	for name, cookies := range map[string]string{
		"alone": cookie + "=" + good, "among others": "a=b; " + cookie + "=" + good + "; c=" + good, "after nonsense": ";;=; x ;" + cookie + "=" + good + ";",
		"with the chunk of a former mode": cookie + "=" + good + "; " + cookie + ".1=junk", "without blanks": "a=b;" + cookie + "=" + good + ";c=d",
	} {
		if w := g.ask(t, app+"/", cookies); w.Code != 200 {
			t.Errorf("the good one %s: %d", name, w.Code)
		}
	}
}

// other returns another last letter that decodes to the same bytes if spare bits are not looked at.
func other(last byte) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return string(letters[strings.IndexByte(letters, last)^1])
}

func TestP075EveryByteOfATicketCounts(t *testing.T) {
	g := newGate(t)
	good := g.signedIn(t, app).Jar.Get(app, cookie)
	for i := range len(good) {
		bad := []byte(good)
		bad[i] ^= 1
		if w := g.ask(t, app+"/", cookie+"="+string(bad)); w.Code != 401 {
			t.Errorf("byte %d: %d", i, w.Code)
		}
	}
}

func TestATicketHasOneSpelling(t *testing.T) {
	v := newTicket().value()
	if _, ok := parseTicket(v[:len(v)-1] + other(v[len(v)-1])); ok {
		t.Error("bits that nobody looks at make another spelling")
	}
}

func TestP087TicketsDoNotRepeat(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		v := newTicket().value()
		if seen[v] || len(v) != ticketLength {
			t.Fatalf("%q", v)
		}
		seen[v] = true
		if p, ok := parseTicket(v); !ok || p.value() != v {
			t.Fatalf("%q does not come back", v)
		}
	}
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	g := newGate(t)
	good := func() (Config, Deps) {
		return Config{Idle: 1e9, Lifetime: 1e9, Cookie: Cookie{Name: "doorward"}},
			Deps{Sessions: g.sessions, Shared: g.shared, Ring: g.home.(*stored).ring, Origins: origins(t, app)}
	}
	c, d := good()
	k := must(New(c, d))(t)
	k.Close()
	k.Close() // twice does no harm
	for name, change := range map[string]func(*Config, *Deps){
		"no name":              func(c *Config, _ *Deps) { c.Cookie.Name = "" },
		"a name with a dot":    func(c *Config, _ *Deps) { c.Cookie.Name = "a.b" },
		"a name with a prefix": func(c *Config, _ *Deps) { c.Cookie.Name = "__Host-a" },
		"a long name":          func(c *Config, _ *Deps) { c.Cookie.Name = strings.Repeat("a", 65) },
		"a name with a space":  func(c *Config, _ *Deps) { c.Cookie.Name = "a b" },
		"SameSite":             func(c *Config, _ *Deps) { c.Cookie.SameSite = 17 },
		"another's domain":     func(c *Config, _ *Deps) { c.Cookie.Domain = "other.test" },
		"half a domain":        func(c *Config, _ *Deps) { c.Cookie.Domain = "pp.test" },
		"a dot":                func(c *Config, _ *Deps) { c.Cookie.Domain = ".app.test" },
		"idle":                 func(c *Config, _ *Deps) { c.Idle = 0 },
		"lifetime":             func(c *Config, _ *Deps) { c.Lifetime = -1 },
		"no store":             func(_ *Config, d *Deps) { d.Sessions = nil },
		"no shared store":      func(_ *Config, d *Deps) { d.Shared = nil },
		"no keys":              func(_ *Config, d *Deps) { d.Ring = nil },
		"no origins":           func(_ *Config, d *Deps) { d.Origins = nil },
	} {
		c, d := good()
		change(&c, &d)
		if k, err := New(c, d); err == nil {
			k.Close()
			t.Errorf("%s: no error", name)
		}
	}
}
