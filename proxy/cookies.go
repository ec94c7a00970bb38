package proxy

import (
	"net/http"
	"slices"
	"strings"
)

// stripCookies removes our own cookies from a request: an upstream that saw the session
// cookie could replay it (P028). Other cookies keep their bytes.
func stripCookies(h http.Header, own func(name string) bool) {
	lines := h["Cookie"]
	kept := lines[:0] // h is the outgoing copy
	for _, line := range lines {
		if line = withoutOwn(line, own); line != "" {
			kept = append(kept, line)
		}
	}
	if len(kept) == 0 {
		delete(h, "Cookie")
		return
	}
	h["Cookie"] = kept
}

func holdsOwn(line string, own func(string) bool) bool {
	for more := true; more; {
		var pair string
		pair, line, more = strings.Cut(line, ";")
		if own(cookieName(pair)) {
			return true
		}
	}
	return false
}

func withoutOwn(line string, own func(string) bool) string {
	if pair, rest, _ := strings.Cut(line, ";"); !holdsOwn(rest, own) { // the usual cases, without a copy
		if own(cookieName(pair)) {
			return strings.TrimLeft(rest, " \t")
		}
		return line
	}
	var b strings.Builder
	b.Grow(len(line))
	for more := true; more; {
		var pair string
		pair, line, more = strings.Cut(line, ";")
		if pair = strings.Trim(pair, " \t"); pair == "" || own(cookieName(pair)) {
			continue
		}
		if b.Len() > 0 {
			b.WriteString("; ")
		}
		b.WriteString(pair)
	}
	return b.String()
}

// cookieName finds the name under which a server files name=value. A pair that begins
// with "=" is one without a name, which older browsers send back as its value alone: the
// name is then found in there.
func cookieName(pair string) string {
	pair = strings.TrimLeft(pair, " \t=")
	name, _, _ := strings.Cut(pair, "=")
	return strings.TrimRight(name, " \t")
}

// stripSetCookies keeps an upstream from setting or clearing our cookies (BFF-6).
func stripSetCookies(h http.Header, own func(name string) bool) {
	lines := h["Set-Cookie"]
	if lines == nil {
		return
	}
	lines = slices.DeleteFunc(lines, func(line string) bool {
		pair, _, _ := strings.Cut(line, ";")
		return own(cookieName(pair))
	})
	if len(lines) == 0 {
		delete(h, "Set-Cookie")
		return
	}
	h["Set-Cookie"] = lines
}

// carriesOwn reports whether a request came with one of our cookies.
func carriesOwn(h http.Header, own func(name string) bool) bool {
	return slices.ContainsFunc(h["Cookie"], func(line string) bool { return holdsOwn(line, own) })
}
