package flows

import (
	"context"
	"strconv"
	"strings"
)

// Return targets that are too long for a cookie wait in the shared store. It takes so many within
// one attempt's life and no more, or anonymous requests could fill it (P085).
const (
	maxLongBacks = 2000
	longBacks    = "flows/backs" // how many wait
)

// storeBack keeps a return target that is too long for a cookie. Where too many wait already it
// says false: whoever has filled the store shall not keep anybody from signing in.
func (f *Flows) storeBack(ctx context.Context, a *attempt) (stored bool, err error) {
	waiting, err := f.deps.Shared.Get(ctx, longBacks)
	if err != nil {
		return false, f.storeError(err)
	}
	if n, err := strconv.ParseInt(string(waiting[0].Value), 10, 64); err == nil && n >= maxLongBacks {
		return f.noRoom(ctx, n), nil // without a write: asking is all that the next thousand requests do
	}
	n, err := f.deps.Shared.Add(ctx, longBacks, 1, attemptLife)
	if err != nil {
		return false, f.storeError(err)
	}
	if n > maxLongBacks {
		return f.noRoom(ctx, n), nil
	}
	blob := f.deps.Ring.Seal(purposeBack, []byte(a.back), a.id)
	if err := f.deps.Shared.Put(ctx, sharedKey("back", a.id), blob, markLife); err != nil {
		return false, f.storeError(err)
	}
	return true, nil
}

func (f *Flows) noRoom(ctx context.Context, n int64) (stored bool) {
	f.deps.Log.WarnContext(ctx, "too many long return targets are waiting; this login returns to the path without its query", "waiting", n)
	return false
}

// withoutQuery returns what of a long return target fits into a cookie, "" if nothing does.
func withoutQuery(back string) string {
	if end := strings.IndexAny(back, "?#"); end >= 0 {
		back = back[:end]
	}
	if len(back) > maxCookieBack {
		return ""
	}
	return back
}

// fetchBack fills in a return target that waits in the shared store.
func (f *Flows) fetchBack(ctx context.Context, a *attempt) error {
	items, err := f.deps.Shared.Get(ctx, sharedKey("back", a.id))
	if err != nil {
		return f.storeError(err)
	}
	if blob := items[0]; blob.Version != 0 {
		if back, err := f.deps.Ring.Open(purposeBack, blob.Value, a.id); err == nil {
			a.back = string(back)
		}
	}
	return nil
}
