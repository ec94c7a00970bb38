// Package sessions keeps who is signed in: one browser, one session, one cookie.
//
// In a store the cookie is a ticket, 256 random bits. The key in the store is a hash of the
// ticket and of the place where it counts (cookie name and origin, or domain), so that a
// cookie which is carried to another application names nothing there. The record under it is
// sealed twice: with a key that is drawn from the ticket, and with Deps.Ring. A stolen store is
// useless without the cookies, even to one who has the keys; a stolen cookie opens
// nothing in a stolen store without the keys. The session's id in logs is that hash.
//
// With Config.InCookie the whole record is compressed, sealed with the ring, and cut into at
// most five cookies: NAME, NAME.1 … NAME.4. Its price: a session that ended must be remembered
// in Deps.Shared until it would have ended by itself; a copy of a cookie from before a
// refresh is good for five minutes, and then uses a refresh token for the second time, which
// ends the session; a request a minute asks Shared; an ID token that makes it too large is
// left out, and a session that is too large without it is ErrTooLarge.
//
// On the hot path [Keeper.Authenticate] hashes the cookie and finds the decoded session in a
// bounded cache: no store, no decoding, no allocation. Changes anywhere reach the cache by
// store.Watch, and a read that a change overtakes does not count (cache.go).
//
// Fifty requests with a session whose tokens are about to end make one call to the
// provider: one flight for each session in the process, one lock for each session in Shared,
// and whoever gets the lock later finds a newer record and uses it (refresh.go, lock.go). Up to
// the end of the old token nobody waits. New tokens are stored before they are used; if
// that fails they are used all the same, and storing them is tried until it succeeds, because
// a rotated refresh token that is lost ends the session. A refresh that the provider refuses
// ends the session; any other failure changes nothing, and is not repeated at once.
//
// A session that Deps.Valid refuses is nobody's. Tokens that no session holds any more, after a
// sign-out, another login, or a refresh that ended too late, are handed to Deps.Ended.
//
// A session lasts until nobody used it for Config.Idle, and never longer than
// Config.Lifetime; the end of a token is the end of neither. What cannot be read (another
// version, another key, garbage, a cookie that is there twice) is no session and never an
// error. A store that cannot be asked is an error and never "no session" (R23).
//
// Who has no cookie may bring the ticket itself ([Keeper.Tickets]): a program that a person signed in by
// another device. Who proves themselves anew with each request has a session under a ticket that is
// computed from the proof ([Keeper.Derived]), of a kind of its own: neither is good for the other. Both take
// the same way as a cookie, and get none.
//
// The package shows nothing, redirects nobody, speaks to no provider, and logs no cookie and
// no token. It adopts no id that came from a browser: there is no way to keep one over a
// login (P072).
//
// Start reading at [Keeper] in keeper.go, then find.go and refresh.go; home.go says what the
// two places where sessions live have in common; tickets.go and derived.go are the ways without a cookie.
package sessions
