package flows

import (
	"context"
	"fmt"
	"time"

	"github.com/doorward/doorward/internal/pages"
)

// Whoever can send a POST can have a waiting login begin: each is a request to the provider, a record in
// the store and, with CIBA, somebody's phone that rings. The counters are in the shared store, so that they are
// the same for all replicas (P158, CD-6). The limits are far above what people do.
const (
	startWindow     = 10 * time.Minute
	startsOfNetwork = 600    // an office behind one address, or all people behind a proxy that nobody trusts
	startsOfAll     = 20_000 // whatever the addresses

	// maxAsking is how many token requests of waiting logins are under way at a time, per provider and replica. A
	// provider that hangs holds each for up to its callTime, while all browsers keep asking.
	maxAsking = 256
)

// asking are the places of those requests, by provider.
type asking map[string]chan struct{}

func newAsking(logins []*login) asking {
	a := make(asking)
	for _, l := range logins {
		if l.waits() != "" {
			a[l.provider] = make(chan struct{}, maxAsking)
		}
	}
	return a
}

// enter takes a place if one is free. Nobody waits for one: that is what the next poll is for.
func (a asking) enter(provider string) (leave func(), ok bool) {
	select {
	case a[provider] <- struct{}{}:
		return func() { <-a[provider] }, true
	default:
		return nil, false
	}
}

// mayStart counts a waiting login that is to begin. The error is an answer. The network comes first: a flood
// from one doesn't use up what all have.
func (f *Flows) mayStart(ctx context.Context, client string) error {
	if from := network(client); from.IsValid() { // else, as over a Unix socket, a proxy before us counts
		if err := f.countStart(ctx, "starts-of-network", from.String(), startsOfNetwork); err != nil {
			return err
		}
	}
	return f.countStart(ctx, "starts-of-all", "", startsOfAll)
}

func (f *Flows) countStart(ctx context.Context, what, who string, most int64) error {
	now := f.deps.Now()
	window := now.Truncate(startWindow)
	key := sharedKey(what, fmt.Appendf(nil, "%s %d", who, window.Unix()))
	n, err := f.deps.Shared.Add(ctx, key, 1, startWindow+time.Minute)
	if err != nil {
		return f.storeError(err)
	}
	if n <= most {
		return nil
	}
	if n == most+1 {
		f.deps.Log.WarnContext(ctx, "too many waiting sign-ins were begun", "counted", what, "from", who, "limit", most)
	}
	return &pages.Error{Code: codeTooMany, RetryAfter: window.Add(startWindow).Sub(now)}
}
