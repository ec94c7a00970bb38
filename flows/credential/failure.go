package credential

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/credentials"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/pages"
)

const (
	codeRefused      = "credential_refused"
	codeProviderDown = "provider_unavailable"
)

// retryAfter is what callers are told where the provider names no time.
const retryAfter = 5 * time.Second

// failure is what Token returns for what a provider said (spec-digest §30). The caller reads a sentence; the advice for
// the operator is in Err, which goes into the log.
func (s *Source) failure(said *provider.Error) error {
	switch {
	case said.Kind == provider.Unavailable:
		wait := said.RetryAfter
		if wait <= 0 {
			wait = retryAfter
		}
		return &pages.Error{
			Code: codeProviderDown, RetryAfter: min(wait, longestOutage), Err: s.named(said),
			Detail: "The identity provider gives no token for the application behind this address at the moment.",
		}
	case said.Kind == provider.Refused && s.subject == nil && s.Personal():
		return s.refusedExchange(said)
	}
	return s.refusal(said)
}

// refusedExchange is a no to the token that the caller brought, which only they can do something about.
func (s *Source) refusedExchange(said *provider.Error) error {
	switch {
	case said.Claims != "": // Entra wants more of the person, and says in its claims what
		return &credentials.Refusal{
			Word: credentials.InsufficientClaims, Description: "The identity provider wants more of you before it gives a token for this application",
			Params: [][2]string{{"claims", base64.StdEncoding.EncodeToString([]byte(said.Claims))}}, Cause: s.named(said),
		}
	case said.Code == "invalid_grant" || said.Code == "invalid_token":
		return &credentials.Refusal{Word: credentials.InvalidToken, Description: "The identity provider exchanges this token no more", Cause: s.named(said)}
	case said.Code == "interaction_required" || said.Code == "login_required" || said.Code == "account_selection_required":
		return &credentials.Refusal{Word: credentials.InvalidToken, Description: "The identity provider wants you to sign in anew before it exchanges this token", Cause: s.named(said)}
	}
	return s.refusal(said)
}

// refusal is what the operator must mend, here or at the provider.
func (s *Source) refusal(cause error) error {
	return &pages.Error{Code: codeRefused, Detail: "No token could be obtained for the application behind this address.", Err: s.named(cause)}
}

func (s *Source) named(cause error) error { return fmt.Errorf("credential %q: %w", s.name, cause) }

// nobody is the answer for an anonymous request to what only somebody can have.
func nobody(s *Source) error {
	return &pages.Error{
		Code: codeRefused, Detail: "The application behind this address wants a token of yours, and this request is nobody's.",
		Err: s.named(errors.New("an anonymous request has no token to exchange")),
	}
}

// tokenless is the answer for somebody who proved themselves without a token of the kind that is exchanged. A personal
// token never brings one, whatever the provider gave at the sign-in, and stands for a session of its own.
func tokenless(s *Source, who *identity.Identity, what string) error {
	detail := "The application behind this address wants your " + what + ", and the identity provider gave none."
	if who.Session == "" || who.Tokens == nil {
		detail = "What you have proved yourself with (a password, a key, a personal access token) brings no " + what + " that could be exchanged for the application behind this address."
	}
	return &pages.Error{Code: codeRefused, Detail: detail, Err: s.named(fmt.Errorf("the caller, of login %q and provider %q, brings no %s", who.Login, who.Provider, what))}
}

// foreign is the answer for somebody of another provider than the one that would have to exchange their token.
func foreign(s *Source, who *identity.Identity) error {
	return &pages.Error{
		Code: codeRefused, Detail: "You are signed in by another identity provider than the one that gives tokens for the application behind this address.",
		Err: s.named(fmt.Errorf("the caller's token is of %q, and %q (provider %q) exchanges only its own; flow jwt_bearer crosses domains, and routes can be limited to logins of one provider",
			who.Issuer, s.client.Issuer(), s.client.Name())),
	}
}

// ended is the answer for somebody whose token is over. One of a session may be renewed a moment later; who sent it as a
// Bearer must send another.
func ended(s *Source, who *identity.Identity, what string) error {
	cause := s.named(fmt.Errorf("the caller's %s has expired", what))
	if who != nil && who.Session == "" {
		return &credentials.Refusal{Word: credentials.InvalidToken, Description: "The token has expired", Cause: cause}
	}
	return &pages.Error{
		Code: codeProviderDown, RetryAfter: retryAfter, Err: cause,
		Detail: "Your " + what + " has ended and the identity provider does not renew it at the moment.",
	}
}

// gone is for somebody who did not wait.
func gone(ctx context.Context) error {
	return &pages.Error{Code: codeProviderDown, RetryAfter: retryAfter, Err: fmt.Errorf("nobody waits for the token any more: %w", context.Cause(ctx))}
}

// copied gives each caller an error of their own: those who answer with it add to it.
func copied(err error) error {
	switch e := err.(type) { //nolint:errorlint // only what is ours is copied, not what is wrapped in something else
	case *pages.Error:
		c := *e
		return &c
	case *credentials.Refusal:
		c := *e
		return &c
	}
	return err
}
