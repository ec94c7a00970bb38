package credential

import (
	"context"
	"errors"
	"time"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/identity"
)

// callLimit is how long obtaining a token may take in all; a provider's client gives up after 10 s, and a chain asks three
// times.
const callLimit = 30 * time.Second

// attempt is one way from nothing to an entry.
type attempt struct {
	handle   *handle
	who      *identity.Identity
	as       uint32 // generation at its begin
	fresh    bool   // neither cache counts
	renewing *entry // nil = somebody waits
}

// obtain gets what is not in the cache, together with all who ask for the same.
func (s *Source) obtain(ctx context.Context, h *handle, who *identity.Identity, fresh bool) (*identity.Credential, error) {
	if err := s.refusedBefore(h); err != nil {
		return nil, copied(err)
	}
	a := attempt{handle: h, who: who, as: s.set.cache.generation(h), fresh: fresh}
	e, err := s.set.flights.do(ctx, flightKey{h.key, a.as, fresh}, func() (*entry, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callLimit) // others may wait when the first has left
		defer cancel()
		return s.guarded(ctx, a)
	})
	if err != nil {
		return nil, copied(err)
	}
	return e.credential, nil
}

// fetch is what happens once for all who wait: another replica's token, or the provider's answer, goes into the cache.
func (s *Source) fetch(ctx context.Context, a attempt) (*entry, error) {
	set := s.set
	old := set.cache.get(a.handle.key)
	if old != nil && old.usable(set.now().UnixNano()) && !a.fresh && old != a.renewing {
		return old, nil // somebody was faster
	}
	if old != nil && !old.alive() {
		old = nil // what it was says nothing about what lies in the store since
	}
	share := set.shared != nil && s.flow.shared()
	var b begun
	if share {
		b = set.shared.begin(ctx, a.handle)
	}
	if share && !a.fresh {
		g, release := set.shared.claim(ctx, a.handle, func(g *grant) bool { return s.better(g, old, a.who) })
		defer release()
		if g != nil {
			if e, err := s.keep(a, g, old); err == nil {
				return e, nil
			}
		}
	}
	g, err := s.flow.ask(ctx, s, a.who)
	s.tell(ctx, a, err)
	if err != nil {
		return nil, s.failed(a, err)
	}
	e, err := s.keep(a, g, old)
	if err != nil {
		return nil, s.failed(a, err)
	}
	if share && e.alive() {
		set.shared.save(ctx, a.handle, g, b)
	}
	return e, nil
}

// better reports whether another replica's token is of use: it has not ended, and is not the one that is to be replaced.
func (s *Source) better(g *grant, old *entry, who *identity.Identity) bool {
	now := s.set.now()
	if g.tokens.ReceivedAt.After(now.Add(leeway)) { // by a clock that is not ours any more
		return false
	}
	if g.limit = earliest(g.limit, s.limit(who)); g.bound(now) != nil || !g.end().After(now) {
		return false
	}
	if old == nil {
		return true
	}
	if g.tokens.AccessToken.Equal(old.credential.Tokens.AccessToken) {
		return false
	}
	return old.rejected.Load() || g.end().UnixNano() > old.end
}

// keep puts a grant into the cache.
func (s *Source) keep(a attempt, g *grant, old *entry) (*entry, error) {
	now := s.set.now()
	if err := g.bound(now); err != nil {
		return nil, err
	}
	if !g.ends.After(now) { // while we were asking
		return nil, ended(s, a.who, "session")
	}
	c, ok := s.place.credential(s.name, onlyAccess(g.tokens))
	if !ok {
		return nil, &provider.Error{Kind: provider.Misbehaved, Code: "bad_response", Detail: "the token that came holds bytes that cannot stand in " + s.place.header}
	}
	e := &entry{
		credential: c, stripe: s.set.cache.stripe(a.handle), as: a.as, from: now.Add(-leeway).UnixNano(), end: g.end().UnixNano(), weight: s.place.weight(c),
	}
	e.next.Store(g.next())
	if old != nil && old.rejected.Load() {
		e.forced, e.row = now.UnixNano(), min(old.row+1, mostRow)
	}
	if e.alive() { // else one that was asked for later may be there
		s.set.cache.put(a.handle.key, e)
	}
	s.set.refused.drop(a.handle.key)
	return e, nil
}

