package proxy

import (
	"net/http"
	"strings"
)

var private = []string{"private"}

// sharedCacheOnly are fields that shared caches heed before Cache-Control: RFC 9213 and its
// relatives, and nginx's own.
var sharedCacheOnly = []string{"Surrogate-Control", "Cdn-Cache-Control", "Cloudflare-Cdn-Cache-Control", "Vercel-Cdn-Cache-Control", "Edge-Control", "X-Accel-Expires"}

// keepPrivate makes an answer to somebody signed in private to their browser, whatever the
// upstream says: it doesn't know that its page now depends on who asks (P154). RFC 9111
// §3.5 protects answers to Authorization, but none to cookies. max-age, immutable and
// the rest of what browsers heed stay.
//
// There is no switch for it, and no "Vary: Cookie" instead: a shared cache asks nobody who may see what it keeps, and by its
// cookies every browser is another. What everybody may see has its place on a public route.
func keepPrivate(h http.Header) {
	for _, name := range sharedCacheOnly {
		delete(h, name)
	}
	lines := h["Cache-Control"]
	if len(lines) == 0 {
		h["Cache-Control"] = private
		return
	}
	strict, loose := false, false
	for _, line := range lines {
		for line != "" {
			var directive string
			directive, line = cutDirective(line)
			switch judgeDirective(directive) {
			case strictDirective:
				strict = true
			case looseDirective:
				loose = true
			}
		}
	}
	if strict && !loose {
		return
	}
	var kept []string
	if !strict {
		kept = private[:1:1]
	}
	for _, line := range lines {
		for line != "" {
			var directive string
			directive, line = cutDirective(line)
			if directive != "" && judgeDirective(directive) != looseDirective {
				kept = append(kept, directive)
			}
		}
	}
	h["Cache-Control"] = []string{strings.Join(kept, ", ")}
}

const (
	otherDirective  = iota
	strictDirective // keeps an answer out of shared caches
	looseDirective  // lets it into them, or is for them alone
)

// judgeDirective takes those for loose that contradict a strict one, too: which of the two a cache obeys is its secret.
func judgeDirective(directive string) int {
	name, _, hasArgument := strings.Cut(directive, "=")
	switch strings.ToLower(strings.TrimRight(name, " \t")) {
	case "no-store", "private":
		if hasArgument {
			return looseDirective // private="Set-Cookie" covers that field only
		}
		return strictDirective
	case "public", "s-maxage", "proxy-revalidate",
		"must-understand": // beside no-store, it lets caches ignore that (RFC 9111 §5.2.2.3)
		return looseDirective
	}
	return otherDirective
}

// cutDirective takes the first element off a list (RFC 9110 §5.6.1). A comma in a quoted string
// (§5.6.4) ends none: x="a, no-store" says nothing about storing.
func cutDirective(list string) (directive, rest string) {
	quoted := false
	for i := 0; i < len(list); i++ {
		switch c := list[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted:
			i++
		case c == ',' && !quoted:
			return strings.Trim(list[:i], " \t"), list[i+1:]
		}
	}
	return strings.Trim(list, " \t"), ""
}

// clearable is what an upstream may tell a browser to forget.
var clearable = set([]string{`"cache"`, `"storage"`, `"executionContexts"`, `"clientHints"`, `"prefetchCache"`, `"prerenderCache"`})

// keepCookies takes "cookies" out of Clear-Site-Data, and makes of "*" what is left of it. Browsers
// clear the cookies of the whole registrable domain: an upstream could end the sessions here of every
// host beside it, and it neither sets nor clears our cookies (BFF-6). Its own it can expire by
// Set-Cookie.
func keepCookies(h http.Header) {
	lines := h["Clear-Site-Data"]
	if lines == nil {
		return
	}
	var kept []string
	for _, line := range lines {
		for line != "" {
			var what string
			what, line = cutDirective(line)
			switch {
			case clearable[what]:
				kept = append(kept, what)
			case what == `"*"`:
				kept = append(kept, `"cache"`, `"storage"`, `"executionContexts"`)
			}
		}
	}
	if kept == nil {
		delete(h, "Clear-Site-Data")
		return
	}
	h["Clear-Site-Data"] = []string{strings.Join(kept, ", ")}
}
