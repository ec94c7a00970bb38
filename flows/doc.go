// Package flows signs people in and out. Every login has the same beginning and the same
// end; a flow is the part between them, and is one file.
//
// The beginning (pending.go) makes an attempt: a random secret in a cookie of its own,
// bound to one browser, one origin, one provider and one login, and a sealed state
// parameter that names it. Nothing is stored on the server for it. The end (callback.go,
// finish.go) checks in this order, and redeems nothing before the first five hold:
//
//	state    ours, of this provider, fresh, and its cookie came with it (RFC 9700 §4.7)
//	iss      RFC 9207
//	error    what the provider says instead of a code
//	budget   of failures for each address, and of codes redeemed at a time (budget.go)
//	once     a mark in the shared store: of two equal callbacks one goes on
//	redeem   the flow's own part: at most one request to the token endpoint, never repeated
//	session  under a new id, and home by a 303 to a target that is checked again
//
// Flows that go through the provider's own pages are authorization_code.go and front_channel.go (implicit and
// hybrid), which ask by authorization_request.go. What a front-channel answer says comes in a body, never in an
// address of ours: post.go takes it, parks it sealed for half a minute, and leads the browser to the callback by
// a GET, so that the end above is theirs too. relay.go is the page that posts a fragment.
//
// Flows that need no page of the provider in this browser have pages of their own. They make attempts by
// newAttempt and keep, and end by establish (finish.go).
//
//	device.go, ciba.go   say what is asked for, and are asked on another device
//	waiting*.go          what both share: one record in the shared store for each login that waits, no goroutine,
//	                     and at most one token request for each question of the browser
//	notify.go            takes what a provider says by itself about a CIBA login (ping and push)
//	password*.go         ask for a password, and try it at a provider
//	basic.go             takes a password with each request: a provider's (password.go), a local user's (local*.go), or an
//	                     OAuth client's (basic_clients.go)
//	tries.go             is the one way in which any of these is tried. lockout.go bounds wrong passwords, for all
//	                     replicas, without locking anybody out; password_refusal.go remembers refused ones, by the keyed
//	                     hashes of password_name.go
//	keys.go              knows API keys
//	step_up.go           asks for more than a login did, because a provider wants it
//	approval*.go         ask a person on their phone whether one request of theirs may pass; nobody is signed in
//
// Around them: choose.go is the page with several logins, last.go remembers which was used, pass.go says what of
// a visitor's query goes on to the provider, and cookies.go names the cookies of attempts. back.go decides where
// a browser may be sent, and is the only place that does. loop.go stops logins that lead back to a login.
// callback_host.go carries an answer from the one registered host to the host where the login began. sign_out.go
// ends sessions here and at the provider, revoker.go the tokens that nobody holds any more, and knows.go says
// whose sessions still count after a change of the configuration. wonderwall.go has the paths of another
// gateway, for those who come from there. errors.go turns a provider's failure into what people read.
//
// The package never validates a token and never speaks to a provider itself: that is
// flows/provider. It keeps no sessions: that is package sessions. It never proxies, and
// package proxy doesn't know it.
//
// Start reading at [Flows], then pending.go, callback.go and finish.go.
package flows
