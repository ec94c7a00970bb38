package provider_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/seal"
	"github.com/doorward/doorward/sessions/store"
)

func TestAStoreThatHangsDoesNotKeepUsFromTheProvider(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rogue) {
		c := r.client(func(_ *provider.Config, d *provider.Deps) { d.Store = hanging{} })
		start := time.Now()
		if err := c.Ready(t.Context()); err != nil {
			t.Fatalf("P208: %v", err)
		}
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("it took %v", d)
		}
	})
}

func newRing() *seal.Ring { return must(seal.New([]byte("0123456789abcdefghijklmnopqrstuv"))) }

// hanging is a store that answers nothing.
type hanging struct{ store.Store }

func (hanging) Get(ctx context.Context, _ ...string) ([]store.Item, error) {
	<-ctx.Done()
	return nil, store.ErrUnavailable
}

func (hanging) Put(ctx context.Context, _ string, _ []byte, _ time.Duration, _ ...string) error {
	<-ctx.Done()
	return store.ErrUnavailable
}

func TestARestartSurvivesAnOutage(t *testing.T) {
	r := newRogue(t)
	s, ring := new(shelves), newRing()
	remembering := func(_ *provider.Config, d *provider.Deps) { d.Store, d.Ring = s, ring }
	if _, err := r.client(remembering).Identify(t.Context(), response(r.idToken(nil)), ordinary); err != nil {
		t.Fatal(err)
	}
	down := answerJSON(503, "")
	r.on(wellKnown, down)
	r.on("/keys", down)
	r.pass(23 * time.Hour)
	if _, err := r.client(remembering).Identify(t.Context(), response(r.idToken(nil)), ordinary); err != nil {
		t.Fatalf("R22: a restart during the outage: %v", err)
	}
	_, err := r.client().Identify(t.Context(), response(r.idToken(nil)), ordinary)
	wants(t, err, provider.Unavailable, "server_error")
	r.pass(3 * time.Hour)
	_, err = r.client(remembering).Identify(t.Context(), response(r.idToken(nil)), ordinary)
	wants(t, err, provider.Unavailable, "keys_unavailable") // keys of more than a day ago vouch for nobody
	other := newRogue(t)
	other.on(wellKnown, down)
	wants(t, other.client(remembering).Ready(t.Context()), provider.Unavailable, "server_error")

	r.on(wellKnown, nil)
	r.on("/keys", nil)
	s.down = true
	var log lines
	c := r.client(remembering, func(_ *provider.Config, d *provider.Deps) { d.Log = log.logger() })
	if _, err := c.Identify(t.Context(), response(r.idToken(nil)), ordinary); err != nil {
		t.Errorf("a store that is down must not matter: %v", err)
	}
	if !strings.Contains(log.String(), "could not be remembered") {
		t.Errorf("nobody is told: %s", log.String())
	}
}

func TestWhatLiesInTheStoreIsNotBelievedBlindly(t *testing.T) {
	for name, ring := range map[string]*seal.Ring{"without a ring": nil, "sealed": newRing()} {
		t.Run(name, func(t *testing.T) {
			r := newRogue(t)
			s := new(shelves)
			remembering := func(_ *provider.Config, d *provider.Deps) { d.Store, d.Ring = s, ring }
			if err := r.client(remembering).Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, garbage := range []string{"", "null", "{", `{"at":"x"}`, `{"at":"2026-11-01T12:00:00Z","max_age":1,"body":"e30="}`, "\x00\xff"} {
				for k := range s.items {
					s.items[k] = []byte(garbage)
				}
				if err := r.client(remembering).Ready(t.Context()); err != nil {
					t.Errorf("%q: %v", garbage, err)
				}
			}
		})
	}
}

// TestNobodyPutsKeysIntoASharedStore: whoever can write to the store cannot make a key of
// theirs the provider's, neither in the clear, nor sealed for something else, nor by giving
// us the remembered keys of another provider, nor long after they were withdrawn.
func TestNobodyPutsKeysIntoASharedStore(t *testing.T) {
	r, evil := newRogue(t), newRogue(t)
	ring := newRing()
	with := func(s *shelves, ring *seal.Ring) func(*provider.Config, *provider.Deps) {
		return func(_ *provider.Config, d *provider.Deps) { d.Store, d.Ring = s, ring }
	}
	know := func(r *rogue, s *shelves, ring *seal.Ring) {
		if _, err := r.client(with(s, ring)).Identify(t.Context(), response(r.idToken(nil)), ordinary); err != nil {
			t.Fatal(err)
		}
	}
	mine, clear, theirs := new(shelves), new(shelves), new(shelves)
	know(r, mine, ring)
	for _, v := range mine.items {
		if strings.Contains(string(v), "issuer") || strings.Contains(string(v), "keys") {
			t.Error("a document lies there in the clear")
		}
	}
	know(evil, clear, nil)
	know(evil, theirs, ring)
	stranger := must(seal.New([]byte("another key of thirty-two bytes.")))
	key := func(s *shelves, kind string) string {
		for k := range s.items {
			if strings.Contains(k, kind) {
				return k
			}
		}
		t.Fatalf("nothing of %s is remembered", kind)
		return ""
	}
	at, plain := key(mine, "keys"), clear.items[key(clear, "keys")]
	forged := evil.sign(nil, must(json.Marshal(r.claims(nil))))
	for name, value := range map[string][]byte{
		"in the clear":              plain,
		"sealed by another ring":    stranger.Seal("provider document", plain, []byte(at)),
		"sealed for something else": ring.Seal("session", plain, []byte(at)),
		"those of another provider": theirs.items[key(theirs, "keys")],
	} {
		t.Run("P109 "+name, func(t *testing.T) {
			s := &shelves{items: map[string][]byte{at: value}}
			_, err := r.client(with(s, ring)).Identify(t.Context(), response(forged), ordinary)
			wants(t, err, provider.Misbehaved, "bad_signature")
			s = &shelves{items: map[string][]byte{at: value}}
			if _, err = r.client(with(s, ring)).Identify(t.Context(), response(r.idToken(nil)), ordinary); err != nil {
				t.Errorf("the true key is not found any more: %v", err)
			}
		})
	}
	t.Run("JWK-6 a copy from the future", func(t *testing.T) {
		r.on("/keys", answerJSON(503, ""))
		r.pass(-time.Hour)
		_, err := r.client(with(mine, ring)).Identify(t.Context(), response(r.idToken(nil)), ordinary)
		wants(t, err, provider.Unavailable, "keys_unavailable")
	})
}
