package bearer

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/doorward/doorward/internal/credentials"
	"github.com/doorward/doorward/internal/identity"
)

// How long a verdict counts, besides the end of the token.
const (
	signedLife   = 5 * time.Minute  // of a JWT: a key that was withdrawn is noticed then
	askedLife    = time.Minute      // of an introspected token: a revocation is noticed then (RS-7)
	refusedLife  = 10 * time.Second // of a no
	troubledLife = 3 * time.Second  // of "cannot be judged now": an outage is not made worse by those who try again
)

// Bytes of an entry besides what it holds; claims are counted as often as decoded claims need.
const (
	entryWeight   = 1 << 10
	refusalWeight = 512
	claimsWeight  = 4
)

type digest [sha256.Size]byte

// digestOf hashes a length-prefixed tuple, so that no two lists of parts are the same bytes (S14).
func digestOf(parts ...string) digest {
	var b []byte
	for _, p := range parts {
		b = binary.BigEndian.AppendUint64(b, uint64(len(p)))
		b = append(b, p...)
	}
	return sha256.Sum256(b)
}

// key names the verdict about a token: a hash of the scope, which has one length, and of all that follows it.
func (c *Checker) key(token string) digest {
	var small [2 << 10]byte // what most tokens fit in, on the stack
	b := append(small[:0], c.scope[:]...)
	b = append(b, token...)
	return sha256.Sum256(b)
}

// verdict is what is known about a token. It is never modified, and says nothing about whether its bearer may use it:
// binding must be satisfied by each request.
type verdict struct {
	who     *identity.Identity // nil = err
	binding binding
	err     error // *credentials.Refusal or *pages.Error
	until   time.Time
	weight  uint32
}

func accepted(who *identity.Identity, b binding, now time.Time, life time.Duration) *verdict {
	until := now.Add(life)
	if !who.Ends.IsZero() && who.Ends.Before(until) {
		until = who.Ends
	}
	weight := entryWeight + len(who.Tokens.AccessToken.Reveal()) + claimsWeight*len(who.Claims.Raw())
	return &verdict{who: who, binding: b, until: until, weight: uint32(weight)}
}

func rejected(err error, now time.Time) *verdict {
	v := &verdict{err: err, until: now.Add(refusedLife), weight: refusalWeight}
	if v.trouble() {
		v.until = now.Add(troubledLife)
	}
	return v
}

// trouble reports whether it is neither yes nor no.
func (v *verdict) trouble() bool {
	return v.who == nil && !errors.As(v.err, new(*credentials.Refusal))
}

// verdicts is bounded by weight. A no lies in a small place of its own, so that somebody who sends garbage drives out
// garbage only. The library behind it (otter) runs its maintenance in the calling goroutine and has no clock here.
type verdicts struct {
	yes, no *otter.Cache[digest, *verdict]
}

const noShare = 16 // part of the whole that a no may have

func newVerdicts(bytes uint64) (*verdicts, error) {
	yes, err := newCache(bytes - bytes/noShare)
	if err != nil {
		return nil, err
	}
	no, err := newCache(bytes / noShare)
	return &verdicts{yes, no}, err
}

func newCache(bytes uint64) (*otter.Cache[digest, *verdict], error) {
	return otter.New(&otter.Options[digest, *verdict]{
		MaximumWeight: bytes,
		Weigher:       func(_ digest, v *verdict) uint32 { return v.weight },
		Executor:      func(fn func()) { fn() },
	})
}

// get returns what still counts, nil if nothing does.
func (s *verdicts) get(key digest, now time.Time) *verdict {
	if v, ok := s.yes.GetIfPresent(key); ok && now.Before(v.until) {
		return v
	}
	if v, ok := s.no.GetIfPresent(key); ok && now.Before(v.until) {
		return v
	}
	return nil
}

// knows reports whether a token was accepted before, though that may count no more.
func (s *verdicts) knows(key digest) bool {
	_, ok := s.yes.GetIfPresent(key)
	return ok
}

func (s *verdicts) put(key digest, v *verdict, now time.Time) {
	to := s.no
	switch {
	case v.who != nil:
		s.no.Invalidate(key)
		to = s.yes
	case !v.trouble(): // which leaves the yes before it: that has ended, and tells that the token is known
		s.yes.Invalidate(key)
	}
	if now.Before(v.until) {
		to.Set(key, v)
	}
}
