package e2e

import (
	"strings"
	"testing"
	"time"
)

// The provider rotates: each refresh token works once, and a second use ends everything
// (R1). The page asks for many things at a time, as pages do.
func TestR1TokensAreRefreshedAheadOfTheirEndAndNobodyNotices(t *testing.T) {
	const life = 8 * time.Second
	w := newWorld(t, providerOptions{TTL: map[string]int{"AccessToken": int(life.Seconds()), "IdToken": int(life.Seconds())}})
	tb := w.signedIn(t, newBrowser(t), "alice", "/")
	tb.forget()

	const wanted = 3 // different tokens, so two refreshes at least
	tokens := map[string]time.Time{}
	enough := eventually(func() bool {
		statuses := script[[]int](tb, `
			const all = [...Array(20).keys()].map((i) => fetch("/json?i=" + i).then((r) => r.redirected ? -1 : r.status));
			return await Promise.all(all);`)
		for _, status := range statuses {
			if status != 200 {
				t.Fatalf("while tokens are refreshed, the page's requests get %v", statuses)
			}
		}
		for _, r := range w.app.all() {
			token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
			if _, ok := tokens[token]; !ok {
				tokens[token] = time.Now()
			}
			if r.Header.Get("X-Forwarded-Email") != "alice@example.com" {
				t.Fatalf("the app saw %+v", r)
			}
		}
		return len(tokens) >= wanted
	})
	if !enough {
		t.Fatalf("the app saw %d different tokens within %s: %+v", len(tokens), patience, w.provider.events(t))
	}
	for token, first := range tokens {
		if token == "" {
			t.Fatal("the app was called without a token")
		}
		if age := time.Since(first); age < life/4 { // the newest: it must be good now
			if status := userinfo(t, w.provider.issuer, token); status != 200 {
				t.Errorf("the provider answers %d to the newest token", status)
			}
		}
	}
	if codes, refused := w.provider.count(t, "grant", "authorization_code"), w.provider.count(t, "grant_error", ""); codes != 1 || refused != 0 {
		t.Errorf("%d sign-ins and %d refused grants: %+v", codes, refused, w.provider.events(t))
	}
	if n := w.provider.count(t, "grant", "refresh_token"); n > len(tokens) {
		t.Errorf("%d refreshes for %d tokens: one at a time is enough", n, len(tokens))
	}
	if tb.visited(w.provider.issuer) {
		t.Error("the browser was sent to the provider")
	}
}

// A refresh that the provider refuses means that the person may no longer be signed in.
func TestR2ARefusedRefreshEndsTheSession(t *testing.T) {
	const life = 6
	w := newWorld(t, providerOptions{TTL: map[string]int{"AccessToken": life, "IdToken": life, "RefreshToken": 2, "Session": 2, "Grant": 2}})
	tb := w.signedIn(t, newBrowser(t), "alice", "/")
	ended := eventually(func() bool {
		return fetch(tb, `"/json"`, `{}`).Status == 401
	})
	if !ended {
		t.Fatalf("the session outlived its refresh token: %+v", w.provider.events(t))
	}
	if n := w.provider.count(t, "grant_error", "refresh_token"); n != 1 {
		t.Errorf("the provider refused %d refreshes, not 1: %+v", n, w.provider.events(t))
	}
	tb.open(w.gateway.origin + "/again")
	w.signIn(tb, "alice")
	tb.waitURL(w.gateway.origin + "/again")
}
