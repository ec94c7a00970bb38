package flows

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"time"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/seal"
)

// Anybody can type anybody's name into the form of a CIBA login, and then a phone rings. So each person has
// one place: one question at a time, and after each that they refuse, or leave unanswered more than once, a rest that doubles
// (P167, CIB-12, CD-6). Nobody can be bombed into saying yes. The price: whoever keeps asking for somebody's
// name keeps them from this login, though from no other.
//
// People whom the provider doesn't know have a place too, and are asked by a decoy: a waiting that looks like any
// other and never asks anybody.

const (
	purposePlace seal.Purpose = "login-ciba-place"
	purposeHint  seal.Purpose = "login-ciba-hint"

	firstRest   = 30 * time.Second
	longestRest = 15 * time.Minute // the longest rest
	placeMemory = time.Hour        // how long it is remembered that somebody did not agree
	placeTaking = 45 * time.Second // how long a place is held for a request that has not been answered yet
)

// place is how it stands with the questions to one person.
type place struct {
	Waiting []byte `json:"w"` // id of the last
	Until   int64  `json:"u"` // no other before; Unix milliseconds
	Refused int    `json:"n"` // questions in a row that were not agreed to
}

// placeKey names a person's place. It is a keyed hash: whoever reads the store learns no names.
func (f *Flows) placeKey(l *login, whom string) string {
	h := f.deps.Ring.Hash(purposeHint)
	for _, part := range []string{l.provider, l.ciba.hint, whom} {
		_, _ = h.Write([]byte(part))
		_, _ = h.Write([]byte{0})
	}
	return "flows/place/" + hex.EncodeToString(h.Sum(nil)[:16])
}

// takePlace claims a person's place for the waiting id. wait > 0: it isn't free for so long; busy is the
// waiting that has it.
func (f *Flows) takePlace(ctx context.Context, key string, id []byte) (busy []byte, wait time.Duration, err error) {
	for range maxSwaps {
		p, version, err := f.loadPlace(ctx, key)
		if err != nil {
			return nil, 0, err
		}
		now := f.deps.Now()
		if wait := milliseconds(p.Until - now.UnixMilli()); wait > 0 {
			return p.Waiting, wait, nil
		}
		next := place{Waiting: id, Until: now.Add(placeTaking).UnixMilli(), Refused: p.Refused + 1}
		done, err := f.swapPlace(ctx, key, version, next)
		if err != nil || done {
			return nil, 0, err
		}
	}
	return nil, firstRest, nil // a crowd asks for one person
}

// holdPlace keeps a place for as long as its waiting can last, and for the rest that follows if nobody answers.
func (f *Flows) holdPlace(ctx context.Context, w *waiting) {
	f.editPlace(ctx, w.Place, w.id, func(p *place) {
		p.Until = w.ends().Add(restUnanswered(p.Refused)).UnixMilli()
	})
}

// leavePlace gives a place back that no question came of. Whoever tries user codes is slowed down: two mistakes are free.
func (f *Flows) leavePlace(ctx context.Context, key string, id []byte, cause error) {
	f.editPlace(ctx, key, id, func(p *place) {
		if guessed(cause) {
			p.Until = f.deps.Now().Add(restUnanswered(p.Refused)).UnixMilli()
			return
		}
		p.Until, p.Refused = 0, p.Refused-1
	})
}

// released gives the place of a waiting back that is over. Its person agreed: everything is forgotten. They
// refused: the rest begins now.
func (f *Flows) released(ctx context.Context, w *waiting) {
	if w.Place == "" {
		return
	}
	switch w.Status {
	case waitUsed:
		f.editPlace(ctx, w.Place, w.id, func(p *place) { *p = place{} })
	case waitDenied:
		f.editPlace(ctx, w.Place, w.id, func(p *place) {
			p.Until = f.deps.Now().Add(restRefused(p.Refused)).UnixMilli()
		})
	case waitFailed:
		f.editPlace(ctx, w.Place, w.id, func(p *place) { p.Until = 0 })
	}
}

// restRefused is how long somebody has peace who has refused n times in a row.
func restRefused(n int) time.Duration {
	rest := firstRest
	for range min(max(n-1, 0), 10) {
		rest = min(2*rest, longestRest)
	}
	return rest
}

// restUnanswered begins later: a phone may lie in another room once or twice.
func restUnanswered(n int) time.Duration {
	if n < 3 {
		return 0
	}
	return restRefused(n - 2)
}

