package seal_test

import (
	"bytes"
	"testing"

	"github.com/doorward/doorward/internal/seal"
)

func TestAHashDependsOnFirstKeyAndPurposeAndOnNothingElse(t *testing.T) {
	ring := func(keys ...byte) *seal.Ring {
		var all [][]byte
		for _, k := range keys {
			all = append(all, bytes.Repeat([]byte{k}, seal.KeySize))
		}
		r, err := seal.New(all...)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	sum := func(r *seal.Ring, p seal.Purpose) string {
		h := r.Hash(p)
		_, _ = h.Write([]byte("alice"))
		return string(h.Sum(nil))
	}
	want := sum(ring(1), "a")
	if got := sum(ring(1, 2), "a"); got != want {
		t.Error("a key that only opens changes the hash: replicas would disagree while keys are rotated")
	}
	if sum(ring(2, 1), "a") == want || sum(ring(1), "b") == want {
		t.Error("another key or another purpose makes the same hash")
	}
	if h := ring(1).Hash("a"); len(h.Sum(nil)) != 32 {
		t.Errorf("%d bytes", h.Size())
	}
}
