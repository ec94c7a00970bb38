package sessions

import (
	"crypto/rand"
	"encoding/base64"
	"strings"

	"github.com/doorward/doorward/internal/credentials"
	"github.com/doorward/doorward/internal/seal"
)

const (
	ticketPrefix = credentials.TicketPrefix
	ticketLength = len(ticketPrefix) + 43

	purposeRecord seal.Purpose = "sessions: record"
)

// ticket is what a browser holds: 256 random bits (P087). Whoever has it has the session, so
// nothing but a hash of it is ever stored or logged.
type ticket [32]byte

func newTicket() (t ticket) {
	_, _ = rand.Read(t[:]) // never fails: it ends the process instead
	return t
}

// parseTicket refuses every spelling but the one that we write.
func parseTicket(s string) (t ticket, ok bool) {
	if len(s) != ticketLength || !strings.HasPrefix(s, ticketPrefix) {
		return t, false
	}
	n, err := base64.RawURLEncoding.Strict().Decode(t[:], []byte(s[len(ticketPrefix):]))
	return t, err == nil && n == len(t)
}

// value is the cookie value.
func (t ticket) value() string {
	var text [ticketLength]byte
	copy(text[:], ticketPrefix)
	base64.RawURLEncoding.Encode(text[len(ticketPrefix):], t[:])
	return string(text[:])
}

// seal encrypts a session record for whoever has the ticket. It is bound to the key in the store.
func (t ticket) seal(ring *seal.Ring, record []byte, key string) []byte {
	return ring.SealFor(t.held(), purposeRecord, record, []byte(key))
}

// open reverses seal.
func (t ticket) open(ring *seal.Ring, blob []byte, key string) ([]byte, bool) {
	record, err := ring.OpenFor(t.held(), purposeRecord, blob, []byte(key))
	return record, err == nil
}

func (t ticket) held() seal.Held { return seal.Held{Secret: t[:], Info: "doorward session 1: record"} }
