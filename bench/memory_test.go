package main

import "testing"

func TestWhatIsKeptIsCountedAndBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("hundreds of requests over sockets")
	}
	const identities, each = 100, 3
	for name, c := range map[string]struct {
		bound       uint64
		least, most int64
	}{
		"all fit": {0, identities * each, identities * each},
		"few do":  {64 << 10, 1, 64 << 10 / exchangeSize},
	} {
		h, err := newHoard(c.bound, false)
		if err != nil {
			t.Fatal(err)
		}
		got, err := h.measure(t.Context(), identities)
		h.close()
		if err != nil {
			t.Fatal(err)
		}
		if got.exchanged != identities*each || got.kept < c.least || got.kept > c.most {
			t.Errorf("%s: %d exchanged, %d kept, want %d to %d", name, got.exchanged, got.kept, c.least, c.most)
		}
	}
}

func TestAStoreForReplicasIsAskedWhetherItIsFull(t *testing.T) {
	h, err := newHoard(0, true)
	if err != nil {
		t.Fatal(err)
	}
	defer h.close()
	if got, err := h.measure(t.Context(), 5); err != nil || got.full != nil || got.kept != 15 {
		t.Errorf("%+v, %v", got, err)
	}
	_ = h.store.Close()
	h.spent.Store(false)
	if got, err := h.measure(t.Context(), 5); err != nil || got.full == nil {
		t.Errorf("a closed store takes sessions: %+v, %v", got, err)
	}
}
