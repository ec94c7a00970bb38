package sessions

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/origin"
)

// Keeper keeps sessions. It is safe for concurrent use.
type Keeper struct {
	config    Config
	deps      Deps
	limits    limits
	inCookie  bool
	step      time.Duration // between two writes of activity
	origins   *origin.Set
	sites     map[origin.Origin]*site
	home      home
	cache     *cache
	grace     *grace // in cookie mode
	refresher Refresher
	valid     func(*identity.Identity) bool
	waits     func(*identity.Identity) error
	ended     func(context.Context, *identity.Identity)
	refreshed func(ctx context.Context, old, now *identity.Identity)
	renewals  renewals
	locks     locks
	now       func() time.Time
	log       *slog.Logger

	mu      sync.Mutex // guards closed against spawn
	closed  bool
	derived []*Keeper
	closing context.CancelFunc
	open    context.Context // ends with Close
	running sync.WaitGroup
}

// New validates and never touches network or disk. End a Keeper with Close.
func New(c Config, d Deps) (*Keeper, error) {
	return newKeeper(c, d, "", cacheWeight)
}

// newKeeper makes a Keeper of another kind than that of cookies if kind is not "".
func newKeeper(c Config, d Deps, kind string, weight uint64) (*Keeper, error) {
	if err := check(c, &d); err != nil {
		return nil, err
	}
	k := &Keeper{
		config: c, deps: d,
		limits: limits{c.Idle, c.Lifetime}, inCookie: c.InCookie, step: min(time.Minute, c.Idle/20),
		origins: d.Origins, sites: make(map[origin.Origin]*site), refresher: d.Refresh, valid: d.Valid, ended: d.Ended, refreshed: d.Refreshed, waits: d.Waits, now: d.Now, log: d.Log,
		renewals: renewals{flights: make(map[digest]*flight), failed: make(map[digest]failure)},
		locks:    locks{store: d.Shared},
	}
	for _, o := range d.Origins.All() {
		k.sites[o] = newSite(c.Cookie, o, kind)
	}
	var err error
	if k.cache, err = newCache(weight); err != nil {
		return nil, err
	}
	k.open, k.closing = context.WithCancel(context.Background())
	prefix, watched := sessionKeys, d.Sessions
	if c.InCookie {
		h := &inCookie{codec: codec{d.Ring}, ring: d.Ring, shared: d.Shared, cache: k.cache, limits: k.limits, now: d.Now, log: d.Log}
		k.home, k.grace = h, &h.grace
		prefix, watched = revokedKeys, d.Shared
		d.Log.Warn("sessions live in cookies: over several replicas, a provider that rotates refresh tokens may see one used twice; another store prevents that")
	} else {
		k.home = &stored{store: d.Sessions, ring: d.Ring, cache: k.cache, limits: k.limits, now: d.Now}
	}
	if err := watched.Watch(k.open, prefix, k.changed(prefix)); err != nil {
		k.closing()
		return nil, fmt.Errorf("sessions: %w", err)
	}
	return k, nil
}

func check(c Config, d *Deps) error {
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	if d.Valid == nil {
		d.Valid = func(*identity.Identity) bool { return true }
	}
	if d.Ended == nil {
		d.Ended = func(context.Context, *identity.Identity) {}
	}
	if d.Refreshed == nil {
		d.Refreshed = func(context.Context, *identity.Identity, *identity.Identity) {}
	}
	switch {
	case c.Idle < time.Second:
		return fmt.Errorf("idle: %s is too short; it must be 1s at least", c.Idle)
	case c.Lifetime < time.Second:
		return fmt.Errorf("lifetime: %s is too short; it must be 1s at least", c.Lifetime)
	case d.Ring == nil:
		return errors.New("sessions: no keys")
	case d.Origins == nil || len(d.Origins.All()) == 0:
		return errors.New("sessions: no host is configured")
	case d.Shared == nil:
		return errors.New("sessions: no shared store")
	case d.Sessions == nil && !c.InCookie:
		return errors.New("sessions: no store")
	}
	return c.Cookie.check(d.Origins)
}

// changed is told by the store, for changes of any replica. A key that it cannot read
// means everything.
func (k *Keeper) changed(prefix string) func(string) {
	return func(key string) {
		if id, ok := idIn(key, prefix); ok {
			k.cache.invalidate(id)
		} else {
			k.cache.flush()
		}
	}
}

// Close ends what runs in the background, and waits for refreshes that are under way,
// because their new tokens would be lost: at most 40 seconds. Requests may still come, but
// nothing is refreshed and no activity counted for them. The stores stay open.
func (k *Keeper) Close() {
	k.mu.Lock()
	k.closed = true
	derived := k.derived
	k.mu.Unlock()
	for _, d := range derived {
		d.Close()
	}
	k.cache.close()
	k.closing()
	k.running.Wait()
}

// Closed reports whether Close was called: another configuration has taken this one's place, or the process ends.
func (k *Keeper) Closed() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.closed
}

