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
// that refuses, or whose answer is about somebody else or not to be believed (P083), and one that
// is no longer configured. Whatever else goes wrong passes, and the session goes on (REF-3).
func (p Refresher) Refresh(ctx context.Context, who *identity.Identity) (*identity.Identity, error) {
	client := clientOf(p, who)
	if client == nil {
		return nil, fmt.Errorf("%w: provider %q is no longer configured, or is another issuer now", sessions.ErrRefused, who.Provider)
	}
	renewed, err := client.Refresh(ctx, who)
	var e *provider.Error
	switch {
	case errors.As(err, &e) && e.Kind == provider.Refused:
		return nil, fmt.Errorf("%w: %w", sessions.ErrRefused, err)
	case err != nil:
		return nil, err
	case renewed.Key() != who.Key(): // the provider checks this too; a session must not change hands if it forgets
		return nil, fmt.Errorf("%w: the answer is about somebody else", sessions.ErrRefused)
	}
	return renewed, nil
}
