package signing_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/doorward/doorward/internal/signing"
)

func seed(n byte) []byte { return bytes.Repeat([]byte{n}, signing.SeedSize) }

func keys(t testing.TB, seeds ...[]byte) *signing.Keys {
	t.Helper()
	k, err := signing.New(seeds)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func set(t *testing.T, k *signing.Keys) (s jose.JSONWebKeySet) {
	t.Helper()
	if err := json.Unmarshal(k.JWKS(), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestWhatIsSignedVerifiesWithThePublishedSet(t *testing.T) {
	k := keys(t, seed(1), seed(2))
	raw, err := k.Sign(map[string]any{"sub": "alice"})
	if err != nil {
		t.Fatal(err)
	}
	jws, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	h := jws.Signatures[0].Protected
	if h.Algorithm != "ES256" || h.ExtraHeaders["typ"] != "JWT" || h.KeyID != k.KeyID() || len(h.ExtraHeaders) != 1 {
		t.Errorf("header %+v", h)
	}
	s := set(t, k)
	found := s.Key(h.KeyID)
	if len(s.Keys) != 2 || len(found) != 1 || found[0].Use != "sig" || found[0].Algorithm != "ES256" {
		t.Fatalf("%+v", s)
	}
	payload, err := jws.Verify(found[0])
	if err != nil || string(payload) != `{"sub":"alice"}` {
		t.Errorf("%s, %v", payload, err)
	}
	for _, other := range s.Keys {
		if _, err := jws.Verify(other); other.KeyID != h.KeyID && err == nil {
			t.Error("the other key verifies it too")
		}
	}
}

func TestTheSetHoldsNothingPrivate(t *testing.T) {
	for _, key := range set(t, keys(t, seed(1), seed(2))).Keys {
		if !key.IsPublic() {
			t.Error("a private key is published")
		}
	}
	if strings.Contains(string(keys(t, seed(1)).JWKS()), `"d"`) {
		t.Error("a private key is published")
	}
}

func TestReplicasAgreeAndAnOldKeyStaysPublished(t *testing.T) {
	before, again, during := keys(t, seed(1)), keys(t, seed(1)), keys(t, seed(2), seed(1))
	if before.KeyID() != again.KeyID() || !bytes.Equal(before.JWKS(), again.JWKS()) {
		t.Error("the same seed makes another key")
	}
	if during.KeyID() == before.KeyID() {
		t.Error("the first seed does not sign")
	}
	s := set(t, during)
	if len(s.Key(before.KeyID())) != 1 {
		t.Error("what the old key has signed no longer verifies")
	}
}

func TestBadSeedsAreRefused(t *testing.T) {
	for name, seeds := range map[string][][]byte{"none": nil, "short": {seed(1)[1:]}, "a long second": {seed(1), append(seed(2), 0)}} {
		if k, err := signing.New(seeds); err == nil || k != nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for _, n := range []byte{0, 0xff} { // both ends of the range are keys
		keys(t, seed(n))
	}
}

func TestManySignAtOnce(t *testing.T) {
	k := keys(t, seed(1))
	key := set(t, k).Keys[0]
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			raw, err := k.Sign(map[string]any{"a": 1})
			if err != nil {
				t.Error(err)
				return
			}
			jws, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{jose.ES256})
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := jws.Verify(key); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func BenchmarkSign(b *testing.B) {
	k := keys(b, seed(1))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.Sign(map[string]any{"iss": "https://app.test", "sub": "alice", "aud": "https://legacy.internal"}); err != nil {
			b.Fatal(err)
		}
	}
}
