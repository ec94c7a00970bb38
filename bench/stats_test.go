package main

import (
	"strings"
	"testing"
	"time"
)

func TestAVerdictNeedsANarrowInterval(t *testing.T) {
	for want, i := range map[string]interval{
		"met":          {1.05, 1.07, 1.12},
		"missed":       {1.11, 1.13, 1.15},
		"not resolved": {1.00, 1.07, 1.12},
	} {
		if got := i.verdict(1.10); !strings.HasPrefix(got, want) {
			t.Errorf("%v: %s, want %s", i, got, want)
		}
	}
}

func TestTheIntervalHoldsTheMedianAndOneOutlierMovesItLittle(t *testing.T) {
	values := []float64{1.02, 1.03, 1.01, 1.04, 1.02, 1.03, 1.02, 1.03, 1.01, 1.02, 1.03, 1.02, 1.04, 1.02, 9}
	i := bootstrap(values)
	if i.median != 1.02 || i.low > i.median || i.high < i.median || i.high > 1.05 {
		t.Errorf("%+v", i)
	}
}

func TestSamplesAreComparedWithTheirOwnPartner(t *testing.T) {
	bare := []sample{{requests: 1000, cpu: time.Millisecond}, {requests: 1000, cpu: 10 * time.Millisecond}}
	ours := []sample{{requests: 1000, cpu: 2 * time.Millisecond}, {requests: 2000, cpu: 20 * time.Millisecond}}
	if r := ratios(ours, bare, micros); r[0] != 2 || r[1] != 1 {
		t.Errorf("%v", r)
	}
}
