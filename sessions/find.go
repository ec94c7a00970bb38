package sessions

import (
	"context"
	"net/http"
	"time"
)

const writeLimit = 10 * time.Second // for what is written in the background

// presented reads what r presents. It is nothing if a cookie is there twice: one of them may
// have been planted from a neighbouring host (P077). Such cookies are not taken back either,
// because that might leave the planted one alone. p.n is not 0 if there is something that
// can be taken back.
func (k *Keeper) presented(r *http.Request) (p presented, ok bool) {
	o, ok := k.origins.Lookup(r.Host)
	if !ok {
		return p, false
	}
	p.site = k.sites[o]
	names := p.site.names[:1]
	if k.inCookie {
		names = p.site.names[:]
	}
	values, found := readCookies(r.Header["Cookie"], names)
	if found[0] != 1 {
		return p, false
	}
	p.n, ok = 1, len(values[0]) == ticketLength
	if k.inCookie {
		p.n = max(1, chunks(values[0]))
		ok = chunks(values[0]) > 0
	}
	p.parts = values
	for i := range p.n {
		ok = ok && found[i] == 1 && len(values[i]) <= chunkSize
	}
	if ok {
		p.key = p.site.digest(p.values())
	}
	return p, ok
}

// find returns the session that p presents, and p as it is now. Nothing that is not there
// is remembered.
func (k *Keeper) find(ctx context.Context, p presented) (presented, *entry, error) {
	now := k.now()
	if k.grace != nil {
		p = k.grace.follow(p, now)
	}
	if e := k.cache.get(p.key); e != nil && e.rec.alive(now) {
		return p, e, nil
	}
	e, err := k.home.open(ctx, p)
	if e == nil || err != nil || !k.valid(e.rec.who) {
		return p, nil, err
	}
	if old := k.cache.stale(p.key); old != nil && old.rec.id == e.rec.id && old.rec.sameAs(&e.rec) && old.rec.refreshes == e.rec.refreshes {
		e.rec.who, e.session.Who = old.rec.who, old.rec.who // with what was built from it already
	}
	k.cache.put(p.key, e)
	return p, e, nil
}

// active counts a request as activity. In a store it is written in the background; a cookie
// goes out with the answer.
func (k *Keeper) active(ctx context.Context, p presented, e *entry, now time.Time) (presented, *entry) {
	seen := func(rec *record) { rec.seen = now }
	if k.inCookie {
		next, to, err := k.home.amend(ctx, p, seen)
		if next == nil || err != nil {
			return p, e // it lasts as long as it did
		}
		return to, next
	}
	k.spawn(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeLimit)
		defer cancel()
		if _, _, err := k.home.amend(ctx, p, seen); err != nil {
			k.log.WarnContext(ctx, "activity of a session not written", "session", e.session.ID, "error", err)
		}
	})
	return p, e
}

// hand gives the browser a cookie along with an answer that is not about it. No shared
// cache may keep such an answer.
func (k *Keeper) hand(w http.ResponseWriter, r *http.Request, p presented) {
	w.Header().Add("Cache-Control", "private")
	p.site.set(w, r, p.values())
}
