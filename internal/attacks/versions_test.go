package attacks

import (
	"strings"
	"testing"
)

// oneVersion are rows of the request path that have a meaning in one version of HTTP only, and why.
var oneVersion = map[string]string{}

func TestWhatAClientMaySendIsTriedOverHTTP1AndHTTP2(t *testing.T) {
	tests := testsByNumber(t)
	for _, a := range attacks(t) {
		if !strings.Contains(both, a.group[:1]) {
			continue
		}
		var all spoken
		for _, f := range tests[a.number] {
			all = all.or(f.over)
		}
		one := all.h1 != all.h2
		switch why := oneVersion[a.number]; {
		case why == "" && !(all.h1 && all.h2):
			t.Errorf("%s (%s) is tried over: %s", a.number, a.title, all)
		case why != "" && !one:
			t.Errorf("%s (%s) is on the list of those that one version has, and is tried over: %s", a.number, a.title, all)
		}
	}
}
