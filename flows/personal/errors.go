package personal

import (
	"errors"
	"fmt"
	"time"

	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/sessions/store"
)

// The stable codes of docs/errors.md that this package answers with.
const (
	codeBadRequest    = "bad_request"
	codeUnknownHost   = "unknown_host"
	codeMethod        = "method_not_allowed"
	codeCrossSite     = "cross_site"
	codeLoginRequired = "login_required"
	codeDenied        = "access_denied"
	codeScope         = "insufficient_scope"
	codeNoRoute       = "no_route"
	codeTooMany       = "too_many_requests"
	codeBodyTooLarge  = "body_too_large"
	codeStore         = "store_unavailable"
	codeMisconfigured = "provider_misconfigured"
)

const retryAfter = 5 * time.Second // where nobody said anything better

var (
	errTooLarge  = errors.New("too large for a personal token")
	errOvertaken = fmt.Errorf("another write came first, %d times", maxAttempts)
)

// unavailable makes err what a store that cannot be asked is.
func unavailable(err error) error {
	if errors.Is(err, store.ErrUnavailable) {
		return fmt.Errorf("personal tokens: %w", err)
	}
	return fmt.Errorf("personal tokens: %w: %w", store.ErrUnavailable, err)
}

// answer makes an error one that can be answered with.
func answer(err error) error {
	var e *pages.Error
	switch {
	case err == nil, errors.As(err, &e):
		return err
	case errors.Is(err, store.ErrUnavailable):
		return &pages.Error{Code: codeStore, Err: err, RetryAfter: retryAfter}
	case errors.Is(err, errTooLarge):
		return &pages.Error{Code: codeMisconfigured, Detail: "What the identity provider says about you is more than a token can hold here.", Err: err}
	}
	return err
}

func bad(detail string) error { return &pages.Error{Code: codeBadRequest, Detail: detail} }

// loginRequired is the 401 of a program without a session. It begins nothing.
func (t *Tokens) loginRequired(here origin.Origin) error {
	return &pages.Error{
		Code: codeLoginRequired, Detail: "Personal tokens are for people who are signed in here with their browser.",
		Challenge: []string{fmt.Sprintf("Bearer realm=%q", here.Authority())}, LoginURL: here.String() + t.start(),
	}
}
