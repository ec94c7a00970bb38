package credential

import (
	"context"
	"errors"
	"sync"
)

// flights lets those who want the same at the same time wait for one attempt. The attempt goes on when who began it has
// left; those who wait leave by their own context.
type flights struct {
	mu      sync.Mutex
	running map[flightKey]*flight
}

// flightKey has the generation in it: who asks after a session was forgotten does not get what was asked for before.
type flightKey struct {
	key   digest
	as    uint32
	fresh bool
}

type flight struct {
	done chan struct{}
	got  *entry
	err  error
}

var errBroken = errors.New("obtaining the token broke off")

func (f *flights) do(ctx context.Context, key flightKey, work func() (*entry, error)) (*entry, error) {
	if ctx.Err() != nil {
		return nil, gone(ctx)
	}
	fl, _ := f.join(key, work)
	select {
	case <-fl.done:
		return fl.got, fl.err
	case <-ctx.Done():
		return nil, gone(ctx)
	}
}

// join returns the attempt that is under way, or begins one.
func (f *flights) join(key flightKey, work func() (*entry, error)) (fl *flight, began bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fl := f.running[key]; fl != nil {
		return fl, false
	}
	fl = &flight{done: make(chan struct{}), err: errBroken}
	if f.running == nil {
		f.running = make(map[flightKey]*flight)
	}
	f.running[key] = fl
	go func() {
		defer func() { // also if work ends in another way than by returning
			f.mu.Lock()
			delete(f.running, key)
			f.mu.Unlock()
			close(fl.done)
		}()
		fl.got, fl.err = work()
	}()
	return fl, true
}
