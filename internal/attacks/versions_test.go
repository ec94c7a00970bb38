package attacks

import (
	"strings"
	"testing"
)

// requests are the groups of what clients send: the request path.
const requests = "ABCDEFPQ"

// oneVersion are rows of these groups that have a meaning in one version of HTTP only, or in none.
var oneVersion = map[string]struct{ over, why string }{
	"P050": {"h1", "HTTP/2 has one way to say how long a body is; what it allows to lie about is P052"},
	"P055": {"h2", "it is about frames"},
	"P058": {"", "the provider sends it"},
	"P059": {"", "the provider sends it"},
	"P179": {"h1", "no WebSocket is opened over HTTP/2 (RFC 8441 is not offered): CONNECT is refused, P016"},
	"P194": {"h1", "the admin listener speaks nothing else"},
}

func TestWhatAClientMaySendIsTriedOverHTTP1AndHTTP2(t *testing.T) {
	tests := testsByNumber(t)
	left := len(oneVersion)
	for _, a := range attacks(t) {
		all := versions(tests[a.number])
		one, listed := oneVersion[a.number]
		if listed {
			left--
		}
		switch request := strings.Contains(requests, a.group[:1]); {
		case listed && !request:
			t.Errorf("%s is on the list, and no row of the request path", a.number)
		case listed && !all.by(one.over):
			t.Errorf("%s (%s) is not even tried over %s", a.number, a.title, one.over)
		case request && !listed && all != spoken{true, true}:
			t.Errorf("%s (%s) is tried over %s alone", a.number, a.title, all)
		}
	}
	if left != 0 {
		t.Errorf("%d rows are on the list, and not in the catalogue", left)
	}
}

func versions(by []found) (all spoken) {
	for _, f := range by {
		all = all.or(f.over)
	}
	return all
}

func (s spoken) by(version string) bool {
	return version == "" || version == "h1" && s.h1 || version == "h2" && s.h2
}

// over is what the table says.
func over(a attack, by []found) string {
	switch one, listed := oneVersion[a.number]; {
	case listed && one.over == "":
		return one.why
	case listed:
		return one.over + " only: " + one.why
	}
	return versions(by).String()
}
