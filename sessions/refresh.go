package sessions

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/doorward/doorward/internal/identity"
)

const (
	refreshLimit = 30 * time.Second // for a refresh, with the wait for another replica's
	cooldown     = time.Minute      // after a refresh, before another one may be asked for
	leastPause   = time.Second      // between two refreshes, however short tokens live
	firstPause   = 5 * time.Second  // after a failure; doubles up to
	longestPause = 20 * time.Second // so long at most people wait once the provider is back
	maxFailed    = 10_000           // failures remembered
)

// refreshable reports whether there is anything to refresh with.
func (k *Keeper) refreshable(e *entry) bool {
	t := e.rec.who.Tokens
	return k.refresher != nil && t != nil && !t.RefreshToken.IsZero()
}

// refreshAt returns when tokens are refreshed: at four fifths of the access token's life.
// Zero is never: a token of unknown end is used until somebody says no.
func (k *Keeper) refreshAt(e *entry) time.Time {
	if !k.refreshable(e) || e.rec.who.Tokens.Expiry.IsZero() {
		return time.Time{}
	}
	t := e.rec.who.Tokens
	at := t.ReceivedAt.Add(t.Expiry.Sub(t.ReceivedAt) / 5 * 4)
	// Tokens that are born dead, or without a birthday, must not make every request a refresh.
	if least := e.rec.refreshed.Add(leastPause); at.Before(least) {
		return least
	}
	return at
}

func (k *Keeper) due(e *entry, now time.Time) bool {
	at := k.refreshAt(e)
	return !at.IsZero() && !now.Before(at)
}

// NextRefresh returns when the session's tokens will be refreshed by themselves, and until
// when a further Refresh would do nothing. Zero is never.
func (k *Keeper) NextRefresh(s *Session) (next, until time.Time) {
	next = k.refreshAt(&entry{rec: record{who: s.Who, refreshed: s.Refreshed}})
	if !s.Refreshed.IsZero() {
		until = s.Refreshed.Add(cooldown)
	}
	return next, until
}

// renewals are the refreshes under way, one a session at most, and the failed ones.
type renewals struct {
	mu      sync.Mutex
	flights map[digest]*flight
	failed  map[digest]failure
}

// flight is one refresh. What stands below done is set when done is closed.
type flight struct {
	done      chan struct{}
	entry     *entry // nil without an error: the session ended meanwhile
	presented presented
	err       error
}

type failure struct {
	err   error
	pause time.Duration
	until time.Time
}

// renewed returns the session with fresh tokens, or nil if it has ended. It waits only if
// there is no choice: the access token has ended, or the answer to this request is the one
// that must carry the new cookie.
func (k *Keeper) renewed(ctx context.Context, p presented, e *entry) (presented, *entry) {
	f, mine := k.renewals.join(k, ctx, p, e)
	if e.rec.who.Tokens.Valid(k.now(), 0) && !(mine && k.inCookie) {
		select {
		case <-f.done:
		default:
			return p, e
		}
	}
	select {
	case <-f.done:
	case <-ctx.Done():
		return p, e
	}
	switch {
	case errors.Is(f.err, ErrRefused):
		return p, nil
	case f.err != nil:
		return p, e
	case f.entry == nil:
		return p, nil
	}
	return f.presented, f.entry
}

// join returns the refresh of a session that is under way, or begins one and says so. The
// refresh belongs to nobody's request: it goes on when the one that began it is cancelled.
func (r *renewals) join(k *Keeper, ctx context.Context, p presented, e *entry) (f *flight, mine bool) {
	id := e.rec.id
	r.mu.Lock()
	defer r.mu.Unlock()
	if f := r.flights[id]; f != nil {
		return f, false
	}
	f = &flight{done: make(chan struct{}), presented: p}
	if last, ok := r.failed[id]; ok && k.now().Before(last.until) {
		f.err = last.err
		close(f.done)
		return f, false
	}
	r.flights[id] = f
	ctx = context.WithoutCancel(ctx)
	if !k.spawn(func() { k.fly(ctx, f, p, e); r.land(id, f, k.now()) }) {
		delete(r.flights, id)
		f.err = unavailable(errClosed)
		close(f.done)
	}
	return f, true
}

var errClosed = errors.New("this configuration was replaced by another")

// land forgets a flight, and remembers a failure for a while: a provider in trouble is not
// hammered by every request, nor is one that refused while the store could not end the session.
func (r *renewals) land(id digest, f *flight, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.flights, id)
	if f.err == nil {
		delete(r.failed, id)
		return
	}
	if len(r.failed) >= maxFailed {
		clear(r.failed)
	}
	pause := min(max(firstPause, 2*r.failed[id].pause), longestPause)
	r.failed[id] = failure{f.err, pause, now.Add(pause)}
}

