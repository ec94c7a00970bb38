package personal

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/internal/testnet"
	"github.com/doorward/doorward/sessions"
)

func TestATokenActsAsThePersonWhoMadeIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		b := w.signedIn("alice", git)
		made := w.mint(b, git, named("backup", "scopes", "orders.read"))
		w.expect(made.Token, git, 200, "alice")
		for user, password := range map[string]string{"alice": made.Token, "": made.Token, "x-token": made.Token} {
			if status, body, _ := w.call("GET", git+"/", "Authorization", basic(user, password)); status != 200 || body != "alice" {
				t.Errorf("Basic %q: %d %s", user, status, body)
			}
		}
		who, of := w.who(made.Token, git), w.person("alice")
		if who.Key() != of.Key() || who.Provider != of.Provider || who.Login != of.Login || who.Client != of.Client || who.Email != of.Email || !who.EmailVerified ||
			who.Username != of.Username || who.Name != of.Name || !reflect.DeepEqual(who.Groups, of.Groups) || who.ACR != of.ACR || !reflect.DeepEqual(who.AMR, of.AMR) ||
			!who.AuthTime.Equal(of.AuthTime) || who.Machine {
			t.Errorf("%+v", who)
		}
		if !reflect.DeepEqual(who.Claims.Map(), of.Claims.Map()) {
			t.Errorf("claims: %s", who.Claims.Raw())
		}
		if who.Tokens != nil || who.Session != "pat:"+made.ID || who.SID != "" || !reflect.DeepEqual(who.Scopes, []string{"orders.read"}) {
			t.Errorf("it brings more than it may: %+v", who)
		}
		if !who.Ends.Equal(time.Now().Add(30*24*time.Hour)) || !who.Ends.Truncate(time.Second).Equal(made.EndsAt) {
			t.Errorf("it ends at %s, %s", who.Ends, made.EndsAt)
		}
	})
}

func TestATokenIsShownOnceAndLiesNowhere(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		b := w.signedIn("alice", git)
		page := b.Open(t, git+"/oauth2/tokens")
		if page.Status != 200 || !strings.Contains(page.Body, "git clone "+git+"/") || page.Header.Get("Cache-Control") != "no-store" {
			t.Fatalf("%d %s", page.Status, page.Body)
		}
		shown := page.Submit(t, map[string]string{"name": "<b>backup</b>"})
		if shown.Status != http.StatusCreated || shown.Header.Get("Cache-Control") != "no-store" || strings.Contains(shown.Body, "<b>backup") {
			t.Fatalf("%d %s", shown.Status, shown.Body)
		}
		_, tok, _ := strings.Cut(shown.Body, `<code id="token">`)
		tok, _, _ = strings.Cut(tok, "<")
		w.expect(tok, git, 200, "alice")
		synctest.Wait()
		list := b.Open(t, git+"/oauth2/tokens")
		if strings.Contains(list.Body, tok[4:]) || !strings.Contains(list.Body, "&lt;b&gt;backup&lt;/b&gt;") {
			t.Error("the list shows the token, or not its name")
		}
		raw, _ := base64.RawURLEncoding.DecodeString(tok[4:])
		for _, prefix := range []string{liveKeys, listedKeys, "personal/"} {
			for _, stored := range everything(t, w, list, prefix) {
				if strings.Contains(stored, tok[4:20]) || strings.Contains(stored, string(raw[:8])) || strings.Contains(stored, "alice") {
					t.Error("the store holds the token or the name of its owner in the clear")
				}
			}
		}
		if log := w.log.String(); strings.Contains(log, tok[4:20]) || !strings.Contains(log, "personal token made") {
			t.Errorf("log: %s", log)
		}
	})
}

// everything is what the store holds of the token in a list.
func everything(t *testing.T, w *world, list *testnet.Page, prefix string) (all []string) {
	t.Helper()
	_, id, _ := strings.Cut(list.Body, `name="revoke" value="`)
	id, _, _ = strings.Cut(id, `"`)
	keys := []string{tokenKeys + id, listedKeys + id, namesKeys + "0"}
	for _, k := range keys {
		if strings.HasPrefix(k, prefix) {
			items := must(w.store.Get(t.Context(), k))(t)
			if items[0].Version == 0 {
				t.Errorf("nothing at %s", k)
			}
			all = append(all, k+string(items[0].Value))
		}
	}
	return all
}

