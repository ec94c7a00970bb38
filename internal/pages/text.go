package pages

import (
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of what a page or a problem document repeats, in bytes. What it is given comes from
// operators, providers and strangers.
const (
	maxLabel   = 120
	maxDetail  = 500
	maxValue   = 300
	maxURL     = 4 << 10
	maxFacts   = 20
	maxActions = 6
)

// clean makes a text fit to be shown: valid UTF-8 on one line, nothing that a terminal obeys or
// that turns the direction of what follows, and no longer than the limit. The template escapes it.
func clean(s string, limit int) string {
	if len(s) > limit {
		for limit > 0 && !utf8.RuneStart(s[limit]) {
			limit--
		}
		s = s[:limit] + "…"
	}
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r), r == '\u2028', r == '\u2029':
			return ' '
		case unicode.IsPrint(r), r == '\u200c', r == '\u200d': // the joiners of Persian, Hindi and emoji
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

// link returns s if it can be the target of a link or a form of ours: a path, or an absolute
// http or https URL. Everything else is "", and not shown. It is no judge of where a browser
// may go, only a second look: "//evil", "/\evil" and "javascript:" never come this far.
func link(s string) string {
	if s == "" || len(s) > maxURL || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '\\' }) {
		return ""
	}
	if s[0] == '/' {
		if strings.HasPrefix(s, "//") {
			return ""
		}
		return s
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil {
		return ""
	}
	return s
}

// ownPath returns s if it is a path of our own, which may have a query.
func ownPath(s string) string {
	if to := link(s); to != "" && to[0] == '/' {
		return to
	}
	return ""
}

// webAddress returns s if it is an absolute http or https URL, as a person can type it elsewhere.
func webAddress(s string) string {
	if to := link(s); to != "" && to[0] != '/' {
		return to
	}
	return ""
}
