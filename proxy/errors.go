package proxy

import (
	"net/http"
	"strings"

	"github.com/doorward/doorward/internal/pages"
)

// Codes of the errors that requests end in; package pages knows their status and words.
const (
	codeBadRequest          = "bad_request"
	codeUnknownHost         = "unknown_host"
	codeNoRoute             = "no_route"
	codeMethodNotAllowed    = "method_not_allowed"
	codeLoginRequired       = "login_required"
	codeWrongCredentials    = "wrong_credentials"
	codeTooMany             = "too_many_requests"
	codeLoginDenied         = "login_denied"
	codeInvalidToken        = "invalid_token"
	codeInsufficientScope   = "insufficient_scope"
	codeStepUp              = "step_up_required"
	codeAccessDenied        = "access_denied"
	codeCrossSite           = "cross_site"
	codeStoreUnavailable    = "store_unavailable"
	codeDecisionUnavailable = "decision_unavailable"
	codeProviderUnavailable = "provider_unavailable"
	codeCredentialRefused   = "credential_refused"
	codeUpstreamUnreachable = "upstream_unreachable"
	codeUpstreamTimeout     = "upstream_timeout"
)

// anyMethod is the Allow header where no route has a say.
const anyMethod = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"

func methodNotAllowed(w http.ResponseWriter, allow string) error {
	w.Header().Set("Allow", allow) // RFC 9110 §15.5.6
	return &pages.Error{Code: codeMethodNotAllowed, Detail: "Allowed here: " + allow + "."}
}

// registeredMethods are those of the IANA registry that may pass where a route doesn't list
// its own: Git, WebDAV and CalDAV work, an invented "FOO" or "get" does not (P016). BIND,
// REBIND, UNBIND, LINK and UNLINK are not among them: they change what a second address
// means, and name it where nobody here looks (RFC 5842, RFC 2068 §19.6.1).
var registeredMethods = set(strings.Fields(`
	GET HEAD POST PUT PATCH DELETE OPTIONS
	ACL BASELINE-CONTROL CHECKIN CHECKOUT COPY LABEL LOCK MERGE MKACTIVITY MKCALENDAR MKCOL MKREDIRECTREF
	MKWORKSPACE MOVE ORDERPATCH PROPFIND PROPPATCH QUERY REPORT SEARCH UNCHECKOUT UNLOCK UPDATE UPDATEREDIRECTREF
	VERSION-CONTROL`))

// RegisteredMethod reports whether a method is one of those that may pass where a route does not list its own.
func RegisteredMethod(method string) bool { return registeredMethods[method] }

func set(values []string) map[string]bool {
	m := make(map[string]bool, len(values))
	for _, v := range values {
		m[v] = true
	}
	return m
}

// safeMethods change nothing, by the same registry; a request from another site may make
// them, because its page cannot read the answer.
var safeMethods = set([]string{"GET", "HEAD", "OPTIONS", "PROPFIND", "QUERY", "REPORT", "SEARCH"})
