package bearer_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/flows/bearer"
	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/credentials"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/internal/secret"
)

func TestATokenOfEitherIssuerIsAnIdentity(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		c := w.checker("corp", "partner")
		for _, at := range []string{"corp", "partner"} {
			token := w.alice(at)
			who := accepts(t, c, plain(token))
			if who.Key() != (identity.Key{Issuer: issuers[at], Subject: "8f2c-alice"}) || who.Provider != at || who.Login != "" || who.Session != "" || who.Machine ||
				strings.Join(who.Scopes, " ") != "openid orders.read" || who.Tokens.AccessToken.Reveal() != token || !who.Ends.Equal(time.Now().Add(time.Hour)) {
				t.Errorf("%+v", who)
			}
		}
		if who := accepts(t, c, plain(w.idps["corp"].MustMint(idp.Mint{}))); !who.Machine {
			t.Errorf("a client's own token is that of a machine: %+v", who)
		}
	})
}

func TestRS10AnUnknownIssuerIsRefusedWithoutAnyRequest(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		c := w.checker("corp", "vault")
		refuses(t, c, plain(w.alice("partner")), credentials.InvalidToken, "not accepted here")
		for _, iss := range []any{"http://127.0.0.1:9001/", "http://127.0.0.1:9001x", "HTTP://127.0.0.1:9001", "", nil, 1} {
			token := w.alice("corp", func(m *idp.Mint) { m.Claims = map[string]any{"iss": iss} })
			refuses(t, c, plain(token), credentials.InvalidToken, "")
		}
		if n := w.counts(); n != 0 {
			t.Errorf("%d requests went out", n)
		}
	})
}

func TestAJWTOfAnIntrospectingProviderIsIntrospected(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		token := w.alice("vault")
		accepts(t, w.checker("vault"), plain(token))
		if w.asked("vault") != 1 || len(w.idps["vault"].Requests(idp.JWKS)) != 0 {
			t.Errorf("asked %d times", w.asked("vault"))
		}
		w.idps["vault"].EndToken(token)
		time.Sleep(time.Minute)
		refuses(t, w.checker("vault"), plain(token), credentials.InvalidToken, "not active")
	})
}

func TestAnOpaqueTokenIsShownToEachInOrderUntilOneKnowsIt(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		c := w.checker("corp", "vault", "cellar")
		token := w.alice("cellar", opaque)
		if who := accepts(t, c, plain(token)); who.Issuer != issuers["cellar"] || who.Subject != "8f2c-alice" {
			t.Errorf("%+v", who)
		}
		accepts(t, c, plain(w.alice("vault", opaque)))
		if w.asked("vault") != 2 || w.asked("cellar") != 1 {
			t.Errorf("vault was asked %d times, cellar %d", w.asked("vault"), w.asked("cellar"))
		}
		refuses(t, c, plain("nobody-knows-this"), credentials.InvalidToken, "not active")
		refuses(t, w.checker("corp"), plain(token), credentials.InvalidToken, "opaque")
	})
}

func TestAnOpaqueTokenThatOneSilentProviderMayKnowIsNeitherTakenNorRefused(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		c := w.checker("vault", "cellar")
		w.down("vault")
		fails(t, c, plain(w.alice("vault", opaque)), "provider_unavailable")
		accepts(t, c, plain(w.alice("cellar", opaque)))
	})
}

func TestRS8ASignedAnswerIsWantedWhereItIsConfigured(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		c := w.checker("signed")
		accepts(t, c, plain(w.alice("signed", opaque)))
		for _, name := range []string{"introspect_signed_wrong", "introspect_signed_none", "introspect_signed_not", "introspect_signed_aud", "introspect_signed_iss", "introspect_signed_typ"} {
			w.idps["signed"].Misbehave(idp.Named(name))
			if who, err := c.Check(t.Context(), plain(w.alice("signed", opaque))); who != nil || err == nil {
				t.Errorf("%s: %+v", name, who)
			}
		}
	})
}

func TestRS7ARevokedTokenIsRefusedAfterAMinute(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		c := w.checker("vault")
		token := w.alice("vault", opaque)
		who := accepts(t, c, plain(token))
		w.idps["vault"].EndToken(token)
		time.Sleep(59 * time.Second)
		accepts(t, c, plain(token))
		if ok, err := c.Alive(t.Context(), who); !ok || err != nil {
			t.Errorf("%v, %v", ok, err)
		}
		if w.asked("vault") != 1 {
			t.Errorf("asked %d times", w.asked("vault"))
		}
		time.Sleep(time.Second)
		if ok, err := c.Alive(t.Context(), who); ok || err != nil {
			t.Errorf("%v, %v", ok, err)
		}
		refuses(t, c, plain(token), credentials.InvalidToken, "not active")
		if w.asked("vault") != 2 {
			t.Errorf("asked %d times", w.asked("vault"))
		}
	})
}

