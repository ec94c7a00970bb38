// Package identity holds the noun that travels through Doorward: who is calling, as
// proved by a provider, and the tokens that came with the proof.
//
// An [Identity] is immutable. It is built in one place only, by flows/provider after it
// has checked everything (security rule S8), or read back from a session that sealed
// such a value. Its key is (issuer, subject) and nothing else: an e-mail address or a
// user name is an attribute, never a key.
//
// The package knows no HTTP, no provider, no store and no policy. Start at [Identity].
package identity
