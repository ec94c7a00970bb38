package personal

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/internal/identity"
)

type identityOf = identity.Identity

func claimsOf(size int) *identity.Claims {
	return identity.NewClaims([]byte(`{"x":"` + strings.Repeat("y", size) + `"}`))
}

func TestP184OnlyOwnPagesMintAndRevoke(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		b := w.signedIn("alice", git)
		made := w.mint(b, git, named("ci"))
		cookie := "__Host-doorward=" + b.Jar.Get(git, "__Host-doorward")
		form := []string{"Cookie", cookie, "Content-Type", "application/x-www-form-urlencoded"}
		for name, headers := range map[string][]string{
			"cross-site": {"Sec-Fetch-Site", "cross-site"}, "a neighbouring host": {"Sec-Fetch-Site", "same-site", "Origin", git},
			"old browser, another origin": {"Origin", wiki}, "old browser, null": {"Origin", "null"}, "two origins": {"Origin", git, "Origin", wiki},
			"says nothing": nil, "a lie in the other header": {"Sec-Fetch-Site", "cross-site", "X-Requested-With", "x"},
		} {
			if status, body, _ := w.call("POST", git+"/oauth2/tokens", append(headers, form...)...); status != 403 || !strings.Contains(body, "cross_site") {
				t.Errorf("%s: %d %s", name, status, body)
			}
		}
		evil := "https://evil.test/"
		if p := b.Post(t, evil, git+"/oauth2/tokens", named("x")); p.Status != 403 {
			t.Errorf("a form of another site: %d", p.Status)
		}
		// A GET changes nothing, whatever it says and wherever it comes from.
		for _, query := range []string{"?name=x&expires_in=60", "?revoke=" + made.ID} {
			b.Visit(t, evil, git+"/oauth2/tokens"+query)
			b.Open(t, git+"/oauth2/tokens"+query)
		}
		if list := w.list(b, git); len(list) != 1 || list[0].ID != made.ID {
			t.Errorf("%+v", list)
		}
	})
}

func TestATokenMadeAtOneApplicationIsNoneAtAnother(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		b := w.signedIn("alice", git)
		for _, host := range []string{"wiki.test", wiki, "evil.test", "http://git.test", "*", ""} {
			if p := b.Fetch(t, "", "POST", git+"/oauth2/tokens", named("x", "hosts", host)); p.Status != 400 {
				t.Errorf("a script of git.test got a token for %q: %d %s", host, p.Status, p.Body)
			}
		}
		made := w.mint(b, git, named("ci"))
		w.expect(made.Token, git, 200, "alice")
		w.expect(made.Token, wiki, 401, "nobody")
		r := w.request(made.Token, git)
		who := w.who(made.Token, git)
		r.Host = "wiki.test"
		if alive, _ := w.Alive(r, who); alive {
			t.Error("it is alive elsewhere")
		}
		if w.who(made.Token, "https://GIT.test:443") == nil {
			t.Error("another spelling of the host is another host")
		}
		// Neither is it seen, nor revoked, from there.
		b.Open(t, wiki+"/login?who=alice")
		if list := w.list(b, wiki); len(list) != 0 {
			t.Errorf("%+v", list)
		}
		if p := b.Fetch(t, "", "POST", wiki+"/oauth2/tokens", url.Values{"revoke": {made.ID}}); p.Status != 404 {
			t.Errorf("%d", p.Status)
		}
		w.expect(made.Token, git, 200, "alice")
	})
}

func TestNobodyRevokesOrSeesTheTokensOfOthers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		alice, bob := w.signedIn("alice", git), w.signedIn("bob", git)
		made := w.mint(alice, git, named("ci"))
		if list := w.list(bob, git); len(list) != 0 {
			t.Errorf("%+v", list)
		}
		for _, id := range []string{made.ID, strings.ToUpper(made.ID), "../" + made.ID, made.ID + "/", "x", strings.Repeat("0", 32), strings.Repeat("a", 5000)} {
			if p := bob.Fetch(t, "", "POST", git+"/oauth2/tokens", url.Values{"revoke": {id}}); p.Status != 404 {
				t.Errorf("%.40q: %d %s", id, p.Status, p.Body)
			}
		}
		w.expect(made.Token, git, 200, "alice")
	})
}

