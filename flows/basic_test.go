package flows

import (
	"bytes"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/internal/credentials"
	"github.com/doorward/doorward/sessions"
)

func TestBasicIsTriedOnceAndThenCached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoors(t, 2)
		first := d.try("alice", "alice", office)
		d.want(first, 200, "")
		if !strings.HasPrefix(first.Body.String(), "alice legacy ") || len(first.Header().Values("Set-Cookie")) > 0 {
			t.Errorf("%s %v", first.Body, first.Header())
		}
		q := d.idp.Last(idp.Token)
		if q.Form.Get("grant_type") != "password" || q.Form.Get("username") != "alice" || q.Form.Get("password") != "alice" || !strings.Contains(q.Form.Get("scope"), "openid") || q.ClientAuth != "client_secret_basic" {
			t.Errorf("ROP-1: %v", q.Form)
		}
		for n := range 10 {
			again := d.send(n%2, d.request("alice", "alice", street+"1"))
			d.want(again, 200, "")
			if again.Body.String() != first.Body.String() {
				t.Error("replicas hold different tokens")
			}
		}
		if n := d.passwordGrants(); n != 1 {
			t.Errorf("%d password grants", n)
		}
	})
}

func TestTokensOfAPasswordAreRefreshedAndThePasswordProvedAgainAfterFifteenMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoors(t, 1)
		first := d.try("alice", "alice", office)
		for range 14 {
			time.Sleep(time.Minute)
			d.want(d.try("alice", "alice", office), 200, "")
		}
		synctest.Wait()
		if p, r := d.passwordGrants(), d.grants("refresh_token"); p != 1 || r != 3 {
			t.Errorf("%d password grants and %d refreshes in fourteen minutes", p, r)
		}
		if now := d.try("alice", "alice", office); now.Body.String() == first.Body.String() {
			t.Error("the tokens are those of the beginning")
		}
		time.Sleep(time.Minute)
		d.want(d.try("alice", "alice", office), 200, "")
		if p := d.passwordGrants(); p != 2 {
			t.Errorf("%d password grants after fifteen minutes", p)
		}
		synctest.Wait()
		if n := d.idp.Count(idp.Revoke); n != 1 {
			t.Errorf("REF-8: the tokens of before were given back %d times", n)
		}
	})
}

func TestReplicasThatProveAgainAtOnceShareOneSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoors(t, 2)
		first := d.try("alice", "alice", office)
		d.want(d.send(1, d.request("alice", "alice", office)), 200, "")
		time.Sleep(proofLife)
		answers := make([]*httptest.ResponseRecorder, 20)
		var all sync.WaitGroup
		for i := range answers {
			all.Go(func() { answers[i] = d.send(i%2, d.request("alice", "alice", office)) })
		}
		all.Wait()
		for _, w := range answers {
			d.want(w, 200, "")
			if w.Body.String() != answers[0].Body.String() || w.Body.String() == first.Body.String() {
				t.Fatal("they have different tokens, or the old ones")
			}
		}
		synctest.Wait()
		if p, r := d.passwordGrants(), d.idp.Count(idp.Revoke); p > 3 || r != p-1 {
			t.Errorf("%d grants, of which %d were given back", p, r)
		}
	})
}

func TestAPasswordThatWasChangedEndsTheSessionOfTheOldOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoors(t, 1)
		d.want(d.try("alice", "alice", office), 200, "")
		time.Sleep(proofLife)
		d.sin(idp.OAuthError("invalid_grant"))
		d.want(d.try("alice", "alice", office), 401, codeWrongCredentials)
		synctest.Wait()
		if n := d.idp.Count(idp.Revoke); n != 1 {
			t.Errorf("its tokens were given back %d times", n)
		}
		d.want(d.try("alice", "alice", office), 401, codeWrongCredentials)
	})
}

func TestInvalidGrantForgetsAProofAndTheNextRequestProvesItOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoors(t, 1)
		d.want(d.try("alice", "alice", office), 200, "")
		d.idp.Misbehave(idp.OAuthError("invalid_grant").For("grant_type", "refresh_token"))
		time.Sleep(6 * time.Minute)
		for range 5 {
			d.want(d.try("alice", "alice", office), 200, "")
		}
		if p := d.passwordGrants(); p != 2 {
			t.Errorf("%d password grants", p)
		}
	})
}

