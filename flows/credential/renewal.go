package credential

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/doorward/doorward/internal/identity"
)

// Pauses between two attempts to renew a token that is still served.
const (
	firstPause = time.Second
	mostPause  = 30 * time.Second
)

// due reports whether it is time to renew.
func (e *entry) due(now int64) bool { return now >= e.next.Load() }

// claim lets one caller renew; if nothing comes of it, another may when that must have ended.
func (e *entry) claim(now int64) bool {
	was := e.next.Load()
	return now >= was && e.next.CompareAndSwap(was, now+int64(callLimit))
}

// renew obtains the successor of a token that is still served, in the background. Nothing runs for a token that nobody
// asks for.
func (s *Source) renew(ctx context.Context, h *handle, who *identity.Identity, e *entry) {
	now := s.set.now()
	if s.gate != nil && s.gate.closed(now) != nil || !e.claim(now.UnixNano()) || !s.set.begin() {
		return
	}
	a := attempt{handle: h, who: who, as: s.set.cache.generation(h), renewing: e}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callLimit)
	stop := context.AfterFunc(s.set.open, cancel)
	_, began := s.set.flights.join(flightKey{h.key, a.as, false}, func() (*entry, error) {
		defer s.set.busy.Done()
		defer cancel()
		defer stop()
		got, err := s.guarded(ctx, a)
		if err != nil {
			s.postpone(ctx, e, err)
		}
		return got, err
	})
	if !began { // somebody is at it who could not wait for the old one
		stop()
		cancel()
		s.set.busy.Done()
	}
}

// postpone waits longer after each failure; what is served meanwhile is served until its end.
func (s *Source) postpone(ctx context.Context, e *entry, err error) {
	n := e.failed.Add(1)
	e.next.Store(s.set.now().Add(backOff(int(n))).UnixNano())
	if s.set.open.Err() == nil {
		s.set.log.LogAttrs(ctx, slog.LevelWarn, "a token was not renewed; the old one is served until it ends", slog.String("credential", s.name),
			slog.Time("until", time.Unix(0, e.end)), slog.Any("error", err))
	}
}

// backOff is the pause after the nth failure in a row: doubled each time, plus up to a quarter by chance.
func backOff(n int) time.Duration {
	pause := mostPause
	if n < 6 {
		pause = min(pause, firstPause<<max(n-1, 0))
	}
	return pause + jitter(pause/4)
}

// begin counts a renewal that Close waits for; false after Close.
func (s *Set) begin() bool {
	s.flights.mu.Lock() // Close takes it too: none is counted while it waits
	defer s.flights.mu.Unlock()
	if s.open.Err() != nil {
		return false
	}
	s.busy.Add(1)
	return true
}

// guarded is fetch whose panic ends nobody else's request.
func (s *Source) guarded(ctx context.Context, a attempt) (e *entry, err error) {
	defer func() {
		if p := recover(); p != nil {
			s.set.log.LogAttrs(ctx, slog.LevelError, "panic while a token was obtained", slog.String("credential", s.name), slog.String("stack", string(debug.Stack())))
			e, err = nil, s.refusal(fmt.Errorf("%w: a panic of type %T", errBroken, p))
		}
	}()
	return s.fetch(ctx, a)
}
