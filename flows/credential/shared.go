package credential

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/doorward/doorward/internal/seal"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/sessions/store"
)

const (
	tokenKeys  = "credential/token/"
	lockKeys   = "credential/lock/"
	goneKeys   = "credential/gone/"
	ownerIndex = "credential/of/"

	storeLimit = time.Second // for one use of the store: it makes things faster, or is passed over
	lease      = 3 * time.Second
	lockWait   = time.Second // for the answer that another replica waits for
	lockPause  = 50 * time.Millisecond
	goneLife   = time.Minute // of the word that somebody was forgotten
	complaints = time.Minute // between two lines in the log about the store
	page       = 256         // keys that are deleted at once
	mostPages  = 16
)

// shared is where replicas leave tokens for each other: sealed, under names that say nothing, listed by whose they are. It
// saves requests to providers, and nothing depends on it: without it each replica fetches its own.
type shared struct {
	store      store.Store
	set        *Set
	ring       *seal.Ring
	complained atomic.Int64
}

func (s *Set) share(d Deps) error {
	if d.Shared == nil {
		return nil
	}
	if d.Ring == nil {
		return errors.New("credential: tokens for other replicas are sealed with a key of the ring, and there is none")
	}
	s.shared = &shared{store: d.Shared, set: s, ring: d.Ring}
	return d.Shared.Watch(s.open, goneKeys, s.shared.heard)
}

// heard is told that somebody was forgotten, or that the word of it has ended: then what they have since is read from the
// store once more.
func (s *shared) heard(key string) {
	var owner digest
	text := strings.TrimPrefix(key, goneKeys)
	if n, err := base64.RawURLEncoding.Decode(owner[:], []byte(text)); err == nil && n == len(owner) {
		s.set.cache.forget(owner)
	}
}

func encoded(d digest) string { return base64.RawURLEncoding.EncodeToString(d[:]) }

// name is where a token lies; keyed, so that whoever reads the store cannot tell whose it is.
func (s *shared) name(h *handle) string { return encoded(s.set.keyed(h.key)) }

// word is the version of what was said last about an owner, 0 = nothing; ok is false if that is not known.
func (s *shared) word(ctx context.Context, owner digest) (version uint64, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, storeLimit)
	defer cancel()
	items, err := s.store.Get(ctx, goneKeys+encoded(owner))
	if err != nil {
		s.complain(ctx, err)
		return 0, false
	}
	return items[0].Version, true
}

// begun is the state of things before a token is asked for: if its owner is forgotten after that, wherever, it is left to
// nobody.
type begun struct {
	word  uint64
	known bool
}

func (s *shared) begin(ctx context.Context, h *handle) (b begun) {
	if !h.owned {
		return begun{known: true}
	}
	b.word, b.known = s.word(ctx, h.owner)
	return b
}

// still reports whether nobody has forgotten the owner since.
func (s *shared) still(ctx context.Context, h *handle, b begun) bool {
	return b.known && s.begin(ctx, h) == b
}

// claim returns a token of another replica that serves, or nil and the right to fetch one, which release gives back. It
// waits a second at most for somebody else who is fetching it.
func (s *shared) claim(ctx context.Context, h *handle, serves func(*grant) bool) (g *grant, release func()) {
	release = func() {}
	name := s.name(h)
	me, began := rand.Text(), s.set.now()
	for {
		g, err := s.load(ctx, name)
		if err != nil || g != nil && serves(g) {
			return g, release
		}
		ours, err := s.lock(ctx, name, me)
		if err != nil {
			return nil, release
		}
		if ours {
			return nil, func() { s.unlock(ctx, name, me) }
		}
		if s.set.now().Sub(began) >= lockWait {
			return nil, release
		}
		select {
		case <-ctx.Done():
			return nil, release
		case <-time.After(lockPause):
		}
	}
}

