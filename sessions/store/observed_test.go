package store_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/sessions/store"
	"github.com/doorward/doorward/sessions/store/storetest"
)

func TestAnObservedStoreKeepsTheContractAndEveryOperationIsTold(t *testing.T) {
	var mu sync.Mutex
	told, ended := map[string]int{}, 0
	storetest.Run(t, func(_ testing.TB, now func() time.Time) store.Store {
		return store.Observed(store.NewMemory(store.MemoryConfig{}, store.Deps{Now: now}), func(ctx context.Context, operation string) (context.Context, func(error)) {
			mu.Lock()
			defer mu.Unlock()
			told[operation]++
			return ctx, func(error) { mu.Lock(); defer mu.Unlock(); ended++ }
		})
	})
	if all := strings.Join(slices.Sorted(maps.Keys(told)), " "); all != "add delete get list put swap take" || ended == 0 {
		t.Errorf("told of %q, and of %d ends", all, ended)
	}
}

func TestAnObservedStoreTellsWhatFailed(t *testing.T) {
	m := store.NewMemory(store.MemoryConfig{}, store.Deps{})
	failed := map[string]bool{}
	s := store.Observed(m, func(ctx context.Context, operation string) (context.Context, func(error)) {
		return ctx, func(err error) { failed[operation] = err != nil }
	})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	_, _ = s.Get(ctx, "k")
	_ = s.Put(ctx, "k", nil, time.Minute)
	_, _ = s.Swap(ctx, "k", 0, nil, time.Minute)
	_, _, _ = s.Take(ctx, "k")
	_, _ = s.Delete(ctx, "k")
	_, _ = s.Add(ctx, "k", 1, time.Minute)
	_, _ = s.List(ctx, "i", "", 1)
	for op, f := range failed {
		if !f {
			t.Errorf("%s has not failed", op)
		}
	}
	if len(failed) != 7 {
		t.Errorf("%v", failed)
	}
}
