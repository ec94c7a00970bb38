package bearer

import (
	"context"
	"time"
)

// Introspections under way at a time, per provider (S18). Garbage costs a question each: whoever sends much of it to a slow
// provider may hold up tokens that nobody knows yet, but not those that were accepted before.
const (
	maxAsked  = 48
	maxKnown  = 16 // more, for tokens that were accepted before
	placeWait = 2 * time.Second
)

// places are taken by introspections.
type places struct{ all, known chan struct{} }

func newPlaces() places {
	return places{make(chan struct{}, maxAsked), make(chan struct{}, maxKnown)}
}

// enter takes a place, which leave gives back. ok is false if none gets free in time.
func (p places) enter(ctx context.Context, known bool) (leave func(), ok bool) {
	if !known {
		p.known = nil // never ready
	}
	wait, cancel := context.WithTimeout(ctx, placeWait)
	defer cancel()
	select {
	case p.all <- struct{}{}:
		return func() { <-p.all }, true
	case p.known <- struct{}{}:
		return func() { <-p.known }, true
	case <-wait.Done():
		return nil, false
	}
}
