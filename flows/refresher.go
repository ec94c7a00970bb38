package flows

import (
	"context"
	"errors"
	"fmt"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/sessions"
)

// Refresher implements sessions.Refresher over the providers.
type Refresher map[string]*provider.Client

// Refresh asks the identity's own provider. It says which failures end a session: a provider
// that refuses, one whose answer names somebody else (P083), and one that is no longer
// configured. Whatever else goes wrong passes, and the session goes on (REF-3).
func (p Refresher) Refresh(ctx context.Context, who *identity.Identity) (*identity.Identity, error) {
	client := p[who.Provider]
	if client == nil {
		return nil, fmt.Errorf("%w: provider %q is no longer configured", sessions.ErrRefused, who.Provider)
	}
	renewed, err := client.Refresh(ctx, who)
	if err != nil {
		return nil, refusal(err)
	}
	if renewed.Key() != who.Key() { // the provider checks this too; a session must not change hands if it forgets
		return nil, fmt.Errorf("%w: the answer is about somebody else", sessions.ErrRefused)
	}
	return renewed, nil
}

func refusal(err error) error {
	var e *provider.Error
	if !errors.As(err, &e) {
		return err
	}
	switch {
	case e.Code == "no_refresh_token":
		return err // nobody was asked
	case e.Kind == provider.Refused, e.Kind == provider.Misbehaved && somebodyElse(e.Code):
		return fmt.Errorf("%w: %w", sessions.ErrRefused, err)
	}
	return err
}

// somebodyElse reports whether an answer was about another person, or was not the provider's (P083). Its
// refresh token is spent, and the new one cannot be believed.
func somebodyElse(code string) bool {
	switch code {
	case "bad_subject", "bad_issuer", "userinfo_subject", "bad_signature", "bad_alg", "bad_audience", "bad_azp":
		return true
	}
	return false
}
