package flows

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/sessions"
	"github.com/doorward/doorward/sessions/store"
)

// The stable codes of docs/errors.md that this package answers with.
const (
	codeBadRequest    = "bad_request"
	codeMethod        = "method_not_allowed"
	codeUnknownHost   = "unknown_host"
	codeCrossSite     = "cross_site"
	codeLoginRequired = "login_required"
	codeState         = "login_state"
	codeLoop          = "login_loop"
	codeFailed        = "login_failed"
	codeDenied        = "login_denied"
	codeProviderDown  = "provider_unavailable"
	codeProviderBad   = "provider_error"
	codeMisconfigured = "provider_misconfigured"
	codeStore         = "store_unavailable"
	codeTooMany       = "too_many_requests"
	codeBodyTooLarge  = "body_too_large"
)

const (
	retryAfter = 5 * time.Second // where nobody said anything better
	maxShown   = 200             // bytes of somebody else's text on a page or in a log line
)

// loginRequired is the 401 of spec-digest §30. It begins nothing.
func (f *Flows) loginRequired(here origin.Origin, back string, logins []*login) error {
	return &pages.Error{
		Code:      codeLoginRequired,
		Challenge: []string{fmt.Sprintf("Bearer realm=%q", here.Authority())},
		LoginURL:  f.startURL(here, f.target(here, back), logins),
	}
}

// stateError is the answer to a callback that doesn't belong to a login of this browser.
func (f *Flows) stateError(here origin.Origin, back, why string) error {
	return &pages.Error{Code: codeState, Detail: why, LoginURL: f.startURL(here, f.target(here, back), nil)}
}

// sessionError is the answer when sessions cannot be kept or asked.
func (f *Flows) sessionError(err error) error {
	switch {
	case errors.Is(err, store.ErrUnavailable):
		return f.storeError(err)
	case errors.Is(err, sessions.ErrTooLarge): // what the provider says of this person doesn't fit (R3)
		return &pages.Error{Code: codeMisconfigured, Detail: "What the identity provider says about you is more than a session can hold here.", Err: err}
	}
	return fmt.Errorf("session: %w", err)
}

func (f *Flows) storeError(err error) error {
	return &pages.Error{Code: codeStore, Err: err, RetryAfter: retryAfter}
}

// refreshError is the answer when a refresh that was asked for fails and the session goes on.
func (f *Flows) refreshError(err error) error {
	var e *provider.Error
	if errors.As(err, &e) {
		return providerFailure(e, err)
	}
	return f.sessionError(err)
}

// providerError is the answer to a login that cannot begin.
func (f *Flows) providerError(w http.ResponseWriter, l *login, err error) error {
	record(w, l)
	var e *provider.Error
	if errors.As(err, &e) {
		return providerFailure(e, err)
	}
	return fmt.Errorf("login.%s: %w", l.name, err)
}

// answerError is the answer to a callback that didn't make an identity. It is 400 and not 502
// where the failure lies in what the browser brought: a parameter, or a code that belongs to
// another login (P093, P095, P096).
func (f *Flows) answerError(l *login, a *attempt, err error) error {
	var e *provider.Error
	if !errors.As(err, &e) {
		return fmt.Errorf("login.%s: %w", l.name, err)
	}
	p := providerFailure(e, err)
	if e.Kind == provider.Misbehaved && (e.Code == "bad_nonce" || e.Code == codeBadAnswer) || codeWasRefused(err) {
		p.Code = codeFailed
	}
	p.LoginURL = f.again(l, a)
	return p
}

// providerFailure is the one place where a provider's failure becomes an answer (spec-digest §30).
func providerFailure(e *provider.Error, err error) *pages.Error {
	p := &pages.Error{Err: err}
	switch e.Kind {
	case provider.Unavailable:
		p.Code, p.RetryAfter = codeProviderDown, max(e.RetryAfter, retryAfter)
	case provider.Refused:
		p.Code = codeProviderBad
		if e.Code == "access_denied" {
			p.Code = codeDenied
		}
	case provider.Misconfigured:
		p.Code = codeMisconfigured
	default:
		p.Code = codeProviderBad
	}
	if e.Groups {
		p.Detail = "The identity provider does not tell which groups you are in, and without them nobody is let in."
	}
	return p
}

// again is where to try the same login once more.
func (f *Flows) again(l *login, a *attempt) string {
	return f.startURL(a.here, f.target(a.here, a.back), []*login{l})
}

// needsPerson reports whether an error response says that a login without the person's
// doing is impossible (OIDC Core §3.1.2.6).
func needsPerson(code string) bool {
	switch code {
	case "login_required", "interaction_required", "consent_required", "account_selection_required":
		return true
	}
	return false
}

// responseError is the answer to an error response of the provider (RSP-2): our own words for
// every code that the standards know. What the provider says besides is shown as its
// words, cut and cleaned; the page escapes it (P106).
func (f *Flows) responseError(l *login, a *attempt, code, description string) error {
	p := &pages.Error{
		Err:      fmt.Errorf("error response of provider %s: %s: %s", l.provider, bounded(code), bounded(description)),
		LoginURL: f.again(l, a),
	}
	switch {
	case code == "access_denied":
		p.Code, p.Detail = codeDenied, "The sign-in was cancelled, or the provider does not let this account in."
	case code == "temporarily_unavailable":
		p.Code, p.Detail, p.RetryAfter = codeProviderDown, "The provider is too busy just now.", retryAfter
	case code == "server_error":
		p.Code, p.Detail = codeProviderBad, "Something failed at the provider."
	case needsPerson(code):
		p.Code, p.Detail = codeFailed, "The provider needs you to do something there, and did not ask."
	case code == "invalid_request", code == "unauthorized_client", code == "unsupported_response_type", code == "invalid_scope":
		p.Code, p.Detail = codeMisconfigured, "The provider does not accept how Doorward asks: "+code+"."
	default:
		p.Code, p.Detail = codeProviderBad, "The provider ended the sign-in with an error."
	}
	p.Facts = []pages.Fact{{Name: "Error", Value: bounded(code)}}
	if description != "" {
		p.Facts = append(p.Facts, pages.Fact{Name: "The provider says", Value: bounded(description)})
	}
	return p
}

// bounded makes somebody else's text fit for a page and a log line: printable ASCII, and not much of it.
func bounded(s string) string {
	if len(s) > maxShown {
		s = s[:maxShown] + "..."
	}
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r > 0x7e {
			return '?'
		}
		return r
	}, s)
}
