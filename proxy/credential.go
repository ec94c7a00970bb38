package proxy

import (
	"context"
	"errors"
	"strings"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/pages"
)

// credential obtains what goes upstream for an allowed request. What a person brought
// with them is checked here and set from their injection, built once (tokens is nil); what
// a Source yields is returned. If the route promises a token and there is none, nothing is
// forwarded: the upstream would take the caller for somebody anonymous.
func (rt *route) credential(ctx context.Context, d Decision) (*identity.Tokens, error) {
	if rt.source != nil {
		return rt.fetch(ctx, d.Who)
	}
	if d.Who == nil {
		return nil, nil // a public route: anonymous requests bring no token
	}
	switch rt.credentialName {
	case credentialSession:
		if d.Who.Tokens == nil || d.Who.Tokens.AccessToken.IsZero() {
			return nil, missing("access token")
		}
	case credentialIDToken:
		if d.Who.Tokens == nil || d.Who.Tokens.IDToken.IsZero() {
			return nil, missing("ID token")
		}
	}
	if rt.headers.usesToken && d.Who.Tokens != nil && !d.Who.Tokens.AccessToken.IsZero() && !d.Who.Tokens.Valid(rt.now(), 0) {
		// It has ended and could not be refreshed just now; the session itself is alive.
		return nil, &pages.Error{
			Code: codeProviderUnavailable, RetryAfter: retryAfter,
			Detail: "Your access token has ended and the identity provider does not renew it at the moment.",
			Err:    errors.New("the session's access token has expired and was not refreshed"),
		}
	}
	return nil, nil
}

func (rt *route) fetch(ctx context.Context, who *identity.Identity) (*identity.Tokens, error) {
	tokens, err := rt.source.Token(ctx, who)
	if err != nil {
		var e *pages.Error
		if errors.As(err, &e) {
			return nil, err
		}
		return nil, &pages.Error{Code: codeCredentialRefused, Detail: "No token could be obtained for the application behind this address.", Err: err}
	}
	if tokens == nil || tokens.AccessToken.IsZero() {
		return nil, missing("access token")
	}
	return tokens, nil
}

func missing(what string) error {
	return &pages.Error{
		Code:   codeCredentialRefused,
		Detail: "The application behind this address needs your " + what + ", and the identity provider gave none.",
		Err:    errors.New("the session holds no " + what),
	}
}

// connectionBound reports whether a client signs in by NTLM or Negotiate. Servers bind these
// to the connection, and the connections to an upstream are shared by everybody: the next
// person's request would go under this one's name.
func connectionBound(authorization []string) bool {
	for _, a := range authorization {
		scheme, _, _ := strings.Cut(a, " ")
		if strings.EqualFold(scheme, "NTLM") || strings.EqualFold(scheme, "Negotiate") {
			return true
		}
	}
	return false
}
