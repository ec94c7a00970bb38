package sessions

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/testnet"
)

// big signs alice in with tokens that do not compress.
func big(t testing.TB, g *gate, access, id int) (*testnet.Browser, *httptest.ResponseRecorder, error) {
	t.Helper()
	who := g.provider.identity("alice")
	who.Tokens.AccessToken, who.Tokens.IDToken = noise(access), noise(id)
	b := g.net.Browser()
	r := must(http.NewRequest(http.MethodGet, app, http.NoBody))(t)
	w := httptest.NewRecorder()
	_, err := g.Start(w, r, who)
	b.Jar.Set(r.URL, w.Header().Values("Set-Cookie"))
	if len(b.Jar.Refused) > 0 {
		t.Errorf("refused: %q", b.Jar.Refused)
	}
	return b, w, err
}

func noise(n int) secret.String {
	b := make([]byte, n*3/4)
	_, _ = rand.Read(b)
	return secret.New(base64.RawURLEncoding.EncodeToString(b))
}

func TestChunks(t *testing.T) {
	g := newGate(t, inCookies)
	var all []string
	for n, access := range map[int]int{1: 100, 2: 4000, 3: 8000, 4: 12000, 5: 15000} {
		b, _, err := big(t, g, access, 10)
		if err != nil {
			t.Fatal(err)
		}
		names := b.Jar.Names(app)
		want := []string{cookie, cookie + ".1", cookie + ".2", cookie + ".3", cookie + ".4"}[:n]
		if !slices.Equal(names, want) {
			t.Errorf("%d bytes: cookies %q, want %q", access, names, want)
		}
		for _, name := range names {
			if v := b.Jar.Get(app, name); len(v) > chunkSize {
				t.Errorf("%s has %d bytes", name, len(v))
			}
		}
		expect(t, b.Open(t, app+"/"), 200, "alice")
		all = names
		if n != 5 {
			continue
		}
		// A smaller session takes the chunks of the larger one back.
		expect(t, b.Open(t, app+"/login?who=bob"), 200, "bob")
		if left := b.Jar.Names(app); !slices.Equal(left, []string{cookie}) {
			t.Errorf("stale chunks: %q", left)
		}
	}
	_ = all
}

func TestTheIDTokenIsWhatGoesFirst(t *testing.T) {
	g := newGate(t, inCookies)
	b, _, err := big(t, g, 12000, 8000)
	if err != nil {
		t.Fatal(err)
	}
	r := must(http.NewRequest(http.MethodGet, app, http.NoBody))(t)
	r.Header.Set("Cookie", header(b, app))
	s := must(g.Load(r))(t)
	if !s.Who.Tokens.IDToken.IsZero() || s.Who.Tokens.AccessToken.IsZero() || s.Who.Tokens.RefreshToken.IsZero() {
		t.Error("something else was dropped")
	}
	if !strings.Contains(g.log.String(), "ID token does not fit") {
		t.Error("nobody was told")
	}
}

func TestR3ASessionThatDoesNotFitIsAnErrorThatSaysWhatToDo(t *testing.T) {
	g := newGate(t, inCookies)
	_, w, err := big(t, g, 20000, 10)
	if err == nil || !strings.Contains(err.Error(), ErrTooLarge.Error()) || !strings.Contains(err.Error(), `sessions.store = "bolt"`) {
		t.Errorf("%v", err)
	}
	if len(w.Header().Values("Set-Cookie")) > 0 {
		t.Error("cookies were set all the same")
	}
	stored := newGate(t)
	if _, _, err := big(t, stored, 20000, 10); err != nil {
		t.Errorf("in a store it must fit: %v", err)
	}
	if _, _, err := big(t, stored, maxRecord, 10); err == nil || !strings.Contains(err.Error(), ErrTooLarge.Error()) {
		t.Errorf("a store is no bottomless pit: %v", err)
	}
}

