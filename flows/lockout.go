package flows

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/internal/seal"
	"github.com/doorward/doorward/sessions/store"
)

const (
	strikeWindow      = 15 * time.Minute
	maxUserStrikes    = 5  // in a window: at one user, from one network of theirs, or from all that are not
	maxNetworkStrikes = 30 // in a quarter of an hour by the clock: from one network, at whatever users

	longWindow       = 12 * time.Hour // in which Keycloak adds failures up, and locks after 30
	maxSteadyStrikes = 15             // in a long window: at one user, from all networks that are not theirs

	knownLife     = 30 * 24 * time.Hour
	maxContention = 8 // at a count that others overtake
)

// rule bounds the failures in a window of time.
type rule struct {
	most   int
	within time.Duration
}

var (
	ofOwn      = []rule{{maxUserStrikes, strikeWindow}}
	ofStranger = []rule{{maxUserStrikes, strikeWindow}, {maxSteadyStrikes, longWindow}}
)

// pauses are how long after the first, second … failure in strikeWindow the next try at a user must wait, so that
// the last ones are not spent in one breath.
var pauses = [maxUserStrikes]time.Duration{0, 0, 0, 10 * time.Second, time.Minute}

// lockout bounds wrong passwords, for all replicas, in the shared store (P170, P171). It protects two who want
// different things. The provider locks an account after so many failures, and whoever can make us forward guesses can
// have anybody locked there: so we stop before it does. And whoever can make us stop must not
// lock anybody out here: so networks from which a user has signed in before have a budget of their
// own, which only somebody in that network can use up, and callers whose password is cached do not
// come here at all. All other networks share one budget for each user: a thousand hosts of a botnet
// get five guesses in a quarter of an hour, and fifteen in half a day. Nothing is for ever.
type lockout struct {
	store  store.Store
	ring   *seal.Ring
	issuer string // accounts are locked at a provider, whichever login was used
	flows  *Flows
}

func (f *Flows) lockout(l *login) lockout {
	return lockout{f.deps.Shared, f.deps.Ring, l.client.Issuer(), f}
}

// strike is one try, counted as a failure until it turns out to be none: of a hundred tries at once, all
// but the allowed ones must find the budget used up.
type strike struct {
	lockout
	user    string // key of the user's budget that was charged
	network string // key of the network's; "" = it has none
	known   string // key of the mark that this user has signed in from this network
	own     string // key of the budget for it
	at      int64
}

// admit charges a try by a user name from an address. The error is an answer: 429 with the time to
// wait, or the store's failure; then nothing may be forwarded.
func (k lockout) admit(ctx context.Context, username, client string) (*strike, error) {
	user, from := canonicalUser(username), network(client)
	s := &strike{lockout: k, at: k.flows.deps.Now().UnixMilli()}
	where := ""
	if from.IsValid() { // a caller without an address, as over a Unix socket, has a proxy that counts
		where = from.String()
		s.network = k.key("network", where, strconv.FormatInt(s.at/strikeWindow.Milliseconds(), 10))
	}
	s.known, s.own = k.key("known", user, where), k.key("own", user, where)
	items, err := k.store.Get(ctx, s.known)
	if err != nil {
		return nil, k.flows.storeError(err)
	}
	rules := ofStranger
	s.user = k.key("user", user)
	if items[0].Version != 0 {
		s.user, rules = s.own, ofOwn
	}
	if err := s.chargeNetwork(ctx); err != nil {
		return nil, err
	}
	if err := k.charge(ctx, s.user, s.at, rules); err != nil {
		s.forgiveNetwork(ctx)
		return nil, err
	}
	return s, nil
}

// forgive takes a try back that was none.
func (s *strike) forgive(ctx context.Context) {
	s.refund(ctx, s.user, s.at)
	s.forgiveNetwork(ctx)
}

// chargeNetwork counts, and does not list as charge does: a whole office may sign in in the same second, and nobody
// shall have to wait for the others to write.
func (s *strike) chargeNetwork(ctx context.Context) error {
	if s.network == "" {
		return nil
	}
	n, err := s.store.Add(ctx, s.network, 1, strikeWindow)
	switch {
	case err != nil:
		return s.flows.storeError(err)
	case n > maxNetworkStrikes:
		s.forgiveNetwork(ctx) // it was no try
		window := strikeWindow.Milliseconds()
		return tooManyFailures(time.Duration(window-s.at%window) * time.Millisecond)
	}
	return nil
}

