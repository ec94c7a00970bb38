package store

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// MemoryConfig limits a memory store.
type MemoryConfig struct {
	// MaxBytes is how much may be kept, counting keys, values, indexes and an allowance
	// for the maps around them. 0: 256 MiB. When it is reached, writes that need more fail
	// with ErrUnavailable; nobody's entry is thrown out for somebody else's.
	MaxBytes int64
}

const (
	defaultMemory  = 256 << 20
	entryAllowance = 256 // what an entry costs beside its bytes, roughly
	indexAllowance = 128
	sweepAtWrite   = 4 // ended entries that a write takes along: more than it adds
)

// Memory is a store in this process. It ends with it.
type Memory struct {
	deps     Deps
	max      int64
	watchers watchers

	mu      sync.RWMutex
	closed  bool
	used    int64
	version uint64
	entries map[string]*entry
	indexes map[string]map[string]struct{}
	queue   expiryQueue
}

var _ Store = (*Memory)(nil)

// entry is what stands under a key. value is replaced, never changed, so that readers copy
// it without the lock.
type entry struct {
	key     string
	value   []byte
	version uint64
	expires int64
	index   []string
	place   int // in the queue
}

func (e *entry) size() int64 {
	n := entryAllowance + len(e.key) + len(e.value)
	for _, i := range e.index {
		n += indexAllowance + len(i)
	}
	return int64(n)
}

// NewMemory makes an empty store. It has no goroutine: ended entries are invisible at once
// and leave with later writes.
func NewMemory(c MemoryConfig, d Deps) *Memory {
	if c.MaxBytes <= 0 {
		c.MaxBytes = defaultMemory
	}
	return &Memory{
		deps: d.withDefaults(), max: c.MaxBytes,
		entries: make(map[string]*entry), indexes: make(map[string]map[string]struct{}),
	}
}

// Get implements [Store].
func (m *Memory) Get(ctx context.Context, keys ...string) ([]Item, error) {
	if err := checkRead(ctx, "a key", keys...); err != nil {
		return nil, err
	}
	items := make([]Item, len(keys))
	now := m.deps.Now()
	m.mu.RLock()
	if m.closed {
		m.mu.RUnlock()
		return nil, errClosed
	}
	for i, k := range keys {
		if e := m.find(k, now); e != nil {
			items[i] = Item{e.value, e.version}
		}
	}
	m.mu.RUnlock()
	for i := range items {
		items[i].Value = slices.Clone(items[i].Value)
	}
	return items, nil
}

// Put implements [Store].
func (m *Memory) Put(ctx context.Context, key string, value []byte, ttl time.Duration, index ...string) error {
	if err := checkWrite(ctx, key, ttl, index...); err != nil {
		return err
	}
	index = slices.Compact(slices.Sorted(slices.Values(index)))
	return m.write(func(now time.Time) ([]string, error) {
		e := &entry{key: key, value: copied(value), expires: expiry(now, ttl), index: index}
		return []string{key}, m.set(e)
	})
}

// Swap implements [Store].
func (m *Memory) Swap(ctx context.Context, key string, old uint64, value []byte, ttl time.Duration) (done bool, err error) {
	if err := checkWrite(ctx, key, ttl); err != nil {
		return false, err
	}
	err = m.write(func(now time.Time) ([]string, error) {
		next := &entry{key: key, value: copied(value), expires: expiry(now, ttl)}
		was := m.find(key, now)
		if was == nil && old != 0 || was != nil && was.version != old {
			return nil, nil
		}
		if was != nil {
			next.index = was.index
		}
		if err := m.set(next); err != nil {
			return nil, err
		}
		done = true
		return []string{key}, nil
	})
	return done, err
}

// Take implements [Store].
func (m *Memory) Take(ctx context.Context, key string) (value []byte, found bool, err error) {
	if err := checkRead(ctx, "a key", key); err != nil {
		return nil, false, err
	}
	err = m.write(func(now time.Time) ([]string, error) {
		e := m.find(key, now)
		if e == nil {
			return nil, nil
		}
		m.remove(e)
		value, found = e.value, true
		return []string{key}, nil
	})
	return value, found, err
}

// Delete implements [Store].
func (m *Memory) Delete(ctx context.Context, keys ...string) (n int, err error) {
	if err := checkRead(ctx, "a key", keys...); err != nil {
		return 0, err
	}
	err = m.write(func(now time.Time) (gone []string, _ error) {
		for _, k := range keys {
			if e := m.find(k, now); e != nil {
				m.remove(e)
				gone = append(gone, k)
			}
		}
		n = len(gone)
		return gone, nil
	})
	return n, err
}

