package store

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// watchers calls those who watch a prefix, in the process of the store.
type watchers struct {
	mu   sync.Mutex
	list atomic.Pointer[[]*watcher] // replaced, never changed: writers read it without the lock
}

type watcher struct {
	ctx     context.Context
	prefix  string
	changed func(string)
}

// add begins to call changed, until ctx ends.
func (w *watchers) add(ctx context.Context, prefix string, changed func(string)) {
	one := &watcher{ctx, prefix, changed}
	w.replace(func(l []*watcher) []*watcher { return append(slices.Clone(l), one) })
	context.AfterFunc(ctx, func() {
		w.replace(func(l []*watcher) []*watcher {
			return slices.DeleteFunc(slices.Clone(l), func(o *watcher) bool { return o == one })
		})
	})
}

// end forgets everybody.
func (w *watchers) end() {
	w.replace(func([]*watcher) []*watcher { return nil })
}

// tell must be called without any lock: changed may use the store.
func (w *watchers) tell(keys ...string) {
	list := w.list.Load()
	if list == nil {
		return
	}
	for _, one := range *list {
		for _, k := range keys {
			if strings.HasPrefix(k, one.prefix) && one.ctx.Err() == nil {
				one.changed(k)
			}
		}
	}
}

func (w *watchers) replace(with func([]*watcher) []*watcher) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var now []*watcher
	if l := w.list.Load(); l != nil {
		now = *l
	}
	now = with(now)
	w.list.Store(&now)
}
