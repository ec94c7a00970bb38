package sessions

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/doorward/doorward/sessions/store"
)

const (
	lockKeys  = "sessions/refresh/"
	lease     = 15 * time.Second       // of a lock whose owner is gone
	lockPause = 100 * time.Millisecond // between two looks at a lock that is held
	freed     = "free"                 // value of a lock that nobody holds
)

// locks are leases in the shared store, one for each session that is being refreshed, so
// that of all replicas one refreshes (R1, P081).
type locks struct{ store store.Store }

// lock is one lease, renewed until release.
type lock struct {
	store store.Store
	key   string
	owner string
	stop  context.CancelFunc
	done  chan struct{}
}

// acquire waits until the lock is ours, or ctx ends.
func (l locks) acquire(ctx context.Context, id digest) (*lock, error) {
	k := &lock{store: l.store, key: lockKeys + id.String(), owner: rand.Text(), done: make(chan struct{})}
	for {
		ours, err := k.try(ctx)
		if err != nil {
			return nil, unavailable(err)
		}
		if ours {
			break
		}
		select {
		case <-ctx.Done():
			return nil, unavailable(context.Cause(ctx))
		case <-time.After(lockPause):
		}
	}
	renewing, stop := context.WithCancel(context.WithoutCancel(ctx))
	k.stop = stop
	go k.renew(renewing)
	return k, nil
}

func (k *lock) try(ctx context.Context) (bool, error) {
	items, err := k.store.Get(ctx, k.key)
	if err != nil {
		return false, err
	}
	if items[0].Version != 0 && string(items[0].Value) != freed {
		return false, nil
	}
	return k.store.Swap(ctx, k.key, items[0].Version, []byte(k.owner), lease)
}

// renew keeps the lease alive, because it must outlive the call that it guards.
func (k *lock) renew(ctx context.Context) {
	defer close(k.done)
	tick := time.NewTicker(lease / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			_ = k.replace(ctx, k.owner, lease) // a failure is tried again; two more fit into the lease
		}
	}
}

// release frees the lock. If that fails, the lease ends by itself.
func (k *lock) release(ctx context.Context) {
	k.stop()
	<-k.done
	ctx, cancel := context.WithTimeout(ctx, writeLimit)
	defer cancel()
	_ = k.replace(ctx, freed, time.Second)
}

var errLost = errors.New("the lock is another's now")

// replace writes a lock that is still ours.
func (k *lock) replace(ctx context.Context, value string, life time.Duration) error {
	items, err := k.store.Get(ctx, k.key)
	if err != nil {
		return err
	}
	if string(items[0].Value) != k.owner {
		return errLost
	}
	ok, err := k.store.Swap(ctx, k.key, items[0].Version, []byte(value), life)
	if err == nil && !ok {
		err = errLost
	}
	return err
}
