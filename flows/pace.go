package flows

import "time"

// How often the token endpoint is asked about one waiting login.
const (
	slowDown     = 5 * time.Second  // what slow_down adds, for good (RFC 8628 §3.5, CIBA §11)
	maxBackOff   = time.Minute      // between two requests to a provider that doesn't answer
	pingFallback = 30 * time.Second // ping mode asks all the same, in case a ping is lost (CIBA §10.2)

	// How long one token request may take: with CIBA some servers hold it for up to 30 s (§7.3), RFC 8628 knows
	// nothing of the kind. For leaseSlack more no other replica asks, also if this one has died in the middle.
	deviceCallTime = 10 * time.Second
	cibaCallTime   = 40 * time.Second
	leaseSlack     = 5 * time.Second
)

// pace says when the next token request may go out. It is a value without a clock and without I/O: each
// method takes the time and returns the pace that follows. All times are Unix milliseconds, all
// durations milliseconds, because a pace is kept in a sealed record.
//
// Two rules of RFC 8628 §3.5 are in its shape: an interval never shrinks, and trouble with the
// network makes the waits longer but leaves the interval as it is.
type pace struct {
	Interval int64 `json:"i"`           // between two requests, as the provider wants it
	Next     int64 `json:"n"`           // no request before
	Busy     int64 `json:"b,omitempty"` // a request is under way; it counts as lost after this
	Failures int   `json:"f,omitempty"` // in a row: the provider didn't answer
	Lost     bool  `json:"x,omitempty"` // of a request since the last answer nobody knows what became: it may have had the tokens
}

// newPace begins with one interval of waiting: nobody approves in no time (RFC 8628 §3.5).
func newPace(now time.Time, interval time.Duration) pace {
	p := pace{Interval: interval.Milliseconds()}
	return p.wait(now, interval)
}

// due reports whether a request may go out now.
func (p pace) due(now time.Time) bool {
	return p.early(now) <= 0 && now.UnixMilli() >= p.Busy
}

// early returns how long it is until the next request may go out; 0 or less: it may.
func (p pace) early(now time.Time) time.Duration { return milliseconds(p.Next - now.UnixMilli()) }

// interval is what the provider wants between two requests.
func (p pace) interval() time.Duration { return milliseconds(p.Interval) }

// asking is the pace while a request is under way that may take so long. One that was under way before, and has
// left nothing, is lost.
func (p pace) asking(now time.Time, long time.Duration) pace {
	p.Lost = p.Lost || p.Busy != 0
	p.Busy = now.Add(long + leaseSlack).UnixMilli()
	p.Next = p.Busy
	return p
}

// pending is the pace after authorization_pending. least is the shortest wait, if it is more than the interval.
func (p pace) pending(now time.Time, least time.Duration) pace {
	p.Failures, p.Lost = 0, false
	return p.wait(now, max(p.interval(), least))
}

// slower is the pace after slow_down. named is the new interval that some providers send along; 0 = none.
// It counts only if it is the longer one.
func (p pace) slower(now time.Time, named time.Duration) pace {
	p.Failures, p.Lost = 0, false
	p.Interval = max(p.interval()+slowDown, named).Milliseconds()
	return p.wait(now, p.interval())
}

// lost is the pace after a request whose answer may have been lost on its way.
func (p pace) lost() pace {
	p.Lost = true
	return p
}

// troubled is the pace after a request that got no answer: the wait doubles with each, up to a minute, and is
// never shorter than the interval or than what the provider asked for (Retry-After).
func (p pace) troubled(now time.Time, retryAfter time.Duration) pace {
	p.Failures++
	wait := p.interval()
	for range min(p.Failures, 10) {
		wait = min(2*wait, maxBackOff)
	}
	return p.wait(now, max(wait, p.interval(), retryAfter))
}

// called is the pace after a ping: one request may go out at once. A request under way stays alone.
func (p pace) called(now time.Time) pace {
	p.Next = now.UnixMilli()
	return p
}

func (p pace) wait(now time.Time, d time.Duration) pace {
	p.Busy, p.Next = 0, now.Add(d).UnixMilli()
	return p
}

func milliseconds(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
