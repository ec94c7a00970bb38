package sessions

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/doorward/doorward/internal/identity"
)

const (
	derivedKind   = "derived"
	derivedWeight = 16 << 20 // bytes of decoded sessions
)

// Derived keeps sessions of callers that hold no ticket, because they prove themselves anew with each
// request: their ticket is a seed that is computed from the proof. Everything else is as with a
// cookie: sealed in a store under a hash, decoded in a bounded cache, refreshed in time, by one
// replica at a time, and ended when the provider says so.
type Derived struct{ k *Keeper }

// Seed is 256 bits that nobody can guess who does not have the proof: the result of a keyed
// hash. It is as good as the session.
type Seed [32]byte

// Derived returns a keeper of derived sessions. They live so long and no longer, used or
// not. They are kept where those of cookies are, and with Config.InCookie in Deps.Shared. It ends
// with k.
func (k *Keeper) Derived(life time.Duration) (*Derived, error) {
	c, d := k.config, k.deps
	c.InCookie, c.Idle, c.Lifetime = false, life, life
	if d.Sessions == nil {
		d.Sessions = d.Shared
	}
	made, err := newKeeper(c, d, derivedKind, derivedWeight)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		made.Close()
		return nil, errClosed
	}
	k.derived = append(k.derived, made)
	return &Derived{made}, nil
}

// Authenticate returns the session that the seed names on the host of r, nil if there is none, or none
// any more. It refreshes tokens as [Keeper.Authenticate] does, but for a session that is stale.
func (d *Derived) Authenticate(r *http.Request, seed Seed, stale func(*Session) bool) (*Session, error) {
	p, ok := d.presented(r, seed)
	if !ok {
		return nil, nil
	}
	p, e, err := d.k.find(r.Context(), p)
	if e == nil || err != nil {
		return nil, err
	}
	if d.k.due(e, d.k.now()) && !stale(e.session) {
		if _, e = d.k.renewed(r.Context(), p, e); e == nil {
			return nil, nil
		}
	}
	if err := d.k.counts(e); err != nil && !stale(e.session) { // one that is stale is about to be replaced
		return nil, err
	}
	return e.session, nil
}

// Load is Authenticate without refreshing anything.
func (d *Derived) Load(r *http.Request, seed Seed) (*Session, error) {
	p, ok := d.presented(r, seed)
	if !ok {
		return nil, nil
	}
	_, e, err := d.k.find(r.Context(), p)
	if e == nil || err != nil {
		return nil, err
	}
	return e.session, nil
}

// Adopt begins the session that the seed names, in the place of one that is stale. If another replica
// did so meanwhile, its session is the one that is returned. Whose tokens are held by no session then, who's or the
// stale one's, is told to Deps.Ended. ctx bounds the writing, r says the host.
func (d *Derived) Adopt(ctx context.Context, r *http.Request, seed Seed, who *identity.Identity, stale func(*Session) bool) (*Session, error) {
	p, ok := d.presented(r, seed)
	if !ok {
		return nil, errNoHost
	}
	home, t, rec := d.k.home.(*stored), ticket(seed), d.k.newRecord(who)
	rec.id = p.key
	rec, err := rec.vouched()
	if err != nil {
		return nil, err
	}
	for n := range maxAttempts {
		e, version, err := home.read(ctx, t, p.key)
		if err != nil {
			return nil, err
		}
		if e != nil && d.k.valid(e.rec.who) && !stale(e.session) {
			d.k.left(ctx, &entry{rec: record{who: who}}, e.rec.who) // the one that stays is not said to have ended
			return e.session, nil
		}
		err = home.write(ctx, t, version, rec)
		switch {
		case err == nil:
			d.k.left(ctx, e, who)
			return rec.session(), nil
		case !errors.Is(err, errOvertaken):
			return nil, err
		case e == nil && n > 0: // what is there cannot be read
			if _, err := home.end(ctx, p); err != nil {
				return nil, err
			}
		}
	}
	return nil, unavailable(errOvertaken)
}

// End ends the session that the seed names, if there is one. Its tokens are told to Deps.Ended.
func (d *Derived) End(ctx context.Context, r *http.Request, seed Seed) error {
	p, ok := d.presented(r, seed)
	if !ok {
		return nil
	}
	e, err := d.k.home.end(ctx, p)
	d.k.left(ctx, e, nil)
	return err
}

func (d *Derived) presented(r *http.Request, seed Seed) (p presented, ok bool) {
	o, ok := d.k.origins.Lookup(r.Host)
	if !ok {
		return p, false
	}
	p.site, p.n, p.parts[0] = d.k.sites[o], 1, ticket(seed).value()
	p.key = p.site.digest(p.values())
	return p, true
}