// P075, P077, P078: chunk games end as nobody, never as an error or as half a session.
func TestHostileChunks(t *testing.T) {
	g := newGate(t, inCookies)
	b, _, err := big(t, g, 9000, 10)
	if err != nil {
		t.Fatal(err)
	}
	another, _, _ := big(t, g, 9000, 10)
	c := func(from *testnet.Browser, i int) string { return from.Jar.Get(app, cookie+chunkSuffix(i)) }
	names := []string{cookie, cookie + ".1", cookie + ".2"}
	chunk := func(i int) string { return names[i] + "=" + c(b, i) }
	whole := []string{chunk(0), chunk(1), chunk(2)}
	if w := g.ask(t, app+"/", strings.Join(whole, "; ")); w.Code != 200 {
		t.Fatalf("%d", w.Code)
	}
	if w := g.ask(t, app+"/", chunk(2)+"; x=y; "+chunk(0)+"; "+chunk(1)+"; "+cookie+".3=stale; "+cookie+".3=twice"); w.Code != 200 {
		t.Errorf("in another order, with a stale chunk: %d", w.Code)
	}
	first := c(b, 0)
	for name, cookies := range map[string][]string{
		"without the first":           {chunk(1), chunk(2)},
		"without the second":          {chunk(0), chunk(2)},
		"without the last":            {chunk(0), chunk(1)},
		"the first alone":             {chunk(0)},
		"swapped":                     {chunk(0), names[1] + "=" + c(b, 2), names[2] + "=" + c(b, 1)},
		"swapped with the first":      {names[0] + "=" + c(b, 1), names[1] + "=" + c(b, 0), chunk(2)},
		"one of another session":      {chunk(0), names[1] + "=" + c(another, 1), chunk(2)},
		"one twice":                   {chunk(0), chunk(1), chunk(1), chunk(2)},
		"the first twice":             {chunk(0), chunk(0), chunk(1), chunk(2)},
		"one empty":                   {chunk(0), names[1] + "=", chunk(2)},
		"one too long":                {chunk(0), chunk(1) + "A", chunk(2)},
		"one too short":               {chunk(0), chunk(1)[:len(chunk(1))-1], chunk(2)},
		"a byte flipped":              {chunk(0), names[1] + "=" + flip(c(b, 1)), chunk(2)},
		"a count of 99999999":         {names[0] + "=dwc99999999." + first[5:], chunk(1), chunk(2)},
		"a count of -1":               {names[0] + "=dwc-1." + first[5:], chunk(1), chunk(2)},
		"a count of 0":                {names[0] + "=dwc0." + first[5:], chunk(1), chunk(2)},
		"a count of 6":                {names[0] + "=dwc6." + first[5:], chunk(1), chunk(2)},
		"a count of 2":                {names[0] + "=dwc2." + first[5:], chunk(1), chunk(2)},
		"a count of 5":                {names[0] + "=dwc5." + first[5:], chunk(1), chunk(2), cookie + ".3=A", cookie + ".4=A"},
		"a ticket":                    {names[0] + "=" + newTicket().value()},
		"null":                        {names[0] + "=null"},
		"empty":                       {names[0] + "="},
		"a hundred kB":                {names[0] + "=dwc1." + strings.Repeat("A", 100_000)},
		"of the cookie at plain http": {strings.TrimPrefix(chunk(0), "__Host-"), strings.TrimPrefix(chunk(1), "__Host-"), strings.TrimPrefix(chunk(2), "__Host-")},
	} {
		t.Run(name, func(t *testing.T) {
			for _, path := range []string{"/", "/session", "/refresh", "/logout"} {
				if w := g.ask(t, app+path, strings.Join(cookies, "; ")); w.Code != 401 {
					t.Errorf("%s: %d %s", path, w.Code, w.Body)
				}
			}
		})
	}
	t.Run("500 chunks", func(t *testing.T) {
		var cookies []string
		for i := range 500 {
			cookies = append(cookies, fmt.Sprintf("%s.%d=%s", cookie, i, strings.Repeat("A", 100)))
		}
		if w := g.ask(t, app+"/", strings.Join(cookies, "; ")); w.Code != 401 {
			t.Errorf("%d", w.Code)
		}
	})
	if w := g.ask(t, app+"/", strings.Join(whole, "; ")); w.Code != 200 {
		t.Errorf("afterwards the good one gets %d", w.Code)
	}
}

