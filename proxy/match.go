package proxy

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// Match is what of a request, beside host, path and method, decides whether a route is meant. Of several routes for one
// host, path and method those with a match are asked first, in the order of the configuration. It chooses between routes
// and is never a reason to let somebody pass: each route judges by its own rules (P001).
type Match struct {
	Headers map[string][]string // each header must be there once, with one of the values; no value = with any
	Query   map[string][]string // the same of parameters of the query
}

// Empty reports whether every request fits.
func (m Match) Empty() bool { return len(m.Headers) == 0 && len(m.Query) == 0 }

// Covers reports whether whatever fits other fits m: a route with other is never reached behind one with m.
func (m Match) Covers(other Match) bool {
	return covers(conditionsOf(m.Headers, http.CanonicalHeaderKey), conditionsOf(other.Headers, http.CanonicalHeaderKey)) &&
		covers(conditionsOf(m.Query, asItIs), conditionsOf(other.Query, asItIs))
}

const headerUpgrade = "Upgrade"

// match is a Match, compiled. nil fits every request.
type match struct{ headers, query []condition }

// condition holds for what is there exactly once: of two values nobody can say which one the upstream reads.
type condition struct {
	name   string
	values []string // none = any
}

func asItIs(name string) string { return name }

func conditionsOf(m map[string][]string, spell func(string) string) (all []condition) {
	for _, name := range slices.Sorted(maps.Keys(m)) {
		all = append(all, condition{spell(name), m[name]})
	}
	return all
}

func newMatch(m Match) (*match, error) {
	if m.Empty() {
		return nil, nil
	}
	c := &match{conditionsOf(m.Headers, http.CanonicalHeaderKey), conditionsOf(m.Query, asItIs)}
	for i, h := range c.headers {
		if err := matchableHeader(h.name); err != nil {
			return nil, fmt.Errorf("match.headers.%s: %w", spelling(m.Headers, h.name), err)
		}
		if slices.ContainsFunc(c.headers[:i], func(other condition) bool { return other.name == h.name }) {
			return nil, fmt.Errorf("match.headers.%s: the same header stands there twice", spelling(m.Headers, h.name))
		}
		if slices.ContainsFunc(h.values, func(v string) bool { return v != strings.Trim(v, " \t") || strings.ContainsFunc(v, isControl) }) {
			return nil, fmt.Errorf("match.headers.%s: no header can have this value: spaces at its ends, or a control character", spelling(m.Headers, h.name))
		}
		if h.name == headerUpgrade { // clients write it in capitals, too, and nothing else has got here; see hygiene.clean
			if slices.ContainsFunc(h.values, func(v string) bool { return !strings.EqualFold(v, "websocket") }) {
				return nil, fmt.Errorf("match.headers.%s: nothing but websocket passes", spelling(m.Headers, h.name))
			}
			c.headers[i].values = nil
		}
	}
	for _, q := range c.query {
		if q.name == "" || strings.ContainsAny(q.name, " +") || strings.ContainsFunc(q.name, isControl) {
			return nil, fmt.Errorf("match.query: %q is not the name of a parameter that all servers read alike", q.name)
		}
	}
	return c, nil
}

func isControl(c rune) bool { return c < ' ' || c == 0x7f }

// spelling is how the configuration writes a header.
func spelling(m map[string][]string, canonical string) string {
	for name := range m {
		if http.CanonicalHeaderKey(name) == canonical {
			return name
		}
	}
	return canonical
}

// matchableHeader refuses headers that frame the message, and those that prove who is calling: which route judges must
// not hang on a secret. What is deleted from every request is found by hygiene.matchable.
func matchableHeader(name string) error {
	if !headerName(name) {
		return errors.New("a header name is made of letters, digits and -")
	}
	switch name {
	case "Host":
		return errors.New("the host of a route is said by host")
	case headerAuthorization, "Proxy-Authorization", headerDPoP, "Cookie":
		return errors.New("it proves who is calling, and that never chooses the rules by which they are judged")
	case "Connection", "Proxy-Connection", "Keep-Alive", "Transfer-Encoding", "Content-Length", "X-Request-Id":
		return errors.New("it belongs to the connection and not to the request")
	}
	return nil
}

