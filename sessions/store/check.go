package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"
)

var (
	errClosed  = fmt.Errorf("%w: it is closed", ErrUnavailable)
	errCounter = errors.New("store: what stands under this key is no counter")
)

// checkContext keeps a call whose caller has gone from doing anything.
func checkContext(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return nil
}

func checkKeys(what string, keys ...string) error {
	for _, k := range keys {
		if k == "" || len(k) > MaxKey {
			return fmt.Errorf("store: %s has %d bytes; it must have 1 to %d", what, len(k), MaxKey)
		}
	}
	return nil
}

func checkRead(ctx context.Context, what string, keys ...string) error {
	if err := checkContext(ctx); err != nil {
		return err
	}
	return checkKeys(what, keys...)
}

func checkWrite(ctx context.Context, key string, ttl time.Duration, index ...string) error {
	if ttl <= 0 {
		return fmt.Errorf("store: ttl is %v; it must be positive", ttl)
	}
	if err := checkRead(ctx, "a key", key); err != nil {
		return err
	}
	return checkKeys("an index", index...)
}

// expiry is the first instant, in Unix nanoseconds, at which an entry is gone.
func expiry(now time.Time, ttl time.Duration) int64 {
	at := now.UnixNano()
	if sum := at + int64(ttl); sum > at {
		return sum
	}
	return 1<<63 - 1 // "for ever" as a duration must not wrap into the past
}

// count adds delta to a counter's digits; none begin at 0.
func count(digits []byte, delta int64) (int64, []byte, error) {
	var n int64
	if digits != nil {
		var err error
		if n, err = strconv.ParseInt(string(digits), 10, 64); err != nil {
			return 0, nil, errCounter
		}
	}
	n += delta
	return n, strconv.AppendInt(nil, n, 10), nil
}
