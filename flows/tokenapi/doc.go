// Package tokenapi is the token API of the egress listener, for applications that want a token itself: POST /token,
// /token/exchange and /introspect (and the same below /api/v1/), in the shapes of NAIS' token service.
//
// It hands out only what a [credential.NAME] of the configuration describes, never a target that the caller makes up, and
// exchanges only user tokens that it has verified. It is served on the egress listener alone, and to programs alone: a
// request of a browser is refused. Start at [New]; request.go is what may be said, answer.go what is said back.
package tokenapi