func TestATokenIsNeverMoreThanItsSession(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		b := w.signedIn("alice", git)
		for name, form := range map[string]url.Values{
			"a scope that the session lacks": named("x", "scopes", "orders.write"), "hidden among others": named("x", "scopes", "openid admin"),
			"too long a life": named("x", "expires_in", "7776001"), "too short a one": named("x", "expires_in", "59"), "none": named("x", "expires_in", "0"),
			"a negative life": named("x", "expires_in", "-1"), "an overflow": named("x", "expires_in", "9223372036854775807"), "no name": {},
			"a name of spaces": named("  "), "a long name": named(strings.Repeat("ü", 65)), "a name that lies": named("safe\u202egnp.exe"), "no text": named("a\xff"), "a line": named("a\nb"),
			"a name twice": named("a", "name", "b"), "an unknown field": named("a", "groups", "admin"), "another subject": named("a", "sub", "bob"), "a token of one's own": named("a", "token", newToken().text()), "an id of one's own": named("a", "id", strings.Repeat("0", 32)), "both": named("a", "revoke", "b"),
			"reading, perhaps": named("a", "read_only", "maybe"), "a life twice": named("a", "expires_in", "60", "expires_in", "70"),
		} {
			if p := b.Fetch(t, "", "POST", git+"/oauth2/tokens", form); p.Status != 400 || !strings.Contains(p.Body, "bad_request") {
				t.Errorf("%s: %d %s", name, p.Status, p.Body)
			}
		}
		if p := b.Fetch(t, "", "POST", git+"/oauth2/tokens", named(strings.Repeat("x", maxBody))); p.Status != 413 {
			t.Errorf("%d", p.Status)
		}
		if list := w.list(b, git); len(list) != 0 {
			t.Errorf("%+v", list)
		}
		w.mint(b, git, named(strings.Repeat("ü", 64), "expires_in", "7776000"))
	})
}

func TestJSONIsReadAsStrictly(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		b := w.signedIn("alice", git)
		post := func(contentType, body string) (int, string) {
			r := must(http.NewRequestWithContext(t.Context(), "POST", git+"/oauth2/tokens", strings.NewReader(body)))(t)
			r.Header.Set("Cookie", "__Host-doorward="+b.Jar.Get(git, "__Host-doorward"))
			r.Header.Set("Content-Type", contentType)
			r.Header.Set("X-Requested-With", "cli")
			res := must(w.net.Transport().RoundTrip(r))(t)
			defer res.Body.Close()
			return res.StatusCode, res.Header.Get("Content-Type")
		}
		for body, want := range map[string]int{
			`{"name":"a","expires_in":3600,"scopes":["openid"],"hosts":["git.test"],"read_only":true}`: 201, ` {"name":"a"} `: 201,
			`{"name":"a"}{"name":"b"}`: 400, `{"name":"a"}x`: 400, `{"name":"a","sub":"bob"}`: 400, `["a"]`: 400, `null`: 400, ``: 400, `{"name":1}`: 400,
			`{"name":"a","expires_in":-5}`: 400, `{"name":"a","expires_in":1e3}`: 400, `{"name":"a","expires_in":99999999999999}`: 400, `{"name":"a","scopes":["admin"]}`: 400,
			`{"name":"a","hosts":["wiki.test"]}`: 400, `{"name":"a","revoke":"b"}`: 400, `{"revoke":"b"}`: 404,
		} {
			if status, _ := post("application/json", body); status != want {
				t.Errorf("%s: %d, want %d", body, status, want)
			}
		}
		for _, contentType := range []string{"text/plain", "multipart/form-data; boundary=x", "", "application/json; charset=utf-7", "application/json;;", "text/json"} {
			if status, _ := post(contentType, `{"name":"a"}`); status != 400 {
				t.Errorf("%q: %d", contentType, status)
			}
		}
	})
}

func TestWhatIsNoTokenIsNobody(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		made := w.mint(w.signedIn("alice", git), git, named("ci"))
		tok := made.Token
		before := w.store.gets.Load()
		flipped := []byte(tok)
		flipped[20] ^= 1
		for name, line := range map[string]string{
			"its id": "Bearer " + tokenPrefix + made.ID, "nothing": "Bearer " + tokenPrefix, "cut": "Bearer " + tok[:len(tok)-1], "longer": "Bearer " + tok + "A", "padded": "Bearer " + tok + "=",
			"one bit off": "Bearer " + string(flipped), "other case": "Bearer " + strings.ToUpper(tok), "another alphabet": "Bearer " + strings.NewReplacer("-", "+", "_", "/").Replace(tok[:10]) + "+/",
			"as user name": basic(tok, ""), "as user name and password": basic(tok, "x"), "another scheme": "Token " + tok, "bare": tok, "a list": "Bearer " + tok + ", Bearer " + tok,
			"another prefix": "Bearer dw1." + tok[4:], "a line break": "Bearer " + tok[:10] + "\t" + tok[10:], "empty": "",
		} {
			if status, _, _ := w.call("GET", git+"/", "Authorization", line); status != 401 {
				t.Errorf("%s: %d", name, status)
			}
		}
		if status, _, _ := w.call("GET", git+"/", "Authorization", "Bearer "+tok, "Authorization", "Bearer "+tok); status != 401 {
			t.Errorf("twice: %d", status)
		}
		if status, _, _ := w.call("GET", git+"/?access_token="+tok); status != 401 {
			t.Errorf("in the query: %d", status)
		}
		if n := w.store.gets.Load() - before; n != 0 {
			t.Errorf("who guesses makes us ask the store %d times", n)
		}
		other := newToken()
		w.expect(other.text(), git, 401, "nobody")
		w.expect(tok, git, 200, "alice")
	})
}

