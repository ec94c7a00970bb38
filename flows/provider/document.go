package provider

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// document keeps one remote JSON document: the discovery document or the key set. It is
// fetched at the first need and when it is too old, by one request for all who wait, and
// remembered in the store, so that a restart survives an outage. What works is never
// dropped because a newer copy could not be had (DIS-5, JWK-6).
//
// Nothing runs in the background but a fetch that somebody asked for.
type document[T any] struct {
	name   string // for messages
	get    func(ctx context.Context, etag string) (*answer, error)
	parse  func(body []byte) (T, error)
	maxAge time.Duration // it is fetched anew after this, or earlier if Cache-Control says so
	stale  time.Duration // how long after maxAge it is still used while none can be had; 0 = for ever
	shelf  shelf         // the copy in the store
	now    func() time.Time
	log    *slog.Logger

	mu       sync.Mutex
	held     *edition[T] // the last good one
	asked    bool        // the shelf was looked at
	flight   *flight
	failures int       // in a row
	failed   error     // the last failure, while failures > 0
	next     time.Time // no fetch before
	missed   time.Time // when again last fetched
}

// edition is one fetched copy; never modified.
type edition[T any] struct {
	value  T
	at     time.Time
	maxAge time.Duration
	etag   string
	body   []byte
}

const (
	minAge   = 5 * time.Minute  // a shorter Cache-Control is not obeyed
	cooldown = 10 * time.Second // between two fetches because of unknown keys (JWK-2, P123)
	patience = 2 * time.Second  // to wait for a newer copy, from the start of its fetch, while there is a usable one
	slack    = 5 * time.Minute  // a copy from further in the future was dated by a wrong clock
)

func (d *document[T]) fresh(e *edition[T], now time.Time) bool {
	age := now.Sub(e.at)
	return age < e.maxAge && age > -slack
}

func (d *document[T]) usable(e *edition[T], now time.Time) bool {
	return e != nil && (d.stale == 0 || now.Sub(e.at) < e.maxAge+d.stale)
}

// current returns an edition to work with. Where there is none, it waits for a fetch. One
// that is too old but usable it gives out after a little patience; and at once while the
// provider is known to be in trouble: during an outage nobody waits.
func (d *document[T]) current(ctx context.Context) (*edition[T], error) {
	d.mu.Lock()
	now, held := d.now(), d.held
	if held != nil && d.fresh(held, now) {
		d.mu.Unlock()
		return held, nil
	}
	usable, failing := d.usable(held, now), d.failures > 0
	if now.Before(d.next) && d.flight == nil {
		err := d.refusal(now)
		d.mu.Unlock()
		if usable {
			return held, nil
		}
		return nil, err
	}
	f := d.start()
	d.mu.Unlock()
	if !usable {
		return d.after(ctx, f)
	}
	left := patience - now.Sub(f.begun)
	if failing || left <= 0 {
		return held, nil
	}
	ctx, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	return d.after(ctx, f)
}

// again fetches because the edition have did not do: it lacks a key. It does so at most
// once per cool-down; in between it says that have is the newest.
func (d *document[T]) again(ctx context.Context, have *edition[T]) (*edition[T], error) {
	d.mu.Lock()
	if d.held != have { // somebody else has fetched meanwhile
		newer := d.held
		d.mu.Unlock()
		return newer, nil
	}
	if d.flight == nil {
		now := d.now()
		if now.Before(d.missed.Add(cooldown)) && !now.Before(d.missed) || now.Before(d.next) {
			err := d.refusal(now)
			d.mu.Unlock()
			if err != nil {
				return nil, err
			}
			return have, nil
		}
		d.missed = now
	}
	f := d.start()
	d.mu.Unlock()
	if err := f.wait(ctx); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.held, nil
}

// peek returns the last good edition without asking anybody, nil if there is none.
func (d *document[T]) peek() *edition[T] {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.held
}

// doubt has a copy that is no longer quite new fetched again at the next look: something
// that it named did not answer as it should, and may have moved (DIS-5).
func (d *document[T]) doubt() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.held != nil && d.held.maxAge > minAge {
		older := *d.held
		older.maxAge = minAge
		d.held = &older
	}
}

// refusal repeats the last failure with the time until the next attempt; nil if the last
// fetch went well.
func (d *document[T]) refusal(now time.Time) error {
	if d.failures == 0 {
		return nil
	}
	e := &Error{Kind: Unavailable, Code: "unreachable", Err: d.failed}
	var last *Error
	if errors.As(d.failed, &last) {
		again := *last
		e = &again
	}
	e.RetryAfter = max(d.next.Sub(now), time.Second)
	return e
}

