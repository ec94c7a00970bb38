package telemetry

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

const (
	auditLines    = 4096                  // that may wait for the writer
	auditPatience = 50 * time.Millisecond // how long a request waits for room
	auditRetry    = time.Second           // between two attempts to write what could not be written
	auditLast     = 2 * time.Second       // for what waits when the process ends
)

// auditQueue is the way of audit lines to their writer, which is one goroutine: a disk that hangs
// holds up nobody for long. What it cannot take is lost, and the gap stands in the log itself.
type auditQueue struct {
	lines   chan []byte
	metrics *Metrics
	log     *slog.Logger

	jammed atomic.Bool // the writer does not get on: nobody waits for room again
	late   atomic.Bool // an event came after the end: said once
	lost   atomic.Int64

	mu      sync.RWMutex // lines is closed under it
	closed  bool
	done    chan struct{}
	hurry   chan struct{} // closed when nothing more is tried again
	started bool
}

func newAuditQueue(m *Metrics, log *slog.Logger) *auditQueue {
	return &auditQueue{lines: make(chan []byte, auditLines), metrics: m, log: log, done: make(chan struct{}), hurry: make(chan struct{})}
}

// add takes a line. It waits for auditPatience at most, and only until that was in vain once.
func (q *auditQueue) add(line []byte) {
	q.mu.RLock()
	defer q.mu.RUnlock()
	if q.closed {
		if !q.late.Swap(true) {
			q.log.Error("audit events came after the end of their log: they are lost")
		}
		q.lose()
		return
	}
	select {
	case q.lines <- line:
		q.metrics.audited()
		return
	default:
	}
	if q.jammed.Load() {
		q.lose()
		return
	}
	room := time.NewTimer(auditPatience)
	defer room.Stop()
	select {
	case q.lines <- line:
		q.metrics.audited()
	case <-room.C:
		if !q.jammed.Swap(true) {
			q.log.Error("the audit log cannot be written as fast as events come: events are lost")
		}
		q.lose()
	}
}

func (q *auditQueue) lose() {
	q.lost.Add(1)
	q.metrics.auditMissed()
}

func (q *auditQueue) start(to auditWriter) {
	q.started = true
	go func() {
		defer close(q.done)
		defer to.close()
		q.run(to)
	}()
}

// run writes lines, and all that wait together in one call.
func (q *auditQueue) run(to auditWriter) {
	var batch []byte
	for line := range q.lines {
		batch = append(batch[:0], line...)
		for more := true; more && len(batch) < gatherUpTo; {
			select {
			case line, ok := <-q.lines:
				if more = ok; ok {
					batch = append(batch, line...)
				}
			default:
				more = false
			}
		}
		if n := q.lost.Swap(0); n > 0 {
			q.jammed.Store(false)
			batch = append(batch, lostLine(n, time.Now())...)
		}
		if !q.push(to, batch) {
			q.log.Error("audit events were lost at the end", "error", "the audit log could not be written")
			return
		}
	}
	if n := q.lost.Swap(0); n > 0 { // after the last line
		q.push(to, lostLine(n, time.Now()))
	}
}

// push writes a batch, again and again until it stands there; false when the time is over.
func (q *auditQueue) push(to auditWriter, batch []byte) bool {
	for failed := false; ; failed = true {
		n, err := to.write(batch)
		if batch = batch[n:]; len(batch) == 0 {
			if failed {
				q.log.Info("the audit log is written again")
			}
			return true
		}
		if !failed {
			q.log.Error("the audit log cannot be written; it is tried again each second", "error", err)
		}
		select {
		case <-time.After(auditRetry):
		case <-q.hurry:
			return false
		}
	}
}

func (q *auditQueue) close() {
	q.mu.Lock()
	was := q.closed
	q.closed = true
	q.mu.Unlock()
	if was || !q.started {
		return
	}
	close(q.lines)
	select {
	case <-q.done:
		return
	case <-time.After(auditLast):
	}
	close(q.hurry)
}

func lostLine(n int64, now time.Time) []byte {
	return (&Audit{}).line(&Event{Name: EventAudit, Outcome: "lost", Reason: "these events could not be written", Count: int(n)}, &scene{}, now)
}

// flood bounds events that anybody can cause.
type flood struct {
	mu     sync.Mutex
	second int64
	seen   int
	missed int
}

const maxFlood = 200 // events a second

// admit reports whether an event is written, and how many were not in the last second that had such.
func (f *flood) admit(now time.Time) (pass bool, missed int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := now.Unix(); s != f.second {
		missed, f.missed, f.seen, f.second = f.missed, 0, 0, s
	}
	f.seen++
	if f.seen > maxFlood {
		f.missed++
		return false, missed
	}
	return true, missed
}

// rest returns how many were not written, and not told either.
func (f *flood) rest() (missed int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	missed, f.missed = f.missed, 0
	return missed
}