// spawn runs f in the background, unless the Keeper is closed.
func (k *Keeper) spawn(f func()) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.closed {
		k.running.Go(f)
	}
	return !k.closed
}

// Load returns the session whose cookie r carries, or nil. A malformed, foreign, ended or
// duplicated cookie is nil without an error; an error means the store cannot be asked
// (wraps store.ErrUnavailable). It refreshes nothing, writes nothing, and is no activity.
func (k *Keeper) Load(r *http.Request) (*Session, error) {
	p, ok := k.presented(r)
	if !ok {
		return nil, nil
	}
	_, e, err := k.find(r.Context(), p)
	if e == nil || err != nil {
		return nil, err
	}
	return e.session, nil
}

// Authenticate is Load for the hot path, and more: it counts activity and refreshes tokens that are
// about to end. ok is false when there is no session; the answer to r is then our own, and
// takes a cookie back that names none. The identity is the same pointer for as long as
// nothing about it changes.
//
// A request waits for a refresh only when its access token has ended. If a refresh fails for
// a passing reason, it gets the identity as it was, unless Deps.Waits has something against it.
func (k *Keeper) Authenticate(w http.ResponseWriter, r *http.Request) (who *identity.Identity, ok bool, err error) {
	p, ok := k.presented(r)
	if !ok {
		if p.n > 0 {
			p.site.clear(w, r)
		}
		return nil, false, nil
	}
	p, e, err := k.use(r.Context(), p)
	if err != nil {
		return nil, false, err
	}
	if e == nil {
		p.site.clear(w, r)
		return nil, false, nil
	}
	if p.moved { // also if nobody passes now: the cookie holds tokens that are new
		k.hand(w, r, p)
	}
	if err := k.counts(e); err != nil {
		return nil, false, err
	}
	return e.session.Who, true, nil
}

// counts returns why a session is of no use just now.
func (k *Keeper) counts(e *entry) error {
	if who := e.rec.who; k.waits != nil && who.Tokens != nil && !who.Tokens.Valid(k.now(), 0) {
		return k.waits(who)
	}
	return nil
}

// use is what each request does with the session that it presents: find it, refresh what is about to
// end, count as activity. No session is nil.
func (k *Keeper) use(ctx context.Context, p presented) (presented, *entry, error) {
	p, e, err := k.find(ctx, p)
	if e == nil || err != nil {
		return p, nil, err
	}
	now := k.now()
	if k.due(e, now) {
		p, e = k.renewed(ctx, p, e)
	}
	if e != nil && e.mayWriteActivity(now, k.step) {
		p, e = k.active(ctx, p, e, now)
	}
	return p, e, nil
}

// Start begins a session under a new id and sets its cookie; the session that r came
// with, if any, is dead afterwards (P072, P086).
func (k *Keeper) Start(w http.ResponseWriter, r *http.Request, who *identity.Identity) (*Session, error) {
	s, err := k.Store().New(r, "")
	if err != nil {
		return nil, err
	}
	s.Values[Who] = who
	if err := s.Save(r, w); err != nil {
		return nil, err
	}
	return s.Values[Current].(*Session), nil
}

// End ends the session of r on every replica, clears its cookies, and returns it as it was (nil if there was none).
func (k *Keeper) End(w http.ResponseWriter, r *http.Request) (*Session, error) {
	s, err := k.Store().New(r, "")
	if err != nil {
		return nil, err
	}
	s.Options.MaxAge = -1
	if err := s.Save(r, w); err != nil {
		return nil, err
	}
	ended, _ := s.Values[Current].(*Session)
	return ended, nil
}

// Refresh refreshes the session's tokens now, unless that was done less than a minute ago
// or there is no refresh token. It returns nil if there is no session, and ErrRefused if
// there is none any more. After an error of another kind the session goes on; asked again
// too soon, the same error comes without a call to the provider.
func (k *Keeper) Refresh(w http.ResponseWriter, r *http.Request) (*Session, error) {
	p, ok := k.presented(r)
	if !ok {
		return nil, nil
	}
	p, e, err := k.find(r.Context(), p)
	if err != nil {
		return nil, err
	}
	if e == nil {
		p.site.clear(w, r)
		return nil, nil
	}
	if !k.refreshable(e) || k.now().Before(e.rec.refreshed.Add(cooldown)) {
		if p.moved {
			k.hand(w, r, p)
		}
		return e.session, nil
	}
	f, _ := k.renewals.join(k, r.Context(), p, e)
	select {
	case <-f.done:
	case <-r.Context().Done():
		return nil, unavailable(context.Cause(r.Context()))
	}
	switch {
	case errors.Is(f.err, ErrRefused), f.err == nil && f.entry == nil:
		p.site.clear(w, r)
		return nil, f.err
	case f.err != nil:
		return nil, f.err
	}
	if f.presented.moved {
		k.hand(w, r, f.presented)
	}
	return f.entry.session, nil
}
