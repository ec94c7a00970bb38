package store_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/doorward/doorward/sessions/store"
	"github.com/doorward/doorward/sessions/store/storetest"
)

func TestBoltKeepsTheContract(t *testing.T) {
	storetest.Run(t, func(t testing.TB, now func() time.Time) store.Store {
		return must(store.OpenBolt(store.BoltConfig{Path: filepath.Join(t.TempDir(), "b.db")}, store.Deps{Now: now}))(t)
	})
}

func TestABoltStoreKeepsEverythingOverARestart(t *testing.T) {
	c := &clock{at: time.Now()}
	path := filepath.Join(t.TempDir(), "state", "sessions.db")
	b := open(t, path, c)
	for key, ttl := range map[string]time.Duration{"short": time.Minute, "long": time.Hour} {
		if err := b.Put(t.Context(), key, []byte(key), ttl, "i"); err != nil {
			t.Fatal(err)
		}
	}
	must(b.Add(t.Context(), "n", 41, time.Hour))(t)
	version := must(b.Get(t.Context(), "long"))(t)[0].Version
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	c.pass(time.Minute)

	b = open(t, path, c)
	items := must(b.Get(t.Context(), "long", "short"))(t)
	if string(items[0].Value) != "long" || items[0].Version != version {
		t.Errorf("long: %q, version %d; want version %d", items[0].Value, items[0].Version, version)
	}
	if items[1].Version != 0 {
		t.Error("the restart prolonged a ttl")
	}
	if keys := must(b.List(t.Context(), "i", "", 9))(t); !slices.Equal(keys, []string{"long"}) {
		t.Errorf("index: %q", keys)
	}
	if sum := must(b.Add(t.Context(), "n", 1, time.Hour))(t); sum != 42 {
		t.Errorf("counter: %d", sum)
	}
	if must(b.Swap(t.Context(), "fresh", 0, nil, time.Hour))(t); must(b.Get(t.Context(), "fresh"))(t)[0].Version <= version {
		t.Error("versions begin again after a restart: a late Swap could win")
	}
	c.pass(59 * time.Minute)
	if items := must(b.Get(t.Context(), "long"))(t); items[0].Version != 0 {
		t.Error("seen after its ttl")
	}
}

func TestABoltFileIsPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	path := filepath.Join(dir, "sessions.db")
	if err := open(t, path, nil).Close(); err != nil {
		t.Fatal(err)
	}
	mode := func(name string, want fs.FileMode) {
		t.Helper()
		if got := must(os.Stat(name))(t).Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", name, got, want)
		}
	}
	mode(dir, 0o700)
	mode(path, 0o600)
	if err := os.Chmod(path, 0o644); err != nil { // as a careless restore leaves it
		t.Fatal(err)
	}
	open(t, path, nil)
	mode(path, 0o600)
}

func TestASecondProcessIsToldThatTheFileIsUsed(t *testing.T) {
	t.Parallel() // the second one waits a while for the first to leave
	path := filepath.Join(t.TempDir(), "sessions.db")
	open(t, path, nil)
	_, err := store.OpenBolt(store.BoltConfig{Path: path}, store.Deps{})
	if err == nil || !strings.Contains(err.Error(), path+" is used by another process") {
		t.Fatalf("error: %v", err)
	}
}

func TestAFileThatIsNotOursIsRefusedAndNotChanged(t *testing.T) {
	intact := filepath.Join(t.TempDir(), "intact.db")
	b := open(t, intact, nil)
	putMany(t, b, "k", 300, time.Hour)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	ours := must(os.ReadFile(intact))(t)
	noise := slices.Clone(ours)
	for i := 2 * os.Getpagesize(); i < len(noise); i++ {
		noise[i] = byte(i * 7)
	}
	foreign := filepath.Join(t.TempDir(), "foreign.db")
	newer := filepath.Join(t.TempDir(), "newer.db")
	boltFile(t, foreign, "buckets", "k", "v")
	boltFile(t, newer, "doorward", "format", "2")

	for name, content := range map[string][]byte{
		"text":              []byte(strings.Repeat("this is no database\n", 1000)),
		"one byte":          {1},
		"zeros":             make([]byte, 64<<10),
		"cut after a page":  ours[:os.Getpagesize()],
		"cut after metas":   ours[:2*os.Getpagesize()],
		"noise after metas": noise,
		"another program's": must(os.ReadFile(foreign))(t),
		"a newer version's": must(os.ReadFile(newer))(t),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "b.db")
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			b, err := store.OpenBolt(store.BoltConfig{Path: path}, store.Deps{})
			if err == nil {
				_ = b.Close()
				t.Fatal("opened")
			}
			if !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "move it away") {
				t.Errorf("the error doesn't say where and what to do: %v", err)
			}
			if after := must(os.ReadFile(path))(t); string(after) != string(content) {
				t.Error("the file was changed")
			}
		})
	}
}

