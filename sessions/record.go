package sessions

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/doorward/doorward/internal/identity"
)

const (
	recordVersion = 1
	maxRecord     = 256 << 10 // bytes of an encoded record
)

// record is what is kept of a session. Times are kept to the millisecond. A record is a
// value; what it points to is never modified.
type record struct {
	id        digest
	created   time.Time
	seen      time.Time // last counted activity
	refreshed time.Time // zero = never
	ends      time.Time
	idle      time.Duration
	refreshes uint64 // how often tokens were refreshed: tells which of two records is newer
	who       *identity.Identity
}

// timesOut is the idle end as things stand.
func (rec *record) timesOut() time.Time {
	if t := rec.seen.Add(rec.idle); t.Before(rec.ends) {
		return t
	}
	return rec.ends
}

// sameAs reports whether two records of one id are of the same session: under a derived ticket one session may
// follow another.
func (rec *record) sameAs(other *record) bool {
	return rec.created.UnixMilli() == other.created.UnixMilli()
}

// newerThan reports whether what was found out about other is no news any more.
func (rec *record) newerThan(other *record) bool {
	return !rec.sameAs(other) || rec.refreshes > other.refreshes
}

func (rec *record) alive(now time.Time) bool { return now.Before(rec.timesOut()) }

func (rec *record) session() *Session {
	return &Session{
		ID: rec.id.String(), Who: rec.who, Created: rec.created, Seen: rec.seen,
		Ends: rec.ends, TimesOut: rec.timesOut(), Refreshed: rec.refreshed,
	}
}

// vouch names in rec's identity the session that vouches for it. Nobody else may have seen that identity yet.
func (rec *record) vouch() {
	rec.who.Session, rec.who.Ends = rec.id.String(), time.UnixMilli(rec.ends.UnixMilli()) // as it will be read
}

// vouched returns rec with an identity of its own. Whoever brought the one that it has may have shared it already, with
// another session even; as identities are immutable, the copy is made by the encoding.
func (rec record) vouched() (record, error) {
	plain, err := rec.encode()
	if err != nil {
		return rec, err
	}
	again, ok := decode(plain)
	if !ok {
		return rec, errUnreadable
	}
	rec.who = again.who
	rec.vouch()
	return rec, nil
}

var errUnreadable = errors.New("sessions: a record that was just written cannot be read")

// limits are how long sessions may last.
type limits struct{ idle, lifetime time.Duration }

// tighten applies limits that were made stricter since the session began.
func (l limits) tighten(rec *record) {
	rec.idle = min(rec.idle, l.idle)
	if ends := rec.created.Add(l.lifetime); ends.Before(rec.ends) {
		rec.ends = ends
	}
}

// encode writes a record: a version byte, then every field in the order below. Numbers are
// varints, texts and lists have their length before them, a time is milliseconds since 1970
// and 0 if there is none. Whatever changes here needs another version.
func (rec *record) encode() ([]byte, error) {
	w := writer(make([]byte, 0, 4<<10))
	w = append(w, recordVersion)
	w = append(w, rec.id[:]...)
	w.times(rec.created, rec.seen, rec.refreshed, rec.ends)
	w.number(uint64(rec.idle / time.Millisecond))
	w.number(rec.refreshes)
	who := rec.who
	w.texts(who.Issuer, who.Subject, who.Provider, who.Login, who.Client, who.Email, who.Username, who.Name, who.ACR, who.SID)
	w.flags(who.Machine, who.EmailVerified, who.Tokens != nil)
	w.list(who.Groups)
	w.list(who.Scopes)
	w.list(who.AMR)
	w.times(who.AuthTime)
	w.bytes(who.Claims.Raw())
	if t := who.Tokens; t != nil {
		w.texts(t.AccessToken.Reveal(), t.RefreshToken.Reveal(), t.IDToken.Reveal(), t.TokenType, t.IssuedTokenType, t.Scope)
		w.times(t.ReceivedAt, t.Expiry, t.RefreshExpiry)
	}
	if len(w) > maxRecord {
		return nil, fmt.Errorf("%w: it has %d kB, and no session may have more than %d", ErrTooLarge, len(w)>>10, maxRecord>>10)
	}
	return w, nil
}

type writer []byte

func (w *writer) number(n uint64) { *w = binary.AppendUvarint(*w, n) }

func (w *writer) times(times ...time.Time) {
	for _, t := range times {
		var ms int64
		if !t.IsZero() {
			ms = t.UnixMilli()
		}
		*w = binary.AppendVarint(*w, ms)
	}
}

func (w *writer) texts(texts ...string) {
	for _, s := range texts {
		w.number(uint64(len(s)))
		*w = append(*w, s...)
	}
}

func (w *writer) bytes(b []byte) {
	w.number(uint64(len(b)))
	*w = append(*w, b...)
}

func (w *writer) list(list []string) {
	w.number(uint64(len(list)))
	w.texts(list...)
}

func (w *writer) flags(flags ...bool) {
	var b byte
	for i, f := range flags {
		if f {
			b |= 1 << i
		}
	}
	*w = append(*w, b)
}
