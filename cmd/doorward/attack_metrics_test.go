package main

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// P060: whatever clients ask for, by either version, the number of series is that of the configuration.
func TestP060RandomHostsMethodsAndPathsMakeNoSeriesInTheWholeProgram(t *testing.T) {
	s := newStack(t, "").start()
	s.bothVersions(t, func(w wire) {
		ask := func(i int) {
			w.ask(http.MethodGet, fmt.Sprintf("/random-%d/x?%d", i, i))
			w.ask(http.MethodGet, "/x", fmt.Sprintf("Host: random-%d.test", i))
			w.ask(fmt.Sprintf("RANDOM%d", i), "/x")
			w.ask(http.MethodGet, fmt.Sprintf("/oauth2/random-%d", i), fmt.Sprintf("User-Agent: random-%d", i), fmt.Sprintf("X-Request-Id: random-%d", i))
			w.ask(http.MethodGet, fmt.Sprintf("/oauth2/start?login=random-%d", i), navigating...)
			w.ask(http.MethodGet, fmt.Sprintf("/oauth2/callback?state=random-%d&error=random-%d", i, i), navigating...)
			w.ask(http.MethodGet, "/x", fmt.Sprintf("Authorization: Random%d x", i), fmt.Sprintf("Cookie: doorward=random-%d", i))
		}
		ask(0)
		before := series(s.metrics())
		for i := range 200 {
			ask(i + 1)
		}
		text := s.metrics()
		after := series(text)
		for name := range before {
			delete(after, name)
		}
		if len(before) < 10 || len(after) > 20 {
			w.t.Errorf("of %d series, %d more have come: %v", len(before), len(after), slices.Sorted(maps.Keys(after)))
		}
		if strings.Contains(strings.ToLower(text), "random") {
			w.t.Errorf("a word of a client is a label:\n%s", text)
		}
	})
}

// series are the names of what metrics count, with their labels.
func series(text string) map[string]bool {
	all := map[string]bool{}
	for line := range strings.Lines(text) {
		if i := strings.LastIndexByte(line, ' '); i > 0 && !strings.HasPrefix(line, "#") {
			all[line[:i]] = true
		}
	}
	return all
}
