package flows

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/secret"
)

// revoked returns the tokens that the provider was asked to revoke.
func (w *world) revoked() map[string]bool {
	all := map[string]bool{}
	for _, r := range w.idp.Requests(idp.Revoke) {
		all[r.Form.Get("token")] = true
	}
	return all
}

func (w *world) refreshToken(t *testing.T, cookie string) string {
	t.Helper()
	r := must(http.NewRequestWithContext(t.Context(), http.MethodGet, app+"/x", http.NoBody))(t)
	r.Header.Set("Cookie", sessionID+"="+cookie)
	s := must(w.keeper.Load(r))(t)
	if s == nil {
		t.Fatal("no session")
	}
	return s.Who.Tokens.RefreshToken.Reveal()
}

func TestREF8P131ALoginOverALoginRevokesTheOldTokens(t *testing.T) {
	w := newWorld(t)
	b := w.signedIn(t, app+"/x")
	old := w.refreshToken(t, b.Jar.Get(app, sessionID))
	expect(t, b.Open(t, app+"/oauth2/start?prompt=login&rd=/two").SignIn(t, "bob", "bob"), http.StatusOK, "bob sees")
	w.flows.Wait()
	if got := slices.Collect(maps.Keys(w.revoked())); !slices.Equal(got, []string{old}) {
		t.Errorf("revoked: %d tokens, the old one among them: %v", len(got), slices.Contains(got, old))
	}
}

// Ten tabs that sign in at once are ten logins of one session at the provider. Providers that end
// it with the first token that is revoked would sign all of them out.
func TestR4ALoginInTheSameSessionAtTheProviderRevokesNothing(t *testing.T) {
	w := newWorld(t)
	b := w.signedIn(t, app+"/x")
	first := b.Jar.Get(app, sessionID)
	expect(t, b.Open(t, app+"/oauth2/start?rd=/two"), http.StatusOK, "alice sees")
	if b.Jar.Get(app, sessionID) == first {
		t.Fatal("no second login")
	}
	w.flows.Wait()
	if n := w.idp.Count(idp.Revoke); n != 0 {
		t.Errorf("%d revocations", n)
	}
}

func TestREF8P131ASignOutDuringARefreshRevokesTheNewTokenToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		b := w.signedIn(t, app+"/x")
		old := w.refreshToken(t, b.Jar.Get(app, sessionID))
		time.Sleep(4*time.Minute + 30*time.Second)
		// As at a provider that answers a little later than it rotates, the grant outlives the sign-out.
		w.idp.Misbehave(idp.Slow(5*time.Second).For("grant_type", "refresh_token"), idp.Answer(503, "text/plain", "").On(idp.Revoke))
		expect(t, b.Open(t, app+"/x"), http.StatusOK, "alice sees")
		synctest.Wait() // until the provider has got it
		b.StopAt = func(next *url.URL) bool { return next.Hostname() == "127.0.0.1" }
		b.Post(t, "", signOut, nil)
		time.Sleep(10 * time.Second)
		w.flows.Wait()
		if all := w.revoked(); len(all) != 2 || !all[old] || w.refreshes() != 1 {
			t.Errorf("%d tokens revoked, the old one among them: %v; %d refreshes", len(all), all[old], w.refreshes())
		}
	})
}

func TestRevocationsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		b := w.signedIn(t, app+"/x") // the provider is known
		b.Open(t, app+"/x")
		w.idp.Misbehave(idp.Hanging().On(idp.Revoke).Always())
		before := time.Now()
		for range 3 * maxRevocations {
			w.flows.deps.Revoker.Revoke(t.Context(), &identity.Identity{
				Issuer: corp, Provider: "corp", Tokens: &identity.Tokens{RefreshToken: secret.New("rt")},
			})
		}
		if waited := time.Since(before); waited > 0 {
			t.Errorf("the answers waited for %s", waited)
		}
		time.Sleep(revocationWait / 2)
		if n := w.idp.Count(idp.Revoke); n != maxRevocations {
			t.Errorf("%d at once", n)
		}
		w.flows.Wait()
		if waited := time.Since(before); waited > revocationWait+time.Second {
			t.Errorf("Wait took %s", waited)
		}
	})
}
