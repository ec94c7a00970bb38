package bearer_test

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/flows/bearer"
	"github.com/doorward/doorward/internal/credentials"
)

const (
	thumb      = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0"
	otherThumb = "B4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0"
)

func TestDP9ABoundTokenNeedsAProofOfItsKey(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		c := w.checker("corp", "vault")
		k := newKey(t)
		for _, at := range []string{"corp", "vault"} {
			token := w.alice(at, k.bind(t), func(m *idp.Mint) { m.Opaque = at == "vault" })
			who := accepts(t, c, dpop(token, k.proof(t, token, nil)))
			accepts(t, c, dpop(token, k.proof(t, token, nil)))
			if ok, err := c.Alive(t.Context(), who); !ok || err != nil {
				t.Errorf("a stream needs its proof once: %v, %v", ok, err)
			}
		}
	})
}

// TestDP9ProofsThatProveNothing: each row is one way in which a request does not show that its sender holds the key.
func TestDP9ProofsThatProveNothing(t *testing.T) {
	w := newWorld(t)
	c := w.checker("corp")
	k, thief := newKey(t), newKey(t)
	token, second := w.alice("corp", k.bind(t)), w.alice("corp", k.bind(t))
	good := func() string { return k.proof(t, token, nil) }
	with := func(name string, value any) string { return k.proof(t, token, map[string]any{name: value}) }
	now := time.Now()
	for name, row := range map[string]struct {
		p          credentials.Presented
		word, says string
	}{
		"a plain Bearer":            {plain(token), "invalid_token", "plain Bearer"},
		"a Bearer with a proof":     {credentials.Presented{Token: token, Scheme: "Bearer", Proofs: []string{good()}, Method: "GET", URL: target}, "invalid_token", "plain Bearer"},
		"no proof":                  {dpop(token), "invalid_dpop_proof", "no DPoP header"},
		"two proofs":                {dpop(token, good(), good()), "invalid_dpop_proof", "more than one"},
		"two proofs in one header":  {dpop(token, good()+", "+good()), "invalid_dpop_proof", ""},
		"no JWT":                    {dpop(token, "x"), "invalid_dpop_proof", ""},
		"the key of a thief":        {dpop(token, thief.proof(t, token, nil)), "invalid_token", "another DPoP key"},
		"another method":            {dpop(token, with("htm", "POST")), "invalid_dpop_proof", "htm"},
		"another method, same word": {dpop(token, with("htm", "get")), "invalid_dpop_proof", "htm"},
		"another URL":               {dpop(token, with("htu", "https://api.example/orders/8")), "invalid_dpop_proof", "htu"},
		"another host":              {dpop(token, with("htu", "https://evil.example/orders/7")), "invalid_dpop_proof", "htu"},
		"another scheme":            {dpop(token, with("htu", "http://api.example/orders/7")), "invalid_dpop_proof", "htu"},
		"too old":                   {dpop(token, with("iat", now.Add(-301*time.Second).Unix())), "invalid_dpop_proof", "iat"},
		"of the future":             {dpop(token, with("iat", now.Add(time.Minute).Unix())), "invalid_dpop_proof", "iat"},
		"no iat":                    {dpop(token, with("iat", nil)), "invalid_dpop_proof", "iat"},
		"no jti":                    {dpop(token, with("jti", nil)), "invalid_dpop_proof", "jti"},
		"no ath":                    {dpop(token, with("ath", nil)), "invalid_dpop_proof", "ath"},
		"of another token":          {dpop(token, k.proof(t, second, nil)), "invalid_dpop_proof", "ath"},
	} {
		t.Run(name, func(t *testing.T) {
			r := refuses(t, c, row.p, row.word, row.says)
			challenge := r.Challenge("api.example")
			if r.Status() != 401 || !strings.HasPrefix(challenge, "DPoP realm=") || !strings.Contains(challenge, `algs="`) || !strings.Contains(challenge, "ES256") {
				t.Errorf("%d %s", r.Status(), challenge)
			}
		})
	}
	accepts(t, c, dpop(token, with("htu", target+"?query#fragment"))) // query and fragment do not count
}

func TestDP9AProofIsUsedOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		c := w.checker("corp")
		k, other := newKey(t), newKey(t)
		token, others := w.alice("corp", k.bind(t)), w.alice("corp", other.bind(t))
		jti := map[string]any{"jti": "the same for both"}
		proof := k.proof(t, token, jti)
		accepts(t, c, dpop(token, proof))
		refuses(t, c, dpop(token, proof), credentials.InvalidDPoPProof, "used before")
		refuses(t, c, dpop(token, k.proof(t, token, jti)), credentials.InvalidDPoPProof, "used before")
		accepts(t, c, dpop(others, other.proof(t, others, jti))) // a jti is of its key
		w.v = w.verifier(0)                                      // another replica, or this one after a restart
		refuses(t, w.checker("corp"), dpop(token, proof), credentials.InvalidDPoPProof, "used before")
		for range 31 {
			time.Sleep(10 * time.Second)
			refuses(t, c, dpop(token, proof), credentials.InvalidDPoPProof, "")
		}
		refuses(t, c, dpop(token, proof), credentials.InvalidDPoPProof, "iat")
	})
}

// TestAProofThatWasNotAcceptedUsesNothingUp, and leaves nothing in the store.
func TestAProofThatWasNotAcceptedUsesNothingUp(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		c := w.checker("corp")
		k := newKey(t)
		token := w.alice("corp", k.bind(t))
		proof := k.proof(t, token, nil)
		wrong := dpop(token, proof)
		wrong.Method = "POST"
		refuses(t, c, wrong, credentials.InvalidDPoPProof, "htm")
		accepts(t, c, dpop(token, proof))
	})
}

