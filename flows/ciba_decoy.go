package flows

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/doorward/doorward/flows/provider"
)

// Whether the provider knows somebody must not show (P167). Whom it doesn't know gets a decoy: a waiting that
// looks like any other and asks nobody. A decoy has the numbers that the provider answered last, and it takes the
// time that the provider took of late: also while it "asks" nobody, since whoever polls twice at once sees for how
// long a request is under way.
//
// One thing shows all the same: while the provider is down, real ones say so.

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

// decoy is the waiting of somebody whom the provider doesn't know. It comes no sooner after began than the
// provider's answer would.
func (f *Flows) decoy(ctx context.Context, l *login, ask cibaAsk, cause error, began time.Time) (*waiting, error) {
	var e *provider.Error
	if errors.As(cause, &e) && e.Code != "unknown_user_id" {
		f.deps.Log.WarnContext(ctx, "the provider wants user codes, and login."+l.name+" does not ask for them", "provider", l.provider)
	}
	u := f.usualAnswer(ctx, l, ask)
	pause(ctx, oneOf(u.Begins)-f.deps.Now().Sub(began))
	w := f.cibaWaiting(l, ask, milliseconds(u.Life), milliseconds(u.Interval))
	w.Bearer = digest("") // as large as any other; no token has this hash
	return w, f.store(ctx, w)
}

// askNobody takes as long as a question to the provider does.
func (f *Flows) askNobody(ctx context.Context, l *login) {
	u, _ := f.lastAnswer(ctx, l)
	pause(ctx, oneOf(u.Polls))
}

const (
	maxTimes   = 8               // that are remembered of each kind
	longestAct = 5 * time.Second // no decoy takes longer over one answer
)

// usual is what the provider answered last, and how long it took of late. All are milliseconds.
type usual struct {
	Life, Interval int64
	Begins, Polls  []int64 `json:",omitempty"`
}

// oneOf returns how long it takes this time.
func oneOf(times []int64) time.Duration {
	if len(times) == 0 {
		return 0
	}
	return min(milliseconds(times[int(random(1)[0])%len(times)]), longestAct)
}

// noteTime adds a time, and reports whether there is anything new to keep: once there are enough, few are.
func noteTime(times []int64, took time.Duration) ([]int64, bool) {
	ms := took.Milliseconds()
	if len(times) < maxTimes {
		return append(times, ms), true
	}
	i := int(random(1)[0]) % (maxTimes * maxTimes)
	if i >= len(times) {
		return times, false
	}
	times[i] = ms
	return times, true
}

// learnAnswer remembers how the provider began to ask somebody.
func (f *Flows) learnAnswer(ctx context.Context, l *login, life, interval, took time.Duration) {
	u, _ := f.lastAnswer(ctx, l)
	begins, changed := noteTime(u.Begins, took)
	now := usual{Life: life.Milliseconds(), Interval: interval.Milliseconds(), Begins: begins, Polls: u.Polls}
	if changed || u.Life != now.Life || u.Interval != now.Interval {
		f.keepAnswer(ctx, l, now)
	}
}

// learnPoll remembers how long it took to hear that nobody has answered yet.
func (f *Flows) learnPoll(ctx context.Context, l *login, took time.Duration) {
	u, ok := f.lastAnswer(ctx, l)
	if !ok {
		return
	}
	var changed bool
	if u.Polls, changed = noteTime(u.Polls, took); changed {
		f.keepAnswer(ctx, l, u)
	}
}

func (f *Flows) keepAnswer(ctx context.Context, l *login, u usual) {
	if text, err := json.Marshal(u); err == nil {
		_ = f.deps.Shared.Put(ctx, answerKey(l), text, 30*24*time.Hour) // else a decoy is less like the others
	}
}

func (f *Flows) usualAnswer(ctx context.Context, l *login, ask cibaAsk) usual {
	if u, ok := f.lastAnswer(ctx, l); ok {
		return u
	}
	life := 2 * time.Minute // as Keycloak and the examples of the specification have it
	if asked := max(ask.expiry, l.ciba.expiry); asked > 0 {
		life = asked
	}
	return usual{Life: life.Milliseconds(), Interval: (5 * time.Second).Milliseconds()}
}

func (f *Flows) lastAnswer(ctx context.Context, l *login) (u usual, ok bool) {
	items, err := f.deps.Shared.Get(ctx, answerKey(l))
	if err != nil || items[0].Version == 0 {
		return u, false
	}
	return u, json.Unmarshal(items[0].Value, &u) == nil && u.Life > 0 && u.Interval > 0
}

func answerKey(l *login) string { return sharedKey("ciba-answer", []byte(l.name)) }