// after waits for a flight and returns what there is then.
func (d *document[T]) after(ctx context.Context, f *flight) (*edition[T], error) {
	err := f.wait(ctx)
	d.mu.Lock()
	defer d.mu.Unlock()
	if held := d.held; d.usable(held, d.now()) {
		return held, nil
	}
	if err == nil { // fetched, and already too old to use: only a clock can do that
		err = fail(Unavailable, "unreachable", "%s: too old", d.name)
	}
	return nil, err
}

// flight is one fetch. Its life does not hang on the context of whoever came first.
type flight struct {
	begun time.Time
	done  chan struct{}
	err   error
}

func (f *flight) wait(ctx context.Context) error {
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return &Error{Kind: Unavailable, Code: "canceled", Detail: "gave up waiting for the provider", Err: ctx.Err()}
	}
}

// start joins the flight under way, or begins one. d.mu is held.
func (d *document[T]) start() *flight {
	if d.flight == nil {
		d.flight = &flight{begun: d.now(), done: make(chan struct{})}
		go d.fly(d.flight)
	}
	return d.flight
}

func (d *document[T]) fly(f *flight) {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout+2*time.Second)
	defer cancel()
	e, err := d.fetch(ctx)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.flight = nil
	if err == nil {
		d.held, d.failures, d.failed, d.next = e, 0, nil, time.Time{}
	} else {
		wait := d.backOff(err)
		d.failed, d.next = err, d.now().Add(wait)
		f.err = d.refusal(d.now())
		d.log.Warn("the provider's "+d.name+" could not be had", "error", err, "retry_in", wait.Round(time.Millisecond).String(), "kept", d.held != nil)
	}
	close(f.done)
}

// backOff counts a failure and returns how long to leave the provider alone: 1 s doubled
// up to 30 s, a fifth more or less, or longer if it said so.
func (d *document[T]) backOff(err error) time.Duration {
	d.failures++
	wait := min(time.Second<<min(d.failures-1, 5), 30*time.Second)
	wait += time.Duration((rand.Float64()*0.4 - 0.2) * float64(wait))
	var e *Error
	if errors.As(err, &e) {
		wait = max(wait, min(e.RetryAfter, time.Minute))
	}
	return wait
}

// fetch looks on the shelf if that was not done yet, then asks the provider.
func (d *document[T]) fetch(ctx context.Context) (e *edition[T], err error) {
	defer func() { // no document of a stranger may end the process
		if p := recover(); p != nil {
			e, err = nil, fail(Misbehaved, "bad_response", "the %s cannot be read", d.name)
		}
	}()
	d.mu.Lock()
	held, asked := d.held, d.asked
	d.mu.Unlock()
	if !asked && held == nil {
		held, asked = d.fromShelf(ctx)
		d.mu.Lock()
		d.held, d.asked = held, asked
		d.mu.Unlock()
		if held != nil && d.fresh(held, d.now()) {
			return held, nil
		}
	}
	etag := ""
	if held != nil {
		etag = held.etag
	}
	a, err := d.get(ctx, etag)
	if err != nil {
		return nil, err
	}
	if e, err = d.edition(a, held); err == nil {
		d.toShelf(ctx, e)
	}
	return e, err
}

func (d *document[T]) edition(a *answer, held *edition[T]) (*edition[T], error) {
	now := d.now()
	if e := a.trouble("GET the "+d.name, now); e != nil {
		return nil, e
	}
	fresh := &edition[T]{at: now, maxAge: d.age(a.header), etag: a.header.Get("ETag"), body: a.body}
	switch {
	case a.status == http.StatusNotModified && held != nil:
		fresh.value, fresh.body, fresh.etag = held.value, held.body, held.etag
		return fresh, nil
	case a.status != http.StatusOK:
		return nil, fail(Unavailable, "bad_status", "the %s was answered with %d", d.name, a.status)
	}
	value, err := d.parse(a.body)
	if err != nil {
		return nil, err
	}
	fresh.value = value
	return fresh, nil
}

// age reads max-age from Cache-Control, within reason. no-store and no-cache mean the
// shortest age that is within reason: this is a cache for one's own use.
func (d *document[T]) age(h http.Header) time.Duration {
	for part := range strings.SplitSeq(h.Get("Cache-Control"), ",") {
		name, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(part)), "=")
		switch name {
		case "max-age":
			if n, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31); err == nil {
				return min(max(time.Duration(n)*time.Second, minAge), d.maxAge)
			}
		case "no-store", "no-cache":
			return min(minAge, d.maxAge)
		}
	}
	return d.maxAge
}