func TestARevokedTokenIsDeadOnEveryReplicaAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		shared := newMemory(t)
		same := func(p *plan) { p.store = shared }
		one, two := newWorld(t, same), newWorld(t, same)
		b := one.signedIn("alice", git)
		made := one.mint(b, git, named("ci"))
		for _, w := range []*world{one, two} {
			w.expect(made.Token, git, 200, "alice")
			w.expect(made.Token, git, 200, "alice")
		}
		r := two.request(made.Token, git)
		who := two.who(made.Token, git)
		if alive, err := two.Alive(r, who); !alive || err != nil {
			t.Errorf("a stream is cut: %v %v", alive, err)
		}
		synctest.Wait()
		if p := b.Fetch(t, "", "POST", git+"/oauth2/tokens", url.Values{"revoke": {made.ID}}); p.Status != http.StatusNoContent {
			t.Fatalf("%d %s", p.Status, p.Body)
		}
		for _, w := range []*world{one, two} {
			w.expect(made.Token, git, 401, "nobody")
		}
		if alive, err := two.Alive(r, who); alive || err != nil {
			t.Errorf("a stream goes on: %v %v", alive, err)
		}
		if list := one.list(b, git); len(list) != 0 {
			t.Errorf("%+v", list)
		}
		if p := b.Fetch(t, "", "POST", git+"/oauth2/tokens", url.Values{"revoke": {made.ID}}); p.Status != http.StatusNotFound {
			t.Errorf("revoked twice: %d", p.Status)
		}
	})
}

func TestARevocationIsNotOvertakenByAReadOrByAUse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		b := w.signedIn("alice", git)
		made := w.mint(b, git, named("ci"))
		id, _ := parseDigest(made.ID)
		// Revoked after its record was read, and before that is used.
		var once atomic.Bool
		hook := func(keys []string) {
			if keys[0] == tokenKeys+id.String() && once.CompareAndSwap(false, true) {
				if _, err := w.delete(t.Context(), id); err != nil {
					t.Error(err)
				}
			}
		}
		w.store.after.Store(&hook)
		w.who(made.Token, git) // overlaps with the revocation: either answer is right
		if !once.Load() {
			t.Fatal("nothing was read")
		}
		w.expect(made.Token, git, 401, "nobody")
		synctest.Wait()

		made = w.mint(b, git, named("ci"))
		id, _ = parseDigest(made.ID)
		once.Store(false)
		use := func(keys []string) { // revoked while its use is being written
			if keys[0] == listedKeys+id.String() && once.CompareAndSwap(false, true) {
				if _, err := w.delete(t.Context(), id); err != nil {
					t.Error(err)
				}
			}
		}
		w.store.after.Store(&use)
		w.who(made.Token, git)
		synctest.Wait()
		if list := w.list(b, git); !once.Load() || len(list) != 0 {
			t.Errorf("a use brought a revoked token back: %v %+v", once.Load(), list)
		}
	})
}

func TestATokenIsForReadingOnlyWhereThePersonSaidSo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		made := w.mint(w.signedIn("alice", git), git, named("ci", "read_only", "true"))
		for method, want := range map[string]int{
			"GET": 200, "HEAD": 200, "OPTIONS": 200, "PROPFIND": 200, "REPORT": 200, "SEARCH": 200,
			"POST": 403, "PUT": 403, "DELETE": 403, "PATCH": 403, "MKCOL": 403, "MOVE": 403, "LOCK": 403, "PROPPATCH": 403, "get": 403, "QUERY": 403,
		} {
			status, body, header := w.call(method, git+"/", "Authorization", basic("x", made.Token))
			if status != want {
				t.Errorf("%s: %d %s", method, status, body)
			}
			if want == 403 && (!strings.Contains(body, "reading only") || !strings.HasPrefix(header.Get("WWW-Authenticate"), `Bearer realm="git.test", error="insufficient_scope"`)) {
				t.Errorf("%s: %s %v", method, body, header)
			}
		}
		if status, _, _ := w.call("GET", git+"/", "Authorization", "Bearer "+made.Token, "Connection", "Upgrade", "Upgrade", "websocket"); status != 403 {
			t.Errorf("a WebSocket, through which anything can be sent: %d", status)
		}
	})
}

