package storetest

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/doorward/doorward/sessions/store"
)

func missing(b *bench) {
	b.hasNot("k")
	items, err := b.Get(b.ctx())
	if err != nil || len(items) != 0 {
		b.Fatalf("Get of nothing: %v, %v", items, err)
	}
}

func emptyValue(b *bench) {
	b.put("k", "", time.Hour)
	if b.get("k").Version == 0 {
		b.Fatal("an empty value looks like a missing key")
	}
	b.ok(b.Put(b.ctx(), "n", nil, time.Hour))
	if b.get("n").Version == 0 {
		b.Fatal("a nil value looks like a missing key")
	}
	value, found, err := b.Take(b.ctx(), "k")
	if err != nil || !found || len(value) != 0 {
		b.Fatalf("Take of an empty value: %q, %v, %v", value, found, err)
	}
}

func order(b *bench) {
	b.put("a", "1", time.Hour)
	b.put("c", "3", time.Hour)
	items, err := b.Get(b.ctx(), "c", "b", "a", "c")
	b.ok(err)
	if len(items) != 4 || string(items[0].Value) != "3" || items[1].Version != 0 || string(items[2].Value) != "1" || string(items[3].Value) != "3" {
		b.Fatalf("%v", items)
	}
}

func replaced(b *bench) {
	b.put("k", "old", time.Hour)
	before := b.get("k").Version
	b.put("k", "new", time.Hour)
	b.has("k", "new")
	if b.get("k").Version == before {
		b.Fatal("the version is the same after a write")
	}
	if one, two := b.get("k").Version, b.get("k").Version; one != two {
		b.Fatal("reading changes the version")
	}
}

func aliases(b *bench) {
	in := []byte("value")
	b.ok(b.Put(b.ctx(), "put", in, time.Hour))
	done, err := b.Swap(b.ctx(), "swap", 0, in, time.Hour)
	if err != nil || !done {
		b.Fatal(done, err)
	}
	copy(in, "XXXXX")
	for _, k := range []string{"put", "swap"} {
		b.has(k, "value")
		out := b.get(k).Value
		copy(out, "YYYYY")
		_ = append(out, "ZZZZZ"...)
		b.has(k, "value")
	}
	items, err := b.Get(b.ctx(), "put", "put")
	b.ok(err)
	copy(items[0].Value, "YYYYY")
	if string(items[1].Value) != "value" {
		b.Fatal("two items of one Get share their bytes")
	}
}

func oddBytes(b *bench) {
	var every strings.Builder
	for c := range 256 {
		every.WriteByte(byte(c))
	}
	keys := []string{"\x00", "\x00\x00", "\xff", "\xff\xff\xff", " ", "a/b", "a\nb", "é", "k{tag}", "k:*", "%00", every.String(), strings.Repeat("k", store.MaxKey)}
	for i, k := range keys {
		b.put(k, fmt.Sprint(i), time.Hour, k)
	}
	for i, k := range keys {
		b.has(k, fmt.Sprint(i))
		if got := b.list(k, "", 10); len(got) != 1 || got[0] != k {
			b.Fatalf("index %.40q lists %.80q", k, got)
		}
	}
	large := bytes.Repeat([]byte(every.String()), 1<<20/256)
	b.put("large", string(large), time.Hour)
	b.has("large", string(large))
}

func many(b *bench) {
	const n, each = 40, 50
	won := b.race(n, func(i int) (bool, error) {
		for j := range each {
			k := fmt.Sprintf("k%d.%d", i, j)
			if err := b.Put(b.ctx(), k, []byte(k), time.Hour, "all"); err != nil {
				return false, err
			}
		}
		return true, nil
	})
	if won != n {
		b.Fatalf("%d of %d writers finished", won, n)
	}
	for i := range n {
		for j := range each {
			k := fmt.Sprintf("k%d.%d", i, j)
			b.has(k, k)
		}
	}
	if got := len(b.list("all", "", n*each+1)); got != n*each {
		b.Fatalf("the index lists %d of %d", got, n*each)
	}
}

func ends(b *bench) {
	b.put("put", "v", time.Minute)
	if !b.swap("swap", 0, "v", time.Minute) {
		b.Fatal("Swap of a missing key failed")
	}
	_, err := b.Add(b.ctx(), "add", 1, time.Minute)
	b.ok(err)
	b.pass(time.Minute - time.Second)
	for _, k := range []string{"put", "swap", "add"} {
		if b.get(k).Version == 0 {
			b.Errorf("%s: gone a second before its ttl", k)
		}
	}
	b.pass(time.Second)
	for _, k := range []string{"put", "swap", "add"} {
		b.hasNot(k)
		if _, found, err := b.Take(b.ctx(), k); found || err != nil {
			b.Errorf("%s: taken after its ttl, %v", k, err)
		}
	}
	if n, err := b.Delete(b.ctx(), "put", "swap", "add"); n != 0 || err != nil {
		b.Errorf("Delete found %d ended entries, %v", n, err)
	}
}

func endedIsFree(b *bench) {
	b.put("k", "old", time.Minute, "old")
	before := b.get("k").Version
	b.pass(time.Hour)
	if b.swap("k", before, "x", time.Minute) {
		b.Fatal("Swap over an ended entry succeeded with its version")
	}
	if !b.swap("k", 0, "new", time.Minute) {
		b.Fatal("an ended entry keeps its key occupied")
	}
	b.has("k", "new")
	if got := b.list("old", "", 9); len(got) != 0 {
		b.Fatalf("the new entry has the indexes of the ended one: %q", got)
	}
}

func forEver(b *bench) {
	b.put("k", "v", math.MaxInt64)
	b.has("k", "v")
	b.pass(24 * 365 * time.Hour)
	b.has("k", "v")
}

func putProlongs(b *bench) {
	b.put("k", "1", time.Minute)
	b.pass(50 * time.Second)
	b.put("k", "2", time.Minute)
	b.pass(50 * time.Second)
	b.has("k", "2")
	b.put("k", "3", time.Second)
	b.pass(time.Second)
	b.hasNot("k")
}

func mistakes(b *bench) {
	long := strings.Repeat("k", store.MaxKey+1)
	for what, err := range map[string]error{
		"Put of no key":        b.Put(b.ctx(), "", nil, time.Hour),
		"Put of a long key":    b.Put(b.ctx(), long, nil, time.Hour),
		"Put to no index":      b.Put(b.ctx(), "k", nil, time.Hour, ""),
		"Put to a long index":  b.Put(b.ctx(), "k", nil, time.Hour, long),
		"Put without ttl":      b.Put(b.ctx(), "k", nil, 0),
		"Put with negative":    b.Put(b.ctx(), "k", nil, -time.Hour),
		"Swap without ttl":     second(b.Swap(b.ctx(), "k", 0, nil, 0)),
		"Add without ttl":      second(b.Add(b.ctx(), "k", 1, 0)),
		"Get of no key":        second(b.Get(b.ctx(), "k", "")),
		"Delete of a long key": second(b.Delete(b.ctx(), long)),
		"List of no index":     second(b.List(b.ctx(), "", "", 1)),
	} {
		if err == nil {
			b.Errorf("%s: no error", what)
		} else if isOutage(err) {
			b.Errorf("%s: error %v says that the store is out", what, err)
		}
	}
	b.hasNot("k")
}
