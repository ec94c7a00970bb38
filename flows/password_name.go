package flows

import (
	"encoding/binary"
	"hash"
	"strings"
	"sync"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/seal"
)

// Keyed hashes stand for passwords and for who tried them: whoever reads the store or the memory of
// this process can try no guesses against them (ROP-3, P173).
const (
	purposePassword seal.Purpose = "password-credentials"
	purposeLockout  seal.Purpose = "password-lockout"
)

// digestOf is a keyed hash.
type digestOf [32]byte

// hasher names credentials on one host for one login, or whoever else judges them. The same password of the same user has another name on
// another host, for another login, and for another issuer or client (S14, P173).
type hasher struct {
	ring  *seal.Ring
	scope digestOf // what the name is for
	idle  sync.Pool
}

type hashing struct {
	hash.Hash
	length [4]byte
	sum    digestOf
	plain  [512]byte // where credentials are decoded; wiped after use
}

// add writes parts so that no two lists of parts are the same bytes: each has its length before it.
func (s *hashing) add(parts ...[]byte) {
	for _, part := range parts {
		binary.BigEndian.PutUint32(s.length[:], uint32(len(part)))
		_, _ = s.Write(s.length[:])
		_, _ = s.Write(part)
	}
}

func newHasher(ring *seal.Ring, kind string, here origin.Origin, l *login) *hasher {
	return hasherFor(ring, kind, here, l.name, l.provider, l.client.Issuer(), l.client.ClientID())
}

// hasherFor names what is tried on here for those whom scope tells apart.
func hasherFor(ring *seal.Ring, kind string, here origin.Origin, scope ...string) *hasher {
	s := hashing{Hash: ring.Hash(purposePassword)}
	for _, part := range append([]string{kind, here.String()}, scope...) {
		s.add([]byte(part))
	}
	h := &hasher{ring: ring}
	s.Sum(h.scope[:0])
	return h
}

// begin returns a hash that has the scope in it already.
func (h *hasher) begin() *hashing {
	s, _ := h.idle.Get().(*hashing)
	if s == nil {
		s = &hashing{Hash: h.ring.Hash(purposePassword)}
	}
	s.Reset()
	_, _ = s.Write(h.scope[:])
	return s
}

// end returns the name, and the hash to those that wait for the next caller.
func (h *hasher) end(s *hashing) (name digestOf) {
	s.Sum(s.sum[:0])
	name = s.sum
	clear(s.plain[:])
	h.idle.Put(s)
	return name
}

// canonicalUser is a user name as failures are counted under it: providers read Alice, "alice " and
// ＡＬＩＣＥ as one person, and the directories and databases behind them often álice too (RFC 4518 §2; the
// collations of Active Directory and MySQL), so guessing at one must not be many budgets (P172). Two people
// who share a budget lose little. What is sent to the provider is what was typed, and who somebody
// is, its answer says.
func canonicalUser(name string) string {
	for range 4 { // each step may make work for the ones before it; hardly any name needs a second round
		next := strings.Map(letters, norm.NFKD.String(cases.Fold().String(norm.NFKC.String(name))))
		if next = strings.Join(strings.Fields(next), " "); next == name {
			break
		}
		name = next
	}
	return name
}

// letters drops soft hyphens, joiners, marks of direction, variation selectors, and the accents of Latin, Greek and
// Cyrillic letters. Marks of other scripts are vowels, which tell people apart.
func letters(r rune) rune {
	switch {
	case unicode.Is(unicode.Cf, r), unicode.Is(unicode.Variation_Selector, r), '\u0300' <= r && r <= '\u036f':
		return -1
	}
	return r
}
