package config

import (
	"slices"
	"strings"

	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/proxy"
)

// routePlace is a host with a path. Routes without a host have the zero Origin: they stand behind all others, in a table of
// their own.
type routePlace struct {
	host origin.Origin
	path string
}

// routePlaces has the numbers of the routes at each place, in order: comparing each with each would be too much work.
type routePlaces map[routePlace][]int

func (c *composer) placesOfRoutes() routePlaces {
	places := make(routePlaces)
	for i := range c.c.routes {
		for _, p := range placesOf(&c.c.routes[i]) {
			places[p] = append(places[p], i)
		}
	}
	return places
}

func placesOf(rt *proxy.Route) (all []routePlace) {
	path := strings.TrimSuffix(rt.Path, "/")
	if len(rt.Hosts) == 0 {
		return []routePlace{{path: path}}
	}
	for _, o := range rt.Hosts {
		all = append(all, routePlace{o, path})
	}
	return all
}

// beside returns the routes that have a host and the path of rt, itself among them, in order and each once.
func (p routePlaces) beside(rt *proxy.Route) []int {
	places := placesOf(rt)
	if len(places) == 1 {
		return p[places[0]]
	}
	var all []int
	for _, place := range places {
		all = append(all, p[place]...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}