// editPlace changes a place that id still has. Where the store is down it stays as it is, and ends by itself.
func (f *Flows) editPlace(ctx context.Context, key string, id []byte, edit func(*place)) {
	ctx = context.WithoutCancel(ctx)
	for range maxSwaps {
		p, version, err := f.loadPlace(ctx, key)
		if err != nil || version == 0 || string(p.Waiting) != string(id) {
			return
		}
		if edit(&p); p.Refused <= 0 {
			_, _ = f.deps.Shared.Delete(ctx, key)
			return
		}
		if done, err := f.swapPlace(ctx, key, version, p); err != nil || done {
			return
		}
	}
}

func (f *Flows) loadPlace(ctx context.Context, key string) (p place, version uint64, err error) {
	items, err := f.deps.Shared.Get(ctx, key)
	if err != nil {
		return p, 0, f.storeError(err)
	}
	if items[0].Version == 0 {
		return p, 0, nil
	}
	plain, err := f.deps.Ring.Open(purposePlace, items[0].Value, []byte(key))
	if err != nil || json.Unmarshal(plain, &p) != nil {
		return place{}, items[0].Version, nil // of other keys
	}
	return p, items[0].Version, nil
}

func (f *Flows) swapPlace(ctx context.Context, key string, version uint64, p place) (bool, error) {
	plain, err := json.Marshal(p)
	if err != nil {
		return false, err
	}
	now := f.deps.Now()
	life := max(milliseconds(p.Until-now.UnixMilli()), 0) + placeMemory
	done, err := f.deps.Shared.Swap(ctx, key, version, f.deps.Ring.Seal(purposePlace, plain, []byte(key)), life)
	if err != nil {
		return false, f.storeError(err)
	}
	return done, nil
}

// looksUnknown reports an error that must not show, because it would tell who is known at the provider. Where
// people have user codes, a wrong name and a wrong code are the same answer instead.
func (c *ciba) looksUnknown(err error) bool {
	return !c.userCode && guessed(err)
}

// guessed reports an error that tells who is known, or what their user code is.
func guessed(err error) bool {
	var e *provider.Error
	if !errors.As(err, &e) {
		return false
	}
	return e.Code == "unknown_user_id" || e.Code == "missing_user_code" || e.Code == "invalid_user_code"
}

// decoy is the waiting of somebody whom the provider doesn't know.
func (f *Flows) decoy(ctx context.Context, l *login, ask cibaAsk, cause error) (*waiting, error) {
	var e *provider.Error
	if errors.As(cause, &e) && e.Code != "unknown_user_id" {
		f.deps.Log.WarnContext(ctx, "the provider wants user codes, and login."+l.name+" does not ask for them", "provider", l.provider)
	}
	life, interval := f.usualAnswer(ctx, l, ask)
	w := f.cibaWaiting(l, ask, life, interval)
	w.Bearer = digest("") // as large as any other; no token has this hash
	return w, f.store(ctx, w)
}

// usual is what the provider answered last: a decoy must not show by its numbers.
type usual struct{ Life, Interval int64 } // milliseconds

func (f *Flows) learnAnswer(ctx context.Context, l *login, life, interval time.Duration) {
	now := usual{life.Milliseconds(), interval.Milliseconds()}
	if before, ok := f.lastAnswer(ctx, l); ok && before == now {
		return // without a write
	}
	text, err := json.Marshal(now)
	if err == nil {
		_ = f.deps.Shared.Put(ctx, answerKey(l), text, 30*24*time.Hour) // else a decoy is less like the others
	}
}

func (f *Flows) usualAnswer(ctx context.Context, l *login, ask cibaAsk) (life, interval time.Duration) {
	if u, ok := f.lastAnswer(ctx, l); ok {
		return milliseconds(u.Life), milliseconds(u.Interval)
	}
	life = 2 * time.Minute // as Keycloak and the examples of the specification have it
	if asked := max(ask.expiry, l.ciba.expiry); asked > 0 {
		life = asked
	}
	return life, 5 * time.Second
}

func (f *Flows) lastAnswer(ctx context.Context, l *login) (u usual, ok bool) {
	items, err := f.deps.Shared.Get(ctx, answerKey(l))
	if err != nil || items[0].Version == 0 {
		return u, false
	}
	return u, json.Unmarshal(items[0].Value, &u) == nil && u.Life > 0 && u.Interval > 0
}

func answerKey(l *login) string { return sharedKey("ciba-answer", []byte(l.name)) }
