package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// target is a gateway that is asked the same request again and again.
type target struct {
	name    string
	pid     int
	address string
	request []byte
	others  [][]byte // requests that take turns, in the place of request; nil = that one alone
	size    int      // of the body that must come back
	status  string   // and the status; "" = 200

	// pause between two requests of a connection: 0 loads the gateway as much as it can take, more
	// leaves it time, so that latency shows and not capacity.
	pause time.Duration
}

// sample is what one window of load showed.
type sample struct {
	requests int
	elapsed  time.Duration
	cpu      time.Duration // of the gateway's process
	p50, p99 time.Duration
}

func (s sample) perSecond() float64 { return float64(s.requests) / s.elapsed.Seconds() }
func (s sample) cpuMicros() float64 { return float64(s.cpu.Nanoseconds()) / 1e3 / float64(s.requests) }
func (s sample) p99Millis() float64 { return float64(s.p99.Nanoseconds()) / 1e6 }
func (s sample) meanCPU() float64   { return s.cpu.Seconds() / s.elapsed.Seconds() }
func micros(s sample) float64       { return s.cpuMicros() }
func perSecond(s sample) float64    { return s.perSecond() }
func p50Millis(s sample) float64    { return float64(s.p50.Nanoseconds()) / 1e6 }
func p99Millis(s sample) float64    { return s.p99Millis() }
func processorUse(s sample) float64 { return s.meanCPU() }

// window loads t for about d on every connection at once.
func (s *stage) window(ctx context.Context, t *target, d time.Duration) (sample, error) {
	before, err := processorTime(t.pid)
	if err != nil {
		return sample{}, err
	}
	began := time.Now()
	until := began.Add(d)
	var wg sync.WaitGroup
	latencies := make([][]time.Duration, s.options.connections)
	failures := make([]error, s.options.connections)
	for i := range s.options.connections {
		wg.Go(func() { latencies[i], failures[i] = t.hammer(ctx, until) })
	}
	wg.Wait()
	elapsed := time.Since(began)
	after, err := processorTime(t.pid)
	if err = errors.Join(append(failures, err)...); err != nil {
		return sample{}, fmt.Errorf("%s: %w", t.name, err)
	}
	all := slices.Concat(latencies...)
	slices.Sort(all)
	if len(all) < 100 {
		return sample{}, fmt.Errorf("%s: only %d answers in %s", t.name, len(all), elapsed)
	}
	return sample{requests: len(all), elapsed: elapsed, cpu: after - before, p50: all[len(all)/2], p99: all[len(all)*99/100]}, nil
}

// hammer is one connection. It writes prepared bytes and reads answers with as little work
// as it can: the client must not be what is measured.
func (t *target) hammer(ctx context.Context, until time.Time) (latencies []time.Duration, err error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", t.address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(until.Add(10 * time.Second)); err != nil {
		return nil, err
	}
	r := bufio.NewReaderSize(conn, 16<<10)
	for now := time.Now(); now.Before(until) && ctx.Err() == nil; {
		request := t.request
		if t.others != nil {
			request = t.others[rand.IntN(len(t.others))]
		}
		if _, err := conn.Write(request); err != nil {
			return nil, err
		}
		if err := t.readAnswer(r); err != nil {
			return nil, err
		}
		then := time.Now()
		latencies = append(latencies, then.Sub(now))
		if now = then; t.pause > 0 {
			time.Sleep(t.pause)
			now = time.Now()
		}
	}
	return latencies, ctx.Err()
}

var errUnexpected = errors.New("an answer is not the upstream's page")

// readAnswer reads one answer of the expected size. The first line decides; a gateway
// that answers with a login page or an error is found out by it and by the size.
func (t *target) readAnswer(r *bufio.Reader) error {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return err
	}
	if status := t.wanted(); len(line) < len(statusLine)+3 || string(line[len(statusLine):len(statusLine)+3]) != status {
		return fmt.Errorf("%w: %.40q", errUnexpected, line)
	}
	length := 0
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) <= 2 {
			break
		}
		if n, ok := contentLength(line); ok {
			length = n
		}
	}
	if length != t.size {
		return fmt.Errorf("%w: a body of %d bytes", errUnexpected, length)
	}
	_, err = r.Discard(length)
	return err
}

const statusLine = "HTTP/1.1 "

func (t *target) wanted() string {
	if t.status != "" {
		return t.status
	}
	return "200"
}

func contentLength(line []byte) (n int, ok bool) {
	const name = "Content-Length: "
	if len(line) < len(name) || !bytes.EqualFold(line[:len(name)], []byte(name)) { // HAProxy writes names in small letters
		return 0, false
	}
	for _, c := range line[len(name):] {
		if c < '0' || c > '9' {
			break
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}

// once checks with an ordinary client that a target answers as it should.
func (t *target) once(ctx context.Context) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", t.address)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := conn.Write(t.request); err != nil {
		return err
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.Status[:3] != t.wanted() || len(body) != t.size {
		return fmt.Errorf("%s answers %s with %d bytes: %.200q %w", t.name, res.Status, len(body), body, err)
	}
	return nil
}
