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
)

// goals of the project, as ratios to rp-inject.
const goalCPU = 1.10

type options struct {
	pairs       int
	window      time.Duration
	connections int
	binary      string
	store       string
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
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
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
	fmt.Printf("%s, store %s, token of %d bytes, answer of %d bytes, %d connections, %d pairs of %s\n\n",
		runtime.Version(), o.store, len(s.token), answerSize, o.connections, o.pairs, o.window)
	idle, err := residentMemory(s.doorward.pid())
	if err != nil {
		return err
	}
	bare, ours, err := s.measure(ctx)
	if err != nil {
		return err
	}
	report(os.Stdout, bare, ours)
	busy, err := residentMemory(s.doorward.pid())
	if err != nil {
		return err
	}
	fmt.Printf("\ndoorward's resident memory: %.1f MB idle after one sign-in, %.1f MB after the load\n", float64(idle)/1e6, float64(busy)/1e6)
	return nil
}

// measure takes the pairs: which of the two goes first alternates, so that neither drift
// nor warmth of the machine favours one.
func (s *stage) measure(ctx context.Context) (bare, ours []sample, err error) {
	targets := []*target{s.bareTarget(), s.ourTarget()}
	for _, t := range targets { // warm up: connections, caches, the scheduler
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
