package storetest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/sessions/store"
)

// Run tests one kind of store. open is called once for each test, with the clock by which
// the store must live, and returns an empty store; Run closes it.
func Run(t *testing.T, open func(t testing.TB, now func() time.Time) store.Store) {
	for _, test := range []struct {
		name string
		run  func(*bench)
	}{
		{"a missing key is no error", missing},
		{"an empty value is not a missing key", emptyValue},
		{"items come in the order of the keys", order},
		{"a later Put replaces value and version", replaced},
		{"values are not aliased", aliases},
		{"any bytes and large values are kept", oddBytes},
		{"many keys are kept", many},
		{"an entry ends exactly with its ttl", ends},
		{"an ended key is free again", endedIsFree},
		{"a ttl for ever doesn't end at once", forEver},
		{"Put begins a new ttl", putProlongs},
		{"Swap needs the version", swap},
		{"a version never comes back", versions},
		{"of many Swaps one wins", swapRace},
		{"of many creating Swaps one wins", createRace},
		{"no update by Swap is lost", swapCounts},
		{"Take gives once", take},
		{"of many Takes one wins", takeRace},
		{"Delete counts what existed", deletes},
		{"of many Deletes one counts", deleteRace},
		{"a counter counts and ends", counter},
		{"no Add is lost", addRace},
		{"only a counter counts", noCounter},
		{"List pages through an index in order", list},
		{"Put replaces the indexes and Swap keeps them", indexesOfWrites},
		{"an index forgets what is gone", indexForgets},
		{"an index is not the beginning of another", indexPrefix},
		{"Watch tells of changes of its prefix", watch},
		{"Watch ends with its context", watchEnds},
		{"a watcher may use the store", watchReenters},
		{"a caller's mistake is not an outage", mistakes},
		{"an ended context is an outage", cancelled},
		{"a closed store is an outage", closed},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := &bench{T: t, now: time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)}
			b.Store = open(t, b.clock)
			t.Cleanup(func() { _ = b.Store.Close() })
			test.run(b)
		})
	}
}

// bench is one test with its store and its clock.
type bench struct {
	*testing.T
	store.Store

	mu  sync.Mutex
	now time.Time
}

func (b *bench) clock() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now
}

func (b *bench) pass(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now = b.now.Add(d)
}

func (b *bench) ctx() context.Context { return b.T.Context() }

// ok stops the test at an error.
func (b *bench) ok(err error) {
	b.Helper()
	if err != nil {
		b.Fatalf("error: %v", err)
	}
}

func (b *bench) put(key, value string, ttl time.Duration, index ...string) {
	b.Helper()
	b.ok(b.Put(b.ctx(), key, []byte(value), ttl, index...))
}

func (b *bench) get(key string) store.Item {
	b.Helper()
	items, err := b.Get(b.ctx(), key)
	b.ok(err)
	if len(items) != 1 {
		b.Fatalf("Get of one key returned %d items", len(items))
	}
	return items[0]
}

func (b *bench) has(key, value string) {
	b.Helper()
	if i := b.get(key); i.Version == 0 || string(i.Value) != value {
		b.Fatalf("%q holds %.40q, version %d; want %.40q", key, i.Value, i.Version, value)
	}
}

func (b *bench) hasNot(key string) {
	b.Helper()
	if i := b.get(key); i.Version != 0 || i.Value != nil {
		b.Fatalf("%q holds %.40q, version %d; want nothing", key, i.Value, i.Version)
	}
}

func (b *bench) swap(key string, old uint64, value string, ttl time.Duration) bool {
	b.Helper()
	done, err := b.Swap(b.ctx(), key, old, []byte(value), ttl)
	b.ok(err)
	return done
}

func (b *bench) list(index, after string, limit int) []string {
	b.Helper()
	keys, err := b.List(b.ctx(), index, after, limit)
	b.ok(err)
	return keys
}

// outage demands an error that is answered with 503.
func (b *bench) outage(what string, err error) {
	b.Helper()
	if !errors.Is(err, store.ErrUnavailable) {
		b.Errorf("%s: error %v doesn't wrap ErrUnavailable", what, err)
	}
}

// race runs f in n goroutines that begin together and returns how many were true.
func (b *bench) race(n int, f func(i int) (bool, error)) (won int) {
	b.Helper()
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		start = make(chan struct{})
	)
	for i := range n {
		wg.Go(func() {
			<-start
			ok, err := f(i)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				b.Errorf("error: %v", err)
			}
			if ok {
				won++
			}
		})
	}
	close(start)
	wg.Wait()
	return won
}
