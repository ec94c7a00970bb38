package flows

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/doorward/doorward/internal/pages"
)

// Whoever has a browser's patience can have a state and a cookie of ours, and with them make
// us ask the provider for tokens by a code that is none. A provider that counts what we ask would
// soon shut everybody out (S18).
const (
	maxGrants    = 32              // codes being redeemed at a time, per provider
	grantWait    = 5 * time.Second // for one of those places
	failureBurst = 30              // redemptions that an address may fail in at once
	failureEvery = time.Second     // and one more each
	maxAddresses = 10_000          // remembered
	networkBits  = 64              // of an IPv6 address: what one subscriber has
)

// budget bounds what callbacks make us ask the providers. Only failures are counted against an
// address: an office behind one address may sign in as often as it likes.
type budget struct {
	now    func() time.Time
	places map[string]chan struct{} // by provider

	mu     sync.Mutex
	failed map[netip.Prefix]time.Time // when all failures of an address will be forgotten
}

func newBudget(now func() time.Time, providers map[string]callback) *budget {
	b := &budget{now: now, places: make(map[string]chan struct{}), failed: make(map[netip.Prefix]time.Time)}
	for name := range providers {
		b.places[name] = make(chan struct{}, maxGrants)
	}
	return b
}

// admit waits for a place at a provider. The error is an answer; it uses nothing up, so that
// loading the page again goes on. Call done with what became of the redemption.
func (b *budget) admit(ctx context.Context, provider, client string) (done func(failed bool), err error) {
	from := network(client)
	if wait := b.wait(from); wait > 0 {
		return nil, &pages.Error{Code: codeTooMany, RetryAfter: wait}
	}
	ctx, cancel := context.WithTimeout(ctx, grantWait)
	defer cancel()
	select {
	case b.places[provider] <- struct{}{}:
	case <-ctx.Done():
		return nil, &pages.Error{Code: codeProviderDown, Detail: "Too many sign-ins are under way just now.", RetryAfter: retryAfter}
	}
	return func(failed bool) {
		<-b.places[provider]
		if failed {
			b.fail(from)
		}
	}, nil
}

// wait returns how long an address must wait until it may fail once more.
func (b *budget) wait(from netip.Prefix) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	until, known := b.failed[from]
	if !known {
		return 0
	}
	return until.Sub(b.now()) - (failureBurst-1)*failureEvery
}

func (b *budget) fail(from netip.Prefix) {
	if !from.IsValid() {
		return // a caller without an address, as over a Unix socket, has a proxy that counts
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	if _, known := b.failed[from]; !known && len(b.failed) >= maxAddresses {
		b.forget(now)
	}
	until := b.failed[from]
	if until.Before(now) {
		until = now
	}
	b.failed[from] = until.Add(failureEvery)
}

// forget makes room: what is over goes, and if nothing is, anything.
func (b *budget) forget(now time.Time) {
	for from, until := range b.failed {
		if !now.Before(until) {
			delete(b.failed, from)
		}
	}
	for from := range b.failed {
		if len(b.failed) < maxAddresses {
			return
		}
		delete(b.failed, from)
	}
}

// network returns what counts as one caller.
func network(client string) (none netip.Prefix) {
	a, err := netip.ParseAddr(client)
	if err != nil {
		return none
	}
	a = a.Unmap().WithZone("")
	bits := a.BitLen()
	if a.Is6() {
		bits = networkBits
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return none
	}
	return p
}
