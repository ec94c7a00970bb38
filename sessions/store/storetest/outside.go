package storetest

import (
	"context"
	"errors"
	"time"

	"github.com/doorward/doorward/sessions/store"
)

// patience is for what must arrive and would otherwise hang; nobody waits for it.
const patience = 10 * time.Second

func watch(b *bench) {
	got := make(chan string, 100)
	b.ok(b.Watch(b.ctx(), "s:", func(key string) { got <- key }))
	await := func(what, want string) {
		b.Helper()
		select {
		case key := <-got:
			if key != want {
				b.Fatalf("%s: told of %q, want %q", what, key, want)
			}
		case <-time.After(patience):
			b.Fatalf("%s: told of nothing", what)
		}
	}
	b.put("other", "v", time.Hour)
	b.put("s", "v", time.Hour)
	b.put("s:1", "v", time.Hour)
	await("Put", "s:1")
	if !b.swap("s:1", b.get("s:1").Version, "w", time.Hour) {
		b.Fatal("Swap failed")
	}
	await("Swap", "s:1")
	if b.swap("s:1", 0, "x", time.Hour) {
		b.Fatal("Swap succeeded")
	}
	_, _, err := b.Take(b.ctx(), "s:1")
	b.ok(err)
	await("Take", "s:1")
	_, _, err = b.Take(b.ctx(), "s:1")
	b.ok(err)
	b.put("s:2", "v", time.Hour)
	await("Put", "s:2")
	_, err = b.Delete(b.ctx(), "other", "s:2", "s:3")
	b.ok(err)
	await("Delete", "s:2")
	b.put("s:last", "v", time.Hour)
	await("Put", "s:last") // and nothing in between
}

func watchEnds(b *bench) {
	ctx, cancel := context.WithCancel(b.ctx())
	ended, still := make(chan string, 9), make(chan string, 9)
	b.ok(b.Watch(ctx, "", func(key string) { ended <- key }))
	b.ok(b.Watch(b.ctx(), "", func(key string) { still <- key }))
	cancel()
	b.put("k", "v", time.Hour)
	select {
	case <-still:
	case <-time.After(patience):
		b.Fatal("the other watcher was told of nothing")
	}
	if len(ended) != 0 {
		b.Fatal("a watcher whose context has ended was told")
	}
}

func watchReenters(b *bench) {
	told := make(chan error, 100)
	b.ok(b.Watch(b.ctx(), "s:", func(key string) {
		if _, err := b.Get(b.ctx(), key); err != nil {
			told <- err
			return
		}
		err := b.Put(b.ctx(), "seen", []byte(key), time.Hour)
		told <- errors.Join(err, b.Watch(b.ctx(), "t:", func(string) {}))
	}))
	finished := make(chan error, 1)
	go func() { finished <- b.Put(b.ctx(), "s:1", nil, time.Hour) }()
	for _, c := range []chan error{finished, told} {
		select {
		case err := <-c:
			b.ok(err)
		case <-time.After(patience):
			b.Fatal("a watcher that uses the store hangs")
		}
	}
	b.has("seen", "s:1")
}

func cancelled(b *bench) {
	b.put("k", "v", time.Hour, "i")
	ctx, cancel := context.WithCancel(b.ctx())
	cancel()
	for what, err := range allCalls(ctx, b.Store) {
		b.outage(what, err)
		if !errors.Is(err, context.Canceled) {
			b.Errorf("%s: error %v doesn't wrap the context's", what, err)
		}
	}
	b.has("k", "v")
}

func closed(b *bench) {
	b.put("k", "v", time.Hour, "i")
	b.ok(b.Close())
	for what, err := range allCalls(context.Background(), b.Store) {
		b.outage(what, err)
	}
	b.ok(b.Close())
}

func allCalls(ctx context.Context, s store.Store) map[string]error {
	_, _, take := s.Take(ctx, "k")
	return map[string]error{
		"Get":    second(s.Get(ctx, "k")),
		"Put":    s.Put(ctx, "k", nil, time.Hour),
		"Swap":   second(s.Swap(ctx, "k", 0, nil, time.Hour)),
		"Take":   take,
		"Delete": second(s.Delete(ctx, "k")),
		"Add":    second(s.Add(ctx, "n", 1, time.Hour)),
		"List":   second(s.List(ctx, "i", "", 1)),
		"Watch":  s.Watch(ctx, "", func(string) {}),
	}
}

func second[T any](_ T, err error) error { return err }

func isOutage(err error) bool { return errors.Is(err, store.ErrUnavailable) }
