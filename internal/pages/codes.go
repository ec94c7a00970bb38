package pages

import "net/http"

// code is what is always true of an error code. The codes are a contract: people script
// against them and search for them. docs/errors.md explains each to operators.
type code struct {
	status int
	title  string
	fault  fault
	what   string // happened; where the error itself gives no detail
	advice string // to a person
	again  bool   // the same request may well succeed a little later
}

// fault is where an error lies, as a page says it.
type fault string

const (
	caller      fault = "You, or the page or program that sent this request"
	operator    fault = "The people who run this site"
	provider    fault = "The identity provider"
	application fault = "The application behind this site"
)

const internalError = "internal_error" // what every error is that has no code

var codes = map[string]code{
	"bad_request": {
		http.StatusBadRequest, "Request not understood", caller,
		"The request is damaged, or can be read in more than one way.",
		"Check the address. If a link or a program brought you here, tell whoever made it.", false,
	},
	"unknown_host": {
		http.StatusMisdirectedRequest, "No such site here", operator,
		"No site of this name is served here.",
		"Check the name in the address. If it is right, tell the people who run this site.", false,
	},
	"no_route": {
		http.StatusNotFound, "Nothing here", caller,
		"There is nothing at this address.",
		"Check the address, or go back to the page you came from.", false,
	},
	"method_not_allowed": {
		http.StatusMethodNotAllowed, "Not possible in this way", caller,
		"This address does not take this kind of request.",
		"Go back to the page you came from and begin again there.", false,
	},
	"login_required": {
		http.StatusUnauthorized, "Sign-in needed", caller,
		"You are not signed in.",
		"Sign in to go on.", false,
	},
	"invalid_token": {
		http.StatusUnauthorized, "Token not accepted", caller,
		"The token that came with this request is not accepted here.",
		"Sign in again, or get a new token, and send the request once more. If this happens each time, give the reference to the people who run this site.", false,
	},
	"insufficient_scope": {
		http.StatusForbidden, "The token allows less", caller,
		"The token that came with this request is good, but not for this.",
		"Use a token with the scope that is named, if you may have one. Otherwise ask the people who run this site.", false,
	},
	"step_up_required": {
		http.StatusUnauthorized, "One more proof needed", provider,
		"The identity provider wants to know more of you before this request can go on.",
		"Sign in again. You may be asked for a second factor.", false,
	},
	"access_denied": {
		http.StatusForbidden, "No access", operator,
		"You are signed in, but you may not open this page.",
		"Use another account if you have one. Otherwise ask the people who run this site to let you in, and give them the reference.", false,
	},
	"cross_site": {
		http.StatusForbidden, "Asked for by another site", caller,
		"Another site asked for this, and only this site itself may.",
		"Open this site yourself and do it there.", false,
	},
	"login_state": {
		http.StatusBadRequest, "Sign-in not finished", caller,
		"This answer does not belong to a sign-in that this browser began.",
		"Sign in again, from the page that you want to see and not from a bookmark. If this happens each time, let your browser keep cookies for this site.", false,
	},
	"login_loop": {
		http.StatusLoopDetected, "Sign-in goes in circles", operator,
		"You were signed in several times in a row, and each time you were asked to sign in again.",
		"Let your browser keep cookies for this site, and sign in again. If that does not help, or the cookie did come back, send the details below to the people who run this site: they may have to list a proxy as trusted.", false,
	},
	"login_failed": {
		http.StatusBadRequest, "Sign-in failed", caller,
		"What came back from the identity provider does not fit this sign-in.",
		"Sign in again. If this happens each time, give the reference to the people who run this site.", false,
	},
	"login_denied": {
		http.StatusForbidden, "Sign-in refused", provider,
		"The identity provider did not sign you in.",
		"If you cancelled it yourself, sign in again whenever you like. If not, ask the people who look after your account.", false,
	},
	"too_many_requests": {
		http.StatusTooManyRequests, "Too many attempts", caller,
		"Too many sign-ins were begun, or have failed, from your network or for this account just now.",
		"Wait a moment and try again. If this goes on, give the reference to the people who run this site.", false,
	},
	"wrong_credentials": {
		http.StatusUnauthorized, "User name or password not accepted", caller,
		"The user name, the password or the one-time code is not right.",
		"Check them and try again. If you have forgotten the password, ask the people who look after your account.", false,
	},
	"form_gone": {
		http.StatusGone, "Your form is not here any more", caller,
		"It has been sent already, or you did not finish signing in within ten minutes.",
		"See whether it has arrived. If not, go back to the page where you filled it in; your browser may still have it there.", false,
	},
	"attempt_unknown": {
		http.StatusNotFound, "Nothing to wait for", caller,
		"No sign-in and no approval of this name is waiting in this browser. It may be over already.",
		"Begin again at the page that you want to see, in this browser.", false,
	},
	"login_expired": {
		http.StatusGone, "Time ran out", caller,
		"This sign-in was not finished in time, and no longer counts.",
		"Sign in again.", false,
	},
	"approval_required": {
		http.StatusUnauthorized, "Approval needed", caller,
		"This request goes through only once you have approved it on your phone.",
		"Send it from a page of this site, and then look at your phone.", false,
	},
	"approval_denied": {
		http.StatusForbidden, "Not approved", caller,
		"The request was refused on the phone that was asked. It was not sent.",
		"If you did not refuse it yourself, tell the people who run this site at once.", false,
	},
	"approval_mismatch": {
		http.StatusForbidden, "Not the request that was approved", caller,
		"What came is not exactly the request that the approval is for. It was not sent.",
		"Begin again on the page where you filled it in, and approve what you are asked then.", false,
	},
	"approval_used": {
		http.StatusConflict, "Already used", caller,
		"This approval was good for one request, and that has been sent already.",
		"See whether it has arrived before you begin anew.", false,
	},
	"approval_impossible": {
		http.StatusBadRequest, "Cannot be shown for approval", caller,
		"The request cannot be shown on your phone exactly as it is, or it says something twice. It was not sent.",
		"Check what you have filled in, above all unusual characters. If it is right, give the reference to the people who run this site.", false,
	},
	"body_too_large": {
		http.StatusRequestEntityTooLarge, "Too much to send", caller,
		"What was sent is larger than this address takes.",
		"Send less at a time, or a smaller file.", false,
	},
	"provider_unavailable": {
		http.StatusServiceUnavailable, "Sign-in not available now", provider,
		"The identity provider cannot be reached.",
		"Try again in a minute. If this goes on, tell the people who run this site.", true,
	},
	"provider_error": {
		http.StatusBadGateway, "The identity provider failed", provider,
		"The identity provider answered in a way that cannot be accepted.",
		"Try again. If this goes on, give the reference to the people who run this site.", false,
	},
	"provider_misconfigured": {
		http.StatusBadGateway, "Sign-in not set up correctly", operator,
		"The identity provider and this site do not agree on how people sign in.",
		"Give the reference to the people who run this site. Trying again will not help before they have changed something.", false,
	},
	"overloaded": {
		http.StatusServiceUnavailable, "Too much at a time", operator,
		"More is going on at the moment than can be done at a time. The request was not sent.",
		"Try again in a moment. If this goes on, tell the people who run this site.", true,
	},
	"maintenance": {
		http.StatusServiceUnavailable, "Closed for maintenance", operator,
		"This part of the site is being worked on. Nothing of yours is lost.",
		"Come back a little later. You stay signed in meanwhile.", true,
	},
	"store_unavailable": {
		http.StatusServiceUnavailable, "Sessions not available now", operator,
		"Who you are cannot be looked up at the moment. You are not signed out.",
		"Try again in a moment. If this goes on, tell the people who run this site.", true,
	},
	"decision_unavailable": {
		http.StatusServiceUnavailable, "Access not decidable now", operator,
		"Whether you may open this page cannot be decided at the moment.",
		"Try again in a moment. If this goes on, tell the people who run this site.", true,
	},
	"credential_refused": {
		http.StatusBadGateway, "No pass for the application", operator,
		"The application behind this site wants a proof of who you are, and none could be obtained.",
		"Sign out and in again. If that does not help, give the reference to the people who run this site.", false,
	},
	"no_such_target": {
		http.StatusForbidden, "No way to this address", operator,
		"Nothing is set up for calls to this address.",
		"Check the address. If it is right, ask the people who run this application to add it.", false,
	},
	"upstream_unreachable": {
		http.StatusBadGateway, "The application does not answer", application,
		"The application behind this site cannot be reached.",
		"Try again in a minute. If this goes on, tell the people who run this site.", true,
	},
	"upstream_timeout": {
		http.StatusGatewayTimeout, "The application takes too long", application,
		"The application behind this site did not answer in time.",
		"Try again in a minute. If you were sending something, see first whether it has arrived.", true,
	},
	internalError: {
		http.StatusInternalServerError, "Something failed here", operator,
		"Something failed that should not have.",
		"Try again. If this goes on, give the reference to the people who run this site.", true,
	},
}
