package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/doorward/doorward/internal/config"
	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/proxy"
)

// printRoutes prints the routes of each host as requests meet them: the longest path first, and of
// two alike the one that names the host.
func printRoutes(out io.Writer, c *config.Config) {
	fmt.Fprintf(out, "Routes: the first whose path fits; if its method does not, the answer is 405\n")
	routes := c.Proxy().Routes
	for _, o := range c.Origins() {
		fmt.Fprintf(out, "  %s\n", o)
		here := routesOf(routes, o)
		if len(here) == 0 {
			fmt.Fprintf(out, "    nothing but Doorward's own %s\n", c.Listen.Prefix)
			continue
		}
		signs := assertions(c, o)
		columns(out, func(w io.Writer) {
			for _, rt := range here {
				fmt.Fprintf(w, "    %s\t%s\t%s: %s\n    \t\t%s\n", plain(rt.Path), methods(rt), rt.Name, destination(rt), strings.Join(terms(rt, c.Caller(rt.Name)), "; "))
				for _, line := range features(rt, signs[rt.Headers.Assertion]) {
					fmt.Fprintf(w, "    \t\t%s\n", line)
				}
			}
		})
	}
	fmt.Fprintln(out)
}

func routesOf(routes []proxy.Route, o origin.Origin) (here []proxy.Route) {
	for _, rt := range routes {
		if len(rt.Hosts) == 0 || slices.Contains(rt.Hosts, o) {
			here = append(here, rt)
		}
	}
	slices.SortStableFunc(here, func(a, b proxy.Route) int {
		return cmp.Or(cmp.Compare(depth(b), depth(a)), strings.Compare(plain(a.Path), plain(b.Path)), cmp.Compare(min(len(b.Hosts), 1), min(len(a.Hosts), 1)), cmp.Compare(unmatched(a), unmatched(b)))
	})
	// A route for every host is never reached where one that names the host has the same path.
	named := make(map[string]bool)
	for i := range here {
		named[plain(here[i].Path)] = named[plain(here[i].Path)] || len(here[i].Hosts) > 0
	}
	return slices.DeleteFunc(here, func(rt proxy.Route) bool { return len(rt.Hosts) == 0 && named[plain(rt.Path)] })
}

// plain is a path without the slash at its end, which means nothing.
func plain(path string) string {
	if path = strings.TrimSuffix(path, "/"); path == "" {
		return "/"
	}
	return path
}

// depth counts the segments of a route's path.
func depth(rt proxy.Route) int {
	if plain(rt.Path) == "/" {
		return 0
	}
	return strings.Count(plain(rt.Path), "/")
}

// unmatched puts routes with a match in front.
func unmatched(rt proxy.Route) int {
	if rt.Match.Empty() {
		return 1
	}
	return 0
}

// methods are what of a request, beside host and path, a route is for.
func methods(rt proxy.Route) string {
	words := "all methods"
	if len(rt.Methods) > 0 {
		words = strings.Join(rt.Methods, " ")
	}
	for _, name := range slices.Sorted(maps.Keys(rt.Match.Headers)) {
		words += " with " + name + valuesWords(": ", rt.Match.Headers[name])
	}
	for _, name := range slices.Sorted(maps.Keys(rt.Match.Query)) {
		words += " with ?" + name + valuesWords("=", rt.Match.Query[name])
	}
	return words
}

func valuesWords(sign string, values []string) string {
	if len(values) == 0 {
		return ""
	}
	return sign + strings.Join(values, "|")
}
