package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/origin"
)

func TestTheEgressListenerIsAddressedByWhatLeadsToIt(t *testing.T) {
	for address, want := range map[string][]string{
		"127.0.0.1:4182":     {"127.0.0.1:4182", "localhost:4182", "[::1]:4182"},
		"[::1]:4182":         {"[::1]:4182"},
		"10.0.0.7:4182":      {"10.0.0.7:4182"},
		":4182":              {"127.0.0.1:4182", "localhost:4182", "[::1]:4182"},
		"0.0.0.0:4182":       {"127.0.0.1:4182"},
		"unix:/run/x/e.sock": {"localhost"},
	} {
		got := selfAuthorities(address)
		for _, w := range want {
			if !slices.Contains(got, w) {
				t.Errorf("%s: %q is not in %q", address, w, got)
			}
		}
		for _, a := range got {
			if _, err := origin.Parse("http://" + a); err != nil || strings.HasPrefix(a, "0.0.0.0") {
				t.Errorf("%s: nobody can call %q", address, a)
			}
		}
	}
}