// Whoever watches their list sees a token of somebody who has got hold of their session before that one has it, and revokes
// it there and then.
func TestATokenThatIsRevokedWhileItIsMadeNeverCounts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		thief, owner := w.signedIn("alice", git), w.signedIn("alice", git)
		revoke := func(key string) {
			id, ok := strings.CutPrefix(key, tokenKeys)
			if !ok {
				return
			}
			if p := owner.Fetch(t, "", "POST", git+"/oauth2/tokens", url.Values{"revoke": {id}}); p.Status != 204 {
				t.Errorf("%d %s", p.Status, p.Body)
			}
		}
		w.store.before.Store(&revoke)
		p := thief.Fetch(t, "", "POST", git+"/oauth2/tokens", named("thief's"))
		w.store.before.Store(nil)
		if tok := decoded[shown](t, p.Body).Token; tok != "" {
			w.expect(tok, git, 401, "nobody")
		}
		if list := w.list(owner, git); len(list) != 0 {
			t.Errorf("%+v", list)
		}
	})
}

func TestAStreamGoesOnOnlyForWhomItBegan(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		alice := w.signedIn("alice", git)
		one, two, bobs := w.mint(alice, git, named("one")), w.mint(alice, git, named("two")), w.mint(w.signedIn("bob", git), git, named("bob's"))
		for name, c := range map[string]struct {
			came, who string
			alive     bool
		}{"itself": {one.Token, one.Token, true}, "another token of theirs": {one.Token, two.Token, false}, "somebody else": {bobs.Token, one.Token, false}} {
			if alive, err := w.Alive(w.request(c.came, git), w.who(c.who, git)); alive != c.alive || err != nil {
				t.Errorf("%s: %v %v", name, alive, err)
			}
		}
	})
}

func TestNobodyCanMakeATokenWhoseNameIsNotSeen(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		b := w.signedIn("alice", git)
		for _, name := range []string{"\u3164", "\u115f\u1160", "\uffa0", "\u2800\u2800", "\u0301", "\ufe0f", "\u034f\u180b", "\U000e0100", "...", "\u3164-\u3164"} {
			if p := b.Fetch(t, "", "POST", git+"/oauth2/tokens", named(name)); p.Status != 400 {
				t.Errorf("%+q: %d", name, p.Status)
			}
		}
		for _, name := range []string{"ci", "7", "ключ", "鍵", "مفتاح", "e\u0301", "<script>alert(1)</script>", "🔑 1", "❤️"} {
			w.mint(b, git, named(name))
		}
	})
}

func TestAStolenRecordUnderAnotherTokenOpensNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		b := w.signedIn("alice", git)
		alices, bobs := w.mint(b, git, named("a")), w.mint(w.signedIn("bob", git), git, named("b"))
		// Whoever can write into the store moves alice's record to where bob's token looks.
		blob := must(w.store.Get(t.Context(), tokenKeys+alices.ID))(t)[0].Value
		if err := w.store.Put(t.Context(), tokenKeys+bobs.ID, blob, time.Hour); err != nil {
			t.Fatal(err)
		}
		w.expect(bobs.Token, git, 401, "nobody")
		// Or one list entry onto another.
		listed := must(w.store.Get(t.Context(), listedKeys+alices.ID))(t)[0].Value
		if err := w.store.Put(t.Context(), listedKeys+bobs.ID, listed, time.Hour); err != nil {
			t.Fatal(err)
		}
		if p := b.Fetch(t, "", "POST", git+"/oauth2/tokens", url.Values{"revoke": {bobs.ID}}); p.Status != 404 {
			t.Errorf("%d", p.Status)
		}
	})
}

func TestAnIdentityThatIsNoneAnyMoreHasNoTokens(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		made := w.mint(w.signedIn("alice", git), git, named("ci"))
		w.invalid.Store(true) // its login is not configured any more
		w.expect(made.Token, git, 401, "nobody")
		w.invalid.Store(false)
		w.expect(made.Token, git, 200, "alice")
		name := must(w.ownerName(t.Context(), w.person("alice")))(t)
		if _, err := w.store.Delete(t.Context(), ownerKeys+name.String()); err != nil {
			t.Fatal(err)
		}
		w.expect(made.Token, git, 401, "nobody") // what is known of its owner was deleted
	})
}

