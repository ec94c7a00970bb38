package sessions

import (
	"encoding/binary"
	"time"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/secret"
)

// decode reads a record. Anything but a whole record of this version is no record: there is
// no partial one, and no error to tell why. It allocates no more than a small multiple of
// len(b), whatever the lengths inside say.
func decode(b []byte) (rec record, ok bool) {
	if len(b) > maxRecord || len(b) < 1+len(rec.id) || b[0] != recordVersion {
		return record{}, false
	}
	copy(rec.id[:], b[1:])
	r := reader{rest: string(b[1+len(rec.id):])} // all texts share this copy
	rec.created, rec.seen, rec.refreshed, rec.ends = r.time(), r.time(), r.time(), r.time()
	rec.idle = time.Duration(r.below(1<<40)) * time.Millisecond
	rec.refreshes = r.number()
	rec.who = r.identity()
	if r.bad || r.rest != "" {
		return record{}, false
	}
	return rec, true
}

func (r *reader) identity() *identity.Identity {
	who := &identity.Identity{
		Issuer: r.text(), Subject: r.text(), Provider: r.text(), Login: r.text(), Client: r.text(),
		Email: r.text(), Username: r.text(), Name: r.text(), ACR: r.text(), SID: r.text(),
	}
	flags := r.byte()
	who.Machine, who.EmailVerified = flags&1 != 0, flags&2 != 0
	who.Groups, who.Scopes, who.AMR = r.list(), r.list(), r.list()
	who.AuthTime = r.time()
	who.Claims = identity.NewClaims([]byte(r.text())) // decoded at the first look
	if flags&4 != 0 {
		who.Tokens = &identity.Tokens{
			AccessToken: secret.New(r.text()), RefreshToken: secret.New(r.text()), IDToken: secret.New(r.text()),
			TokenType: r.text(), IssuedTokenType: r.text(), Scope: r.text(),
			ReceivedAt: r.time(), Expiry: r.time(), RefreshExpiry: r.time(),
		}
	}
	if flags > 7 {
		r.bad = true
	}
	return who
}

// reader reads from the front of rest. After the first mistake everything is zero.
type reader struct {
	rest string
	bad  bool
}

func (r *reader) fail() {
	r.bad, r.rest = true, ""
}

func (r *reader) byte() byte {
	if r.rest == "" {
		r.fail()
		return 0
	}
	b := r.rest[0]
	r.rest = r.rest[1:]
	return b
}

func (r *reader) number() uint64 {
	var n uint64
	for shift := 0; shift < 7*binary.MaxVarintLen64; shift += 7 {
		b := r.byte()
		if shift == 63 && b > 1 {
			break
		}
		n |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return n
		}
	}
	r.fail()
	return 0
}

func (r *reader) below(limit uint64) uint64 {
	n := r.number()
	if n >= limit {
		r.fail()
		return 0
	}
	return n
}

func (r *reader) time() time.Time {
	n := r.number()
	ms := int64(n>>1) ^ -int64(n&1)
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

func (r *reader) text() string {
	n := r.number()
	if n > uint64(len(r.rest)) {
		r.fail()
		return ""
	}
	s := r.rest[:n]
	r.rest = r.rest[n:]
	return s
}

func (r *reader) list() []string {
	n := r.number()
	if n > uint64(len(r.rest)) { // each takes a byte at least
		r.fail()
		return nil
	}
	if n == 0 {
		return nil
	}
	list := make([]string, n)
	for i := range list {
		list[i] = r.text()
	}
	return list
}
