package proxy

import (
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/pages"
)

// Limits bound what one route takes. The zero value bounds nothing. They are those of one process: several replicas
// take as many times more, and a reload begins to count anew.
type Limits struct {
	MaxBody    int64 // bytes of a request; more is 413. 0 = no limit
	Concurrent int   // requests at a time, each until the end of its answer; more are 503 overloaded. 0 = no limit
	PerUser    Rate  // per person or machine, of what the policy lets pass; more are 429. Not on a public route, which asks nobody who they are
	PerAddress Rate  // per client address (IPv6: per /64), counted before anybody is asked who they are; more are 429
}

// Rate is so many requests in so much time, with as many at once. The zero value is no limit.
type Rate struct {
	Requests int           // up to a million
	Per      time.Duration // from a second to a day
}

const mostRequests = 1_000_000 // in one Rate: a step of it is a microsecond at least

func (r Rate) check() error {
	switch {
	case r.Requests < 1 || r.Requests > mostRequests:
		return fmt.Errorf("from 1 to %d requests are possible", mostRequests)
	case r.Per < time.Second || r.Per > 24*time.Hour:
		return errors.New("the time must be from 1s to 24h")
	}
	return nil
}

// limits are Limits that count. nil bounds nothing.
type limits struct {
	maxBody             int64
	concurrent          int64
	taken               atomic.Int64 // of concurrent
	perUser, perAddress *meter       // nil = no limit
	tooLarge, full      *pages.Error // made once: they are never changed
}

func newLimits(rc Route, c *counters) (*limits, error) {
	l := rc.Limits
	if l == (Limits{}) {
		return nil, nil
	}
	if l.MaxBody < 0 || l.Concurrent < 0 {
		return nil, errors.New("limits: less than nothing is no limit")
	}
	made := &limits{
		maxBody: l.MaxBody, concurrent: int64(l.Concurrent),
		tooLarge: &pages.Error{Code: codeBodyTooLarge, Detail: fmt.Sprintf("The body of a request may have %d bytes here.", l.MaxBody)},
		full:     &pages.Error{Code: codeOverloaded, Err: fmt.Errorf("limits.concurrent: %d requests to this route are under way", l.Concurrent), RetryAfter: retryAfter},
	}
	if l.PerUser != (Rate{}) && rc.Public {
		return nil, errors.New("limits.per_user: a public route asks nobody who they are; per_address counts there")
	}
	for _, m := range []struct {
		name string
		rate Rate
		to   **meter
		kept *rates
		says string
	}{
		{"per_user", l.PerUser, &made.perUser, c.people, "You have sent more requests than this address takes from one person or program in that time."},
		{"per_address", l.PerAddress, &made.perAddress, c.addresses, "More requests have come from your network than this address takes in that time."},
	} {
		if m.rate == (Rate{}) {
			continue
		}
		if err := m.rate.check(); err != nil {
			return nil, fmt.Errorf("limits.%s: %w", m.name, err)
		}
		*m.to = newMeter(m.kept, rc.Name, m.name, m.rate, m.says)
	}
	return made, nil
}

// seat is a request's place in its route; leave gives it back. The zero value is no place.
type seat struct{ in *limits }

func (s seat) leave() {
	if s.in != nil {
		s.in.taken.Add(-1)
	}
}

// enter counts a request before anybody is asked who it is from: what a login costs, and a look into the session store,
// is bounded as well.
func (l *limits) enter(w http.ResponseWriter, req *CanonicalRequest) (seat, error) {
	if l == nil {
		return seat{}, nil
	}
	if m := l.perAddress; m != nil {
		if wait := m.take(m.address(req.Client)); wait > 0 {
			return seat{}, m.refuse(w, wait)
		}
	}
	if !l.fits(req.in) {
		return seat{}, l.tooLarge
	}
	if l.concurrent == 0 {
		return seat{}, nil
	}
	if l.taken.Add(1) > l.concurrent {
		l.taken.Add(-1)
		return seat{}, l.full
	}
	return seat{l}, nil
}

// admit counts a request of somebody. Whom the policy refuses, whoever that is, uses up nobody's share.
func (l *limits) admit(w http.ResponseWriter, who *identity.Identity) error {
	if l == nil || l.perUser == nil || who == nil {
		return nil
	}
	if wait := l.perUser.take(l.perUser.person(who)); wait > 0 {
		return l.perUser.refuse(w, wait)
	}
	return nil
}
