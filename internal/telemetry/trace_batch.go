package telemetry

import (
	"context"
	"sync"
	"time"
)

// As the specification of the SDKs has it ("Batching processor").
const (
	maxQueuedSpans = 2048
	maxBatch       = 512
	batchEvery     = 5 * time.Second
	batchLast      = 3 * time.Second // for what waits when the process ends
)

// batch gathers spans and hands them on. A collector that is slow loses spans, and holds up nobody.
type batch struct {
	queue   chan *recordedSpan
	send    func(context.Context, []*recordedSpan)
	metrics *Metrics

	mu     sync.RWMutex // queue is closed under it
	closed bool
	done   chan struct{}
	cut    context.CancelFunc
}

// newBatch begins to send at once; end it with close.
func newBatch(m *Metrics, send func(context.Context, []*recordedSpan)) *batch {
	b := &batch{queue: make(chan *recordedSpan, maxQueuedSpans), send: send, metrics: m, done: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	b.cut = cancel
	go b.run(ctx)
	return b
}

func (b *batch) add(s *recordedSpan) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if !b.closed {
		select {
		case b.queue <- s:
			return
		default:
		}
	}
	b.metrics.spansMissed(1)
}

func (b *batch) run(ctx context.Context) {
	defer close(b.done)
	tick := time.NewTicker(batchEvery)
	defer tick.Stop()
	var waiting []*recordedSpan
	flush := func() {
		if len(waiting) > 0 {
			b.send(ctx, waiting)
			clear(waiting) // else what was sent stays in memory until as many come again
			waiting = waiting[:0]
		}
	}
	for {
		select {
		case s, ok := <-b.queue:
			if !ok {
				flush()
				return
			}
			if waiting = append(waiting, s); len(waiting) >= maxBatch {
				flush()
			}
		case <-tick.C:
			flush()
		}
	}
}

// close sends what waits, for batchLast at most.
func (b *batch) close() {
	b.mu.Lock()
	if !b.closed {
		b.closed = true
		close(b.queue)
	}
	b.mu.Unlock()
	last := time.AfterFunc(batchLast, b.cut)
	<-b.done
	last.Stop()
	b.cut()
}
