package proxy

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

const (
	mostEncoders = 128       // at work at a time, each with less than 1 MiB; answers beyond them go out as they are
	zstdWindow   = 256 << 10 // bytes; browsers take up to 8 MiB (RFC 9659), and every answer under way has one
)

// encoder is gzip.Writer or zstd.Encoder, on one goroutine: it has nothing that would live on when it is dropped.
type encoder interface {
	io.WriteCloser
	Flush() error
	Reset(w io.Writer)
}

// encoders lends them out, up to a bound for all routes together.
type encoders struct {
	lent atomic.Int64
	idle [codings]sync.Pool
}

func newEncoders() *encoders { return &encoders{} }

// take returns nil where too many are lent, and the answer must go out as it is.
func (e *encoders) take(c coding, w io.Writer) encoder {
	if e.lent.Add(1) > mostEncoders {
		e.lent.Add(-1)
		return nil
	}
	made, ok := e.idle[c].Get().(encoder)
	if !ok {
		made = newEncoder(c)
	}
	made.Reset(w)
	return made
}

func (e *encoders) give(c coding, old encoder) {
	old.Reset(nil) // it must not hold on to the answer
	e.idle[c].Put(old)
	e.lent.Add(-1)
}

// newEncoder makes fast ones: what a gateway spends on an answer is taken from all others.
func newEncoder(c coding) encoder {
	if c == gzipCoding {
		w, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
		if err != nil {
			panic("proxy: " + err.Error()) // a constant that is right
		}
		return w
	}
	w, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(zstdWindow), zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false))
	if err != nil {
		panic("proxy: " + err.Error())
	}
	return w
}

// packed is a ResponseWriter that compresses what is written to it.
type packed struct {
	http.ResponseWriter
	coding  coding
	encoder encoder // nil at its end
	from    *encoders
}

// pack begins to compress into w; it returns nil where nobody is free to.
func (c *compressor) pack(w http.ResponseWriter, chosen coding) *packed {
	p := &packed{ResponseWriter: w, coding: chosen, from: c.encoders}
	if p.encoder = c.encoders.take(chosen, w); p.encoder == nil {
		return nil
	}
	return p
}

// Unwrap is for http.ResponseController and telemetry.From.
func (p *packed) Unwrap() http.ResponseWriter { return p.ResponseWriter }

var errPacked = errors.New("the answer has ended")

func (p *packed) Write(b []byte) (int, error) {
	if p.encoder == nil {
		return 0, errPacked
	}
	return p.encoder.Write(b)
}

// FlushError sends what the encoder holds, too: a client sees an event when it happens.
func (p *packed) FlushError() error {
	if p.encoder != nil {
		if err := p.encoder.Flush(); err != nil {
			return err
		}
	}
	return http.NewResponseController(p.ResponseWriter).Flush()
}

// end gives the encoder back. What is not whole must not look so: then it writes no end.
func (p *packed) end(whole bool) (err error) {
	if p == nil || p.encoder == nil {
		return nil
	}
	if whole {
		err = p.encoder.Close()
	}
	p.from.give(p.coding, p.encoder)
	p.encoder = nil
	return err
}

// packing is the body of an upstream's answer that goes out compressed: by how it ends the compressed one ends.
type packing struct {
	io.ReadCloser
	to    *packed
	whole bool
}

func (b *packing) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		b.whole = true
	}
	return n, err
}

// Close is called by ReverseProxy when everything that was read was written too, or nothing more can be.
func (b *packing) Close() error {
	failed := b.to.end(b.whole)
	err := b.ReadCloser.Close()
	if failed != nil {
		panic(http.ErrAbortHandler) // net/http would end the answer as if it were whole
	}
	return err
}
