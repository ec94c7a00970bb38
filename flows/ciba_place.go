package flows

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net"
	"time"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/seal"
)

// Anybody can type anybody's name into the form of a CIBA login, and then a phone rings. So each person has
// one place: one question at a time, and after each that they refuse, or leave unanswered more than once, a rest that doubles
// (P167, CIB-12, CD-6). Nobody can be bombed into saying yes. The price: whoever keeps asking for somebody's
// name keeps them from this login, though from no other.
//
// People whom the provider doesn't know have a place too (ciba_decoy.go).

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

// leavePlace gives a place back that no question came of. Whoever tries user codes is slowed down: two mistakes are
// free. Where it isn't known whether the phone rings, it counts as a question that goes unanswered.
func (f *Flows) leavePlace(ctx context.Context, key string, id []byte, cause error) {
	f.editPlace(ctx, key, id, func(p *place) {
		switch {
		case guessed(cause):
			p.Until = f.deps.Now().Add(restUnanswered(p.Refused)).UnixMilli()
		case mayHaveAsked(cause):
			p.Until = f.deps.Now().Add(max(restUnanswered(p.Refused), firstRest)).UnixMilli()
		default:
			p.Until, p.Refused = 0, p.Refused-1
		}
	})
}

// mayHaveAsked reports a failure after which the provider may still ask: its answer was lost, on its way
// or here.
func mayHaveAsked(err error) bool {
	var e *provider.Error
	if !errors.As(err, &e) {
		return true
	}
	var network *net.OpError
	switch e.Code {
	case "timeout", "canceled":
		return true
	case "unreachable":
		return !errors.As(err, &network) || network.Op != "dial"
	}
	return false
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
