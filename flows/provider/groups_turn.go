package provider

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	lookUpTime  = callTimeout // for one look-up, all its pages and the wait for its turn
	maxLookUps  = 32          // under way at a time, at one provider
	maxPostpone = 10_000      // people remembered who were asked about too often
)

// lookUps keeps look-ups from becoming a flood when many sessions come back at once, after an outage or in the morning. It
// is safe for concurrent use.
type lookUps struct {
	slots chan struct{}

	mu        sync.Mutex
	postponed map[string]postponed // by subject
}

// postponed is an answer that says when to ask again. It counts for one person: at GitHub, Google and Entra alike an
// allowance can be one person's own, and nobody is to use up that of others.
type postponed struct {
	until time.Time
	err   *Error
}

func newLookUps() *lookUps {
	return &lookUps{slots: make(chan struct{}, maxLookUps), postponed: make(map[string]postponed)}
}

// inTurn asks about a person ("" = not known who), in time. Within what an answer named in Retry-After, that answer comes
// again, and nobody is asked.
func (l *lookUps) inTurn(ctx context.Context, now func() time.Time, subject string, ask func(context.Context) error) error {
	if e := l.tooSoon(subject, now()); e != nil {
		return e
	}
	ctx, cancel := context.WithTimeout(ctx, lookUpTime)
	defer cancel()
	select {
	case l.slots <- struct{}{}:
		defer func() { <-l.slots }()
	case <-ctx.Done():
		code := "timeout"
		if errors.Is(ctx.Err(), context.Canceled) {
			code = "canceled"
		}
		return &Error{Kind: Unavailable, Code: code, Detail: "other look-ups are under way, and take too long", Err: ctx.Err()}
	}
	err := ask(ctx)
	var e *Error
	if errors.As(err, &e) && e.Kind == Unavailable && e.RetryAfter > 0 {
		l.postpone(subject, e, now())
	}
	return err
}

func (l *lookUps) tooSoon(subject string, now time.Time) *Error {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, ok := l.postponed[subject]
	switch {
	case !ok:
		return nil
	case !now.Before(p.until):
		delete(l.postponed, subject)
		return nil
	}
	again := *p.err
	again.RetryAfter = p.until.Sub(now)
	return &again
}

func (l *lookUps) postpone(subject string, e *Error, now time.Time) {
	if subject == "" {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.postponed) >= maxPostpone {
		clear(l.postponed)
	}
	l.postponed[subject] = postponed{now.Add(e.RetryAfter), e}
}
