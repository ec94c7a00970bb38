package store

import (
	"context"
	"slices"
	"time"
)

// Get implements [Store].
func (b *Bolt) Get(ctx context.Context, keys ...string) ([]Item, error) {
	if err := checkRead(ctx, "a key", keys...); err != nil {
		return nil, err
	}
	items := make([]Item, len(keys))
	err := b.view(ctx, func(t tables) error {
		now := b.deps.Now()
		for i, k := range keys {
			r, found, err := t.find(k, now)
			if err != nil {
				return err
			}
			if found {
				items[i] = Item{copied(r.value), r.version}
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return items, nil
}

// Put implements [Store].
func (b *Bolt) Put(ctx context.Context, key string, value []byte, ttl time.Duration, index ...string) error {
	if err := checkWrite(ctx, key, ttl, index...); err != nil {
		return err
	}
	value = copied(value) // the caller may leave before it is written
	indexes := packIndexes(slices.Compact(slices.Sorted(slices.Values(index))))
	return b.do(ctx, false, func(t tables, now time.Time) ([]string, error) {
		return []string{key}, t.set(key, row{expires: expiry(now, ttl), indexes: indexes, value: value})
	})
}

// Swap implements [Store].
func (b *Bolt) Swap(ctx context.Context, key string, old uint64, value []byte, ttl time.Duration) (bool, error) {
	if err := checkWrite(ctx, key, ttl); err != nil {
		return false, err
	}
	value = copied(value)
	done := new(bool) // its own, as the writer may set it when the caller has left
	err := b.do(ctx, false, func(t tables, now time.Time) ([]string, error) {
		*done = false
		was, _, err := t.find(key, now)
		if err != nil || was.version != old {
			return nil, err
		}
		*done = true
		return []string{key}, t.set(key, row{expires: expiry(now, ttl), indexes: was.indexes, value: value})
	})
	if err != nil {
		return false, err
	}
	return *done, nil
}

// Take implements [Store].
func (b *Bolt) Take(ctx context.Context, key string) ([]byte, bool, error) {
	if err := checkRead(ctx, "a key", key); err != nil {
		return nil, false, err
	}
	taken := new(Item)
	err := b.do(ctx, true, func(t tables, now time.Time) ([]string, error) {
		*taken = Item{}
		was, found, err := t.find(key, now)
		if err != nil || !found {
			return nil, err
		}
		*taken = Item{copied(was.value), was.version}
		return []string{key}, t.remove(key)
	})
	if err != nil || taken.Version == 0 {
		return nil, false, err
	}
	return taken.Value, true, nil
}

// Delete implements [Store].
func (b *Bolt) Delete(ctx context.Context, keys ...string) (int, error) {
	if err := checkRead(ctx, "a key", keys...); err != nil {
		return 0, err
	}
	keys = slices.Clone(keys)
	n := new(int)
	err := b.do(ctx, true, func(t tables, now time.Time) (gone []string, err error) {
		for _, k := range keys {
			_, found, err := t.find(k, now)
			if err != nil {
				return nil, err
			}
			if !found {
				continue
			}
			if err := t.remove(k); err != nil {
				return nil, err
			}
			gone = append(gone, k)
		}
		*n = len(gone)
		return gone, nil
	})
	if err != nil {
		return 0, err
	}
	return *n, nil
}

// Add implements [Store].
func (b *Bolt) Add(ctx context.Context, key string, delta int64, ttl time.Duration) (int64, error) {
	if err := checkWrite(ctx, key, ttl); err != nil {
		return 0, err
	}
	sum := new(int64)
	err := b.do(ctx, false, func(t tables, now time.Time) ([]string, error) {
		was, found, err := t.find(key, now)
		if err != nil {
			return nil, err
		}
		if !found {
			was.expires = expiry(now, ttl)
		}
		n, digits, err := count(was.value, delta)
		if err != nil {
			return nil, err
		}
		*sum = n
		was.value = digits
		return []string{key}, t.set(key, was)
	})
	if err != nil {
		return 0, err
	}
	return *sum, nil
}

// List implements [Store].
func (b *Bolt) List(ctx context.Context, index, after string, limit int) (keys []string, err error) {
	if err := checkRead(ctx, "an index", index); err != nil {
		return nil, err
	}
	err = b.view(ctx, func(t tables) error {
		keys, err = t.list(index, after, limit, b.deps.Now())
		return err
	})
	if err != nil {
		return nil, err
	}
	return keys, nil
}
