package credential

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"maps"
	"net/url"
	"slices"
	"sync"

	"github.com/doorward/doorward/internal/identity"
)

type digest [sha256.Size]byte

// handle is where a source's token for one identity lies.
type handle struct {
	key   digest // of all inputs (S14)
	owner digest // whose it is: of all that is forgotten together
	owned bool   // false = everybody's, and nobody's to forget
}

// tuple lists values each with its length, so that no two lists of values are the same bytes.
type tuple []byte

func newTuple(what string) tuple {
	t := make(tuple, 0, 512)
	t.text("doorward credential 1: " + what)
	return t
}

func (t *tuple) number(n int) { *t = binary.BigEndian.AppendUint64(*t, uint64(n)) }

func (t *tuple) text(s string) {
	t.number(len(s))
	*t = append(*t, s...)
}

func (t *tuple) digest(d digest) { *t = append(*t, d[:]...) }

func (t *tuple) list(values ...string) {
	t.number(len(values))
	for _, v := range values {
		t.text(v)
	}
}

func (t *tuple) values(v url.Values) {
	t.number(len(v))
	for _, name := range slices.Sorted(maps.Keys(v)) {
		t.text(name)
		t.list(v[name]...)
	}
}

func (t *tuple) flag(b bool) {
	n := 0
	if b {
		n = 1
	}
	t.number(n)
}

func (t *tuple) sum() digest { return sha256.Sum256(*t) }

// baseKey is of everything that a token depends on but whom it is for. The keys of actor and first leg are in it, not
// their tokens, which change.
func (s *Source) baseKey() digest {
	t := newTuple("base")
	t.text(s.conf.Flow)
	t.text(s.name)
	if s.client != nil {
		t.list(s.client.Name(), s.client.Issuer(), s.client.ClientID())
	} else {
		t.list(s.set.issuer)
	}
	t.list(s.conf.Scopes...)
	t.list(s.conf.Audience...)
	t.list(s.conf.Resource...)
	t.values(s.conf.Parameters)
	t.list(s.conf.RequestedType, s.conf.Dialect, s.conf.Username, s.conf.Subject)
	for _, leg := range []*Source{s.actor, s.subject} {
		if t.flag(leg != nil); leg != nil {
			t.digest(leg.baseKey())
		}
	}
	t.list(s.place.header, s.place.before, s.place.behind, s.place.user)
	t.flag(s.place.basic)
	return t.sum()
}

// handleOf hashes in who it is for. It costs some microseconds, once for each identity and source.
func (s *Source) handleOf(who *identity.Identity) *handle {
	t := newTuple("token")
	t.digest(s.base)
	t.list(who.Issuer, who.Subject, who.Provider, who.Login, who.Session)
	first := s
	for first.subject != nil {
		first = first.subject
	}
	switch {
	case first.conf.Flow == flowAssertion: // everything that is written into it
		t.text("claims")
		t.list(who.Client, who.Email, who.Username, who.Name, who.ACR)
		t.list(who.Groups...)
		t.list(who.AMR...)
		t.number(int(who.AuthTime.Unix()))
		t.flag(who.Machine)
		t.flag(who.EmailVerified)
		t.text(hashed(who.Tokens, accessToken))
	case first.conf.Subject == idToken:
		t.text("id")
		t.text(hashed(who.Tokens, idToken))
	default:
		t.text("access")
		t.text(hashed(who.Tokens, accessToken))
	}
	return &handle{key: t.sum(), owner: s.set.ownerOf(who), owned: true}
}

// ownerOf names whose tokens are forgotten together: those of one session, or where there is none, those that were
// obtained with one bearer token.
func (s *Set) ownerOf(who *identity.Identity) digest { return s.keyed(owner(who)) }

// ownersOf are all names of an owner: while the ring is changed, another replica may use one of an older or newer key.
func (s *Set) ownersOf(who *identity.Identity) []digest {
	d := owner(who)
	if len(s.names) == 0 {
		return []digest{d}
	}
	all := make([]digest, len(s.names))
	for i, names := range s.names {
		all[i] = keyedBy(names, d)
	}
	return all
}

func owner(who *identity.Identity) digest {
	t := newTuple("owner")
	if who.Session != "" {
		t.list("session", who.Session)
	} else {
		t.list("token", who.Issuer, who.Subject, hashed(who.Tokens, accessToken))
	}
	return t.sum()
}

// keyed hides a digest from whoever can read the store: without the ring nobody can try what it is made of.
func (s *Set) keyed(d digest) digest {
	if len(s.names) == 0 {
		return d
	}
	return keyedBy(s.names[0], d)
}

func keyedBy(names *sync.Pool, d digest) (out digest) {
	h := names.Get().(hash.Hash)
	defer names.Put(h)
	h.Reset()
	_, _ = h.Write(d[:])
	h.Sum(out[:0])
	return out
}

// hashed is the hash of one of the tokens, "" if there is none.
func hashed(t *identity.Tokens, which string) string {
	if t == nil {
		return ""
	}
	token := t.AccessToken
	if which == idToken {
		token = t.IDToken
	}
	if token.IsZero() {
		return ""
	}
	sum := sha256.Sum256([]byte(token.Reveal()))
	return string(sum[:])
}
