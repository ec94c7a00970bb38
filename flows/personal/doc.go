// Package personal is about personal access tokens: minted by a signed-in person for a tool, listed and revoked on the page
// /oauth2/tokens, accepted as Bearer or as Basic password on routes that accept tokens (dwp.…).
//
// A token is "dwp." and 48 characters: 256 random bits and a checksum. It is shown once. What is kept lies in the store, in
// three kinds of records, all of them sealed:
//
//   - the token's, under a hash of the token and sealed with a key that only the token gives, and with the ring: who minted it
//     by which login, and what it is limited to;
//   - its entry in its owner's list, so that it can be shown, and revoked by its id, without knowing it; a token that is in no
//     list does not count;
//   - the owner's, one for each login by which they have minted: what the last such login said about them. All their tokens
//     share it, so a new login renews them with one write and without knowing any of them.
//
// An owner's list and record are named by keyed hashes (names.go). Records of tokens that are used move to the first key of the ring by
// themselves (reseal.go).
//
// A token acts as the person who minted it, and never brings a token of the provider. It is never more than the session it was
// minted by: its hosts are among those where that session counts, because a script of one application must not get itself a
// token for another; its scopes are among the session's; and what its login may not open, it may not either.
//
// On the hot path [Tokens.Authenticate] hashes the token and finds the decoded identity in a bounded cache: no store, no
// decoding, no allocation. Changes on any replica reach the cache by store.Watch, as those of sessions do. When a token was
// last used is written in the background, once an hour at most. A store that cannot be asked is an error and never "nobody".
//
// Only a session by cookie lists, mints and revokes, and changes are same-origin POSTs. A script of an application on the same
// host can do all that too: it is the same origin to the browser. That is why lifetimes are bounded, people see when each token
// was used, and minting is limited.
//
// Start at [Tokens], then authenticate.go for what each request does, and endpoint.go for the page.
package personal
