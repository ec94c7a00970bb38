package store

import (
	"context"
	"errors"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// write is one change on its way to the file. All that wait are written in one
// transaction, so that a burst of logins waits for the disk once, and a single one waits
// for nobody.
type write struct {
	ctx     context.Context
	change  func(t tables, now time.Time) (changed []string, err error)
	shrinks bool // the change only removes

	changed []string
	err     error
	done    chan struct{} // closed when the transaction is on the disk or given up
}

const (
	maxBatch       = 256
	sweepBatch     = 256
	sweepPerChange = 2 // ended entries that a change takes along: more than it adds

	// spare is by how much the file may grow beyond its limit in order to remove something:
	// pages are never overwritten, so even that needs new ones.
	spare = 64 << 20
)

var errNothing = errors.New("nothing to write")

// do has change made by the writer and tells the watchers, here and not in the writer,
// which they may need. change may be run twice, of which only the last time counts. Its
// error undoes it, except errCounter, before which it must have written nothing.
func (b *Bolt) do(ctx context.Context, shrinks bool, change func(t tables, now time.Time) ([]string, error)) error {
	if err := checkContext(ctx); err != nil {
		return err
	}
	w := &write{ctx: ctx, change: change, shrinks: shrinks, done: make(chan struct{})}
	select {
	case b.writes <- w:
	case <-b.closing:
		return errClosed
	case <-ctx.Done():
		return checkContext(ctx)
	}
	select {
	case <-w.done:
	case <-ctx.Done():
		go func() { // nobody waits for it any more, but it may happen
			<-w.done
			b.watchers.tell(w.changed...)
		}()
		return checkContext(ctx)
	}
	b.watchers.tell(w.changed...)
	return w.err
}

// writer is the one goroutine that writes. It ends with Close.
func (b *Bolt) writer() {
	defer close(b.stopped)
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-b.closing:
			return
		case w := <-b.writes:
			b.commit(b.gather(w))
		case <-tick.C:
			b.idle()
		}
	}
}

// gather adds to w whatever else waits at this moment.
func (b *Bolt) gather(w *write) []*write {
	all := []*write{w}
	for len(all) < maxBatch {
		select {
		case w := <-b.writes:
			all = append(all, w)
		default:
			return all
		}
	}
	return all
}

// commit makes all changes and answers each. If they can't be made together, each is
// tried alone: a sign-out isn't refused because a sign-in found the store full.
func (b *Bolt) commit(all []*write) {
	err := b.try(all, b.max)
	full := errors.Is(err, bolterrors.ErrMaxSizeReached)
	if full {
		b.sweep()
	}
	alone := full || err != nil && len(all) > 1
	for _, w := range all {
		if alone {
			err = b.try([]*write{w}, w.room(b.max))
		}
		if err != nil {
			w.err = err
		}
		if w.err != nil {
			w.changed = nil
		}
		close(w.done)
	}
}

// room is how large the file may become for w if max is the limit.
func (w *write) room(max int) int {
	if w.shrinks {
		return max + spare
	}
	return max
}

// try runs changes in one transaction. Its error is of the transaction, which then did
// nothing; what a single change refused is in its write.
func (b *Bolt) try(all []*write, room int) error {
	var ended []string
	err := b.update(room, func(t tables, now time.Time) (err error) {
		if ended, err = t.sweep(now, sweepPerChange*len(all)); err != nil {
			return err
		}
		dirty := len(ended) > 0
		for _, w := range all {
			if w.changed, w.err = nil, checkContext(w.ctx); w.err != nil { // its caller was told so, too
				continue
			}
			changed, err := w.change(t, now)
			if err == errCounter {
				w.err = err
				continue
			}
			if err != nil {
				return err
			}
			w.changed = changed
			dirty = dirty || len(changed) > 0
		}
		if !dirty {
			return errNothing // a lost race or a key that isn't there costs no sync
		}
		return nil
	})
	if err == errNothing {
		return nil
	}
	if err == nil {
		b.announce(ended)
	}
	return err
}

// sweep removes all that has ended.
func (b *Bolt) sweep() {
	for more := true; more; {
		more = b.sweepStep()
	}
}

// idle sweeps while nobody writes.
func (b *Bolt) idle() {
	for b.sweepStep() {
		select {
		case <-b.closing:
			return
		case w := <-b.writes:
			b.commit(b.gather(w))
		default:
		}
	}
}

// sweepStep removes some entries that have ended and reports whether there may be more.
func (b *Bolt) sweepStep() bool {
	var ended []string
	err := b.view(context.Background(), func(t tables) error {
		if !t.anyEnded(b.deps.Now()) {
			return errNothing
		}
		return nil
	})
	if err == nil {
		err = b.update(b.max+spare, func(t tables, now time.Time) (err error) {
			ended, err = t.sweep(now, sweepBatch)
			return err
		})
	}
	if err != nil {
		if !errors.Is(err, errNothing) {
			b.deps.Log.Warn("what has ended could not be removed from the store", "error", err.Error())
		}
		return false
	}
	b.announce(ended)
	return len(ended) == sweepBatch
}

// update runs one transaction, in a file of at most room bytes. Everything in it happens,
// or nothing. Only the writer calls it.
func (b *Bolt) update(room int, change func(t tables, now time.Time) error) (err error) {
	if b.broken.Load() {
		return b.damaged(errBroken)
	}
	defer recovered(&err, func(cause any) error {
		b.broken.Store(true)
		return b.damaged(cause)
	})()
	b.db.MaxSize = room
	err = b.db.Update(func(tx *bbolt.Tx) error { return change(tablesOf(tx), b.deps.Now()) })
	if err == errNothing {
		return err
	}
	return b.unavailable(err)
}

func (b *Bolt) announce(ended []string) {
	if len(ended) > 0 {
		go b.watchers.tell(ended...) // a watcher may write, and the writer mustn't wait for it
	}
}
