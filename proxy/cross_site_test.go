package proxy

import (
	"testing"

	"github.com/doorward/doorward/internal/origin"
)

func TestBFF4OtherSitesChangeNothingInSomebodysName(t *testing.T) {
	l := newLab(t, func(c *Config, _ *Deps) {
		c.Routes[0].WebSocketOrigins = []origin.Origin{{Scheme: "https", Host: "friend.test"}}
	})
	for name, c := range map[string]struct {
		lines []string
		pass  bool
	}{
		"another site":                          {[]string{"Sec-Fetch-Site: cross-site", "Origin: https://evil.test"}, false},
		"another site that claims to be here":   {[]string{"Sec-Fetch-Site: cross-site", "Origin: https://app.test"}, false},
		"another site without Origin":           {[]string{"Sec-Fetch-Site: cross-site"}, false},
		"two answers":                           {[]string{"Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: cross-site"}, false},
		"an answer nobody knows":                {[]string{"Sec-Fetch-Site: x"}, false},
		"an older browser on another site":      {[]string{"Origin: https://evil.test"}, false},
		"an older browser, nowhere":             {[]string{"Origin: null"}, false},
		"an older browser, http":                {[]string{"Origin: http://app.test"}, false},
		"an older browser, two":                 {[]string{"Origin: https://app.test", "Origin: https://evil.test"}, false},
		"an older browser, empty":               {[]string{"Origin:"}, false},
		"here":                                  {[]string{"Sec-Fetch-Site: same-origin", "Origin: https://app.test"}, true},
		"a neighbour":                           {[]string{"Sec-Fetch-Site: same-site", "Origin: https://shop.app.test"}, true},
		"a person":                              {[]string{"Sec-Fetch-Site: none"}, true},
		"an older browser":                      {[]string{"Origin: https://app.test"}, true},
		"an older browser on a friend's page":   {[]string{"Origin: https://friend.test"}, true},
		"an older browser on another host here": {[]string{"Origin: https://open.test"}, true},
		"a program":                             {nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "PROPPATCH", "MKCOL", "LOCK"} {
				l.both(t, method, "/x", append([]string{as("alice")}, c.lines...), func(l *lab, a answer) {
					if c.pass {
						l.passed(a)
						return
					}
					l.refused(a, 403)
					if a.code() != codeCrossSite {
						l.Errorf("%s: answer %s", method, a.body)
					}
				})
			}
			for _, method := range []string{"GET", "HEAD", "OPTIONS", "PROPFIND", "REPORT", "SEARCH", "QUERY"} { // change nothing
				l.both(t, method, "/x", append([]string{as("alice")}, c.lines...), func(l *lab, a answer) { l.passed(a) })
			}
			l.both(t, "POST", "/public/x", append([]string{as("alice")}, c.lines...), func(l *lab, a answer) { l.passed(a) }) // in nobody's name
			l.both(t, "POST", "/x", c.lines, func(l *lab, a answer) { l.refused(a, 401) })
		})
	}
}
