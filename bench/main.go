package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"time"

	"github.com/doorward/doorward/demo/idp"
)

type options struct {
	pairs       int
	window      time.Duration
	connections int
	binary      string
	store       string
	compare     string
	waiting     int
	polled      bool
	crowd       int
	memory      bool
	identities  int
	size        int
	base        string
	sessions    int
	active      int
	routes      int
	stream      string // size of the bodies
	streamAt    string // who takes them
}

func main() {
	if len(os.Args) > 1 && strings.HasPrefix(os.Args[1], rolePrefix) {
		os.Exit(playRole(os.Args[1:]))
	}
	var o options
	flag.IntVar(&o.pairs, "pairs", 21, "how often the two are measured against each other; at least 15 for a verdict")
	flag.DurationVar(&o.window, "window", 2*time.Second, "how long one measurement takes")
	flag.IntVar(&o.connections, "connections", 32, "keep-alive connections of the client")
	flag.StringVar(&o.binary, "doorward", "", "binary to measure; built from this tree if empty")
	flag.StringVar(&o.store, "store", "memory", "sessions.store of the gateway: memory, bolt or cookie")
	flag.StringVar(&o.compare, "compare", "bare", "bare: rp-inject and doorward; basic: a cookie session and HTTP Basic; waiting: nobody waits and many do; "+
		"bearer, exchange, credentials: rp-inject and doorward with a checked bearer token, an exchanged token, a token of its own by the egress listener; "+
		"forward-auth: rp-inject, and doorward that is asked by another proxy; nginx, haproxy: these as plain proxies and doorward; routes, sessions: few and many")
	flag.IntVar(&o.size, "size", 1024, "bytes of the upstream's answer")
	flag.StringVar(&o.base, "base", baseHTTP, "transport of rp-inject: http, which is http.Transport, or wire, the one that doorward uses")
	flag.IntVar(&o.routes, "routes", 10_000, "with -compare routes: routes of the second gateway; the first has 10")
	flag.IntVar(&o.sessions, "sessions", 1_000_000, "with -compare sessions: sessions of the second gateway; the first has 10")
	flag.IntVar(&o.active, "active", 10_000, "with -compare sessions: how many of them are in use, in turn")
	flag.IntVar(&o.waiting, "waiting", 10_000, "with -compare waiting: device sign-ins under way")
	flag.BoolVar(&o.polled, "polled", false, "with -compare waiting: each of them is polled every five seconds, as a page does")
	flag.IntVar(&o.crowd, "crowd", 0, "measure nothing: send so many requests at once for which a token is missing, and count the calls at the provider (1000)")
	flag.BoolVar(&o.memory, "memory", false, "measure what exchanged tokens take on the heap, instead of processor time")
	flag.IntVar(&o.identities, "identities", 100_000, "with -memory: whose tokens, for 3 audiences each")
	flag.StringVar(&o.stream, "stream", "", "measure nothing else: send a body of so many bytes each way (10GiB), and tell the gateway's peak memory")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	switch {
	case o.memory:
		return measureMemory(ctx, os.Stdout, o.identities)
	case o.crowd > 0:
		return runCrowd(ctx, o)
	case o.stream != "":
		return runStream(ctx, o)
	}
	return compare(ctx, o)
}

func compare(ctx context.Context, o options) error {
	if runtime.NumCPU() < 2 {
		return fmt.Errorf("two processors are needed: one for client and upstream, one for the gateway")
	}
	if err := pinSelf(0); err != nil {
		return err
	}
	s, err := newStage(ctx, o)
	if err != nil {
		return err
	}
	defer s.close()
	before, err := residentMemory(s.doorward.pid())
	if err != nil {
		return err
	}
	c, err := s.comparison(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("%s, store %s, token of %d bytes, answer of %d bytes, %d connections, %d pairs of %s\n\n",
		runtime.Version(), o.store, len(c.token), o.size, o.connections, o.pairs, o.window)
	asked := s.idp.Count(idp.Token)
	first, second, err := s.measure(ctx, c)
	if err != nil {
		return err
	}
	if n := s.idp.Count(idp.Token) - asked; n > 0 && c.cached {
		return fmt.Errorf("the provider was asked for %d tokens while cached ones were measured", n)
	}
	c.report(os.Stdout, first, second)
	after, err := residentMemory(s.doorward.pid())
	if err != nil {
		return err
	}
	fmt.Printf("\ndoorward's resident memory: %.1f MB after one sign-in, %.1f MB after the load\n", float64(before)/1e6, float64(after)/1e6)
	return nil
}

// comparison is two targets that take turns, and what is claimed of them.
type comparison struct {
	first, second *target
	token         string // that reaches the upstream
	what          string // the figure that the goal is about
	figure        func(sample) float64
	goal          float64 // at most, as a ratio of the second to the first; 0 = none
	most          float64 // the figure of the second by itself, at most; 0 = none
	cached        bool    // nothing is asked of the provider meanwhile, or the figures are of something else
}

func (s *stage) comparison(ctx context.Context) (comparison, error) {
	switch s.options.compare {
	case "bare":
		return s.bareComparison(ctx)
	case "basic":
		return comparison{first: s.ourTarget(), second: s.basicTarget(), token: s.token, what: "CPU per request", figure: micros, goal: 1.15}, nil
	case "waiting":
		return s.waitingComparison(ctx)
	case compareBearer:
		return s.bearerComparison(ctx)
	case compareExchange:
		return s.exchangeComparison(ctx)
	case compareCredentials:
		return s.credentialsComparison(ctx)
	case compareForwardAuth:
		return s.forwardAuthComparison(ctx)
	case compareNginx, compareHAProxy:
		return s.plainComparison(ctx)
	case compareSessions:
		return s.sessionsComparison(ctx)
	case compareRoutes:
		return s.routesComparison(ctx)
	}
	return comparison{}, fmt.Errorf("-compare %q: see -help", s.options.compare)
}

// measure takes the pairs: which of the two goes first alternates, so that neither drift
// nor warmth of the machine favours one.
func (s *stage) measure(ctx context.Context, c comparison) (first, second []sample, err error) {
	targets := []*target{c.first, c.second}
	for _, t := range targets { // warm up: connections, caches, the scheduler
		if err := t.once(ctx); err != nil {
			return nil, nil, err
		}
		if _, err := s.window(ctx, t, s.options.window); err != nil {
			return nil, nil, err
		}
	}
	results := make([][]sample, 2)
	for pair := range s.options.pairs {
		for i := range 2 {
			which := (i + pair) % 2
			got, err := s.window(ctx, targets[which], s.options.window)
			if err != nil {
				return nil, nil, err
			}
			results[which] = append(results[which], got)
		}
	}
	return results[0], results[1], nil
}
