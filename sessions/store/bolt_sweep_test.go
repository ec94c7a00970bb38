package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"
)

// The writer's ticker is real time; what it does is tested here in its place.
func TestWhatHasEndedLeavesTheFileWhenNobodyWrites(t *testing.T) {
	now := time.Now()
	b, err := OpenBolt(BoltConfig{Path: filepath.Join(t.TempDir(), "b.db")}, Deps{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	const n = 2*sweepBatch + 10
	told := make(chan string, 3*n)
	if err := b.Watch(t.Context(), "k", func(key string) { told <- key }); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			if err := b.Put(t.Context(), fmt.Sprint("k", i), nil, time.Minute, "i", "j"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if err := b.Put(t.Context(), "stays", nil, time.Hour, "i"); err != nil {
		t.Fatal(err)
	}
	close(b.closing) // ends the writer; the file stays open
	<-b.stopped
	now = now.Add(time.Minute)
	b.sweep()
	rows := make(map[string]int)
	err = b.db.View(func(tx *bbolt.Tx) error {
		return tx.ForEach(func(name []byte, bucket *bbolt.Bucket) error {
			rows[string(name)] = bucket.Stats().KeyN
			return nil
		})
	})
	if err != nil || rows["entries"] != 1 || rows["ends"] != 1 || rows["indexes"] != 1 {
		t.Errorf("%v, %v; want one row in each table", rows, err)
	}
	for range 2 * n { // each was put, and each ended
		<-told
	}
	if err := b.db.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestAChangeThatFailsDoesNotTakeOthersAlong(t *testing.T) {
	b, err := OpenBolt(BoltConfig{Path: filepath.Join(t.TempDir(), "b.db")}, Deps{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	broken := errors.New("the disk says no")
	good := func(t tables, now time.Time) ([]string, error) {
		return []string{"good"}, t.set("good", row{expires: expiry(now, time.Hour)})
	}
	half := func(t tables, now time.Time) ([]string, error) {
		return []string{"half"}, errors.Join(t.set("half", row{expires: expiry(now, time.Hour)}), broken)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	writes := []*write{
		{ctx: t.Context(), change: good, done: make(chan struct{})},
		{ctx: t.Context(), change: half, done: make(chan struct{})},
		{ctx: ended, change: half, done: make(chan struct{})},
	}
	b.commit(writes) // as the writer does when they come together; it is idle itself
	if writes[0].err != nil {
		t.Errorf("the good one: %v", writes[0].err)
	}
	if !errors.Is(writes[1].err, broken) || !errors.Is(writes[1].err, ErrUnavailable) || writes[1].changed != nil {
		t.Errorf("the other one: %v, %q", writes[1].err, writes[1].changed)
	}
	if !errors.Is(writes[2].err, context.Canceled) {
		t.Errorf("whose caller had left: %v", writes[2].err)
	}
	items, err := b.Get(t.Context(), "good", "half")
	if err != nil || items[0].Version == 0 || items[1].Version != 0 {
		t.Errorf("in the store: %v, %v", items, err)
	}
}
