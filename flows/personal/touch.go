package personal

import (
	"context"
	"time"
)

const (
	touchEvery = time.Hour // between two writes of "last used"
	touchLimit = 10 * time.Second
	maxTouches = 32 // writes of it at a time; it is not worth more
)

// touch notes that a token was used: once an hour, in the background.
func (t *Tokens) touch(id digest, e *entry) {
	now, last := t.deps.Now().UnixMilli(), e.touched.Load()
	if now-last < touchEvery.Milliseconds() || !e.touched.CompareAndSwap(last, now) {
		return
	}
	select {
	case t.touches <- struct{}{}:
	default:
		return // the next one comes in an hour
	}
	t.spawn(func() {
		ctx, cancel := context.WithTimeout(context.Background(), touchLimit)
		defer cancel()
		if err := t.writeUsed(ctx, id, now); err != nil {
			t.deps.Log.WarnContext(ctx, "use of a personal token not written", "token", id.String(), "error", err)
		}
		<-t.touches
	})
}

// writeUsed writes into the list that a token was used. A token that is revoked meanwhile does not come back: only what is there
// is replaced.
func (t *Tokens) writeUsed(ctx context.Context, id digest, at int64) error {
	key := listedKeys + id.String()
	for range maxAttempts {
		item, err := t.get(ctx, key)
		if err != nil {
			return err
		}
		rec, ok := t.listed(key, item.Value)
		if !ok || at-rec.Used < touchEvery.Milliseconds() { // another replica was quicker
			return nil
		}
		rec.Used = at
		plain, err := encode(rec)
		if err != nil {
			return err
		}
		life := time.UnixMilli(rec.Ends).Sub(t.deps.Now())
		if life <= 0 {
			return nil
		}
		done, err := t.deps.Store.Swap(ctx, key, item.Version, t.deps.Ring.Seal(purposeListed, plain, []byte(key)), life)
		if err != nil {
			return unavailable(err)
		}
		if done {
			return nil
		}
	}
	return unavailable(errOvertaken)
}