func TestWithoutTheStoreNoProofIsTaken(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		c := w.checker("corp")
		k := newKey(t)
		token := w.alice("corp", k.bind(t))
		accepts(t, c, dpop(token, k.proof(t, token, nil)))
		w.shared.broken.Store(true)
		fails(t, c, dpop(token, k.proof(t, token, nil)), "store_unavailable")
		accepts(t, c, plain(w.alice("corp"))) // which needs no store
	})
}

func TestAnUnboundTokenIsNoDPoPToken(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		c := w.checker("corp")
		token := w.alice("corp")
		r := refuses(t, c, dpop(token, newKey(t).proof(t, token, nil)), credentials.InvalidToken, "not bound")
		if r.Scheme != "DPoP" {
			t.Errorf("%+v", r)
		}
		p := plain(token)
		p.Proofs = []string{"a", "b"} // somebody else's affair
		accepts(t, c, p)
	})
}

func TestWhatCameAsDPoPIsAnsweredAsDPoP(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		c := w.checker("corp")
		for _, token := range []string{"garbage", "a b", strings.Repeat("a", 20_000), w.alice("corp", func(m *idp.Mint) { m.Lifetime = -time.Hour })} {
			for range 2 {
				_, err := c.Check(t.Context(), dpop(token, "x"))
				var r *credentials.Refusal
				if !errors.As(err, &r) || !strings.HasPrefix(r.Challenge("x"), "DPoP ") || !strings.Contains(r.Challenge("x"), "ES256") {
					t.Errorf("%v", err)
				}
				if _, err := c.Check(t.Context(), plain(token)); !errors.As(err, &r) || !strings.HasPrefix(r.Challenge("x"), "Bearer ") {
					t.Errorf("%v", err)
				}
			}
		}
	})
}

func TestMT3ABoundTokenNeedsItsCertificate(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		c := w.checker("corp", "vault")
		for _, at := range []string{"corp", "vault"} {
			p := plain(w.alice(at, func(m *idp.Mint) { m.Certificate, m.Opaque = thumb, at == "vault" }))
			refuses(t, c, p, credentials.InvalidToken, "none was presented")
			p.Certificate = otherThumb
			if r := refuses(t, c, p, credentials.InvalidToken, "another client certificate"); r.Scheme != "" {
				t.Errorf("%+v", r)
			}
			p.Certificate = thumb
			accepts(t, c, p)
			p.Scheme, p.Proofs, p.Certificate = "DPoP", []string{newKey(t).proof(t, p.Token, nil)}, ""
			if r := refuses(t, c, p, credentials.InvalidToken, "none was presented"); r.Scheme != "DPoP" {
				t.Errorf("what came as DPoP is answered as DPoP: %+v", r)
			}
			p.Certificate = thumb
			refuses(t, c, p, credentials.InvalidToken, "not bound to a DPoP key")
		}
	})
}

func TestATokenThatIsBoundTwiceNeedsBoth(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		c := w.checker("corp")
		k := newKey(t)
		token := w.alice("corp", k.bind(t), func(m *idp.Mint) { m.Certificate = thumb })
		p := dpop(token, k.proof(t, token, nil))
		refuses(t, c, p, credentials.InvalidToken, "none was presented")
		p.Certificate = thumb
		accepts(t, c, p)
		only := plain(token)
		only.Certificate = thumb
		refuses(t, c, only, credentials.InvalidToken, "plain Bearer")
	})
}

func TestANonceIsAskedForGivenAndEnds(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		c, err := w.v.Checker(bearer.Config{Issuers: []string{"corp"}, Audience: []string{api}, Nonces: true})
		if err != nil {
			t.Fatal(err)
		}
		replica, err := w.verifier(0).Checker(bearer.Config{Issuers: []string{"corp"}, Audience: []string{api}, Nonces: true})
		if err != nil {
			t.Fatal(err)
		}
		k := newKey(t)
		token := w.alice("corp", k.bind(t))
		with := func(nonce any) credentials.Presented {
			return dpop(token, k.proof(t, token, map[string]any{"nonce": nonce}))
		}
		for _, wrong := range []any{nil, "", "guessed"} {
			r := refuses(t, c, with(wrong), credentials.UseDPoPNonce, "nonce")
			if r.Nonce == "" || r.Scheme != "DPoP" || r.Status() != 401 {
				t.Fatalf("%+v", r)
			}
			accepts(t, c, with(r.Nonce))
			accepts(t, replica, with(r.Nonce))
		}
		nonce := refuses(t, c, with(nil), credentials.UseDPoPNonce, "nonce").Nonce
		time.Sleep(90 * time.Second)
		accepts(t, c, with(nonce))
		time.Sleep(90 * time.Second)
		if again := refuses(t, c, with(nonce), credentials.UseDPoPNonce, "nonce").Nonce; again == nonce {
			t.Error("a nonce that has ended is given out")
		}
		accepts(t, c, plain(w.alice("corp"))) // which has no proof
	})
}

// TestDP9OneProofOpensOnceHoweverManyBringItAtATime, here at two replicas with one store.
func TestDP9OneProofOpensOnceHoweverManyBringItAtATime(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		replicas := []*bearer.Checker{w.checker("corp"), nil}
		w.v = w.verifier(0)
		replicas[1] = w.checker("corp")
		k := newKey(t)
		token := w.alice("corp", k.bind(t))
		proof := k.proof(t, token, nil)
		var all sync.WaitGroup
		var opened atomic.Int32
		for i := range 100 {
			all.Go(func() {
				if who, err := replicas[i%2].Check(t.Context(), dpop(token, proof)); err == nil && who != nil {
					opened.Add(1)
				}
			})
		}
		all.Wait()
		if opened.Load() != 1 {
			t.Errorf("it has opened %d times", opened.Load())
		}
	})
}