func TestAHundredFirstRequestsAtOnceAreOneGrant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoors(t, 1)
		for _, c := range []struct {
			password string
			status   int
		}{{"alice", 200}, {"wrong", 401}} {
			before := d.passwordGrants()
			answers := make([]*httptest.ResponseRecorder, 100)
			var all sync.WaitGroup
			for i := range answers {
				all.Go(func() { answers[i] = d.try("alice", c.password, office) })
			}
			all.Wait()
			if got := statuses(answers); len(got) != 1 || got[0] != c.status {
				t.Errorf("%s: %v", c.password, got)
			}
			if n := d.passwordGrants() - before; n != 1 {
				t.Errorf("%s: %d grants", c.password, n)
			}
		}
	})
}

func TestReplicasThatProveAtOnceShareOneSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoors(t, 2)
		answers := make([]*httptest.ResponseRecorder, 20)
		var all sync.WaitGroup
		for i := range answers {
			all.Go(func() { answers[i] = d.send(i%2, d.request("alice", "alice", office)) })
		}
		all.Wait()
		for _, w := range answers {
			d.want(w, 200, "")
			if w.Body.String() != answers[0].Body.String() {
				t.Fatal("they have different tokens")
			}
		}
		synctest.Wait()
		if p, r := d.passwordGrants(), d.idp.Count(idp.Revoke); p > 2 || r != p-1 {
			t.Errorf("%d grants, of which %d were given back", p, r)
		}
	})
}

func TestP173OnlyTheSameCredentialsFindACachedProof(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoors(t, 1)
		d.want(d.try("alice", "alice", office), 200, "")
		for _, c := range [][2]string{{"alice", "Alice"}, {"alice", "alice "}, {"alic", "ealice"}, {"alice", "bob"}, {"bob", "alice"}} {
			d.want(d.try(c[0], c[1], street+"9"), 401, codeWrongCredentials)
		}
		elsewhere := d.request("alice", "alice", office)
		elsewhere.Host = "wiki.test"
		before := d.passwordGrants()
		d.want(d.send(0, elsewhere), 200, "")
		if d.passwordGrants() != before+1 {
			t.Error("a proof on one host counts on another")
		}
	})
}

func TestROP5WhatCannotBeRightIsNeverSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoors(t, 1)
		d.idp.ResetRequests()
		long := strings.Repeat("x", maxTyped+1)
		for _, c := range [][2]string{{"alice", ""}, {"", "alice"}, {" ", "alice"}, {"alice", long}, {long, "alice"}, {"al\xffice", "alice"}, {"alice", "\xff"}, {"alice\u0085", "x"}} {
			d.want(d.try(c[0], c[1], office), 401, codeWrongCredentials)
		}
		for _, line := range []string{"Basic", "Basic !", "Basic YWxpY2U=", "Bearer x", basicHeader("alice", credentials.TicketPrefix+"x"), basicHeader(credentials.TicketPrefix+"x", "y"), basicHeader("a\x00", "b")} {
			r := d.request("", "", office)
			r.Header.Set("Authorization", line)
			d.want(d.send(0, r), 401, codeLoginRequired)
		}
		twice := d.request("alice", "alice", office)
		twice.Header.Add("Authorization", basicHeader("alice", "alice"))
		d.want(d.send(0, twice), 401, codeLoginRequired)
		if n := d.idp.Count(idp.Token); n > 0 {
			t.Errorf("%d calls to the token endpoint", n)
		}
		d.want(d.try("alice", "a:b", office), 401, codeWrongCredentials)
		if got := d.idp.Last(idp.Token).Form.Get("password"); got != "a:b" {
			t.Errorf("a colon in a password: %q", got)
		}
		d.want(d.try("älice", "pässwörd £", office), 401, codeWrongCredentials)
		if got := d.idp.Last(idp.Token).Form; got.Get("username") != "älice" || got.Get("password") != "pässwörd £" {
			t.Errorf("%v", got)
		}
	})
}

