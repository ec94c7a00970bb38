package credential

import (
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/doorward/doorward/flows/provider"
)

const (
	refusals      = 16384            // that are remembered; a wrong one more costs one request to the provider
	leastRefusal  = 5 * time.Second  // for which a refusal counts
	mostRefusal   = 30 * time.Second // likewise
	longestOutage = 5 * time.Minute  // whatever Retry-After says
)

// negative remembers for some seconds what was refused, under the same keys as the cache: nobody pays for somebody else
// (P142 holds for errors too), and nobody makes Doorward repeat a question whose answer is known (CC-4).
type negative struct {
	kept *otter.Cache[digest, *refused]
}

type refused struct {
	err   error
	until time.Time
	row   int // of how many it is the last
}

func newNegative() (*negative, error) {
	kept, err := otter.New(&otter.Options[digest, *refused]{MaximumSize: refusals, Executor: func(fn func()) { fn() }})
	return &negative{kept}, err
}

// get returns what is still true, nil if nothing is.
func (n *negative) get(key digest, now time.Time) error {
	if r, ok := n.kept.GetIfPresent(key); ok && now.Before(r.until) {
		return r.err
	}
	return nil
}

func (n *negative) put(key digest, err error, said *provider.Error, now time.Time) {
	r := &refused{err: err, row: 1}
	if before, ok := n.kept.GetIfPresent(key); ok && now.Before(before.until.Add(mostRefusal)) {
		r.row = before.row + 1
	}
	r.until = now.Add(pauseAfter(said, r.row))
	n.kept.Set(key, r)
}

// pauseAfter is how long the nth error of a row counts.
func pauseAfter(said *provider.Error, row int) time.Duration {
	if said.Kind == provider.Unavailable {
		return max(backOff(row), min(said.RetryAfter, longestOutage))
	}
	pause := mostRefusal
	if row < 4 {
		pause = leastRefusal << (row - 1)
	}
	return min(mostRefusal, pause+jitter(pause/4))
}

func (n *negative) drop(key digest) { n.kept.Invalidate(key) }
