package personal

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"

	"github.com/doorward/doorward/internal/credentials"
	"github.com/doorward/doorward/internal/seal"
)

const (
	tokenPrefix = credentials.PersonalPrefix
	secretSize  = 32
	tokenBytes  = secretSize + crc32.Size
	tokenLength = len(tokenPrefix) + tokenBytes/3*4 // 36 bytes fill base64 exactly: each token has one spelling

	purposeToken seal.Purpose = "personal: token"
)

// token is what a tool holds: 256 random bits. Whoever has it has the token, so nothing but a hash of it is ever stored or
// logged.
type token [secretSize]byte

func newToken() (t token) {
	_, _ = rand.Read(t[:]) // never fails: it ends the process instead
	return t
}

// text is "dwp." and base64url of the random bits and their checksum (CRC-32, IEEE, big-endian, over "dwp." and the bits). The
// checksum protects nothing: by it a scanner, and we, tell a token from what merely looks like one without asking the store.
func (t token) text() string {
	var raw [tokenBytes]byte
	copy(raw[:], t[:])
	binary.BigEndian.PutUint32(raw[secretSize:], t.checksum())
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(raw[:])
}

// checksum is CRC-32 as crc32.ChecksumIEEE has it, which would cost an allocation.
func (t token) checksum() uint32 {
	c := ^uint32(0)
	for _, b := range []byte(tokenPrefix) {
		c = crc32.IEEETable[byte(c)^b] ^ c>>8
	}
	for _, b := range t {
		c = crc32.IEEETable[byte(c)^b] ^ c>>8
	}
	return ^c
}

// parseToken refuses every spelling but the one that we write. It does not allocate.
func parseToken[T string | []byte](s T) (t token, ok bool) {
	if len(s) != tokenLength || string(s[:len(tokenPrefix)]) != tokenPrefix {
		return t, false
	}
	var text [tokenLength - len(tokenPrefix)]byte
	var raw [tokenBytes]byte
	copy(text[:], s[len(tokenPrefix):])
	n, err := base64.RawURLEncoding.Strict().Decode(raw[:], text[:])
	if err != nil || n != tokenBytes { // line breaks, which the decoder skips, make it shorter
		return t, false
	}
	copy(t[:], raw[:])
	return t, binary.BigEndian.Uint32(raw[secretSize:]) == t.checksum()
}

// digest names a record. It is made by a hash, so that it gives nothing away of what it was made from.
type digest [16]byte

func (d digest) String() string { return hex.EncodeToString(d[:]) }

func parseDigest(s string) (d digest, ok bool) {
	if len(s) != hex.EncodedLen(len(d)) {
		return d, false
	}
	_, err := hex.Decode(d[:], []byte(s))
	return d, err == nil && d.String() == s // capitals are another spelling
}

const domain = "doorward pat 1: id" // with the bits it fits into one block of the hash

// id names the token in the store, in lists and in logs; it is worthless as a token.
func (t token) id() (d digest) {
	var b [len(domain) + secretSize]byte
	copy(b[copy(b[:], domain):], t[:])
	sum := sha256.Sum256(b[:])
	copy(d[:], sum[:])
	return d
}

// seal encrypts a token's record for whoever has the token, as those of sessions are. It is bound to the key in the store.
func (t token) seal(ring *seal.Ring, record []byte, key string) []byte {
	return ring.SealFor(t.held(), purposeToken, record, []byte(key))
}

// open reverses seal.
func (t token) open(ring *seal.Ring, blob []byte, key string) ([]byte, bool) {
	record, err := ring.OpenFor(t.held(), purposeToken, blob, []byte(key))
	return record, err == nil
}

func (t token) held() seal.Held {
	return seal.Held{Secret: t[:], Info: "doorward personal token 1: record"}
}
