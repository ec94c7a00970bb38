// Package origin knows the outside URLs under which Doorward is reached: the hosts of
// the routes, as configured, and nothing else (security rule S3).
//
// Everything that Doorward writes with an absolute URL in it (redirect URIs, links,
// cookie attributes, logout targets) takes it from an [Origin] of a [Set], never from
// the request: a Host header only selects among what was configured.
//
// The package reads no forwarding headers and never guesses. Start at [Set.Lookup].
package origin