// onlyAccess leaves out what came along and goes nowhere: a refresh token or ID token (CC-1).
func onlyAccess(t *identity.Tokens) identity.Tokens {
	return identity.Tokens{
		AccessToken: t.AccessToken, TokenType: t.TokenType, IssuedTokenType: t.IssuedTokenType, Scope: t.Scope, ReceivedAt: t.ReceivedAt, Expiry: t.Expiry,
	}
}

// failed turns what a provider said into what Token returns, and remembers it, unless there is still a token that is
// served.
func (s *Source) failed(a attempt, err error) error {
	var said *provider.Error
	if e, ok := err.(*provider.Error); ok { //nolint:errorlint // what lies deeper was said to the first leg of a chain
		said = e
	}
	if said == nil {
		return err
	}
	err = s.failure(said)
	if a.renewing == nil && said.Err != errResting { //nolint:errorlint // the gate's own, as it is
		s.set.refused.put(a.handle.key, err, said, s.set.now())
	}
	return err
}

// refusedBefore is the error of a moment ago for this handle, or why nobody is to be asked.
func (s *Source) refusedBefore(h *handle) error {
	now := s.set.now()
	if err := s.set.refused.get(h.key, now); err != nil {
		return err
	}
	if s.gate != nil {
		if said := s.gate.closed(now); said != nil {
			return s.failure(said)
		}
	}
	return nil
}

// call makes one request to a provider, as soon as there is room for it.
func (s *Source) call(ctx context.Context, ask func(context.Context) (*provider.Response, error)) (*identity.Tokens, error) {
	leave, said := s.gate.enter(ctx, s.set.now)
	if said != nil {
		return nil, said
	}
	said = &provider.Error{Kind: provider.Unavailable, Code: "canceled"} // a panic is no word about the provider
	defer func() { leave(said) }()
	r, err := ask(ctx)
	if said = saidBy(r, err); said != nil {
		return nil, said
	}
	t := r.Tokens
	return &t, nil
}

// saidBy is what a provider said instead of giving a token, nil if it gave one.
func saidBy(r *provider.Response, err error) (said *provider.Error) {
	switch {
	case errors.As(err, &said):
		return said
	case err != nil:
		return &provider.Error{Kind: provider.Unavailable, Code: "unreachable", Err: err}
	case r == nil || r.AccessToken.IsZero():
		return &provider.Error{Kind: provider.Misbehaved, Code: "bad_response", Detail: "the answer has no token in it"}
	}
	return nil
}

// forcedPause is how long a token is served that was obtained because its predecessor was rejected, whatever the upstream
// says, and twice as long each time that its successor is rejected too, mostRow times at most: one that accepts nothing
// must not make Doorward ask the provider at each request.
const (
	forcedPause = 5 * time.Second
	mostRow     = 5
)

// Rejected says that the upstream answered 401 invalid_token to what Token returned: it is dropped, and the next Token
// gets another, at most once in some seconds per token.
func (s *Source) Rejected(ctx context.Context, who *identity.Identity, refused *identity.Credential) {
	if s.fixed != nil || refused == nil || refused.Tokens == nil {
		return
	}
	h, err := s.handle(who)
	if err != nil {
		return
	}
	e := s.set.cache.get(h.key)
	if e == nil || !e.credential.Tokens.AccessToken.Equal(refused.Tokens.AccessToken) {
		return // another has taken its place
	}
	if e.row > 0 && s.set.now().UnixNano()-e.forced < int64(forcedPause)<<(e.row-1) || !e.rejected.CompareAndSwap(false, true) {
		return
	}
	if s.set.shared != nil && s.flow.shared() {
		s.set.shared.drop(ctx, h, refused.Tokens.AccessToken)
	}
}
