// Package credential obtains the token that goes upstream: one [Source] for each [credential.NAME], by client credentials
// (RFC 6749 §4.4), token exchange (RFC 8693), the JWT bearer grant (RFC 7523, Entra on-behalf-of), a service account's
// password, a JWT signed by Doorward itself, or a fixed secret.
//
// Tokens are cached under a hash of everything that they depend on (S14): flow, provider, client, scopes, audience,
// resource and further parameters, and for whom: issuer, subject, session and the token that was traded. They are fetched
// once however many ask, renewed ahead of their end, shared with other replicas through the store, sealed, and never handed
// out after they ended.
//
// A token in memory weighs its text and some 500 bytes: the 64 MiB that are set by default hold about 32,000 tokens of 1.5 kB,
// and 100,000 identities with 3 audiences each want 600 MiB to be there all at once. What does not fit is taken from the
// shared store, or fetched again.
//
// It never forwards a request, never lets a caller choose audience or scope, and never falls back to another token than the
// configured one. Start at [Set] and [Source.Token]; obtain.go is what happens when the cache has nothing, gate.go when a
// provider is asked and when it is left alone, life.go how long what comes is good for, and failure.go what callers are told.
package credential