// fly refreshes, under the lock, whatever is the newest now. done is closed as soon as the
// result may be used.
func (k *Keeper) fly(ctx context.Context, f *flight, p presented, e *entry) {
	limited, cancel := context.WithTimeout(ctx, refreshLimit)
	defer cancel()
	held, err := k.locks.acquire(limited, e.rec.id)
	if err != nil {
		f.err = err
		close(f.done)
		return
	}
	defer held.release(ctx)
	var next *record
	f.entry, f.presented, next, f.err = k.refresh(limited, p, e)
	if f.err != nil && !errors.Is(f.err, ErrRefused) {
		k.log.WarnContext(ctx, "session not refreshed", "session", e.session.ID, "error", f.err)
	}
	close(f.done)
	if next != nil {
		k.keepTrying(ctx, p, *next)
	}
}

// refresh calls the provider once, unless another replica did. If its answer cannot be
// stored, unsaved is what remains to be stored; the result counts all the same, for a rotated
// refresh token that was thrown away would end the session.
func (k *Keeper) refresh(ctx context.Context, p presented, e *entry) (_ *entry, _ presented, unsaved *record, _ error) {
	cur, p, err := k.home.newest(ctx, p)
	if cur == nil || err != nil || cur.rec.newerThan(&e.rec) {
		return cur, p, nil, err
	}
	who, err := k.ask(ctx, cur.rec.who)
	if err == nil && (who == nil || who.Key() != cur.rec.who.Key()) {
		err = fmt.Errorf("%w: the answer is about somebody else", ErrRefused) // P083
	}
	if errors.Is(err, ErrRefused) {
		return k.refused(ctx, p, cur, err)
	}
	if err != nil {
		return nil, p, nil, err
	}
	fresh := cur.rec
	fresh.who, fresh.refreshed, fresh.refreshes = who, k.now(), cur.rec.refreshes+1
	if fresh, err = fresh.vouched(); err != nil {
		return nil, p, nil, err
	}
	change := func(rec *record) {
		if rec.sameAs(&fresh) {
			rec.who, rec.refreshed, rec.refreshes = fresh.who, fresh.refreshed, fresh.refreshes
		}
	}
	next, to, err := k.home.amend(ctx, p, change)
	switch {
	case err == nil && (next == nil || !next.rec.sameAs(&fresh)):
		k.ended(ctx, fresh.who) // it ended while the provider answered: nobody holds the new tokens (REF-8)
		return next, to, nil, nil
	case errors.Is(err, ErrTooLarge):
		return next, to, nil, err
	}
	k.refreshed(ctx, cur.rec.who, fresh.who)
	if err == nil {
		return next, to, nil, nil
	}
	k.log.ErrorContext(ctx, "refreshed tokens not stored yet", "session", e.session.ID, "error", err)
	return newEntry(fresh, cur.as, 0), p, &fresh, nil
}

// ask calls the provider. A panic here would end the process, not a request.
func (k *Keeper) ask(ctx context.Context, who *identity.Identity) (_ *identity.Identity, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic while refreshing: %v\n%s", p, debug.Stack())
		}
	}()
	return k.refresher.Refresh(ctx, who)
}

// refused ends a session, unless what was refused was not the newest token.
func (k *Keeper) refused(ctx context.Context, p presented, e *entry, refusal error) (*entry, presented, *record, error) {
	if cur, to, err := k.home.newest(ctx, p); err == nil && cur != nil && cur.rec.newerThan(&e.rec) {
		return cur, to, nil, nil
	}
	if _, err := k.home.end(ctx, p); err != nil {
		k.log.ErrorContext(ctx, "session not ended yet", "session", e.session.ID, "error", err)
	}
	k.refreshed(ctx, e.rec.who, nil)
	k.log.InfoContext(ctx, "session ended: its refresh was refused", "session", e.session.ID, "login", e.rec.who.Login, "error", refusal)
	return nil, p, nil, refusal
}

// keepTrying stores refreshed tokens once the store is back. Until then their flight stays
// in the air, so that every request of the session finds them.
func (k *Keeper) keepTrying(ctx context.Context, p presented, rec record) {
	for pause := time.Second; rec.alive(k.now()); pause = min(2*pause, 30*time.Second) {
		last := false
		select {
		case <-k.open.Done():
			last = true
		case <-time.After(pause):
		}
		limited, cancel := context.WithTimeout(ctx, writeLimit)
		next, _, err := k.home.amend(limited, p, func(r *record) {
			if r.sameAs(&rec) && r.refreshes < rec.refreshes {
				r.who, r.refreshed, r.refreshes = rec.who, rec.refreshed, rec.refreshes
			}
		})
		cancel()
		switch {
		case err == nil && (next == nil || !next.rec.sameAs(&rec)):
			k.ended(ctx, rec.who) // the session ended meanwhile
			return
		case err == nil:
			return
		case last:
			k.log.ErrorContext(ctx, "refreshed tokens lost", "session", rec.id.String(), "error", err)
			return
		}
	}
}
