package storetest

import (
	"fmt"
	"strconv"
	"sync"
	"time"
)

func swap(b *bench) {
	if b.swap("k", 7, "x", time.Hour) {
		b.Fatal("Swap of a missing key succeeded with a version")
	}
	b.hasNot("k")
	if !b.swap("k", 0, "1", time.Hour) {
		b.Fatal("Swap of a missing key failed")
	}
	if b.swap("k", 0, "x", time.Hour) {
		b.Fatal("Swap created a key that exists")
	}
	first := b.get("k").Version
	if !b.swap("k", first, "2", time.Minute) {
		b.Fatal("Swap with the right version failed")
	}
	if b.swap("k", first, "x", time.Hour) {
		b.Fatal("Swap with an old version succeeded")
	}
	b.has("k", "2")
	b.pass(time.Minute)
	b.hasNot("k") // the ttl is that of the last write
}

func versions(b *bench) {
	seen := make(map[uint64]string)
	note := func(after string) {
		b.Helper()
		v := b.get("k").Version
		if before, ok := seen[v]; ok {
			b.Fatalf("version %d after %s was there after %s", v, after, before)
		}
		seen[v] = after
	}
	for i := range 5 {
		b.put("k", "same", time.Minute)
		note(fmt.Sprintf("Put %d", i))
		if !b.swap("k", b.get("k").Version, "same", time.Minute) {
			b.Fatal("Swap failed")
		}
		note(fmt.Sprintf("Swap %d", i))
		switch i % 3 { // also when the key was gone in between: a late Swap must not win
		case 0:
			_, err := b.Delete(b.ctx(), "k")
			b.ok(err)
		case 1:
			_, _, err := b.Take(b.ctx(), "k")
			b.ok(err)
		case 2:
			b.pass(time.Hour)
		}
	}
}

func swapRace(b *bench) {
	for range 10 {
		b.put("k", "old", time.Hour)
		v := b.get("k").Version
		won := b.race(8, func(i int) (bool, error) {
			return b.Swap(b.ctx(), "k", v, []byte{byte('0' + i)}, time.Hour)
		})
		if won != 1 {
			b.Fatalf("%d Swaps from one version succeeded", won)
		}
	}
}

func createRace(b *bench) {
	for round := range 10 {
		k := fmt.Sprint(round)
		won := b.race(8, func(int) (bool, error) { return b.Swap(b.ctx(), k, 0, []byte("mine"), time.Hour) })
		if won != 1 {
			b.Fatalf("%d Swaps created one key", won)
		}
	}
}

func swapCounts(b *bench) {
	const n, each = 4, 10
	b.put("k", "0", time.Hour)
	b.race(n, func(int) (bool, error) {
		for done := 0; done < each; {
			items, err := b.Get(b.ctx(), "k")
			if err != nil {
				return false, err
			}
			count, err := strconv.Atoi(string(items[0].Value))
			if err != nil {
				return false, err
			}
			ok, err := b.Swap(b.ctx(), "k", items[0].Version, []byte(strconv.Itoa(count+1)), time.Hour)
			if err != nil {
				return false, err
			}
			if ok {
				done++
			}
		}
		return true, nil
	})
	b.has("k", strconv.Itoa(n*each))
}

func take(b *bench) {
	b.put("k", "v", time.Hour)
	value, found, err := b.Take(b.ctx(), "k")
	if err != nil || !found || string(value) != "v" {
		b.Fatalf("%q, %v, %v", value, found, err)
	}
	value, found, err = b.Take(b.ctx(), "k")
	if err != nil || found || value != nil {
		b.Fatalf("the second time: %q, %v, %v", value, found, err)
	}
	b.hasNot("k")
}

func takeRace(b *bench) {
	for range 10 {
		b.put("k", "v", time.Hour)
		won := b.race(8, func(int) (bool, error) {
			value, found, err := b.Take(b.ctx(), "k")
			if found && string(value) != "v" {
				return true, fmt.Errorf("taken: %q", value)
			}
			return found, err
		})
		if won != 1 {
			b.Fatalf("%d callers took one value", won)
		}
	}
}

func deletes(b *bench) {
	b.put("a", "1", time.Hour)
	b.put("b", "2", time.Hour)
	n, err := b.Delete(b.ctx(), "a", "x", "b", "a")
	if err != nil || n != 2 {
		b.Fatalf("%d deleted, %v; want 2", n, err)
	}
	b.hasNot("a")
	b.hasNot("b")
	if n, err = b.Delete(b.ctx()); err != nil || n != 0 {
		b.Fatalf("Delete of nothing: %d, %v", n, err)
	}
}

func deleteRace(b *bench) {
	for range 10 {
		b.put("k", "v", time.Hour)
		won := b.race(8, func(int) (bool, error) {
			n, err := b.Delete(b.ctx(), "k")
			return n == 1, err
		})
		if won != 1 {
			b.Fatalf("%d callers deleted one key", won)
		}
	}
}

func counter(b *bench) {
	for _, step := range []struct{ delta, want int64 }{{1, 1}, {5, 6}, {-7, -1}, {1, 0}, {0, 0}} {
		sum, err := b.Add(b.ctx(), "n", step.delta, time.Minute)
		if err != nil || sum != step.want {
			b.Fatalf("after adding %d: %d, %v; want %d", step.delta, sum, err, step.want)
		}
		b.has("n", strconv.FormatInt(step.want, 10))
		b.pass(11 * time.Second)
	}
	b.pass(5 * time.Second) // a minute after the beginning, in spite of the Adds since
	b.hasNot("n")
	sum, err := b.Add(b.ctx(), "n", 3, time.Minute)
	if err != nil || sum != 3 {
		b.Fatalf("after its end the counter begins with %d, %v; want 3", sum, err)
	}
}

func addRace(b *bench) {
	const n, each = 8, 10
	var mu sync.Mutex
	sums := make(map[int64]bool)
	b.race(n, func(int) (bool, error) {
		for range each {
			sum, err := b.Add(b.ctx(), "n", 1, time.Hour)
			if err != nil {
				return false, err
			}
			mu.Lock()
			sums[sum] = true
			mu.Unlock()
		}
		return true, nil
	})
	if len(sums) != n*each || !sums[1] || !sums[n*each] {
		b.Fatalf("%d different sums of %d", len(sums), n*each)
	}
}

func noCounter(b *bench) {
	b.put("k", "text", time.Hour)
	_, err := b.Add(b.ctx(), "k", 1, time.Hour)
	if err == nil || isOutage(err) {
		b.Fatalf("error: %v", err)
	}
	b.has("k", "text")
}
