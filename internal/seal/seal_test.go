package seal_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/doorward/doorward/internal/seal"
)

const (
	session seal.Purpose = "session"
	state   seal.Purpose = "state"
)

func TestWhatWasSealedOpens(t *testing.T) {
	r := ring(t, key(1))
	for _, plaintext := range [][]byte{nil, {}, []byte("x"), bytes.Repeat([]byte("long"), 1<<18)} {
		blob := r.Seal(session, plaintext, []byte("name"))
		if len(blob) != len(plaintext)+seal.Overhead {
			t.Errorf("%d bytes became %d", len(plaintext), len(blob))
		}
		got, err := r.Open(session, blob, []byte("name"))
		if err != nil || !bytes.Equal(got, plaintext) {
			t.Fatalf("%d bytes came back as %d, %v", len(plaintext), len(got), err)
		}
	}
}

func TestP075NoChangedByteOpens(t *testing.T) {
	r := ring(t, key(1))
	blob := r.Seal(session, []byte("alice"), nil)
	for i := range blob {
		for bit := range 8 {
			changed := bytes.Clone(blob)
			changed[i] ^= 1 << bit
			refused(t, fmt.Sprintf("bit %d of byte %d flipped", bit, i), r, session, changed, nil)
		}
	}
	for n := range blob {
		refused(t, fmt.Sprintf("cut to %d bytes", n), r, session, blob[:n], nil)
	}
	refused(t, "one byte more", r, session, append(bytes.Clone(blob), 0), nil)
	refused(t, "the blob twice", r, session, append(bytes.Clone(blob), blob...), nil)
	refused(t, "null", r, session, []byte("null"), nil)
	refused(t, "another gateway's", ring(t, key(2)), session, blob, nil)
}

func TestP076NoBlobOpensForAnotherPurpose(t *testing.T) {
	r := ring(t, key(1))
	blob := r.Seal(state, []byte("alice"), []byte("a"))
	refused(t, "another purpose", r, session, blob, []byte("a"))
	refused(t, "a purpose it begins with", r, "stat", blob, []byte("ea"))
	refused(t, "a purpose that begins with it", r, "statea", blob, nil)
	refused(t, "no purpose", r, "", blob, []byte("statea"))
	refused(t, "other associated data", r, state, blob, []byte("b"))
	refused(t, "no associated data", r, state, blob, nil)
}

func TestP087EqualPlaintextsBecomeDifferentBlobs(t *testing.T) {
	r := ring(t, key(1))
	seen := make(map[string]bool)
	for range 1000 {
		nonce := string(r.Seal(session, []byte("x"), nil)[5:17])
		if seen[nonce] {
			t.Fatal("a nonce came twice")
		}
		seen[nonce] = true
	}
}

func TestKeysRotate(t *testing.T) {
	before := ring(t, key(1))
	during := ring(t, key(2), key(1))
	after := ring(t, key(2))
	old, fresh := before.Seal(session, []byte("old"), nil), during.Seal(session, []byte("new"), nil)
	for _, r := range []*seal.Ring{before, during} {
		if got, err := r.Open(session, old, nil); err != nil || string(got) != "old" {
			t.Errorf("sealed by the old key: %q, %v", got, err)
		}
	}
	for _, r := range []*seal.Ring{during, after} {
		if got, err := r.Open(session, fresh, nil); err != nil || string(got) != "new" {
			t.Errorf("sealed by the first key: %q, %v", got, err)
		}
	}
	refused(t, "sealed by a key that was removed", after, session, old, nil)
	refused(t, "sealed by a key that isn't there yet", before, session, fresh, nil)
}

func TestBadKeysAreRefused(t *testing.T) {
	for name, keys := range map[string][][]byte{
		"none":            nil,
		"empty":           {{}},
		"short":           {key(1)[:31]},
		"long":            {append(key(1), 0)},
		"all zeros":       {make([]byte, 32)},
		"a second, short": {key(1), key(2)[:16]},
		"twice":           {key(1), key(2), key(1)},
	} {
		if r, err := seal.New(keys...); err == nil || r != nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestTheRingKeepsItsOwnCopyOfTheKeys(t *testing.T) {
	k := key(1)
	r := ring(t, k)
	blob := r.Seal(session, []byte("x"), nil)
	clear(k)
	if _, err := ring(t, key(1)).Open(state, r.Seal(state, nil, nil), nil); err != nil {
		t.Error("a purpose that is first used later has another key")
	}
	if _, err := r.Open(session, blob, nil); err != nil {
		t.Error(err)
	}
}

func TestARingPrintsNoKey(t *testing.T) {
	k := bytes.Repeat([]byte("K"), 32)
	r := ring(t, k)
	r.Seal(session, nil, nil)
	var text string
	for _, verb := range []string{"%v ", "%+v ", "%#v ", "%s ", "%x "} {
		text += fmt.Sprintf(verb, r) + fmt.Sprintf(verb, *r) + fmt.Sprintf(verb, struct{ R *seal.Ring }{r})
	}
	for _, form := range []string{string(k[:8]), "75 75 75", "0x4b, 0x4b", "4b4b4b"} {
		if strings.Contains(text, form) {
			t.Fatalf("printed: %s", text)
		}
	}
}

func TestOneRingServesManyAtOnce(t *testing.T) {
	r := ring(t, key(2), key(1))
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			purpose := seal.Purpose(fmt.Sprint("purpose", i%4)) // all at their first use
			text := []byte(fmt.Sprint(i))
			got, err := r.Open(purpose, r.Seal(purpose, text, text), text)
			if err != nil || !bytes.Equal(got, text) {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
	wg.Wait()
}

func FuzzOpen(f *testing.F) {
	r := must(seal.New(key(1)))(f)
	known := r.Seal(session, []byte("alice"), nil)
	f.Add(known)
	f.Add(known[:17])
	f.Add([]byte{1})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, blob []byte) {
		plaintext, err := r.Open(session, blob, nil)
		if err == nil && string(plaintext) != "alice" { // each process of the fuzzer sealed that, and nothing else
			t.Fatalf("%x opened as %q", blob, plaintext)
		}
		if err != nil && (err != seal.ErrOpen || plaintext != nil) {
			t.Fatalf("%v, %x", err, plaintext)
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	r := must(seal.New(key(1)))(b)
	plaintext := bytes.Repeat([]byte("s"), 3<<10)
	blob := r.Seal(session, plaintext, []byte("__Host-doorward"))
	b.Run("Seal", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r.Seal(session, plaintext, []byte("__Host-doorward"))
		}
	})
	b.Run("Open", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := r.Open(session, blob, []byte("__Host-doorward")); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Open foreign", func(b *testing.B) {
		foreign := must(seal.New(key(2)))(b).Seal(session, plaintext, nil)
		for b.Loop() {
			if _, err := r.Open(session, foreign, nil); err == nil {
				b.Fatal("opened")
			}
		}
	})
}

func refused(t *testing.T, what string, r *seal.Ring, p seal.Purpose, blob, associated []byte) {
	t.Helper()
	if got, err := r.Open(p, blob, associated); !errors.Is(err, seal.ErrOpen) || err.Error() != seal.ErrOpen.Error() || got != nil {
		t.Errorf("%s: %q, %v", what, got, err)
	}
}

func key(n byte) []byte { return bytes.Repeat([]byte{n}, seal.KeySize) }

func ring(t *testing.T, keys ...[]byte) *seal.Ring {
	t.Helper()
	return must(seal.New(keys...))(t)
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
