package bearer_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/doorward/doorward/internal/credentials"
	"github.com/doorward/doorward/internal/pages"
)

// FuzzCheck: whatever is presented, there is an identity or a proper answer and never both; what is not one of our tokens is no
// identity; and nothing is asked because of a JWT that names no issuer of ours.
func FuzzCheck(f *testing.F) {
	w := newWorld(f)
	k := newKey(f)
	good, bound := w.alice("corp"), w.alice("corp", k.bind(f))
	c := w.checker("corp", "partner")
	if _, err := c.Check(f.Context(), plain(good)); err != nil {
		f.Fatal(err)
	}
	for _, token := range []string{
		good, bound, "", "garbage", "..", "=", "eyJhbGciOiJub25lIn0.e30.", "a.b.c.d.e", good + "=", good[:len(good)-1], w.alice("vault", opaque),
	} {
		f.Add(token, "Bearer", "", "GET", target, "", byte(0))
		f.Add(token, "DPoP", k.proof(f, token, nil), "GET", target, thumb, byte(1))
		f.Add(token, "dpop", "x", "", "::", "", byte(2))
	}
	var mu sync.Mutex
	f.Fuzz(func(t *testing.T, token, scheme, proof, method, url, certificate string, proofs byte) {
		p := credentials.Presented{Token: token, Scheme: scheme, Method: method, URL: url, Certificate: certificate}
		for range proofs % 4 {
			p.Proofs = append(p.Proofs, proof)
		}
		mu.Lock()
		defer mu.Unlock()
		before := w.counts()
		who, err := c.Check(t.Context(), p)
		if n := w.counts() - before; n > 2 { // discovery and keys, once
			t.Errorf("%d requests went out", n)
		}
		var no *credentials.Refusal
		var trouble *pages.Error
		switch {
		case err == nil && (who == nil || token != good && token != bound):
			t.Errorf("accepted %q as %+v", token, who)
		case err != nil && (who != nil || !errors.As(err, &no) && !errors.As(err, &trouble)):
			t.Errorf("%+v, %v", who, err)
		case no != nil:
			_ = no.Challenge("api.example")
		}
		if who != nil {
			if ok, err := c.Alive(t.Context(), who); !ok || err != nil {
				t.Errorf("accepted and not alive: %v, %v", ok, err)
			}
		}
	})
}