// matchable checks that no route waits for a header that is gone before routes are looked for.
func (h *hygiene) matchable(routes []*route) error {
	for _, rt := range routes {
		if rt.match == nil {
			continue
		}
		for _, c := range rt.match.headers {
			if h.reserved(c.name) {
				return fmt.Errorf("route.%s: match.headers.%s: this header is deleted from all requests, because only a gateway may set it", rt.name, c.name)
			}
		}
	}
	return nil
}

// holds is asked with the cleaned headers, and with the query as it goes upstream. It allocates nothing.
func (m *match) holds(header http.Header, query string) bool {
	if m == nil {
		return true
	}
	for i := range m.headers {
		c := &m.headers[i]
		if values := header[c.name]; len(values) != 1 || !c.takes(values[0]) {
			return false
		}
		if hopByHop(header, c.name) != (c.name == headerUpgrade) { // which goes on just where it is named there
			return false
		}
	}
	if m.query != nil && strings.IndexByte(query, ';') >= 0 {
		return false // to some servers it separates parameters, and to others it is part of a value (P018)
	}
	for i := range m.query {
		c := &m.query[i]
		if value, once := parameter(query, c.name); !once || !c.takesEncoded(value) {
			return false
		}
	}
	return true
}

// hopByHop reports whether the client has a header end here (RFC 9110 §7.6.1): the upstream does not see it, so it chooses
// no upstream.
func hopByHop(header http.Header, name string) bool {
	for _, line := range header["Connection"] {
		for more := true; more; {
			var option string
			option, line, more = strings.Cut(line, ",")
			if strings.EqualFold(strings.Trim(option, " \t"), name) {
				return true
			}
		}
	}
	return false
}

func (c *condition) takes(value string) bool {
	return len(c.values) == 0 || slices.Contains(c.values, value)
}

func (c *condition) takesEncoded(value string) bool {
	if len(c.values) == 0 {
		return true
	}
	for _, v := range c.values {
		if decodesTo(value, v) {
			return true
		}
	}
	return false
}

// parameter finds the value, as it is written, of a parameter that is there exactly once.
func parameter(query, name string) (value string, once bool) {
	for more := query != ""; more; {
		var pair string
		pair, query, more = strings.Cut(query, "&")
		key, v, _ := strings.Cut(pair, "=")
		if !decodesTo(key, name) {
			continue
		}
		if once {
			return "", false
		}
		value, once = v, true
	}
	return value, once
}

// decodesTo compares without decoding into a copy. A "+" is a space to forms and itself to everybody else, so it equals
// nothing.
func decodesTo(encoded, want string) bool {
	n := 0
	for i := 0; i < len(encoded); i++ {
		c := encoded[i]
		switch {
		case c == '+':
			return false
		case c == '%' && i+2 < len(encoded) && isHex(encoded[i+1]) && isHex(encoded[i+2]):
			c = unhex(encoded[i+1])<<4 | unhex(encoded[i+2])
			i += 2
		}
		if n >= len(want) || want[n] != c {
			return false
		}
		n++
	}
	return n == len(want)
}

// covers reports whether whatever meets all of b meets all of a: each condition of a is one that some condition of b
// makes certain.
func covers(a, b []condition) bool {
	for _, wide := range a {
		if !slices.ContainsFunc(b, func(narrow condition) bool { return narrow.name == wide.name && wide.holdsWith(narrow) }) {
			return false
		}
	}
	return true
}

func (c condition) holdsWith(narrow condition) bool {
	if len(c.values) == 0 {
		return true
	}
	return len(narrow.values) > 0 && !slices.ContainsFunc(narrow.values, func(v string) bool { return !slices.Contains(c.values, v) })
}

// shadows reports whether a route with other, which stands behind one with m, gets no request. A route without a match
// stands behind all others.
func (m *match) shadows(other *match) bool {
	if m == nil || other == nil {
		return m == other
	}
	return covers(m.headers, other.headers) && covers(m.query, other.query)
}

// byMatch puts routes with a match in front, and leaves the order of the configuration as it is otherwise.
func byMatch(a, b *route) int {
	rank := func(rt *route) int {
		if rt.match != nil {
			return 0
		}
		return 1
	}
	return cmp.Compare(rank(a), rank(b))
}
