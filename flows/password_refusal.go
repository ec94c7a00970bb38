package flows

import (
	"errors"
	"sync"
	"time"

	"github.com/doorward/doorward/internal/pages"
)

const (
	firstRefusal   = 30 * time.Second // for which the same wrong password is not tried again
	longestRefusal = 15 * time.Minute // after several times
	maxRefusals    = 10_000           // remembered
)

// refusals remember credentials that were refused, by their keyed hash, in this process only. A
// program that knows only an old password tries it each minute, for ever; without this, it would be
// what locks its person out at the provider (P171). The zero value remembers nothing yet.
type refusals struct {
	mu  sync.Mutex
	all map[digestOf]refusal
}

type refusal struct {
	answer *pages.Error
	life   time.Duration
	until  time.Time
}

var errRefusedBefore = errors.New("these credentials were refused a short while ago, and were not tried again")

// find returns the answer to credentials that were refused a short while ago.
func (s *refusals) find(name digestOf, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	known, ok := s.all[name]
	if !ok || !now.Before(known.until) {
		return nil
	}
	again := *known.answer
	again.Err = errRefusedBefore
	return &again
}

// remember notes a refusal. Each further one of the same credentials counts for four times as long.
func (s *refusals) remember(name digestOf, answer *pages.Error, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = make(map[digestOf]refusal)
	}
	known, ok := s.all[name]
	if !ok && len(s.all) >= maxRefusals {
		s.prune(now)
	}
	life := firstRefusal
	if ok && !over(known, now) {
		life = min(4*known.life, longestRefusal)
	}
	s.all[name] = refusal{answer, life, now.Add(life)}
}

// over reports whether a refusal is so long ago that a further one is the first again.
func over(r refusal, now time.Time) bool { return now.After(r.until.Add(longestRefusal)) }

func (s *refusals) forget(name digestOf) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, name)
}

// prune makes room: what is long over goes, and if nothing is, anything.
func (s *refusals) prune(now time.Time) {
	for name, known := range s.all {
		if over(known, now) {
			delete(s.all, name)
		}
	}
	for name := range s.all {
		if len(s.all) < maxRefusals {
			return
		}
		delete(s.all, name)
	}
}
