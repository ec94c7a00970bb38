// Package bearer judges the bearer tokens that requests bring (RFC 6750): JWT access tokens (RFC 9068 and ordinary ones)
// and opaque ones by introspection (RFC 7662), of several issuers, and their binding to a key by DPoP (RFC 9449) or a client
// certificate (RFC 8705).
//
// Verdicts are cached under a hash of the token and of everything that the verdict depends on, never longer than the token
// lasts. The issuer that a token names is looked up in the configured list before anything is asked over the network. Proofs
// of possession are checked with each request, and never cached.
//
// It reads no request and writes no answer: package proxy hands it what was presented, and says no in HTTP. Start at
// [Checker.Check]; verdict.go is what is remembered, judge.go who is asked, places.go how
// many at a time, binding.go what a bound token needs besides.
package bearer
