package seal_test

import (
	"bytes"
	"testing"
)

func TestASeedDependsOnItsKeyAndPurposeAndOnNothingElse(t *testing.T) {
	one, two := ring(t, key(1)).Derive("a", 48), ring(t, key(2), key(1)).Derive("a", 48)
	if len(one) != 1 || len(two) != 2 || len(one[0]) != 48 {
		t.Fatalf("%d and %d seeds", len(one), len(two))
	}
	if !bytes.Equal(one[0], two[1]) {
		t.Error("a key that is second now has another seed: what was signed by it no longer verifies")
	}
	if bytes.Equal(two[0], two[1]) || bytes.Equal(one[0], ring(t, key(1)).Derive("b", 48)[0]) {
		t.Error("two keys or two purposes have the same seed")
	}
	h := ring(t, key(1)).Hash("a")
	_, _ = h.Write(nil)
	if bytes.HasPrefix(one[0], key(1)[:8]) || bytes.Equal(one[0][:32], h.Sum(nil)) {
		t.Error("the seed is the key, or a hash")
	}
}
