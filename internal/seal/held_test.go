package seal_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/doorward/doorward/internal/seal"
)

func TestWhatIsSealedForAHolderTakesRingAndSecretAndPlace(t *testing.T) {
	ring := func(b byte) *seal.Ring {
		r, err := seal.New(bytes.Repeat([]byte{b}, seal.KeySize))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	one, other := ring(1), ring(2)
	holder := seal.Held{Secret: []byte("the holder's secret of 32 bytes!"), Info: "test 1"}
	blob := one.SealFor(holder, "record", []byte("plain"), []byte("place"))
	if got, err := one.OpenFor(holder, "record", blob, []byte("place")); err != nil || string(got) != "plain" {
		t.Fatalf("%q %v", got, err)
	}
	changed := bytes.Clone(blob)
	changed[len(changed)-1] ^= 1
	inner, err := one.Open("record", blob, []byte("place"))
	if err != nil || bytes.Contains(inner, []byte("plain")) {
		t.Errorf("the ring alone yields the plaintext, or nothing: %v", err)
	}
	for name, open := range map[string]func() ([]byte, error){
		"another ring": func() ([]byte, error) { return other.OpenFor(holder, "record", blob, []byte("place")) },
		"another holder": func() ([]byte, error) {
			return one.OpenFor(seal.Held{Secret: []byte("x"), Info: holder.Info}, "record", blob, []byte("place"))
		},
		"another info": func() ([]byte, error) {
			return one.OpenFor(seal.Held{Secret: holder.Secret, Info: "test 2"}, "record", blob, []byte("place"))
		},
		"another purpose": func() ([]byte, error) { return one.OpenFor(holder, "other", blob, []byte("place")) },
		"another place":   func() ([]byte, error) { return one.OpenFor(holder, "record", blob, []byte("elsewhere")) },
		"a changed byte":  func() ([]byte, error) { return one.OpenFor(holder, "record", changed, []byte("place")) },
		"the ring's layer alone": func() ([]byte, error) {
			return one.OpenFor(holder, "record", one.Seal("record", []byte("plain"), []byte("place")), []byte("place"))
		},
		"nothing": func() ([]byte, error) { return one.OpenFor(holder, "record", nil, []byte("place")) },
	} {
		if got, err := open(); !errors.Is(err, seal.ErrOpen) || got != nil {
			t.Errorf("%s: %q %v", name, got, err)
		}
	}
}