func TestNoVerdictOutlivesItsToken(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		c := w.checker("corp", "vault")
		for _, at := range []string{"corp", "vault"} {
			token := w.alice(at, func(m *idp.Mint) { m.Lifetime = 20 * time.Second; m.Opaque = at == "vault" })
			who := accepts(t, c, plain(token))
			time.Sleep(20 * time.Second)
			if ok, err := c.Alive(t.Context(), who); ok || err != nil {
				t.Errorf("%s: a stream of a token that ended: %v, %v", at, ok, err)
			}
			time.Sleep(60 * time.Second) // the leeway
			says := "expired: it ended 1m0s ago"
			if at == "vault" {
				says = "" // the provider itself says that it is not active
			}
			refuses(t, c, plain(token), credentials.InvalidToken, says)
		}
	})
}

func TestWhenTheProviderIsDownJWTsAreServedAndIntrospectionIs503(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		c := w.checker("corp", "vault")
		accepts(t, c, plain(w.alice("corp"))) // the keys are there now
		asked := w.alice("vault", opaque)
		accepts(t, c, plain(asked))
		w.down("corp")
		w.down("vault")
		time.Sleep(2 * time.Minute)
		accepts(t, c, plain(w.alice("corp")))
		fails(t, c, plain(asked), "provider_unavailable")
		fails(t, c, plain(w.alice("vault", opaque)), "provider_unavailable")
		w.idps["vault"].Heal()
		time.Sleep(40 * time.Second)
		accepts(t, c, plain(asked))
	})
}

func TestAStreamIsNotEndedByAnOutage(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		c := w.checker("vault")
		token := w.alice("vault", opaque)
		who := accepts(t, c, plain(token))
		w.down("vault")
		time.Sleep(time.Minute)
		before := w.asked("vault")
		for range 30 {
			if ok, err := c.Alive(t.Context(), who); ok || err == nil {
				t.Fatalf("%v, %v; want an error", ok, err)
			}
			time.Sleep(time.Second)
		}
		if n := w.asked("vault") - before; n > 25 {
			t.Errorf("asked %d times in 30 s of an outage", n)
		}
		if ok, _ := c.Alive(t.Context(), nil); ok {
			t.Error("nobody is alive")
		}
	})
}

func TestAWithdrawnKeyIsNoticedThoughTheTokenLasts(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		c := w.checker("corp")
		token := w.alice("corp", func(m *idp.Mint) { m.Lifetime = 5 * time.Hour })
		who := accepts(t, c, plain(token))
		w.idps["corp"].Misbehave(idp.Member("keys", []any{}).On(idp.JWKS).Always())
		time.Sleep(2 * time.Minute)
		accepts(t, c, plain(token))
		time.Sleep(time.Hour + 5*time.Minute) // a key set lasts an hour at most, a verdict five minutes
		refuses(t, c, plain(token), credentials.InvalidToken, "signature")
		if ok, err := c.Alive(t.Context(), who); ok || err != nil {
			t.Errorf("%v, %v", ok, err)
		}
	})
}

func TestManyWhoBringAnUnknownTokenCauseOneQuestion(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		c := w.checker("vault")
		token := w.alice("vault", opaque)
		w.idps["vault"].Misbehave(idp.Slow(time.Second).On(idp.Introspect).Always())
		var all sync.WaitGroup
		for range 1000 {
			all.Go(func() { accepts(t, c, plain(token)) })
		}
		all.Wait()
		if w.asked("vault") != 1 {
			t.Errorf("asked %d times", w.asked("vault"))
		}
	})
}

func TestWhoeverGoesAwayDoesNotSpoilItForTheOthers(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		c := w.checker("vault")
		token := w.alice("vault", opaque)
		w.idps["vault"].Misbehave(idp.Slow(time.Second).On(idp.Introspect).Always())
		first, leave := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer leave()
		var all sync.WaitGroup
		all.Go(func() {
			if _, err := c.Check(first, plain(token)); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v", err)
			}
		})
		all.Go(func() {
			time.Sleep(50 * time.Millisecond)
			accepts(t, c, plain(token))
		})
		all.Wait()
	})
}

func TestS18TooManyQuestionsAtATimeAreRefusedAndNotRemembered(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		c := w.checker("vault")
		w.idps["vault"].Misbehave(idp.Hanging().On(idp.Introspect).Always())
		accepts(t, w.checkerFor([]string{api}, "corp"), plain(w.alice("corp")))
		var all sync.WaitGroup
		for i := range 64 {
			all.Go(func() { _, _ = c.Check(t.Context(), plain(strings.Repeat("a", i+1))) })
		}
		time.Sleep(time.Second)
		token := w.alice("vault", opaque)
		fails(t, c, plain(token), "overloaded")
		accepts(t, w.checker("corp"), plain(w.alice("corp"))) // others go on
		w.idps["vault"].Heal()
		all.Wait()
		accepts(t, c, plain(token))
	})
}