func (s *strike) forgiveNetwork(ctx context.Context) {
	if s.network == "" {
		return
	}
	if _, err := s.store.Add(ctx, s.network, -1, strikeWindow); err != nil {
		s.flows.deps.Log.WarnContext(ctx, "a sign-in that did not fail is counted as one", "error", err)
	}
}

// succeeded takes a try back that was right, and makes its network one of the user's.
func (s *strike) succeeded(ctx context.Context) {
	s.forgive(ctx)
	err := s.store.Put(ctx, s.known, []byte{1}, knownLife)
	if err == nil && s.user == s.own {
		_, err = s.store.Delete(ctx, s.own) // what they mistyped before is forgotten
	}
	if err != nil {
		s.flows.deps.Log.WarnContext(ctx, "a network from which a user signed in is not remembered", "error", err)
	}
}

// key names a record of the store without telling whose it is.
func (k lockout) key(kind string, parts ...string) string {
	h := hashing{Hash: k.ring.Hash(purposeLockout)}
	h.add([]byte(kind), []byte(k.issuer))
	for _, part := range parts {
		h.add([]byte(part))
	}
	return "flows/password/" + hex.EncodeToString(h.Sum(nil)[:16])
}

// charge writes one more failure into a budget, or says how long to wait.
func (k lockout) charge(ctx context.Context, key string, at int64, rules []rule) error {
	for range maxContention {
		items, err := k.store.Get(ctx, key)
		if err != nil {
			return k.flows.storeError(err)
		}
		strikes := recentStrikes(items[0].Value, at)
		if wait := mustWait(strikes, at, rules); wait > 0 {
			return tooManyFailures(wait)
		}
		done, err := k.store.Swap(ctx, key, items[0].Version, encodeStrikes(append(strikes, at)), longWindow)
		if err != nil {
			return k.flows.storeError(err)
		}
		if done {
			return nil
		}
	}
	return tooManyFailures(time.Second) // so many at once are no person
}

// refund takes a failure out of a budget. If that fails, it stays: the safe side.
func (k lockout) refund(ctx context.Context, key string, at int64) {
	for range maxContention {
		items, err := k.store.Get(ctx, key)
		if err != nil || items[0].Version == 0 {
			break
		}
		strikes := recentStrikes(items[0].Value, at)
		i := slices.Index(strikes, at)
		if i < 0 {
			return
		}
		done, err := k.store.Swap(ctx, key, items[0].Version, encodeStrikes(slices.Delete(strikes, i, i+1)), longWindow)
		if done || err != nil {
			return
		}
	}
}

// mustWait judges failures, oldest first.
func mustWait(strikes []int64, at int64, rules []rule) (wait time.Duration) {
	since := func(i int) time.Duration { return time.Duration(at-strikes[i]) * time.Millisecond }
	n := len(strikes)
	for _, r := range rules {
		if n >= r.most {
			wait = max(wait, r.within-since(n-r.most))
		}
	}
	recent := 0
	for recent < n && since(n-1-recent) < strikeWindow {
		recent++
	}
	if recent > 0 && recent < len(pauses) {
		wait = max(wait, pauses[recent]-since(n-1))
	}
	return wait
}

func tooManyFailures(wait time.Duration) error {
	return &pages.Error{
		Code: codeTooMany, RetryAfter: wait,
		Detail: fmt.Sprintf("Too many sign-ins have failed for this user name or from this network. Wait %s before the next one.", inWords(wait)),
	}
}

func inWords(wait time.Duration) string {
	switch {
	case wait <= time.Minute:
		return "a minute"
	case wait <= time.Hour:
		return fmt.Sprintf("%d minutes", (wait+time.Minute-1)/time.Minute)
	}
	return "some hours"
}

// recentStrikes reads a budget: big-endian Unix milliseconds, oldest first. What is no budget of ours, or
// lies far ahead of this replica's clock, does not count.
func recentStrikes(value []byte, at int64) (recent []int64) {
	for ; len(value) >= 8 && len(recent) < 4*maxSteadyStrikes; value = value[8:] {
		if t := int64(binary.BigEndian.Uint64(value)); t > at-longWindow.Milliseconds() && t <= at+strikeWindow.Milliseconds() {
			recent = append(recent, t)
		}
	}
	slices.Sort(recent)
	return recent[max(0, len(recent)-maxSteadyStrikes):] // no rule looks at more
}

func encodeStrikes(strikes []int64) []byte {
	var b []byte
	for _, t := range strikes {
		b = binary.BigEndian.AppendUint64(b, uint64(t))
	}
	return b
}
