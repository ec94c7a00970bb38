package credential

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/seal"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/sessions/store"
)

// jwtUntil is a JWT that ends then, as far as anybody looks.
func jwtUntil(exp int64, more string) string {
	return "h." + base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"exp":%d,"x":%q}`, exp, more)) + ".s"
}

// TestP142NobodyGetsWhatWasObtainedForAnother holds identities that are nearly the same against each other, at one gateway, at another
// that shares the store, and at one of another configuration.
func TestP142NobodyGetsWhatWasObtainedForAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		p := &stub{life: time.Hour}
		share := func(d *Deps) { d.Shared = w.shared }
		chain := Config{Name: "chain", Flow: "token_exchange", Provider: "corp", Audience: []string{"far"}, Subject: "orders"}
		byID := Config{Name: "byid", Flow: "token_exchange", Provider: "corp", Audience: []string{"far"}, Subject: "id_token"}
		signed := Config{Name: "signed", Flow: "assertion", Audience: []string{"x"}}
		bearerOf := func(access string) *identity.Identity {
			return &identity.Identity{Issuer: corp, Subject: "alice", Provider: "corp", Tokens: &identity.Tokens{AccessToken: secret.New(access)}}
		}
		session := func(change func(*identity.Identity)) *identity.Identity {
			who := somebody("alice")
			who.Tokens.IDToken = secret.New("id-of-alice")
			change(who)
			return who
		}
		people := map[string]*identity.Identity{
			"alice":              session(func(*identity.Identity) {}),
			"at another login":   session(func(i *identity.Identity) { i.Login, i.Session = "partners", "session 2" }),
			"in another session": session(func(i *identity.Identity) { i.Session = "session 3" }),
			"after a refresh": session(func(i *identity.Identity) {
				i.Tokens.AccessToken, i.Tokens.IDToken = secret.New("new"), secret.New("new-id")
			}),
			"by another provider":     session(func(i *identity.Identity) { i.Provider = "corp2" }),
			"a wide bearer":           bearerOf("wide"),
			"a narrow bearer":         bearerOf("narrow"),
			"a machine of that name":  {Issuer: corp, Subject: "alice", Machine: true, Client: "alice", Tokens: &identity.Tokens{AccessToken: secret.New("machine")}},
			"bearer of the session's": {Issuer: corp, Subject: "alice", Tokens: &identity.Tokens{AccessToken: secret.New("token-of-alice"), IDToken: secret.New("id-of-alice")}},
			"shifted":                 session(func(i *identity.Identity) { i.Subject, i.Provider = "alicecorp", "" }),
		}
		one, two := over(t, p, share, orders, chain, byID, signed), over(t, p, share, orders, chain, byID, signed)
		seen := map[string]string{} // token → whose, of which source
		for name, who := range people {
			for _, source := range []string{"orders", "chain", "byid", "signed"} {
				c, err := one.Source(source).Token(t.Context(), who)
				if source == "byid" && who.Session == "" && who.Tokens.IDToken.IsZero() {
					wantPage(t, err, codeRefused)
					continue
				}
				if err != nil {
					t.Fatal(name, source, err)
				}
				whose := name + " at " + source
				if other, ok := seen[raw(c)]; ok {
					t.Errorf("%s has what %s has", whose, other)
				}
				seen[raw(c)] = whose
			}
		}
		for name, who := range people {
			for _, source := range []string{"orders", "chain", "byid"} {
				c, err := two.Source(source).Token(t.Context(), copyOf(who))
				if err == nil && seen[raw(c)] != name+" at "+source {
					t.Errorf("another replica gives %s at %s what %s has", name, source, seen[raw(c)])
				}
			}
		}
		before := len(seen)
		for what, change := range map[string]func(*Config){
			"scopes": func(c *Config) { c.Scopes = []string{"read"} }, "audience": func(c *Config) { c.Audience = []string{"data"} },
			"parameters": func(c *Config) { c.Parameters = map[string][]string{"claims_locales": {"de"}} }, "actor": func(c *Config) { c.Actor = "backup" },
			"requested type": func(c *Config) { c.RequestedType = "jwt" },
		} {
			c := orders
			change(&c)
			p := &stub{life: time.Hour}
			p.ask = func(_ context.Context, _ int64, subject string) (*provider.Response, error) {
				r := p.response(what + " " + subject)
				if c.RequestedType == "jwt" {
					r.IssuedTokenType = provider.TypeJWT
				}
				return r, nil
			}
			got := raw(token(t, over(t, p, share, c, backup).Source("orders"), people["alice"]))
			if whose, ok := seen[got]; ok {
				t.Errorf("after a change of %s the token of %s is served", what, whose)
			}
			seen[got] = what
		}
		if len(seen) != before+5 {
			t.Errorf("%d tokens for 5 configurations", len(seen)-before)
		}
	})
}

func TestP142AnotherClientOrIssuerSharesNothing(t *testing.T) {
	w := newWorld(t, nil)
	tokens := map[string]bool{}
	for _, p := range []*named{{id: "doorward", issuer: corp}, {id: "other", issuer: corp}, {id: "doorward", issuer: "https://other.test"}} {
		p.stub = &stub{name: "corp", life: time.Hour}
		p.stub.ask = func(context.Context, int64, string) (*provider.Response, error) {
			return p.stub.response(p.id + p.issuer), nil
		}
		d := Deps{Shared: w.shared, Ring: w.ring}.withDefaults()
		set := must(build([]Config{backup}, d, map[string]client{"corp": p}))(t)
		tokens[raw(token(t, set.Source("backup"), nil))] = true
		set.Close()
	}
	if len(tokens) != 3 {
		t.Errorf("%d tokens of three clients", len(tokens))
	}
}

// named is a stub of a client of its own.
type named struct {
	*stub
	id, issuer string
}

func (n *named) ClientID() string { return n.id }
func (n *named) Issuer() string   { return n.issuer }

func TestP131WhatAnotherReplicaIsJustAskingForIsNotKeptWhenASessionEnds(t *testing.T) {
	for name, deaf := range map[string]bool{"told by the store": false, "not told in time": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, nil)
				p := &stub{life: time.Hour}
				p.ask = func(_ context.Context, n int64, subject string) (*provider.Response, error) {
					time.Sleep(time.Second)
					return p.response(fmt.Sprintf("%s #%d", subject, n)), nil
				}
				share := func(d *Deps) { d.Shared = w.shared }
				here, there := over(t, p, share, orders), over(t, p, share, orders)
				if deaf {
					there.end()
				}
				alice := somebody("alice")
				var wg sync.WaitGroup
				wg.Go(func() { token(t, there.Source("orders"), alice) })
				time.Sleep(500 * time.Millisecond)
				here.Forget(t.Context(), alice)
				wg.Wait()
				if keys := must(w.shared.List(t.Context(), ownerIndex+encoded(here.ownerOf(alice)), "", 10))(t); len(keys) != 0 {
					t.Errorf("the store keeps %d tokens of a session that is over", len(keys))
				}
				for i, set := range []*Set{there, here} {
					if got := raw(token(t, set.Source("orders"), alice)); strings.HasSuffix(got, "#1") {
						t.Errorf("replica %d keeps it", i)
					}
				}
			})
		})
	}
}

func TestTheEndOfTheWordThatASessionWasForgottenCostsNoCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		p := &stub{life: 12 * time.Hour}
		set := over(t, p, func(d *Deps) { d.Shared = w.shared }, orders)
		s, alice := set.Source("orders"), somebody("alice")
		token(t, s, alice)
		set.Forget(t.Context(), alice) // her session was refreshed
		alice = copyOf(alice)
		alice.Tokens = &identity.Tokens{AccessToken: secret.New("refreshed")}
		synctest.Wait()
		kept := token(t, s, alice)
		for range 10 {
			time.Sleep(goneLife / 2)
			set.shared.heard(goneKeys + encoded(set.ownerOf(alice)))
			if e := set.cache.get(must(s.handle(alice))(t).key); e.alive() {
				t.Fatal("it is not even forgotten")
			}
			if raw(token(t, s, alice)) != raw(kept) {
				t.Fatal("it is fetched anew")
			}
		}
		if p.asked.Load() != 2 {
			t.Errorf("%d calls", p.asked.Load())
		}
	})
}

func TestP131ASessionIsForgottenWhileTheRingIsChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		key := func(n byte) []byte { return bytes.Repeat([]byte{n}, seal.KeySize) }
		ring := func(keys ...[]byte) func(*Deps) {
			r := must(seal.New(keys...))(t)
			return func(d *Deps) { d.Shared, d.Ring = w.shared, r }
		}
		p := &stub{life: time.Hour}
		before, after := over(t, p, ring(key(1), key(2)), orders), over(t, p, ring(key(2), key(1)), orders)
		for _, two := range [][2]*Set{{before, after}, {after, before}} {
			alice := somebody("alice")
			first := token(t, two[0].Source("orders"), alice)
			two[1].Forget(t.Context(), alice)
			synctest.Wait()
			if token(t, two[0].Source("orders"), alice) == first {
				t.Error("a replica with another first key keeps it")
			}
		}
	})
}

func TestP143AClockThatIsPutBackMakesNoTokenLiveLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		ahead := time.Hour // by which the clock is wrong at first
		now := func() time.Time { return time.Now().Add(ahead) }
		p := &stub{}
		p.ask = func(_ context.Context, n int64, _ string) (*provider.Response, error) {
			r := p.response(fmt.Sprint("#", n))
			r.ReceivedAt, r.Expiry = now(), now().Add(10*time.Minute)
			return r, nil
		}
		set := over(t, p, func(d *Deps) { d.Now, d.Shared = now, w.shared }, backup, orders)
		alice := somebody("alice")
		token(t, set.Source("backup"), nil)
		token(t, set.Source("orders"), alice)
		ahead -= 30 * time.Second // as clocks are set all the time
		if token(t, set.Source("backup"), nil); p.asked.Load() != 2 {
			t.Error("half a minute is no reason")
		}
		ahead = 0
		time.Sleep(time.Minute)
		if got := raw(token(t, set.Source("backup"), nil)); got != "#3" {
			t.Errorf("%s is served until the clock has made up for an hour", got)
		}
		if got := raw(token(t, set.Source("orders"), alice)); got != "#4" {
			t.Error(got)
		}
		if token(t, set.Source("orders"), alice); p.asked.Load() != 4 {
			t.Error("what came since is not cached")
		}
		ahead = time.Hour
		carol := somebody("carol")
		token(t, set.Source("orders"), carol)
		ahead = 0
		other := over(t, p, func(d *Deps) { d.Now, d.Shared = now, w.shared }, orders)
		if got := raw(token(t, other.Source("orders"), carol)); got != "#6" {
			t.Errorf("%s is taken from the store until the clock has made up for an hour", got)
		}
	})
}

func TestP143WhatAReplicaOfAnotherClockLeavesEndsNoLater(t *testing.T) {
	for _, ahead := range []time.Duration{-time.Hour, -time.Minute, 30 * time.Second, time.Hour} {
		now := time.Now()
		g := &grant{tokens: &identity.Tokens{AccessToken: secret.New("t"), ReceivedAt: now.Add(ahead), Expiry: now.Add(ahead + 12*time.Hour)}, limit: now.Add(time.Minute)}
		if g.bound(now) != nil || g.end().After(g.limit) {
			t.Errorf("with a clock %s ahead it is served %s past the end of the session", ahead, g.end().Sub(g.limit))
		}
	}
}

func TestP143TheEndInAJWTCountsBesideExpiresIn(t *testing.T) {
	for name, c := range map[string]struct {
		exp  time.Duration // in the JWT; zero = opaque
		in   time.Duration // expires_in; zero = none
		most time.Duration // it may be served
		asks bool          // it may be served at all
	}{
		"exp earlier":                 {exp: time.Minute, in: time.Hour, most: time.Minute, asks: true},
		"exp later":                   {exp: time.Hour, in: time.Minute, most: time.Minute, asks: true},
		"exp just passed, in an hour": {exp: -30 * time.Second, in: time.Hour, most: 30 * time.Second, asks: true},
		"exp now":                     {exp: 0, in: time.Hour, most: time.Minute, asks: true},
		"exp long passed":             {exp: -2 * time.Minute, in: time.Hour},
		"exp just passed, no end":     {exp: -time.Second},
		"in a microsecond":            {exp: time.Hour, in: time.Microsecond, most: time.Microsecond, asks: true},
		"negative":                    {exp: time.Hour, in: -time.Second},
		"exp in the year 9999":        {exp: time.Hour, most: mostLife, asks: true},
		"in fifty years":              {exp: time.Hour * 24 * 365 * 60, in: 50 * 365 * 24 * time.Hour, most: mostLife, asks: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &stub{}
				p.ask = func(_ context.Context, n int64, _ string) (*provider.Response, error) {
					exp := time.Now().Add(c.exp).Unix()
					if name == "exp in the year 9999" {
						exp = 253402300799
					}
					r := p.response(jwtUntil(exp, fmt.Sprint(n)))
					if c.in != 0 {
						r.Expiry = time.Now().Add(c.in)
					}
					return r, nil
				}
				s := over(t, p, nil, backup).Source("backup")
				first, err := s.Token(t.Context(), nil)
				if !c.asks {
					wantPage(t, err, codeRefused)
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if token(t, s, nil); p.asked.Load() != 1 {
					t.Error("it is not cached: the provider is asked at each request")
				}
				time.Sleep(c.most)
				if token(t, s, nil) == first {
					t.Errorf("it is served after %s", c.most)
				}
			})
		})
	}
}

func TestP143AnUpstreamThatRejectsEverythingMakesFewCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &stub{life: 24 * time.Hour}
		s, alice := over(t, p, nil, orders).Source("orders"), somebody("alice")
		for range 3600 / 2 { // an hour of requests, each of which is tried twice
			for range 2 {
				s.Rejected(t.Context(), alice, token(t, s, alice))
			}
			time.Sleep(2 * time.Second)
		}
		if n := p.asked.Load(); n < 30 || n > 3600/80+8 {
			t.Errorf("%d calls in an hour", n)
		}
	})
}

func TestARejectionDuringARenewalIsAnsweredByThatRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &stub{life: 100 * time.Second}
		p.ask = func(_ context.Context, n int64, _ string) (*provider.Response, error) {
			time.Sleep(time.Second)
			return p.response(fmt.Sprint("#", n)), nil
		}
		s, alice := over(t, p, nil, orders).Source("orders"), somebody("alice")
		first := token(t, s, alice)
		time.Sleep(86 * time.Second)
		if token(t, s, alice) != first {
			t.Fatal("it is not served while it is renewed")
		}
		s.Rejected(t.Context(), alice, first)
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() {
				if got := raw(token(t, s, alice)); got != "#2" {
					t.Error(got)
				}
			})
		}
		wg.Wait()
		if p.asked.Load() != 2 {
			t.Errorf("%d calls", p.asked.Load())
		}
	})
}

func TestNoSecretIsInWhatIsPrinted(t *testing.T) {
	p := &stub{life: time.Hour}
	p.ask = func(_ context.Context, n int64, _ string) (*provider.Response, error) {
		return p.response(fmt.Sprint("c4nary-token", n)), nil
	}
	robot := Config{Name: "robot", Flow: "password", Provider: "corp", Username: "u", Password: secret.New("c4nary-password")}
	key := Config{Name: "key", Flow: "static", Token: secret.New("c4nary-key")}
	set := over(t, p, nil, orders, robot, key)
	alice := somebody("c4nary")
	alice.Tokens.AccessToken = secret.New("c4nary-subject")
	s := set.Source("orders")
	token(t, s, alice)
	h := must(s.handle(alice))(t)
	sub := must(s.subjectOf(t.Context(), alice))(t)
	g := must(s.flow.ask(t.Context(), s, alice))(t)
	for _, v := range []any{robot, key, *set.Source("robot"), s, h, sub, *g, g.tokens, attempt{handle: h, who: &identity.Identity{}}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
			if text := fmt.Sprintf(verb, v); strings.Contains(text, "c4nary") {
				t.Errorf("%T by %s: %.300s", v, verb, text)
			}
		}
	}
}

func TestAPersonIsNeverWhatTheCredentialIs(t *testing.T) {
	w := newWorld(t, nil)
	set := w.alone(Config{Name: "signed", Flow: "assertion", Audience: []string{"https://a.test", "https://b.test"}})
	s := set.Source("signed")
	about := func(who *identity.Identity) map[string]any { return verified(t, set.JWKS(), raw(token(t, s, who))) }
	eve := &identity.Identity{Issuer: corp, Subject: "signed", Name: `","sub":"root`, Username: "signed", Groups: []string{`a","b`}, Email: "root@corp.test"}
	person, machine := about(eve), about(&identity.Identity{Issuer: corp, Subject: "signed", Machine: true})
	if person["idp"] != corp || person["sub"] != "signed" || len(person["groups"].([]any)) != 1 || person["name"] != eve.Name || person["email"] != nil || person["act"] != nil {
		t.Errorf("%v", person)
	}
	if machine["idp"] != nil || about(nil)["idp"] != nil {
		t.Errorf("a person %q has all that the credential itself has: %v", eve.Subject, machine)
	}
	if aud := person["aud"].([]any); len(aud) != 2 || person["jti"] == machine["jti"] || strings.Contains(string(set.JWKS()), `"d"`) {
		t.Errorf("%v %v", person, machine)
	}
}

func TestPlacesTakeNothingThatReadsDifferently(t *testing.T) {
	static := func(change func(*Config)) error {
		c := Config{Name: "key", Flow: "static", Token: secret.New("t")}
		change(&c)
		_, err := build([]Config{c}, Deps{}.withDefaults(), map[string]client{"corp": &stub{}})
		return err
	}
	for name, change := range map[string]func(*Config){
		"a line end in Basic":    func(c *Config) { c.Format, c.Token = "basic", secret.New("a:b\n") },
		"a null byte in Basic":   func(c *Config) { c.Format, c.Token = "basic", secret.New("a\x00:b") },
		"a space in a cookie":    func(c *Config) { c.Cookie, c.Format = "c", "Bearer {token}" },
		"a second cookie":        func(c *Config) { c.Cookie, c.Format = "c", "{token};admin=1" },
		"a second cookie's name": func(c *Config) { c.Cookie = "c=1;d" },
		"the client's address":   func(c *Config) { c.Header = "x-real-ip" },
		"another method":         func(c *Config) { c.Header = "X-HTTP-Method-Override" },
		"another address":        func(c *Config) { c.Header = "X-Original-URL" },
		"a space in any cookie": func(c *Config) {
			*c = Config{Name: "key", Flow: "client_credentials", Provider: "corp", Cookie: "c", Format: "Bearer {token}"}
		},
	} {
		if static(change) == nil {
			t.Errorf("%s is taken", name)
		}
	}
	c := Config{Name: "key", Flow: "static", Format: "basic", Token: secret.New("zoë:pa:ß")}
	set := must(New([]Config{c}, Deps{}))(t)
	defer set.Close()
	if got := token(t, set.Source("key"), nil).Values[0]; got != "Basic "+base64.StdEncoding.EncodeToString([]byte("zoë:pa:ß")) { // RFC 7617 §2.1
		t.Error(got)
	}
	for _, bad := range []string{"a b\r\nX: 1", "a\tb", "", "ü", " a", "a ", "a\x7f"} {
		for where, p := range map[string]place{"header": newPlace(&Config{}), "cookie": newPlace(&Config{Cookie: "c"}), "bare": newPlace(&Config{Header: "X-Token"})} {
			if _, ok := p.credential("x", identity.Tokens{AccessToken: secret.New(bad)}); ok {
				t.Errorf("%q goes into a %s", bad, where)
			}
		}
	}
}

// blind is a store that cannot be read for a while.
type blind struct {
	store.Store
	now atomic.Bool
}

func (b *blind) Get(ctx context.Context, keys ...string) ([]store.Item, error) {
	if b.now.Load() {
		return nil, store.ErrUnavailable
	}
	return b.Store.Get(ctx, keys...)
}

func TestP131WhereNobodyKnowsWhetherASessionHasEndedNothingIsLeft(t *testing.T) {
	for name, at := range map[string][2]bool{"before": {true, false}, "after": {false, true}, "both": {true, true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				shared := &blind{Store: newWorld(t, nil).shared}
				p := &stub{life: time.Hour}
				p.ask = func(_ context.Context, n int64, _ string) (*provider.Response, error) {
					shared.now.Store(at[1])
					return p.response(fmt.Sprint("#", n)), nil
				}
				set := over(t, p, func(d *Deps) { d.Shared = shared }, orders)
				alice := somebody("alice")
				shared.now.Store(at[0])
				token(t, set.Source("orders"), alice)
				if keys := must(shared.List(t.Context(), ownerIndex+encoded(set.ownerOf(alice)), "", 10))(t); len(keys) != 0 {
					t.Error("a token is left that nobody may take away")
				}
			})
		})
	}
}

func TestOneSessionIsForgottenAndNoOther(t *testing.T) {
	p := &stub{life: time.Hour}
	set := over(t, p, nil, orders)
	s := set.Source("orders")
	bearer := func(access string) *identity.Identity {
		return &identity.Identity{Issuer: corp, Subject: "alice", Tokens: &identity.Tokens{AccessToken: secret.New(access)}}
	}
	one, two, three, four := somebody("alice"), somebody("alice"), bearer("a"), bearer("b")
	two.Session = "another session"
	kept := map[*identity.Identity]*identity.Credential{}
	for _, who := range []*identity.Identity{one, two, three, four} {
		kept[who] = token(t, s, who)
	}
	set.Forget(t.Context(), one)
	set.Forget(t.Context(), three)
	for who, gone := range map[*identity.Identity]bool{one: true, two: false, three: true, four: false} {
		if got := token(t, s, who); (got != kept[who]) != gone {
			t.Errorf("%s: forgotten %t, want %t", raw(kept[who]), !gone, gone)
		}
	}
}

func TestWhatLiesInTheStoreIsTakenIfItIsBetter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		p := &stub{life: time.Hour}
		set := over(t, p, func(d *Deps) { d.Shared = w.shared }, backup)
		s := set.Source("backup")
		first := token(t, s, nil)
		old := set.cache.get(s.same.key)
		other := func(text string, d time.Duration) *grant {
			now := time.Now()
			g := &grant{tokens: &identity.Tokens{AccessToken: secret.New(text), ReceivedAt: now, Expiry: now.Add(d)}}
			if err := g.bound(now); err != nil {
				t.Fatal(err)
			}
			return g
		}
		if s.better(other("sooner", time.Minute), old, nil) || !s.better(other("later", 2*time.Hour), old, nil) || s.better(other(raw(first), 2*time.Hour), old, nil) {
			t.Error("it is not the later end that counts")
		}
		set.shared.save(t.Context(), s.same, other("newer", time.Hour), begun{known: true})
		s.Rejected(t.Context(), nil, first)
		if got := raw(token(t, s, nil)); got != "newer" || p.asked.Load() != 1 {
			t.Errorf("%s: the rejection of one token drops another from the store", got)
		}
		if s.better(other(raw(first), 2*time.Hour), old, nil) || !s.better(other("sooner", time.Minute), old, nil) {
			t.Error("what was rejected is kept because it ends later")
		}
	})
}

func TestP144ATokenOfAnotherTypeIsRefusedWhateverTheClientThinks(t *testing.T) {
	p := &stub{life: time.Hour}
	p.ask = func(context.Context, int64, string) (*provider.Response, error) {
		r := p.response("refresh")
		r.IssuedTokenType = provider.TypeRefreshToken
		return r, nil
	}
	_, err := over(t, p, nil, orders).Source("orders").Token(t.Context(), somebody("alice"))
	wantPage(t, err, codeRefused)
}

func TestAnOutageOfTheSecondLegCostsNoTokenOfTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &stub{life: time.Hour}
		first := 0
		p.ask = func(_ context.Context, n int64, subject string) (*provider.Response, error) {
			if subject == "for token-of-alice" {
				first++
				return p.response("one"), nil
			}
			return nil, &provider.Error{Kind: provider.Unavailable, Code: "server_error"}
		}
		chain := Config{Name: "chain", Flow: "token_exchange", Provider: "corp", Audience: []string{"far"}, Subject: "orders"}
		s, alice := over(t, p, nil, orders, chain).Source("chain"), somebody("alice")
		for range 20 {
			_, err := s.Token(t.Context(), alice)
			wantPage(t, err, codeProviderDown)
			time.Sleep(time.Minute)
		}
		if first != 1 || p.asked.Load() < 10 {
			t.Errorf("%d tokens of the first leg, %d calls", first, p.asked.Load())
		}
	})
}

func TestARefusalAfterASuccessIsTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &stub{life: 2 * time.Second}
		p.ask = func(_ context.Context, n int64, _ string) (*provider.Response, error) {
			if n%4 == 0 {
				return p.response("good"), nil
			}
			return nil, &provider.Error{Kind: provider.Refused, Code: "invalid_grant"}
		}
		s, alice := over(t, p, nil, orders).Source("orders"), somebody("alice")
		wait := func() time.Duration { // until the next call
			began, n := time.Now(), p.asked.Load()
			for p.asked.Load() == n {
				_, _ = s.Token(t.Context(), alice)
				time.Sleep(100 * time.Millisecond)
			}
			return time.Since(began)
		}
		for range 4 { // three refusals and a token
			wait()
		}
		time.Sleep(p.life) // without a request that would renew it
		wait()
		if d := wait(); d > leastRefusal+leastRefusal/4+200*time.Millisecond {
			t.Errorf("it counts for %s", d)
		}
	})
}

func TestNothingIsRenewedAfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &stub{life: time.Minute}
		set := over(t, p, nil, backup)
		token(t, set.Source("backup"), nil)
		set.Close()
		time.Sleep(52 * time.Second)
		token(t, set.Source("backup"), nil)
		synctest.Wait()
		if n := p.asked.Load(); n != 1 {
			t.Errorf("%d calls", n)
		}
	})
}

func TestP143ATokenWithoutAnEndOfItsOwnIsLimitedByWhatItSays(t *testing.T) {
	s := over(t, &stub{}, nil, orders).Source("orders")
	end := time.Unix(time.Now().Add(time.Minute).Unix(), 0)
	who := &identity.Identity{Issuer: corp, Subject: "a", Tokens: &identity.Tokens{AccessToken: secret.New(jwtUntil(end.Unix(), ""))}}
	if got := s.limit(who); !got.Equal(end) {
		t.Errorf("%s, want %s", got, end)
	}
}

func TestWhatHasNoEndIsNotReadFromTheStore(t *testing.T) {
	g := &grant{tokens: &identity.Tokens{AccessToken: secret.New("t"), ReceivedAt: time.Now()}}
	if _, err := decode(encode(g)); err == nil {
		t.Error("a token without an end")
	}
}
