package flows

import (
	"errors"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/sessions"
)

// refreshes counts the refresh grants that a provider was asked for.
func (w *world) refreshes() (n int) {
	for _, r := range w.idp.Requests(idp.Token) {
		if r.Form.Get("grant_type") == "refresh_token" {
			n++
		}
	}
	return n
}

func TestREF4TokensAreRefreshedAheadOfTheirEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		b := w.signedIn(t, app+"/x")
		time.Sleep(3 * time.Minute) // of five
		expect(t, b.Open(t, app+"/x"), http.StatusOK, "alice sees")
		synctest.Wait()
		if n := w.refreshes(); n != 0 {
			t.Errorf("%d refreshes long before the end", n)
		}
		time.Sleep(90 * time.Second)
		for range 3 {
			expect(t, b.Open(t, app+"/x"), http.StatusOK, "alice sees")
			synctest.Wait()
		}
		if n := w.refreshes(); n != 1 {
			t.Errorf("%d refreshes shortly before the end", n)
		}
		info := decode(t, b.Fetch(t, "", http.MethodGet, app+"/oauth2/session", nil).Body)["tokens"].(map[string]any)
		if left := info["expire_in_seconds"].(float64); left < 290 {
			t.Errorf("the token still ends in %v s", left)
		}
	})
}

// R2 and REF-3 on the pages of an application: what a provider's answer to a refresh means.
func TestR2WhatARefreshThatFailsMeans(t *testing.T) {
	for name, c := range map[string]struct {
		sin   idp.Sin
		lives bool
	}{
		"invalid_grant":           {idp.Catalogue()["refresh_refused"], false},
		"P083 somebody else":      {idp.Catalogue()["refresh_wrong_sub"], false},
		"P083 another issuer":     {idp.Catalogue()["refresh_wrong_iss"], false},
		"P209 an outage":          {idp.Catalogue()["unavailable"], true},
		"P209 a connection lost":  {idp.Catalogue()["drop"], true},
		"a gateway's error page":  {idp.Catalogue()["html"], true},
		"the operator's mistake":  {idp.OAuthError("invalid_client"), true},
		"P110 a redirect":         {idp.RedirectedTo(other + "/steal"), true},
		"temporarily_unavailable": {idp.OAuthError("temporarily_unavailable"), true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				b := w.signedIn(t, app+"/x")
				time.Sleep(6 * time.Minute) // the access token has ended: the answer waits for the refresh
				w.idp.Misbehave(c.sin.For("grant_type", "refresh_token").Always())
				page := b.Fetch(t, "", http.MethodGet, app+"/x", nil)
				if !c.lives {
					expect(t, page, http.StatusUnauthorized, codeLoginRequired)
					w.idp.Heal()
					expect(t, b.Open(t, app+"/x?y"), http.StatusOK, "alice sees app.test/x?y") // login again, and back
					return
				}
				expect(t, page, http.StatusOK, "alice sees")
				w.idp.Heal()
				time.Sleep(2 * time.Minute)
				expect(t, b.Open(t, app+"/x"), http.StatusOK, "alice sees")
				if n := w.idp.Count(idp.Authorize); n > 2 {
					t.Errorf("a login was needed: %d authorization requests", n)
				}
			})
		})
	}
}

// R1, P081: two gateways, twenty requests, one refresh token that may be used once.
func TestP081OneRefreshForAllReplicas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.replica(t)
		b := w.signedIn(t, app+"/x")
		time.Sleep(6 * time.Minute)
		var done sync.WaitGroup
		var served atomic.Int32
		for i := range 20 {
			done.Go(func() {
				res := w.call(t, http.MethodGet, app+"/x", "Cookie", sessionID+"="+b.Jar.Get(app, sessionID), "X-Test-Replica", strconv.Itoa(i%2))
				if res.StatusCode == http.StatusOK {
					served.Add(1)
				}
			})
		}
		done.Wait()
		if served.Load() != 20 || w.refreshes() != 1 {
			t.Errorf("%d served, %d refreshes", served.Load(), w.refreshes())
		}
	})
}

// P082: what a slow provider answers after a sign-out brings nobody back.
func TestP082ASignOutDuringARefreshIsTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		b := w.signedIn(t, app+"/x")
		cookie := b.Jar.Get(app, sessionID)
		time.Sleep(4*time.Minute + 30*time.Second)
		w.idp.Misbehave(idp.Slow(5*time.Second).For("grant_type", "refresh_token"))
		expect(t, b.Open(t, app+"/x"), http.StatusOK, "alice sees") // the refresh goes on behind the answer
		synctest.Wait()                                             // until the provider has got it
		b.Post(t, "", signOut, nil)
		time.Sleep(10 * time.Second)
		if n := w.refreshes(); n != 1 {
			t.Fatalf("%d refreshes", n)
		}
		w.gone(t, b, cookie)
	})
}

func TestARefresherKnowsOnlyItsProviders(t *testing.T) {
	w := newWorld(t)
	who := &identity.Identity{Provider: "gone", Issuer: corp, Subject: "x"}
	if _, err := Refresher(w.providers).Refresh(t.Context(), who); !errors.Is(err, sessions.ErrRefused) {
		t.Errorf("a provider that was removed: %v", err)
	}
	who = &identity.Identity{Provider: "corp", Issuer: other, Subject: "x"}
	if _, err := Refresher(w.providers).Refresh(t.Context(), who); !errors.Is(err, sessions.ErrRefused) {
		t.Errorf("a provider with another issuer: %v", err)
	}
	who = &identity.Identity{Provider: "corp", Issuer: corp, Subject: "x"}
	if _, err := Refresher(w.providers).Refresh(t.Context(), who); err == nil || errors.Is(err, sessions.ErrRefused) {
		t.Errorf("nothing to refresh with: %v", err)
	}
}