func TestASignOutEndsNoTokenAndAMachineHasNone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		b := w.signedIn("alice", git)
		made := w.mint(b, git, named("ci"))
		b.Open(t, git+"/logout")
		w.expect(made.Token, git, 200, "alice")
		w.change("bob", func(who *identityOf) { who.Machine = true })
		if p := w.signedIn("bob", git).Fetch(t, "", "POST", git+"/oauth2/tokens", named("x")); p.Status != 403 {
			t.Errorf("%d %s", p.Status, p.Body)
		}
	})
}

func TestS18AThousandPostsMakeTwentyTokens(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		b := w.signedIn("alice", git)
		cookie := "__Host-doorward=" + b.Jar.Get(git, "__Host-doorward")
		transport := w.net.Transport()
		transport.MaxConnsPerHost = 20
		var made, refused, other atomic.Int64
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() {
				r, err := http.NewRequestWithContext(t.Context(), "POST", git+"/oauth2/tokens", strings.NewReader("name=x"))
				if err != nil {
					t.Error(err)
					return
				}
				r.Header.Set("Cookie", cookie)
				r.Header.Set("Origin", git)
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				res, err := transport.RoundTrip(r)
				if err != nil {
					t.Error(err)
					return
				}
				defer res.Body.Close()
				switch {
				case res.StatusCode == 201:
					made.Add(1)
				case res.StatusCode == 429 && res.Header.Get("Retry-After") != "":
					refused.Add(1)
				default:
					other.Add(1)
				}
			})
		}
		wg.Wait()
		if made.Load() != maxMints || refused.Load() != 1000-maxMints || other.Load() != 0 {
			t.Errorf("%d made, %d refused, %d else", made.Load(), refused.Load(), other.Load())
		}
		if list := w.list(b, git); len(list) != maxMints {
			t.Errorf("%d in the list", len(list))
		}
		p := b.Post(t, "", git+"/oauth2/tokens", named("kept"))
		if p.Status != 429 || p.Header.Get("Retry-After") == "" || !strings.Contains(p.Body, `value="kept"`) {
			t.Errorf("%d %v", p.Status, p.Header)
		}
	})
}

func TestS18NobodyHasMoreThanAHundredTokens(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		b := w.signedIn("alice", git)
		for i := range maxTokens {
			if i%maxMints == 0 {
				time.Sleep(time.Hour)
			}
			w.mint(b, git, named("x"))
		}
		time.Sleep(time.Hour)
		if p := b.Fetch(t, "", "POST", git+"/oauth2/tokens", named("x")); p.Status != 400 || !strings.Contains(p.Body, "100 tokens") {
			t.Errorf("%d %s", p.Status, p.Body)
		}
		list := w.list(b, git)
		if len(list) != maxTokens {
			t.Fatalf("%d", len(list))
		}
		if page := b.Open(t, git+"/oauth2/tokens"); strings.Contains(page.Body, `id="name"`) || strings.Count(page.Body, `name="revoke"`) != maxTokens {
			t.Error("the page of a full list has a form, or lacks a token")
		}
		if p := b.Fetch(t, "", "POST", git+"/oauth2/tokens", url.Values{"revoke": {list[50].ID}}); p.Status != 204 {
			t.Errorf("%d", p.Status)
		}
		w.mint(b, git, named("x"))
	})
}

func TestUsersNeverGetEachOthersTokensUnderLoad(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		toks := map[string]string{}
		for _, name := range []string{"alice", "bob"} {
			toks[name] = w.mint(w.signedIn(name, git), git, named("ci")).Token
		}
		var wg sync.WaitGroup
		for name, tok := range toks {
			for i := range 20 {
				wg.Go(func() {
					for n := range 50 {
						if i == 0 && n%10 == 0 {
							w.cache.flush()
						}
						who, ok, err := w.Authenticate(nil, w.request(tok, git))
						if !ok || err != nil || who.Subject != name {
							t.Errorf("%s is %v %v", name, who, err)
						}
					}
				})
			}
		}
		wg.Wait()
		synctest.Wait()
	})
}

func TestAfterCloseNothingIsAnsweredFromMemory(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		made := w.mint(w.signedIn("alice", git), git, named("ci"))
		w.expect(made.Token, git, 200, "alice")
		w.Close()
		id, _ := parseDigest(made.ID)
		if _, err := w.store.Delete(t.Context(), tokenKeys+id.String()); err != nil {
			t.Fatal(err)
		}
		w.expect(made.Token, git, 401, "nobody")
	})
}
