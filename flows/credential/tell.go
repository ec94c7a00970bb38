package credential

import (
	"context"
	"errors"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/telemetry"
)

// tell says that a token was obtained for an upstream, or was not: an assertion that is signed here, too. What comes
// out of a cache was told before.
func (s *Source) tell(ctx context.Context, a attempt, err error) {
	e := telemetry.Event{
		Name: telemetry.EventExchange, Outcome: telemetry.OK, Credential: s.name, Flow: s.conf.Flow, Provider: s.conf.Provider,
		Audience: append(append([]string(nil), s.conf.Audience...), s.conf.Resource...), Scopes: s.conf.Scopes,
	}
	if s.individual() { // else whoever came first would seem to be who it is for
		e.Who = a.who
	}
	if err != nil {
		e.Outcome, e.Reason = telemetry.Failed, "failed"
		if said := (*provider.Error)(nil); errors.As(err, &said) {
			e.Reason = said.Code
		}
	}
	s.set.signals.TellContext(ctx, e)
}
