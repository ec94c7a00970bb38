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

	"github.com/doorward/doorward/internal/seal"
	"github.com/doorward/doorward/internal/testnet"
)

func TestTheSameSubjectOfAnotherIssuerIsSomebodyElse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		made := w.mint(w.signedIn("alice", git), git, named("ci"))
		id := w.change("bob", func(who *identityOf) { who.Issuer, who.Subject, who.Provider = "https://other.test", "alice", "other" })
		stranger := w.signedIn("bob", git)
		if list := w.list(stranger, git); len(list) != 0 {
			t.Errorf("%+v", list)
		}
		// Not even what stands in their list by mistake is theirs.
		index := must(w.indexOf(t.Context(), id))(t)
		key := listedKeys + made.ID
		blob := must(w.store.Get(t.Context(), key))(t)[0].Value
		if err := w.store.Store.Put(t.Context(), key, blob, time.Hour, index); err != nil {
			t.Fatal(err)
		}
		if list := w.list(stranger, git); len(list) != 0 {
			t.Errorf("%+v", list)
		}
		if p := stranger.Fetch(t, "", http.MethodPost, git+"/oauth2/tokens", url.Values{"revoke": {made.ID}}); p.Status != http.StatusNotFound {
			t.Errorf("%d %s", p.Status, p.Body)
		}
		w.Renew(t.Context(), id)
		synctest.Wait()
		if who := w.who(made.Token, git); who == nil || who.Issuer != "https://sso.test" || who.Email != "alice@example.com" {
			t.Errorf("%+v", who)
		}
	})
}

func TestAListShowsWhenATokenReallyEnds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		shared := newMemory(t)
		same := func(p *plan) { p.store = shared }
		w := newWorld(t, same)
		made := w.mint(w.signedIn("alice", git), git, named("ci", "expires_in", "7776000"))
		strict := newWorld(t, same, func(p *plan) { p.longest = time.Hour })
		list := strict.list(strict.signedIn("alice", git), git)
		if len(list) != 1 || list[0].EndsAt.Sub(made.CreatedAt) != time.Hour {
			t.Errorf("%+v", list)
		}
		time.Sleep(time.Hour)
		if list := strict.list(strict.signedIn("alice", git), git); len(list) != 0 {
			t.Errorf("%+v", list)
		}
	})
}

func TestS18ManyAtOnceDoNotPassTheLimit(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		b := w.signedIn("alice", git)
		for i := range maxTokens - 5 {
			if i%maxMints == 0 {
				time.Sleep(time.Hour)
			}
			w.mint(b, git, named("x"))
		}
		time.Sleep(time.Hour)
		p := must(w.Tokens.person(w.cookied(b), w.deps.Origins.All()[0]))(t)
		gate := make(chan struct{})
		together := func(key string) {
			if strings.HasPrefix(key, listedKeys) {
				<-gate // nobody has seen anybody else's yet
			}
		}
		w.store.before.Store(&together)
		var made atomic.Int64
		var all sync.WaitGroup
		for range 3 * maxMints {
			all.Go(func() {
				if _, _, err := w.Tokens.mint(t.Context(), p, limits{name: "x", life: time.Hour, hosts: []string{git}}); err == nil {
					made.Add(1)
				}
			})
		}
		synctest.Wait()
		close(gate)
		all.Wait()
		if n := len(w.list(b, git)); n > maxTokens || n != maxTokens-5+int(made.Load()) {
			t.Errorf("%d tokens, %d of them just made", n, made.Load())
		}
	})
}

// cookied is a request of a browser that is signed in at git.
func (w *world) cookied(b *testnet.Browser) *http.Request {
	r := w.request("", git)
	r.Header = http.Header{"Cookie": {"__Host-doorward=" + b.Jar.Get(git, "__Host-doorward")}}
	return r
}

// A replica that still seals with the old key may have written an entry after the rest moved to the new one.
func TestAnEntryOfAListMovesToTheNewKeyByItself(t *testing.T) {
	bubble(t, func(t *testing.T) {
		shared := newMemory(t)
		with := func(keys ...[]byte) func(*plan) { return func(p *plan) { p.store, p.keys = shared, keys } }
		both := newWorld(t, with(key(2), key(1)))
		made := both.mint(both.signedIn("alice", git), git, named("ci"))
		both.expect(made.Token, git, 200, "alice")
		synctest.Wait() // its use is written, and no other will be within the hour
		late := must(seal.New(key(1), key(2)))(t)
		at := listedKeys + made.ID
		item := must(shared.Get(t.Context(), at))(t)[0]
		plain := must(late.Open(purposeListed, item.Value, []byte(at)))(t)
		if ok, err := shared.Swap(t.Context(), at, item.Version, late.Seal(purposeListed, plain, []byte(at)), time.Hour); !ok || err != nil {
			t.Fatal(ok, err)
		}
		newWorld(t, with(key(2), key(1))).expect(made.Token, git, 200, "alice")
		synctest.Wait()
		after := newWorld(t, with(key(2)))
		after.expect(made.Token, git, 200, "alice")
		if list := after.list(after.signedIn("alice", git), git); len(list) != 1 || !strings.Contains(list[0].Name, "ci") {
			t.Errorf("%+v", list)
		}
	})
}
