package telemetry

import (
	"bytes"
	"io"
	"log/slog"
	"sync"
	"time"
)

const (
	gatherFor  = 100 * time.Millisecond // how long a line waits for others at most
	gatherUpTo = 32 << 10               // bytes; from here on lines are written as soon as may be
	maxWaiting = 8 << 20                // bytes; further lines are dropped, and counted
	maxSpare   = 1 << 20                // bytes that are kept for the next batch
)

// lines is the access log's way to its writer. A request leaves its line in memory and goes on;
// a timer writes what has gathered. So a busy gateway makes one system call for hundreds of
// lines, a reader that hangs holds up nobody, and an idle process has no goroutine here.
type lines struct {
	out io.Writer
	log *slog.Logger // for telling what was dropped

	mu      sync.Mutex
	waiting []byte
	dropped int
	timer   *time.Timer
	running bool // the timer is
	hurried bool
	closed  bool

	writing sync.Mutex // held while a batch is written, so that batches keep their order
	spare   []byte     // of the last batch; belongs to who holds writing
}

func newLines(out io.Writer, log *slog.Logger) *lines {
	l := &lines{out: out, log: log}
	l.timer = time.AfterFunc(time.Hour, l.flush)
	l.timer.Stop()
	return l
}

func (l *lines) add(line []byte) {
	if l.keep(line) {
		return
	}
	l.writing.Lock()
	defer l.writing.Unlock()
	_, _ = l.out.Write(bytes.Clone(line)) // a copy, so that line itself may live on its caller's stack
}

// keep stores line for the timer, or returns false if there is none any more.
func (l *lines) keep(line []byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	if len(l.waiting)+len(line) > maxWaiting {
		l.dropped++
		return true
	}
	l.waiting = append(l.waiting, line...)
	if !l.running {
		l.running = true
		l.timer.Reset(gatherFor)
	} else if len(l.waiting) >= gatherUpTo && !l.hurried {
		l.hurried = true
		l.timer.Reset(0)
	}
	return true
}

// flush writes what waits, and only returns when that is done.
func (l *lines) flush() {
	l.writing.Lock()
	defer l.writing.Unlock()
	l.mu.Lock()
	batch, dropped := l.waiting, l.dropped
	l.waiting, l.dropped = l.spare[:0], 0
	l.running, l.hurried = false, false
	l.mu.Unlock()
	if len(batch) > 0 {
		_, _ = l.out.Write(batch) // there is nowhere to report a broken log
	}
	if l.spare = batch; cap(batch) > maxSpare {
		l.spare = nil
	}
	if dropped > 0 {
		l.log.Warn("the log's reader is too slow: access lines were dropped", "lines", dropped)
	}
}

func (l *lines) close() {
	l.mu.Lock()
	l.closed = true
	l.timer.Stop()
	l.mu.Unlock()
	l.flush()
}
