package flows

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/internal/seal"
	"github.com/doorward/doorward/sessions/store"
)

const (
	strikeWindow      = 15 * time.Minute
	maxUserStrikes    = 5   // in a window: at one user, from one network of theirs, or from all that are not; Login.MaxFailures
	mostUserStrikes   = 30  // that a configuration may allow
	maxNetworkStrikes = 30  // in a quarter of an hour by the clock: from one network, at whatever users
	maxRegionStrikes  = 300 // likewise, from one IPv6 /48: whoever has one has 65,536 networks
	regionBits        = 48

	// In a long window Keycloak adds failures up, and locks after 30: so strangers have three windows' worth in it, and
	// a network of the user's own has two, which is 25 together.
	longWindow     = 12 * time.Hour
	ofStrangers    = 3
	ofOwn          = 2
	mostRemembered = ofStrangers * mostUserStrikes // failures in a budget

	knownLife     = 30 * 24 * time.Hour
	maxContention = 8 // at a count that others overtake
)

// rule bounds the failures in a window of time.
type rule struct {
	most   int
	within time.Duration
}

// rules are those of a budget that lasts for some windows in a long one.
func (k lockout) rules(windows int) []rule {
	return []rule{{k.most, strikeWindow}, {windows * k.most, longWindow}}
}

// pauseAfter is how long after so many failures in strikeWindow the next try at a user must wait, so that
// the last ones are not spent in one breath.
func pauseAfter(failures int) time.Duration {
	switch {
	case failures < 3:
		return 0
	case failures == 3:
		return 10 * time.Second
	}
	return time.Minute
}

// lockout bounds wrong passwords, for all replicas, in the shared store (P170, P171). It protects two who want
// different things. The provider locks an account after so many failures, and whoever can make us forward guesses can
// have anybody locked there: so we stop before it does. And whoever can make us stop must not
// lock anybody out here: so networks from which a user has signed in before have a budget of their
// own, which only somebody in that network can use up, and callers whose password is cached, or was until
// a short while ago, are not judged here at all. All other networks share one budget for each user: a
// thousand hosts of a botnet get five guesses in a quarter of an hour, and fifteen in half a day. A page
// of another site can make a browser in the user's own network guess (https://alice:guess@app/), so what such pages
// ask for counts as a stranger's, and not against the network. Nothing is for ever.
type lockout struct {
	store  store.Store
	ring   *seal.Ring
	issuer string // whose accounts they are: a provider locks them, whichever login was used
	most   int    // failures at one user in strikeWindow
	flows  *Flows
}

func (f *Flows) lockout(l *login) lockout { return f.lockoutOf(l.password.tries) }

func (f *Flows) lockoutOf(p *tries) lockout {
	return lockout{f.deps.Shared, f.deps.Ring, p.accounts, p.most, f}
}

// strike is one try, counted as a failure until it turns out to be none: of a hundred tries at once, all
// but the allowed ones must find the budget used up.
type strike struct {
	lockout
	user     string  // key of the user's budget that was charged; "" = none was
	networks []tally // that were charged
	known    string  // key of the mark that this user has signed in from this network
	own      string  // key of the budget for it
	at       int64
}

// tally is a plain counter of tries.
type tally struct {
	key  string
	most int64
}

// admit charges a try. The error is an answer: 429 with the time to wait, or the store's failure; then nothing
// may be forwarded. Who was right until a short while ago and proves it again is not charged: that can fail once, and
// then they are no more than anybody. So nobody who guesses elsewhere can shut out a program that is at work.
func (k lockout) admit(ctx context.Context, t typed) (*strike, error) {
	user, from := canonicalUser(t.username), network(t.client)
	s := &strike{lockout: k, at: k.flows.deps.Now().UnixMilli()}
	where := ""
	if from.IsValid() { // a caller without an address, as over a Unix socket, has a proxy that counts
		where = from.String()
	}
	s.known, s.own = k.key("known", user, where), k.key("own", user, where)
	items, err := k.store.Get(ctx, s.known)
	if err != nil {
		return nil, k.flows.storeError(err) // also if nothing is charged: what is proved could not be kept
	}
	if t.proven {
		return s, nil
	}
	budget, rules := k.key("user", user), k.rules(ofStrangers)
	if items[0].Version != 0 && !t.foreign {
		budget, rules = s.own, k.rules(ofOwn)
	}
	if err := s.chargeNetworks(ctx, from, t.foreign); err != nil {
		return nil, err
	}
	if err := k.charge(ctx, budget, s.at, rules); err != nil {
		s.forgive(ctx)
		return nil, err
	}
	s.user = budget
	return s, nil
}

