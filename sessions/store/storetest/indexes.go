package storetest

import (
	"slices"
	"time"
)

func list(b *bench) {
	want := []string{"\x00", "a", "a\x00", "aa", "b", "é", "\xff"}
	for _, k := range slices.Backward(want) {
		b.put(k, "v", time.Hour, "i", "other")
	}
	b.put("elsewhere", "v", time.Hour, "other")
	if got := b.list("i", "", 100); !slices.Equal(got, want) {
		b.Fatalf("%q; want %q", got, want)
	}
	var paged []string
	after := ""
	for {
		page := b.list("i", after, 3)
		if len(page) > 3 {
			b.Fatalf("a page of 3 has %d keys", len(page))
		}
		if len(page) == 0 {
			break
		}
		paged = append(paged, page...)
		after = page[len(page)-1]
	}
	if !slices.Equal(paged, want) {
		b.Fatalf("in pages: %q; want %q", paged, want)
	}
	if got := b.list("i", "a\x00\x00", 1); !slices.Equal(got, []string{"aa"}) { // "after" needn't exist
		b.Fatalf("%q", got)
	}
	if got := b.list("i", "", 0); len(got) != 0 {
		b.Fatalf("limit 0 lists %q", got)
	}
	if got := b.list("nobody", "", 9); len(got) != 0 {
		b.Fatalf("an index that doesn't exist lists %q", got)
	}
}

func indexesOfWrites(b *bench) {
	listed := func(index string, want bool) {
		b.Helper()
		if got := len(b.list(index, "", 9)) == 1; got != want {
			b.Errorf("listed in %s: %v, want %v", index, got, want)
		}
	}
	b.put("k", "1", time.Minute, "one", "two", "two")
	listed("one", true)
	listed("two", true)
	if !b.swap("k", b.get("k").Version, "2", time.Hour) {
		b.Fatal("Swap failed")
	}
	b.pass(time.Minute) // Swap prolonged the entry: the index must follow
	listed("one", true)
	listed("two", true)
	b.put("k", "3", time.Hour, "two", "three")
	listed("one", false)
	listed("two", true)
	listed("three", true)
	b.put("k", "4", time.Hour)
	listed("two", false)
	listed("three", false)
}

func indexForgets(b *bench) {
	b.put("deleted", "v", time.Hour, "i")
	b.put("taken", "v", time.Hour, "i")
	b.put("ended", "v", time.Minute, "i")
	b.put("stays", "v", time.Hour, "i")
	_, err := b.Delete(b.ctx(), "deleted")
	b.ok(err)
	_, _, err = b.Take(b.ctx(), "taken")
	b.ok(err)
	b.pass(time.Minute)
	if got := b.list("i", "", 9); !slices.Equal(got, []string{"stays"}) {
		b.Fatalf("%q", got)
	}
	if got := b.list("i", "", 1); !slices.Equal(got, []string{"stays"}) {
		b.Fatalf("what has ended takes a place in the page: %q", got)
	}
	if !b.swap("deleted", 0, "v", time.Hour) {
		b.Fatal("Swap failed")
	}
	if got := b.list("i", "", 9); !slices.Equal(got, []string{"stays"}) {
		b.Fatalf("a key that was deleted came back into its index: %q", got)
	}
}

func indexPrefix(b *bench) {
	b.put("k", "v", time.Hour, "ab")
	b.put("bk", "v", time.Hour, "a")
	b.put("\x00k", "v", time.Hour, "a\x00")
	for index, want := range map[string]string{"ab": "k", "a": "bk", "a\x00": "\x00k"} {
		if got := b.list(index, "", 9); !slices.Equal(got, []string{want}) {
			b.Errorf("index %q lists %q, want %q", index, got, want)
		}
	}
}
