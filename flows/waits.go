package flows

import (
	"errors"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/pages"
)

// Waits tells sessions whose people cannot be judged just now: what is looked up about them counts until their access token
// ends, and the provider does not say more. Their sessions go on, and their requests are answered with 503 until it does.
// It is nil if nothing is looked up at any provider.
func Waits(providers map[string]*provider.Client) func(*identity.Identity) error {
	any := false
	for _, client := range providers {
		any = any || client.LooksUp()
	}
	if !any {
		return nil
	}
	return func(who *identity.Identity) error {
		client := clientOf(providers, who)
		if client == nil || !client.Unconfirmed(who) {
			return nil
		}
		return &pages.Error{
			Code: codeProviderDown, RetryAfter: retryAfter,
			Detail: "The identity provider does not say at the moment which groups you are in. You are still signed in.",
			Err:    errors.New("the session's access token has ended, and its groups could not be looked up again"),
		}
	}
}