func TestNoIdentityIsEverSwapped(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.v = w.verifier(1 << 20) // most verdicts are driven out and made again
		c := w.checker("corp", "vault")
		w.idps["vault"].Misbehave(idp.Slow(10 * time.Millisecond).On(idp.Introspect).Always())
		const users = 200
		tokens := make([]string, users)
		for i := range tokens {
			at := []string{"corp", "vault"}[i%2]
			tokens[i] = w.alice(at, func(m *idp.Mint) {
				m.Claims = map[string]any{"sub": fmt.Sprint("user-", i)}
				m.Opaque = at == "vault" && i%4 == 1
			})
		}
		var all sync.WaitGroup
		for i, token := range tokens {
			all.Go(func() {
				for range 10 {
					time.Sleep(time.Duration(rand.IntN(1000)) * time.Millisecond)
					who, err := c.Check(t.Context(), plain(token))
					if e := new(pages.Error); errors.As(err, &e) && e.Code == "overloaded" {
						continue
					}
					if err != nil || who.Subject != fmt.Sprint("user-", i) || who.Tokens.AccessToken.Reveal() != token {
						t.Errorf("user-%d: %+v, %v", i, who, err)
					}
				}
			})
		}
		all.Wait()
	})
}

func TestVerdictsStayWithinTheirBytes(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.v = w.verifier(1 << 20)
		c := w.checker("vault")
		const many = 600 // each weighs more than 1 kB
		tokens := make([]string, many)
		for i := range tokens {
			tokens[i] = w.alice("vault", opaque)
			accepts(t, c, plain(tokens[i]))
		}
		for _, token := range tokens {
			accepts(t, c, plain(token))
		}
		if n := w.asked("vault"); n < many+many/10 {
			t.Errorf("asked %d times: %d verdicts are kept in 1 MiB", n, 2*many-n)
		}
	})
}

func TestACheckerNeedsAnAudienceAndKnownIssuers(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]bearer.Config{
		"audience":           {Issuers: []string{"corp"}},
		"audience: missing":  {Issuers: []string{"corp"}, Audience: []string{""}},
		`"nobody"`:           {Issuers: []string{"nobody"}, Audience: []string{api}},
		"issuers: there is ": {Issuers: []string{}, Audience: []string{api}},
	} {
		if _, err := w.v.Checker(c); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := w.v.Checker(bearer.Config{Audience: []string{api}}); err != nil {
		t.Errorf("three introspecting providers are allowed: %v", err)
	}
	if _, err := bearer.New(bearer.Deps{Providers: w.providers}); err == nil {
		t.Error("without a store no proof is used only once")
	}
}

// TestWhoeverAnswersMayAddToAnError: a remembered error is shared by requests.
func TestWhoeverAnswersMayAddToAnError(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		c := w.checker("corp")
		refuses(t, c, plain("garbage"), credentials.InvalidToken, "").Description = "changed"
		if r := refuses(t, c, plain("garbage"), credentials.InvalidToken, ""); r.Description == "changed" {
			t.Error("two requests share one error")
		}
		w.down("vault")
		for range 2 {
			_, err := w.checker("vault").Check(t.Context(), plain("garbage"))
			var e *pages.Error
			if !errors.As(err, &e) || e.Detail == "changed" {
				t.Fatal(err)
			}
			e.Detail = "changed"
		}
	})
}

func TestWhatCannotBeBuiltIsRefused(t *testing.T) {
	w := newWorld(t)
	p, err := provider.New(provider.Config{Name: "attic", Issuer: "http://127.0.0.1:9006", ClientID: "doorward", ClientSecret: secret.New("attic-secret"), Discovery: true, AccessTokens: "introspect"}, provider.Deps{Dial: w.net.Dial})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	w.providers["attic"] = p
	if _, err := w.verifier(0).Checker(bearer.Config{Audience: []string{api}}); err == nil || !strings.Contains(err.Error(), "attic, cellar, signed, vault introspect; at most 3 may") {
		t.Errorf("an opaque token would be shown to four: %v", err)
	}
	v, err := bearer.New(bearer.Deps{Providers: w.providers, Shared: w.shared, MaxBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Checker(bearer.Config{Issuers: []string{"corp"}, Audience: []string{api}, Nonces: true}); err == nil || !strings.Contains(err.Error(), "nonces") {
		t.Errorf("nonces without keys: %v", err)
	}
	if _, err := bearer.New(bearer.Deps{Providers: w.providers, Shared: w.shared, MaxBytes: 1<<20 - 1}); err == nil {
		t.Error("a cache in which nothing fits")
	}
}