// forgive takes a try back that was none.
func (s *strike) forgive(ctx context.Context) {
	if s.user != "" {
		s.refund(ctx, s.user, s.at)
	}
	for _, n := range s.networks {
		if _, err := s.store.Add(ctx, n.key, -1, strikeWindow); err != nil {
			s.flows.deps.Log.WarnContext(ctx, "a sign-in that did not fail is counted as one", "error", err)
		}
	}
}

// chargeNetworks counts, and does not list as charge does: a whole office may sign in in the same second, and nobody
// shall have to wait for the others to write.
func (s *strike) chargeNetworks(ctx context.Context, from netip.Prefix, foreign bool) error {
	window := strikeWindow.Milliseconds()
	for _, n := range s.tallies(from, foreign, strconv.FormatInt(s.at/window, 10)) {
		count, err := s.store.Add(ctx, n.key, 1, strikeWindow)
		if err != nil {
			s.forgive(ctx)
			return s.flows.storeError(err)
		}
		s.networks = append(s.networks, n)
		if count > n.most {
			s.forgive(ctx) // it was no try
			return tooManyFailures(time.Duration(window-s.at%window) * time.Millisecond)
		}
	}
	return nil
}

// tallies are what counts the tries from a network in a window.
func (k lockout) tallies(from netip.Prefix, foreign bool, window string) (all []tally) {
	if !from.IsValid() {
		return nil
	}
	kind := "network"
	if foreign {
		kind = "foreign"
	}
	all = []tally{{k.key(kind, from.String(), window), maxNetworkStrikes}}
	if region, err := from.Addr().Prefix(regionBits); err == nil && from.Addr().Is6() {
		all = append(all, tally{k.key(kind, region.String(), window), maxRegionStrikes})
	}
	return all
}

// succeeded takes a try back that was right, and makes its network one of the user's.
func (s *strike) succeeded(ctx context.Context) {
	s.forgive(ctx)
	err := s.store.Put(ctx, s.known, []byte{1}, knownLife)
	if err == nil && (s.user == s.own || s.user == "") {
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
	if pause := pauseAfter(recent); pause > 0 {
		wait = max(wait, pause-since(n-1))
	}
	return wait
}

func tooManyFailures(wait time.Duration) error {
	return &pages.Error{
		Code: codeTooMany, RetryAfter: wait,
		Detail: fmt.Sprintf("Too many sign-ins have failed for this user name or from this network. Wait %s before the next one.", inWords(wait)),
	}
}

// inWords rounds up: whoever waits as long as they read is never too early.
func inWords(wait time.Duration) string {
	switch {
	case wait <= time.Second:
		return "a second"
	case wait <= time.Minute:
		return fmt.Sprintf("%d seconds", (wait+time.Second-1)/time.Second)
	case wait <= time.Hour:
		return fmt.Sprintf("%d minutes", (wait+time.Minute-1)/time.Minute)
	}
	return fmt.Sprintf("%d hours", (wait+time.Hour-1)/time.Hour)
}

// recentStrikes reads a budget: big-endian Unix milliseconds, oldest first. What is no budget of ours, or
// lies far ahead of this replica's clock, does not count.
func recentStrikes(value []byte, at int64) (recent []int64) {
	for ; len(value) >= 8 && len(recent) < 2*mostRemembered; value = value[8:] {
		if t := int64(binary.BigEndian.Uint64(value)); t > at-longWindow.Milliseconds() && t <= at+strikeWindow.Milliseconds() {
			recent = append(recent, t)
		}
	}
	slices.Sort(recent)
	return recent[max(0, len(recent)-mostRemembered):] // no rule looks at more
}

func encodeStrikes(strikes []int64) []byte {
	var b []byte
	for _, t := range strikes {
		b = binary.BigEndian.AppendUint64(b, uint64(t))
	}
	return b
}
