package credential

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/doorward/doorward/flows/provider"
)

const (
	// maxCalls is how many requests to one provider may be under way at once: a crowd that comes after a restart must not
	// become one there (S18). Who is beyond it waits, and who is beyond maxWaiting does not.
	maxCalls   = 128
	maxWaiting = 8192

	patience  = 3                // timeouts in a row, after which a provider is taken for hanging
	firstRest = 5 * time.Second  // until it is tried again, by one request
	mostRest  = 30 * time.Second // likewise, when that one has waited in vain too
)

// errResting marks errors that say that nobody was asked.
var errResting = errors.New("the provider was not asked")

// gate is the way to one provider, for all credentials that ask it. It is closed for as long as the provider wants to be
// left alone, and while it hangs: each person's first request would wait for its whole time, and hold what others need.
type gate struct {
	room    chan struct{}
	waiting atomic.Int64

	mu      sync.Mutex
	hung    int       // timeouts in a row
	trying  bool      // one request finds out whether it still hangs
	rests   int       // in a row, because it hung
	until   time.Time // nobody is let through
	because *provider.Error
}

func newGate() *gate { return &gate{room: make(chan struct{}, maxCalls)} }

// closed is why nobody may ask just now, nil if somebody may.
func (g *gate) closed(now time.Time) *provider.Error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.shut(now)
}

func (g *gate) shut(now time.Time) *provider.Error {
	wait := g.until.Sub(now)
	if wait <= 0 && !g.trying {
		return nil
	}
	e := *g.because
	e.RetryAfter = max(wait, time.Second)
	return &e
}

// enter lets a request through as soon as there is room for it; leave is told what came of it, nil = a token.
func (g *gate) enter(ctx context.Context, now func() time.Time) (leave func(*provider.Error), err *provider.Error) {
	if err := g.wait(ctx); err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.shut(now()); err != nil { // while we waited
		<-g.room
		return nil, err
	}
	trial := g.hung >= patience
	g.trying = trial
	return func(said *provider.Error) {
		g.learn(said, trial, now()) // before the next one comes through
		<-g.room
	}, nil
}

func (g *gate) wait(ctx context.Context) *provider.Error {
	select {
	case g.room <- struct{}{}:
		return nil
	default:
	}
	defer g.waiting.Add(-1)
	if g.waiting.Add(1) > maxWaiting {
		return &provider.Error{Kind: provider.Unavailable, Code: "overloaded", Detail: "too many requests wait for the provider", Err: errResting}
	}
	select {
	case g.room <- struct{}{}:
		return nil
	case <-ctx.Done():
		return &provider.Error{Kind: provider.Unavailable, Code: "overloaded", Detail: "too many requests to the provider were under way", Err: errResting}
	}
}

// learn draws the conclusion from one answer, or from its absence.
func (g *gate) learn(said *provider.Error, trial bool, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if trial {
		g.trying = false
	}
	switch {
	case said != nil && said.Code == "canceled": // by us
	case said == nil || said.Code != "timeout":
		g.hung, g.rests, g.trying = 0, 0, false
		if g.because != nil && g.because.Code == "timeout" {
			g.until = time.Time{}
		}
	case now.Before(g.until) || g.hung >= patience && !trial: // sent before it was known
	default:
		if g.hung++; g.hung >= patience {
			g.rest(min(firstRest<<min(g.rests, 8), mostRest), now, "timeout", "it has not answered in time for several times in a row")
			g.rests++
		}
	}
	if said != nil && said.Code == "rate_limited" && said.RetryAfter > 0 { // that is about us, whoever we ask for
		g.rest(min(said.RetryAfter, longestOutage), now, said.Code, "it has answered 429, and wants to be left alone for a while")
	}
}

// rest closes the gate, and never sooner than it was to be.
func (g *gate) rest(d time.Duration, now time.Time, code, detail string) {
	until := now.Add(d)
	if until.Before(g.until) {
		return
	}
	g.until = until
	g.because = &provider.Error{Kind: provider.Unavailable, Code: code, Detail: detail, Err: errResting}
}