// Add implements [Store].
func (m *Memory) Add(ctx context.Context, key string, delta int64, ttl time.Duration) (sum int64, err error) {
	if err := checkWrite(ctx, key, ttl); err != nil {
		return 0, err
	}
	err = m.write(func(now time.Time) ([]string, error) {
		next := &entry{key: key, expires: expiry(now, ttl)}
		var digits []byte
		if was := m.find(key, now); was != nil {
			digits, next.expires, next.index = was.value, was.expires, was.index
		}
		n, value, err := count(digits, delta)
		if err != nil {
			return nil, err
		}
		next.value = value
		if err := m.set(next); err != nil {
			return nil, err
		}
		sum = n
		return []string{key}, nil
	})
	return sum, err
}

// List implements [Store].
func (m *Memory) List(ctx context.Context, index, after string, limit int) ([]string, error) {
	if err := checkRead(ctx, "an index", index); err != nil {
		return nil, err
	}
	now := m.deps.Now()
	m.mu.RLock()
	if m.closed {
		m.mu.RUnlock()
		return nil, errClosed
	}
	var keys []string
	for k := range m.indexes[index] {
		if k > after && m.find(k, now) != nil {
			keys = append(keys, k)
		}
	}
	m.mu.RUnlock()
	slices.Sort(keys)
	return keys[:min(len(keys), max(limit, 0))], nil
}

// Watch implements [Store].
func (m *Memory) Watch(ctx context.Context, prefix string, changed func(key string)) error {
	if err := checkContext(ctx); err != nil {
		return err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return errClosed
	}
	m.watchers.add(ctx, prefix, changed)
	return nil
}

// Close implements [Store]. It forgets everything.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	m.entries, m.indexes, m.queue, m.used = nil, nil, nil, 0
	m.watchers.end()
	return nil
}

// write runs one change alone, takes some ended entries along, and tells the watchers
// about both when the lock is gone.
func (m *Memory) write(change func(now time.Time) (changed []string, err error)) error {
	now := m.deps.Now()
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return errClosed
	}
	ended := m.sweep(now, sweepAtWrite)
	changed, err := change(now)
	if err == errFull {
		if more := m.sweep(now, len(m.queue)); len(more) > 0 {
			ended = append(ended, more...)
			changed, err = change(now)
		}
	}
	m.mu.Unlock()
	m.watchers.tell(ended...)
	if err != nil {
		return err
	}
	m.watchers.tell(changed...)
	return nil
}

var errFull = fmt.Errorf("%w: the memory store is full", ErrUnavailable)

// find returns a living entry. The lock is held by the caller, here and below.
func (m *Memory) find(key string, now time.Time) *entry {
	if e := m.entries[key]; e != nil && now.UnixNano() < e.expires {
		return e
	}
	return nil
}

// set puts e in the place of what stood under its key, if there is room.
func (m *Memory) set(e *entry) error {
	was := m.entries[e.key]
	need := e.size()
	if was != nil {
		need -= was.size()
	}
	if need > 0 && m.used+need > m.max {
		return errFull
	}
	if was != nil {
		m.remove(was)
	}
	m.version++
	e.version = m.version
	m.used += e.size()
	m.entries[e.key] = e
	m.queue.add(e)
	for _, i := range e.index {
		if m.indexes[i] == nil {
			m.indexes[i] = make(map[string]struct{})
		}
		m.indexes[i][e.key] = struct{}{}
	}
	return nil
}

func (m *Memory) remove(e *entry) {
	m.used -= e.size()
	delete(m.entries, e.key)
	m.queue.remove(e)
	for _, i := range e.index {
		delete(m.indexes[i], e.key)
		if len(m.indexes[i]) == 0 {
			delete(m.indexes, i)
		}
	}
}

// sweep removes at most limit entries that have ended, and returns their keys.
func (m *Memory) sweep(now time.Time, limit int) (ended []string) {
	for len(m.queue) > 0 && len(ended) < limit && m.queue[0].expires <= now.UnixNano() {
		ended = append(ended, m.queue[0].key)
		m.remove(m.queue[0])
	}
	return ended
}

func copied(value []byte) []byte { return append([]byte{}, value...) }