func TestROP4FailuresAreToldApart(t *testing.T) {
	for name, c := range map[string]struct {
		sin    *idp.Sin
		change func(*idp.Config)
		status int
		code   string
	}{
		"the provider is down":      {sin: &idp.Sin{Status: 503, Body: "{}"}, status: 503, code: codeProviderDown},
		"it is too busy":            {sin: &idp.Sin{Status: 429, Body: "{}"}, status: 503, code: codeProviderDown},
		"the flow is off there":     {change: func(c *idp.Config) { c.Clients[0].Grants = nil }, status: 502, code: codeMisconfigured},
		"our secret is wrong":       {change: func(c *idp.Config) { c.Clients[0].Secret = "another" }, status: 502, code: codeMisconfigured},
		"the account is disabled":   {change: func(c *idp.Config) { c.Users[0].Disabled = true }, status: 401, code: codeWrongCredentials},
		"something is left to do":   {sin: &idp.Sin{Error: "interaction_required"}, status: 403, code: codeDenied},
		"a second factor is needed": {sin: &idp.Sin{Error: "mfa_required"}, status: 403, code: codeDenied},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDoors(t, 1, func(p *plan) {
					if c.change != nil {
						providerIs(c.change)(p)
					}
				})
				if c.sin != nil {
					d.sin(*c.sin)
				}
				w := d.try("alice", "alice", office)
				d.want(w, c.status, c.code)
				if c.status == 503 && w.Header().Get("Retry-After") == "" {
					t.Error("no Retry-After")
				}
				if c.status != 401 && c.status != 403 { // nothing was said about the password: it is not held against anybody
					d.idp.Heal()
					for range 3 * maxUserStrikes {
						d.try("alice", "alice", office)
					}
					if w := d.try("alice", "alice", office); w.Code == 429 || w.Code == 401 {
						t.Errorf("the failure counts against alice: %s", w.Body)
					}
				}
			})
		})
	}
}

func TestP175APasswordIsNowhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const secret = "c0rrect-h0rse"
		d := newDoors(t, 1, providerIs(func(c *idp.Config) { c.Users[0].Password = secret }))
		var said bytes.Buffer
		see := func(w *httptest.ResponseRecorder) {
			_ = w.Header().Write(&said)
			said.Write(w.Body.Bytes())
		}
		see(d.try("alice", secret+"-wrong", office))
		d.idp.Misbehave(idp.Sin{Status: 500, Body: "{}"})
		see(d.try("alice", secret, office))
		d.want(d.try("alice", secret, office), 200, "")
		time.Sleep(6 * time.Minute)
		d.try("alice", secret, office)
		synctest.Wait()
		for where, text := range map[string]string{"the log": d.log.String(), "an answer": said.String()} {
			if strings.Contains(text, secret) || strings.Contains(text, basicHeader("alice", secret)[6:]) {
				t.Errorf("%s has it:\n%s", where, text)
			}
		}
		if strings.Contains(d.log.String(), basicHeader("alice", secret+"-wrong")[6:]) {
			t.Error("the log has a wrong one")
		}
	})
}

func TestATokenThatNothingRenewsIsReplacedByThePassword(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoors(t, 1, providerIs(func(c *idp.Config) { c.Clients[0].NoRefresh = true }))
		first := d.try("alice", "alice", office)
		time.Sleep(5 * time.Minute)
		second := d.try("alice", "alice", office)
		d.want(second, 200, "")
		if first.Body.String() == second.Body.String() || d.passwordGrants() != 2 {
			t.Errorf("%d grants", d.passwordGrants())
		}
	})
}

func TestBasicWorksWhereSessionsLiveInCookies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoors(t, 2, func(p *plan) { p.sessions = func(c *sessions.Config) { c.InCookie = true } })
		d.want(d.try("alice", "alice", office), 200, "")
		d.want(d.send(1, d.request("alice", "alice", office)), 200, "")
		if n := d.passwordGrants(); n != 1 {
			t.Errorf("%d grants", n)
		}
	})
}

func TestBasicNeedsALoginByPassword(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, passwords)
		for _, name := range []string{"staff", "nobody", ""} {
			if _, err := w.flows.Basic(name); err == nil {
				t.Errorf("%q tries passwords", name)
			}
		}
		if one, two := must(w.flows.Basic("legacy"))(t), must(w.flows.Basic("legacy"))(t); one != two {
			t.Error("two routes have two")
		}
	})
}

func BenchmarkBasicCached(b *testing.B) {
	d := newDoors(b, 1)
	basic, w, r := d.basic[0], httptest.NewRecorder(), d.request("alice", "alice", office)
	if _, ok, err := basic.Authenticate(w, r); !ok {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, ok, _ := basic.Authenticate(w, r); !ok {
			b.Fatal("not cached")
		}
	}
}
