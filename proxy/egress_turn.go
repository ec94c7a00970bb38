package proxy

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/doorward/doorward/internal/pages"
)

const (
	codeOverloaded = "overloaded"

	turnWait     = 5 * time.Second // so long a request waits for its turn
	turnQueue    = 16              // times concurrent: so many may wait
	turnSize     = 256             // concurrent, unless said otherwise
	turnMaxQueue = 4096            // however large concurrent is
)

var errTurn = errors.New("too many requests to this target at a time (egress.NAME.concurrent)")

// turnstile bounds how many requests are with a target at a time. Who waits gets in by the order in which they came: senders
// on a channel queue, and a newcomer finds no place free while somebody waits.
type turnstile struct {
	places  chan struct{}
	waiting atomic.Int64
	most    int64 // may wait
}

func newTurnstile(size int) *turnstile {
	return &turnstile{places: make(chan struct{}, size), most: int64(min(size*turnQueue, turnMaxQueue))}
}

func (s *turnstile) enter(ctx context.Context) error {
	select {
	case s.places <- struct{}{}:
		return nil
	default:
	}
	if s.waiting.Add(1) > s.most {
		s.waiting.Add(-1)
		return overloaded()
	}
	defer s.waiting.Add(-1)
	patience := time.NewTimer(turnWait)
	defer patience.Stop()
	select {
	case s.places <- struct{}{}:
		return nil
	case <-patience.C:
		return overloaded()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s *turnstile) leave() { <-s.places }

func overloaded() error {
	return &pages.Error{Code: codeOverloaded, Detail: "Too many requests are on their way to this target already.", Err: errTurn, RetryAfter: retryAfter}
}
