package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

const (
	healthInterval = 10 * time.Second
	healthTimeout  = 2 * time.Second
	healthRise     = 2
	healthFall     = 3
	healthBody     = 64 << 10 // bytes that are read of an answer, so that its connection can be used again
)

// filled is h with its defaults; nil stays nil.
func (h *Health) filled() (*Health, error) {
	if h == nil {
		return nil, nil
	}
	f := *h
	path, query, _ := strings.Cut(f.Path, "?")
	_, _, refusal := parsePath(path)
	switch {
	case f.Path == "":
		return nil, errors.New("health.path: it is missing; it is the path that tells how the upstream is, such as \"/healthz\"")
	case refusal != "":
		return nil, fmt.Errorf("health.path: %q is not a path that all servers read alike: %s", f.Path, refusal)
	case checkQuery(query) != "":
		return nil, fmt.Errorf("health.path: %q: %s", f.Path, checkQuery(query))
	case f.Interval < 0 || f.Timeout < 0:
		return nil, errors.New("health.interval: it and timeout must be positive")
	case f.Rise < 0 || f.Fall < 0:
		return nil, errors.New("health.rise: it and fall must be positive")
	}
	orElse(&f.Interval, healthInterval)
	orElse(&f.Timeout, healthTimeout)
	orElse(&f.Rise, healthRise)
	orElse(&f.Fall, healthFall)
	if f.Timeout > f.Interval {
		f.Timeout = f.Interval
	}
	return &f, nil
}

func orElse[T comparable](value *T, otherwise T) {
	if none := *new(T); *value == none {
		*value = otherwise
	}
}

// prober asks one upstream regularly how it is, as nobody: without a credential or a cookie.
type prober struct {
	balance *balancer
	member  *member
	way     http.RoundTripper
	url     url.URL
	host    string // as requests have it: an application that answers for one host only must be asked by it

	replaced func() bool // by a prober of a newer configuration; nil = never

	row int // good answers in a row; negative: bad ones
}

// probers makes those of a route.
func (rt *route) probers() (all []*prober) {
	if rt.balance == nil || rt.balance.health == nil {
		return nil
	}
	host := rt.origins.All()[0]
	if len(rt.hosts) > 0 {
		host = rt.hosts[0]
	}
	path, query, _ := strings.Cut(rt.balance.health.Path, "?")
	encoded, decoded, _ := parsePath(path)
	for _, m := range rt.balance.members {
		u := m.upstream
		all = append(all, &prober{balance: rt.balance, member: m, way: rt.lane.transport, host: host.Host, url: url.URL{
			Scheme: u.scheme, Host: u.host, Path: u.decodedBase + decoded, RawPath: u.base + encoded, RawQuery: query,
		}})
	}
	return all
}

// run asks at once, and then at each interval, until ctx ends.
func (c *prober) run(ctx context.Context) {
	tick := time.NewTicker(c.balance.health.Interval)
	defer tick.Stop()
	for {
		err := c.check(ctx)
		if ctx.Err() != nil {
			return
		}
		c.note(err)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// check asks once. A redirect is an answer like any other: it is not followed.
func (c *prober) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.balance.health.Timeout, errTimeout)
	defer cancel()
	u := c.url
	r := (&http.Request{
		Method: http.MethodGet, URL: &u, Host: c.host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"User-Agent": {"Doorward-Health"}, "Accept": {"*/*"}},
	}).WithContext(ctx)
	res, err := c.way.RoundTrip(r)
	if err != nil {
		if ctx.Err() != nil {
			return errTimeout
		}
		return printable(err, errAnswer)
	}
	defer func() { _ = res.Body.Close() }()
	_, err = io.CopyN(io.Discard, res.Body, healthBody)
	switch {
	case res.StatusCode < 200 || res.StatusCode > 399:
		return fmt.Errorf("it answered %d", res.StatusCode)
	case err != nil && !errors.Is(err, io.EOF):
		return errTimeout
	}
	return nil
}

// note counts an outcome, and changes the state of the upstream when enough of one kind came in a row. Until the first one
// it counts as it did before a reload, else as up; if that is bad, it is believed alone: people must not be sent to what
// could be known to be down.
func (c *prober) note(err error) {
	h, m := c.balance.health, c.member
	switch {
	case err == nil:
		c.row = max(c.row, 0) + 1
		if c.row >= h.Rise && m.down.CompareAndSwap(true, false) {
			c.balance.tell(c.level(slog.LevelInfo), "upstream is up", m)
		}
	default:
		if c.row == 0 {
			c.row = 1 - h.Fall
		}
		c.row = min(c.row, 0) - 1
		if -c.row >= h.Fall && m.down.CompareAndSwap(false, true) {
			c.balance.tell(c.level(slog.LevelWarn), "upstream is down", m, slog.String("error", err.Error()))
		}
	}
}

// level is that of a change, which one configuration tells and not also the one before, until that ends.
func (c *prober) level(usual slog.Level) slog.Level {
	if c.replaced != nil && c.replaced() {
		return slog.LevelDebug
	}
	return usual
}

// follow takes over what the gateway that serves now knows of the same upstreams, asked in the same way: so a reload tells
// nobody again that one is down, and sends nobody there.
func (w *watchers) follow(g *Gateway, current func() *Gateway) {
	if current == nil || len(w.probers) == 0 {
		return
	}
	type question struct{ route, host, url string }
	down := make(map[question]bool)
	if before := current(); before != nil {
		for _, c := range before.watch.probers {
			down[question{c.balance.route, c.host, c.url.String()}] = c.member.down.Load()
		}
	}
	for _, c := range w.probers {
		c.replaced = func() bool { now := current(); return now != nil && now != g }
		c.member.down.Store(down[question{c.balance.route, c.host, c.url.String()}])
	}
}

// watchers are what of a Gateway goes on between requests.
type watchers struct {
	mu      sync.Mutex
	probers []*prober
	end     context.CancelFunc // nil = it has not begun
	closed  bool
	running sync.WaitGroup
}

func (w *watchers) start() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.end != nil || w.closed {
		return
	}
	var ctx context.Context
	ctx, w.end = context.WithCancel(context.Background())
	for _, c := range w.probers {
		w.running.Go(func() { c.run(ctx) })
	}
}

func (w *watchers) close() {
	w.mu.Lock()
	w.closed = true
	if w.end != nil {
		w.end()
	}
	w.mu.Unlock()
	w.running.Wait()
}
