package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
)

// interval is a median with its 95 % bootstrap interval.
type interval struct{ low, median, high float64 }

const resamples = 10_000

// bootstrap draws samples of the same size with replacement and takes the middle 95 % of their medians.
// The source is seeded: the same figures give the same interval.
func bootstrap(values []float64) interval {
	source := rand.New(rand.NewPCG(1, 2))
	medians := make([]float64, resamples)
	draw := make([]float64, len(values))
	for i := range medians {
		for j := range draw {
			draw[j] = values[source.IntN(len(values))]
		}
		medians[i] = median(draw)
	}
	slices.Sort(medians)
	return interval{medians[resamples*25/1000], median(slices.Clone(values)), medians[resamples*975/1000]}
}

// median sorts values.
func median(values []float64) float64 {
	slices.Sort(values)
	n := len(values)
	if n%2 == 1 {
		return values[n/2]
	}
	return (values[n/2-1] + values[n/2]) / 2
}

// verdict is the rule of the project: a goal is met when the interval's lower end is at or under it and
// the interval is at most 0.10 wide.
func (i interval) verdict(goal float64) string {
	switch {
	case i.high-i.low > 0.10:
		return "not resolved: the interval is wider than 0.10"
	case i.low <= goal:
		return "met"
	}
	return "missed"
}

// ratios pairs the samples: each was taken right beside its partner.
func ratios(ours, bare []sample, figure func(sample) float64) []float64 {
	r := make([]float64, len(ours))
	for i := range ours {
		r[i] = figure(ours[i]) / figure(bare[i])
	}
	return r
}

func (c comparison) report(w io.Writer, first, second []sample) {
	fmt.Fprintf(w, "%-26s %12s %12s   %s\n", "", c.first.name, c.second.name, "ratio, median of pairs [95 % interval]")
	for _, row := range []struct {
		name   string
		figure func(sample) float64
		format string
	}{
		{"requests per second", perSecond, "%.0f"},
		{"CPU per request, µs", micros, "%.1f"},
		{"p50, ms", p50Millis, "%.2f"},
		{"p99, ms", p99Millis, "%.2f"},
		{"processors in use", processorUse, "%.2f"},
	} {
		i := bootstrap(ratios(second, first, row.figure))
		fmt.Fprintf(w, "%-26s %12s %12s   %.3f [%.3f, %.3f]\n", row.name,
			fmt.Sprintf(row.format, median(figures(first, row.figure))), fmt.Sprintf(row.format, median(figures(second, row.figure))),
			i.median, i.low, i.high)
	}
	if c.goal > 0 {
		fmt.Fprintf(w, "\ngoal: %s at most %.2f × %s: %s\n", c.what, c.goal, c.first.name, bootstrap(ratios(second, first, c.figure)).verdict(c.goal))
	}
	if c.most > 0 {
		i := bootstrap(figures(second, c.figure))
		fmt.Fprintf(w, "\ngoal: %s at most %g: %.1f [%.1f, %.1f]\n", c.what, c.most, i.median, i.low, i.high)
	}
	added := bootstrap(differences(second, first, p99Millis))
	fmt.Fprintf(w, "p99 of the second above that of the first, ms: %.3f [%.3f, %.3f]\n", added.median, added.low, added.high)
}

// differences pairs the samples like ratios.
func differences(ours, bare []sample, figure func(sample) float64) []float64 {
	d := make([]float64, len(ours))
	for i := range ours {
		d[i] = figure(ours[i]) - figure(bare[i])
	}
	return d
}

func figures(samples []sample, figure func(sample) float64) []float64 {
	out := make([]float64, len(samples))
	for i, s := range samples {
		out[i] = figure(s)
	}
	return out
}
