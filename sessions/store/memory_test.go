package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/sessions/store"
	"github.com/doorward/doorward/sessions/store/storetest"
)

func TestMemoryKeepsTheContract(t *testing.T) {
	storetest.Run(t, func(_ testing.TB, now func() time.Time) store.Store {
		return store.NewMemory(store.MemoryConfig{}, store.Deps{Now: now})
	})
}

func TestAFullMemoryStoreRefusesNewEntriesAndKeepsTheOldOnes(t *testing.T) {
	c := &clock{at: time.Now()}
	m := store.NewMemory(store.MemoryConfig{MaxBytes: 100 << 10}, store.Deps{Now: c.now})
	kept := fill(t, m, "k", time.Minute)
	if kept < 50 || kept > 99 {
		t.Fatalf("%d entries of 1 KiB in 100 KiB", kept)
	}
	var err error
	for i := 0; err == nil && i < 100; i++ { // small ones may still fit
		_, err = m.Add(t.Context(), fmt.Sprint("n", i), 1, time.Minute)
	}
	if !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Add: %v", err)
	}
	if _, err := m.Swap(t.Context(), "new", 0, kilobyte, time.Minute); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Swap: %v", err)
	}
	for i := range kept { // who is signed in stays so, also when the session is written again
		key := fmt.Sprint("k", i)
		if items := must(m.Get(t.Context(), key))(t); items[0].Version == 0 {
			t.Fatalf("%s was lost", key)
		}
		if err := m.Put(t.Context(), key, kilobyte, time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	must(m.Delete(t.Context(), "k0"))(t)
	if err := m.Put(t.Context(), "new", kilobyte, time.Minute); err != nil {
		t.Fatalf("what was deleted leaves no room: %v", err)
	}
	c.pass(time.Minute)
	if again := fill(t, m, "other", time.Minute); again != kept {
		t.Fatalf("after all had ended, there was room for %d entries, before for %d", again, kept)
	}
}

func TestEndedEntriesLeaveMemoryWithLaterWrites(t *testing.T) {
	c := &clock{at: time.Now()}
	m := store.NewMemory(store.MemoryConfig{}, store.Deps{Now: c.now})
	var ended []string
	if err := m.Watch(t.Context(), "k", func(key string) { ended = append(ended, key) }); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		if err := m.Put(t.Context(), fmt.Sprint("k", i), nil, time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	ended = nil
	c.pass(time.Minute)
	for i := range 5 {
		if err := m.Put(t.Context(), fmt.Sprint("later", i), nil, time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	if len(ended) != 20 {
		t.Fatalf("%d of 20 ended entries left within five writes", len(ended))
	}
}

func TestAMemoryStoreLeavesNoGoroutineInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := store.NewMemory(store.MemoryConfig{}, store.Deps{})
		if err := m.Put(t.Context(), "k", nil, time.Hour); err != nil {
			t.Fatal(err)
		}
		if err := m.Watch(t.Context(), "", func(string) {}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour) // the bubble's time
		if items := must(m.Get(t.Context(), "k"))(t); items[0].Version != 0 {
			t.Fatal("seen after its ttl")
		}
	})
}

var kilobyte = bytes.Repeat([]byte("x"), 1<<10)

// fill puts entries of a kilobyte until the store is full and returns how many it took.
func fill(t *testing.T, s store.Store, prefix string, ttl time.Duration) int {
	t.Helper()
	for i := range 1 << 20 {
		err := s.Put(t.Context(), fmt.Sprint(prefix, i), kilobyte, ttl, "all")
		if errors.Is(err, store.ErrUnavailable) {
			return i
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal("the store is never full")
	return 0
}
