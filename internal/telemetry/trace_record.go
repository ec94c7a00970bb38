package telemetry

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"time"
)

// spanContext is what a span tells the next ones (W3C Trace Context §2).
type spanContext struct {
	trace   [16]byte
	span    [8]byte
	sampled bool   // it is recorded, and so are those below it
	random  bool   // whoever began the trace says that its id is random (level 2 §3.2.3.3.2)
	remote  bool   // it was read from a request
	state   string // tracestate, of whoever began the trace
}

func (c spanContext) traceID() string { return hex.EncodeToString(c.trace[:]) }

// The flags of a traceparent that are known.
const (
	flagSampled = 1
	flagRandom  = 2
)

// flags are those of the traceparent. "random" goes on, as it must, and is not set on traces that begin here though their
// ids are random: there are readers of level 1 that take a traceparent with it for malformed.
func (c spanContext) flags() (f byte) {
	if c.sampled {
		f |= flagSampled
	}
	if c.random {
		f |= flagRandom
	}
	return f
}

func (c spanContext) traceparent() string {
	return "00-" + c.traceID() + "-" + hex.EncodeToString(c.span[:]) + "-" + hex.EncodeToString([]byte{c.flags()})
}

// readParent reads a well-formed traceparent, and the tracestate beside it.
func readParent(parent string, state []string) (c spanContext) {
	_, _ = hex.Decode(c.trace[:], []byte(parent[3:35]))
	_, _ = hex.Decode(c.span[:], []byte(parent[36:52]))
	var flags [1]byte
	_, _ = hex.Decode(flags[:], []byte(parent[53:55]))
	c.sampled, c.random, c.remote = flags[0]&flagSampled != 0, flags[0]&flagRandom != 0, true
	c.state = joinState(state)
	return c
}

// spanKind is that of the protocol.
type spanKind int32

const (
	kindServer spanKind = 2
	kindClient spanKind = 3
)

// recordedSpan is a part of a request that has a beginning and an end. Only the goroutine that began it may change
// it, until it ends; what others read of it, its context, never changes. nil stands for one that is not
// recorded.
type recordedSpan struct {
	tracer     *Tracer
	context    spanContext
	parent     [8]byte // zero = none
	remote     bool    // the parent is another process
	name       string
	kind       spanKind
	start, end time.Time
	attributes []attribute
	failed     bool
}

// attribute is a text or a number.
type attribute struct {
	key, text string
	number    int64
	numeric   bool
}

// start begins a span below a parent; the zero parent begins a trace.
func (t *Tracer) start(parent spanContext, name string, kind spanKind, at time.Time) *recordedSpan {
	s := &recordedSpan{tracer: t, name: name, kind: kind, start: at, context: parent}
	_, _ = rand.Read(s.context.span[:]) // never fails: crypto/rand ends the process instead
	if parent.trace == [16]byte{} {
		_, _ = rand.Read(s.context.trace[:])
		s.context.sampled = t.samples(s.context.trace)
		return s
	}
	s.parent, s.remote, s.context.remote = parent.span, parent.remote, false
	return s
}

// remote is start for a parent in another process, whose choice counts only for a sampler that asks for it.
func (t *Tracer) remote(parent spanContext, name string, at time.Time) *recordedSpan {
	s := t.start(parent, name, kindServer, at)
	if !t.byParent {
		s.context.sampled = t.samples(s.context.trace)
	}
	return s
}

// samples decides for a trace, by its id: all who ask about one with the same ratio agree.
func (t *Tracer) samples(trace [16]byte) bool {
	return t.ratio >= 1 || float64(binary.BigEndian.Uint64(trace[8:])>>1) < t.ratio*(1<<63)
}

func (s *recordedSpan) text(key, value string) {
	if s != nil && s.context.sampled && value != "" {
		s.attributes = append(s.attributes, attribute{key: key, text: bounded(value, maxPath)})
	}
}

// number notes a number; there is none that is 0.
func (s *recordedSpan) number(key string, n int) {
	if s != nil && s.context.sampled && n != 0 {
		s.attributes = append(s.attributes, attribute{key: key, number: int64(n), numeric: true})
	}
}

// fail marks the span as failed, and says why if that is known.
func (s *recordedSpan) fail(why string) {
	if s != nil {
		s.failed = true
		s.text("error.type", why)
	}
}

// finish ends the span. It must not be touched afterwards.
func (s *recordedSpan) finish() {
	if s == nil || !s.context.sampled {
		return
	}
	s.end = time.Now()
	s.tracer.batch.add(s)
}

type spanKey struct{}

// child begins a span below that of ctx; nil if there is none, or none that is recorded.
func (t *Tracer) child(ctx context.Context, name string) (context.Context, *recordedSpan) {
	if t == nil {
		return ctx, nil
	}
	above, _ := ctx.Value(spanKey{}).(*recordedSpan)
	if above == nil || !above.context.sampled {
		return ctx, nil
	}
	s := t.start(above.context, name, kindClient, time.Now())
	return context.WithValue(ctx, spanKey{}, s), s
}
