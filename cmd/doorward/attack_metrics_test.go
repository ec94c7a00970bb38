package main

import (
	"fmt"
	"net/http"
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
		before := s.metrics()
		for i := range 200 {
			ask(i + 1)
		}
		after := s.metrics()
		if n, m := strings.Count(before, "\n"), strings.Count(after, "\n"); m > n+20 || n < 10 {
			w.t.Errorf("%d lines have become %d:\n%s", n, m, after)
		}
		if strings.Contains(strings.ToLower(after), "random") {
			w.t.Errorf("a word of a client is a label:\n%s", after)
		}
	})
}
