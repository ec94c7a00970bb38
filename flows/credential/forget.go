package credential

import (
	"context"
	"slices"

	"github.com/doorward/doorward/internal/identity"
)

// Forget drops what was obtained for an identity, here and in the shared store: its session has ended, or its tokens were
// refreshed. From then on nobody gets it here; other replicas are told through the store. It blocks for a second at most.
func (s *Set) Forget(ctx context.Context, who *identity.Identity) {
	if who == nil || !slices.ContainsFunc(s.order, (*Source).individual) {
		return
	}
	owners := s.ownersOf(who)
	for _, owner := range owners {
		s.cache.forget(owner)
	}
	if s.shared != nil {
		s.shared.forget(ctx, owners)
	}
}
