package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/proxy"
)

const (
	defaultKeptPost = 64 << 10
	largestKeptPost = 1 << 20 // a form that must fit into a store that all share
)

func corsKeys() *spec {
	return &spec{form: tables, keys: map[string]*spec{
		"origins": {form: list}, "methods": {form: list}, "headers": {form: list}, "expose_headers": {form: list},
		"credentials": {form: boolean}, "max_age": {form: text},
	}}
}

// readBrowser reads what a route has for browsers: what becomes of requests of nobody, and which other pages may read its answers.
func (t table) readBrowser(rt *proxy.Route) {
	rt.KeepPost, rt.Unauthenticated, rt.CORS = t.keepPost(), t.textOr("unauthenticated", "auto"), t.cors()
	t.warnOfPreflights(rt)
	if rt.Unauthenticated != "401" || rt.Public {
		return
	}
	for _, key := range []string{"keep_post", "keep_fragment"} {
		if t.given(key) {
			t.l.warn("%s: %s has no effect with unauthenticated = \"401\": no request begins a login", t.path, key)
		}
	}
}

// warnOfPreflights says that no preflight finds a route whose match wants a header: a browser sends none of a script's with it.
func (t table) warnOfPreflights(rt *proxy.Route) {
	if rt.CORS == nil {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(rt.Match.Headers)) {
		if !strings.EqualFold(name, "Origin") {
			t.l.warn("%s: cors: no preflight leads to this route, because browsers send no %s with one, which match asks for; tell the routes apart by path, host or query", t.path, name)
		}
	}
}

// keepPost reads up to how many bytes of a form are kept over a login.
func (t table) keepPost() int64 {
	if t.text("keep_post") == "0" {
		return 0
	}
	return t.size("keep_post", defaultKeptPost, 0, largestKeptPost)
}

func (t table) cors() *proxy.CORS {
	c := t.table("cors")
	if c.node == nil {
		return nil
	}
	read := &proxy.CORS{
		Methods: c.list("methods"), Headers: c.list("headers"), ExposeHeaders: c.list("expose_headers"),
		Credentials: c.boolean("credentials", false), MaxAge: c.duration("max_age", 10*time.Minute, time.Second, 24*time.Hour),
	}
	c.each("origins", func(item string) error {
		o, err := crossOrigin(item)
		switch {
		case item == "*":
			read.AnyOrigin = true
		case err != nil:
			return err
		case slices.Contains(read.Origins, o):
			return fmt.Errorf("%q stands there twice", item)
		default:
			read.Origins = append(read.Origins, o)
		}
		return nil
	})
	for _, key := range []string{"methods", "headers"} {
		if c.given(key) && c.value(key) != nil && len(c.list(key)) == 0 {
			c.wrong(key, "the list is empty; leave it out for everything that the route takes")
		}
	}
	switch given := c.list("origins"); {
	case c.given("origins") && c.value("origins") == nil: // reported
	case len(given) == 0:
		c.wrong("origins", `at least one is needed, such as "https://www.example.com"`)
	case read.AnyOrigin && len(given) > 1:
		c.wrong("origins", `"*" is every origin; drop the others, or "*"`)
	case read.AnyOrigin && read.Credentials:
		c.wrong("credentials", `not with origins = ["*"]: every site could read, and change, what whoever visits it may; list the origins`)
	}
	if !read.AnyOrigin && len(read.Origins) == 0 || read.AnyOrigin && read.Credentials {
		return nil // reported
	}
	return read
}

// crossOrigin reads an origin exactly as a browser writes it, since it is compared with that (P183).
func crossOrigin(item string) (o origin.Origin, err error) {
	if strings.Contains(item, "*") && item != "*" {
		return o, fmt.Errorf("%q: there are no patterns; every origin is listed as a whole", item)
	}
	if item == "null" {
		return o, fmt.Errorf(`"null" is what every sandboxed page and local file says, whosever it is`)
	}
	if !strings.Contains(item, "://") {
		return o, fmt.Errorf("%q is no origin; write it in full, as %q", item, "https://"+item)
	}
	return origin.Parse(item)
}