func TestAStoreThatIsDownIsNeverNobody(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		b := w.signedIn("alice", git)
		made := w.mint(b, git, named("ci"))
		fresh := w.mint(b, git, named("fresh"))
		w.expect(made.Token, git, 200, "alice")
		synctest.Wait()
		w.store.down.Store(true)
		w.expect(made.Token, git, 200, "alice") // known already
		w.expect(fresh.Token, git, 503, "unavailable")
		if _, err := w.Alive(w.request(fresh.Token, git), w.person("alice")); err == nil {
			t.Error("an outage ends streams")
		}
		for _, method := range []string{"GET", "POST"} {
			if p := b.Fetch(t, "", method, git+"/oauth2/tokens", nil); p.Status != 503 || !strings.Contains(p.Body, "store_unavailable") {
				t.Errorf("%s: %d %s", method, p.Status, p.Body)
			}
		}
		w.store.down.Store(false)
		w.expect(fresh.Token, git, 200, "alice")
	})
}

func TestATokenThatCannotBeKeptIsInNoList(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		b := w.signedIn("alice", git)
		w.store.noLive.Store(true)
		if p := b.Fetch(t, "", "POST", git+"/oauth2/tokens", named("ci")); p.Status != 503 || strings.Contains(p.Body, tokenPrefix) {
			t.Errorf("%d %s", p.Status, p.Body)
		}
		if list := w.list(b, git); len(list) != 0 {
			t.Errorf("%+v", list)
		}
	})
}

func TestWithADomainCookieATokenMayBeForItsHosts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, func(p *plan) {
			p.origins = []string{"https://a.corp.test", "https://b.corp.test", "https://c.corp.test"}
			p.cookie = sessions.Cookie{Name: "doorward", Domain: "corp.test"}
		})
		b := w.signedIn("alice", "https://a.corp.test")
		made := w.mint(b, "https://a.corp.test", named("two", "hosts", "b.corp.test", "hosts", "https://c.corp.test"))
		w.expect(made.Token, "https://a.corp.test", 401, "nobody")
		w.expect(made.Token, "https://b.corp.test", 200, "alice")
		w.expect(made.Token, "https://c.corp.test", 200, "alice")
		if page := b.Open(t, "https://a.corp.test/oauth2/tokens"); !strings.Contains(page.Body, `value="https://a.corp.test" checked`) || strings.Contains(page.Body, `value="https://b.corp.test" checked`) {
			t.Error("the form begins with another host than the one it is on")
		}
		if list := w.list(b, "https://a.corp.test"); len(list) != 1 || !reflect.DeepEqual(list[0].Hosts, []string{"b.corp.test", "c.corp.test"}) {
			t.Errorf("%+v", list)
		}
	})
}

func TestWithoutALifetimeThereAreNoTokens(t *testing.T) {
	bubble(t, func(t *testing.T) {
		shared := newMemory(t)
		same := func(p *plan) { p.store = shared }
		made := func() shown { w := newWorld(t, same); return w.mint(w.signedIn("alice", git), git, named("ci")) }()
		off := newWorld(t, same, func(p *plan) { p.longest = 0 })
		off.expect(made.Token, git, 401, "nobody")
		off.Renew(t.Context(), off.person("alice"))
		if status, _, _ := off.call("GET", git+"/oauth2/tokens"); status != 401 { // the stand-in for routes answers
			t.Errorf("%d", status)
		}
		short := newWorld(t, same, func(p *plan) { p.longest = time.Hour })
		short.expect(made.Token, git, 200, "alice")
		time.Sleep(time.Hour)
		short.expect(made.Token, git, 401, "nobody") // a stricter limit counts for what is there
	})
}
