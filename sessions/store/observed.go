package store

import (
	"context"
	"time"
)

// Observe is told of an operation before it begins, and by what it returns of its end; the context goes on with the
// operation. Names of operations are those of the methods, in small letters.
type Observe func(ctx context.Context, operation string) (context.Context, func(error))

// Observed is a Store whose operations are told to somebody. Watch and Close are not.
func Observed(s Store, tell Observe) Store { return &observed{s, tell} }

type observed struct {
	Store
	tell Observe
}

func (o *observed) Get(ctx context.Context, keys ...string) ([]Item, error) {
	ctx, done := o.tell(ctx, "get")
	items, err := o.Store.Get(ctx, keys...)
	done(err)
	return items, err
}

func (o *observed) Put(ctx context.Context, key string, value []byte, ttl time.Duration, index ...string) error {
	ctx, done := o.tell(ctx, "put")
	err := o.Store.Put(ctx, key, value, ttl, index...)
	done(err)
	return err
}

func (o *observed) Swap(ctx context.Context, key string, old uint64, value []byte, ttl time.Duration) (bool, error) {
	ctx, done := o.tell(ctx, "swap")
	swapped, err := o.Store.Swap(ctx, key, old, value, ttl)
	done(err)
	return swapped, err
}

func (o *observed) Take(ctx context.Context, key string) ([]byte, bool, error) {
	ctx, done := o.tell(ctx, "take")
	value, there, err := o.Store.Take(ctx, key)
	done(err)
	return value, there, err
}

func (o *observed) Delete(ctx context.Context, keys ...string) (int, error) {
	ctx, done := o.tell(ctx, "delete")
	n, err := o.Store.Delete(ctx, keys...)
	done(err)
	return n, err
}

func (o *observed) Add(ctx context.Context, key string, delta int64, ttl time.Duration) (int64, error) {
	ctx, done := o.tell(ctx, "add")
	sum, err := o.Store.Add(ctx, key, delta, ttl)
	done(err)
	return sum, err
}

func (o *observed) List(ctx context.Context, index, after string, limit int) ([]string, error) {
	ctx, done := o.tell(ctx, "list")
	keys, err := o.Store.List(ctx, index, after, limit)
	done(err)
	return keys, err
}