// load returns what lies there, nil if nothing does or it is not ours.
func (s *shared) load(ctx context.Context, name string) (*grant, error) {
	ctx, cancel := context.WithTimeout(ctx, storeLimit)
	defer cancel()
	key := tokenKeys + name
	items, err := s.store.Get(ctx, key)
	if err != nil {
		s.complain(ctx, err)
		return nil, err
	}
	if items[0].Version == 0 {
		return nil, nil
	}
	return s.unsealed(ctx, key, items[0].Value), nil
}

func (s *shared) unsealed(ctx context.Context, key string, blob []byte) *grant {
	plain, err := s.ring.Open(purposeToken, blob, []byte(key))
	if err != nil { // by a key that is gone, or not ours at all
		return nil
	}
	g, err := decode(plain)
	if err != nil {
		s.complain(ctx, err)
		return nil
	}
	return g
}

// save leaves a token to the others. If its owner was forgotten meanwhile, it is taken back, and counts no more here:
// whoever forgets says so before they look for what lies there, and we look for their word after we have laid it.
func (s *shared) save(ctx context.Context, h *handle, g *grant, b begun) {
	ttl := g.end().Sub(s.set.now())
	if ttl <= 0 || !b.known {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeLimit)
	defer cancel()
	var index []string
	if h.owned {
		index = []string{ownerIndex + encoded(h.owner)}
	}
	key := tokenKeys + s.name(h)
	if err := s.store.Put(ctx, key, s.ring.Seal(purposeToken, encode(g), []byte(key)), ttl, index...); err != nil {
		s.complain(ctx, err)
	}
	if !s.still(ctx, h, b) {
		s.set.cache.forget(h.owner)
		s.remove(ctx, key)
	}
}

// drop removes a token that an upstream has rejected, unless another lies there by now.
func (s *shared) drop(ctx context.Context, h *handle, token secret.String) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeLimit)
	defer cancel()
	name := s.name(h)
	if g, err := s.load(ctx, name); err == nil && g != nil && g.tokens.AccessToken.Equal(token) {
		s.remove(ctx, tokenKeys+name)
	}
}

// forget tells the other replicas, also those that are just asking a provider, and removes everything of an owner, under
// all of its names.
func (s *shared) forget(ctx context.Context, owners []digest) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeLimit)
	defer cancel()
	for _, owner := range owners {
		if err := s.store.Put(ctx, goneKeys+encoded(owner), []byte{layout}, goneLife); err != nil {
			s.complain(ctx, err)
		}
		s.clear(ctx, ownerIndex+encoded(owner))
	}
}

func (s *shared) clear(ctx context.Context, index string) {
	for range mostPages {
		keys, err := s.store.List(ctx, index, "", page)
		if err != nil {
			s.complain(ctx, err)
			return
		}
		if len(keys) == 0 {
			return
		}
		s.remove(ctx, keys...)
	}
}

func (s *shared) remove(ctx context.Context, keys ...string) {
	if _, err := s.store.Delete(ctx, keys...); err != nil {
		s.complain(ctx, err)
	}
}

// lock takes a short lease. Nothing breaks if two hold it: the provider is asked twice.
func (s *shared) lock(ctx context.Context, name, owner string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, storeLimit)
	defer cancel()
	ours, err := s.store.Swap(ctx, lockKeys+name, 0, []byte(owner), lease)
	if err != nil {
		s.complain(ctx, err)
	}
	return ours, err
}

func (s *shared) unlock(ctx context.Context, name, owner string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeLimit)
	defer cancel()
	items, err := s.store.Get(ctx, lockKeys+name)
	if err == nil && string(items[0].Value) == owner {
		s.remove(ctx, lockKeys+name)
	}
}

// complain says now and then that the store cannot be used; who waits for a token does not care.
func (s *shared) complain(ctx context.Context, err error) {
	now, last := s.set.now().UnixNano(), s.complained.Load()
	if now-last >= int64(complaints) && s.complained.CompareAndSwap(last, now) {
		s.set.log.LogAttrs(ctx, slog.LevelWarn, "tokens cannot be shared with other replicas just now; each fetches its own", slog.Any("error", err))
	}
}