func flip(s string) string {
	b := []byte(s)
	if b[100] == 'A' {
		b[100] = 'B'
	} else {
		b[100] = 'A'
	}
	return string(b)
}

func TestP075EveryByteOfASealedCookieCounts(t *testing.T) {
	g := newGate(t, inCookies)
	good := g.signedIn(t, app).Jar.Get(app, cookie)
	for i := range len(good) {
		bad := []byte(good)
		bad[i] ^= 1
		if w := g.ask(t, app+"/", cookie+"="+string(bad)); w.Code != 401 {
			t.Errorf("byte %d: %d", i, w.Code)
		}
	}
}

func TestP076ASealedCookieOpensUnderItsOwnNameOnly(t *testing.T) {
	g := newGate(t, inCookies)
	good := g.signedIn(t, local).Jar.Get(local, "doorward")
	if w := g.ask(t, local+"/", "doorward="+good); w.Code != 200 {
		t.Fatalf("%d", w.Code)
	}
	for address, name := range map[string]string{app: cookie, wiki: cookie} {
		if w := g.ask(t, address+"/", name+"="+good); w.Code != 401 {
			t.Errorf("at %s: %d", address, w.Code)
		}
	}
	renamed := newGate(t, inCookies, func(p *plan) { p.config.Cookie.Name = "other" })
	if w := renamed.ask(t, local+"/", "other="+good); w.Code != 401 {
		t.Errorf("under another name: %d", w.Code)
	}
}

func TestASessionThatEndedInCookiesStaysEndedAfterARestart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGate(t, inCookies)
		b := g.signedIn(t, app)
		copied := header(b, app)
		expect(t, b.Open(t, app+"/logout"), 200, "alice")
		restarted := newGate(t, inCookies, func(p *plan) { p.shared = g.shared.Store })
		for range 23 {
			time.Sleep(time.Hour)
			if w := restarted.ask(t, app+"/", copied); w.Code != 401 {
				t.Fatalf("%d", w.Code)
			}
		}
	})
}

func TestACookieFromBeforeARefreshEndsWithItsSession(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGate(t, inCookies)
		b := g.signedIn(t, app)
		before := header(b, app)
		expect(t, b.Open(t, app+"/refresh"), 200, "at-2")
		expect(t, b.Open(t, app+"/logout"), 200, "at-2")
		if w := g.ask(t, app+"/", before); w.Code != 401 {
			t.Errorf("%d", w.Code)
		}
	})
}

func TestANoteThatIsLostCostsNoSecondRefresh(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGate(t, inCookies)
		b := g.signedIn(t, app)
		before := header(b, app)
		time.Sleep(g.provider.life + time.Second)
		g.shared.noPut.Store(true)
		expect(t, b.Open(t, app+"/"), 200, "at-2")
		if w := g.ask(t, app+"/", before); !strings.HasSuffix(w.Body.String(), "at-2") || g.provider.calls.Load() != 1 {
			t.Errorf("%d %s, %d refreshes", w.Code, w.Body, g.provider.calls.Load())
		}
	})
}

func TestGraceIsBounded(t *testing.T) {
	now := time.Unix(1e9, 0)
	var g grace
	for i := range 3 * maxGrace {
		g.remember(digest{byte(i), byte(i >> 8)}, presented{key: digest{0xff, 1, 2, 3}}, now)
	}
	if len(g.next) > maxGrace {
		t.Errorf("%d are remembered", len(g.next))
	}
	g.remember(digest{9, 9, 9}, presented{key: digest{9, 9, 9}}, now) // a circle, which cannot be
	if p := g.follow(presented{key: digest{9, 9, 9}}, now); p.key != (digest{9, 9, 9}) {
		t.Errorf("%v", p.key)
	}
	if p := g.follow(presented{key: digest{9, 9, 9}}, now.Add(graceLife)); p.key != (digest{9, 9, 9}) || p.moved {
		t.Errorf("%v", p.key)
	}
}