func TestDamageFoundLaterIsAnOutageAndNoPanic(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b.db")
	b := open(t, path, nil)
	putMany(t, b, "k", 300, time.Hour)
	if err := os.Truncate(path, int64(3*os.Getpagesize())); err != nil { // under its feet
		t.Fatal(err)
	}
	failed := 0
	for i := range 300 {
		_, err := b.Get(t.Context(), fmt.Sprint("k", i))
		if err != nil && !errors.Is(err, store.ErrUnavailable) {
			t.Fatalf("error: %v", err)
		}
		if err != nil {
			failed++
		}
	}
	if failed == 0 {
		t.Fatal("reading a file without content never failed")
	}
	if _, _, err := b.Take(t.Context(), "k1"); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Take: %v", err)
	}
}

func TestAFullBoltFileKeepsWhatIsInItAndLetsItBeDeleted(t *testing.T) {
	c := &clock{at: time.Now()}
	path := filepath.Join(t.TempDir(), "b.db")
	b := must(store.OpenBolt(store.BoltConfig{Path: path, MaxBytes: 512 << 10}, store.Deps{Now: c.now}))(t)
	t.Cleanup(func() { _ = b.Close() })
	kept := fill(t, b, "k", time.Hour)
	for i := range kept {
		if must(b.Get(t.Context(), fmt.Sprint("k", i)))(t)[0].Version == 0 {
			t.Fatalf("k%d was lost", i)
		}
	}
	var half []string
	for i := range kept / 2 {
		half = append(half, fmt.Sprint("k", i))
	}
	if n := must(b.Delete(t.Context(), half...))(t); n != len(half) {
		t.Fatalf("%d of %d were deleted", n, len(half))
	}
	if err := b.Put(t.Context(), "new", kilobyte, time.Hour); err != nil {
		t.Fatalf("what was deleted leaves no room: %v", err)
	}
	c.pass(time.Hour)
	if again := fill(t, b, "other", time.Hour); again < kept/2 {
		t.Fatalf("after all had ended, there was room for %d entries, before for %d", again, kept)
	}
}

func TestTheBoltFileDoesNotGrowWithWhatHasEnded(t *testing.T) {
	c := &clock{at: time.Now()}
	path := filepath.Join(t.TempDir(), "b.db")
	b := open(t, path, c)
	var first int64
	for round := range 12 {
		putMany(t, b, fmt.Sprint(round, "-"), 200, time.Minute)
		c.pass(time.Minute)
		if size := must(os.Stat(path))(t).Size(); round == 2 {
			first = size
		} else if round > 2 && size > 2*first {
			t.Fatalf("after round %d the file has %d bytes, after the third it had %d", round, size, first)
		}
	}
}

func TestABurstOfWritesSharesTransactions(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b.db")
	transactions := func() int {
		t.Helper()
		db := must(bbolt.Open(path, 0o600, nil))(t)
		defer db.Close()
		tx := must(db.Begin(false))(t)
		defer tx.Rollback()
		return tx.ID()
	}
	if err := open(t, path, nil).Close(); err != nil {
		t.Fatal(err)
	}
	before := transactions()
	b := open(t, path, nil)
	const n = 400
	putMany(t, b, "k", n, time.Hour)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if used := transactions() - before; used > n/2 {
		t.Fatalf("%d writes at once took %d transactions", n, used)
	}
}

func TestWhatFindsNothingCostsNoTransaction(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b.db")
	b := open(t, path, nil)
	if err := b.Put(t.Context(), "k", nil, time.Hour); err != nil {
		t.Fatal(err)
	}
	before := must(os.ReadFile(path))(t)
	for range 3 { // what anybody can cause from outside
		must(b.Swap(t.Context(), "k", 0, nil, time.Hour))(t)
		must(b.Delete(t.Context(), "x"))(t)
		if _, found, err := b.Take(t.Context(), "x"); found || err != nil {
			t.Fatal(found, err)
		}
	}
	if string(must(os.ReadFile(path))(t)) != string(before) {
		t.Fatal("the file was written")
	}
}

func open(t *testing.T, path string, c *clock) *store.Bolt {
	t.Helper()
	d := store.Deps{}
	if c != nil {
		d.Now = c.now
	}
	b := must(store.OpenBolt(store.BoltConfig{Path: path}, d))(t)
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// putMany puts n entries of a kilobyte at once.
func putMany(t *testing.T, b *store.Bolt, prefix string, n int, ttl time.Duration) {
	t.Helper()
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			if err := b.Put(t.Context(), fmt.Sprint(prefix, i), kilobyte, ttl, "i"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// boltFile writes a sound file of bbolt's that Doorward didn't make.
func boltFile(t *testing.T, path, bucket, key, value string) {
	t.Helper()
	db := must(bbolt.Open(path, 0o600, nil))(t)
	err := db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucket([]byte(bucket))
		if err != nil {
			return err
		}
		return b.Put([]byte(key), []byte(value))
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}
