package sessions

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
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

// seal encrypts a session record twice: with a key that only the ticket gives, so that a stolen
// store and its key ring open nothing, and with the ring, so that a stolen cookie and a
// stolen store open nothing either. Both layers are bound to the key in the store.
func (t ticket) seal(ring *seal.Ring, record []byte, key string) []byte {
	inner := t.aead().Seal(nil, nil, record, []byte(key))
	return ring.Seal(purposeRecord, inner, []byte(key))
}

// open reverses seal.
func (t ticket) open(ring *seal.Ring, blob []byte, key string) ([]byte, bool) {
	inner, err := ring.Open(purposeRecord, blob, []byte(key))
	if err != nil {
		return nil, false
	}
	record, err := t.aead().Open(nil, nil, inner, []byte(key))
	return record, err == nil
}

func (t ticket) aead() cipher.AEAD {
	key, err := hkdf.Key(sha256.New, t[:], nil, "doorward session 1: record", 32)
	if err != nil {
		panic("sessions: " + err.Error()) // the lengths are constants
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		panic("sessions: " + err.Error())
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic("sessions: " + err.Error())
	}
	return aead
}
