package flows

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"

	"github.com/doorward/doorward/internal/secret"
)

// What a hash may cost. Whoever calls makes us pay it, so nobody's file may ask for more.
const (
	maxArgonMemory = 256 << 10 // KiB
	maxArgonTime   = 16
	maxArgonLanes  = 16
	maxBcryptCost  = 15
	bcryptLength   = 60
	maxBcryptInput = 72 // bytes of a password; bcrypt looks at no more, silently
)

// The parameters of new hashes. RFC 9106 §4 recommends 64 MiB and three passes for a server that signs people in now and
// then; a gateway hashes for anybody who asks, and may have no more memory than that for all of them at a time. So these
// are the ones that OWASP recommends as equivalent.
const (
	argonMemory = 19 << 10 // KiB
	argonTime   = 2
	argonLanes  = 1
	argonSalt   = 16 // bytes
	argonSum    = 32
)

// passwordHash is a hash that a configuration has.
type passwordHash interface {
	// matches takes as long with one password as with another.
	matches(password []byte) bool
}

// HashPassword returns an argon2id hash in the PHC string format, as [User] has it. A password is 1 to 1024 bytes of text
// without control characters, which HTTP Basic does not carry, and begins like no ticket and no key: those are never tried.
func HashPassword(password secret.String) (string, error) {
	p := password.Reveal()
	if !typable(p) {
		return "", fmt.Errorf("a password is 1 to %d bytes of text in UTF-8 without control characters, and no ticket or key of Doorward's", maxTyped)
	}
	salt := make([]byte, argonSalt)
	_, _ = rand.Read(salt) // never fails: it ends the process instead
	sum := argon2.IDKey([]byte(p), salt, argonTime, argonMemory, argonLanes, argonSum)
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonLanes, b64(salt), b64(sum)), nil
}

// parseHash reads a hash. The error says what is wrong with it, and nothing of what it is.
func parseHash(text string) (passwordHash, error) {
	switch {
	case strings.HasPrefix(text, "$argon2id$"):
		return parseArgon2id(text)
	case strings.HasPrefix(text, "$2a$"), strings.HasPrefix(text, "$2b$"), strings.HasPrefix(text, "$2y$"):
		return parseBcrypt(text)
	}
	return nil, fmt.Errorf("%s is not accepted; make an argon2id hash with `doorward hash`, or a bcrypt one with `htpasswd -B`", kindOf(text))
}

// kindOf names what is no hash to us.
func kindOf(text string) string {
	for _, kind := range []struct{ prefix, name string }{
		{"$apr1$", "MD5 (apr1)"},
		{"$1$", "MD5 (crypt)"},
		{"{SHA}", "SHA-1 without salt"},
		{"{SSHA}", "SHA-1"},
		{"$5$", "SHA-256 (crypt)"},
		{"$6$", "SHA-512 (crypt)"},
		{"$y$", "yescrypt"},
		{"$2x$", "the broken variant 2x of bcrypt"},
		{"$argon2", "another variant of Argon2 than argon2id"},
	} {
		if strings.HasPrefix(text, kind.prefix) {
			return kind.name
		}
	}
	return "plain text, or a hash by DES crypt or something unknown,"
}

// argon2id is RFC 9106.
type argon2id struct {
	time, memory uint32
	lanes        uint8
	salt, sum    []byte
}

func (h *argon2id) matches(password []byte) bool {
	sum := argon2.IDKey(password, h.salt, h.time, h.memory, h.lanes, uint32(len(h.sum)))
	return subtle.ConstantTimeCompare(sum, h.sum) == 1
}

var errArgon = errors.New("an argon2id hash is written as $argon2id$v=19$m=19456,t=2,p=1$SALT$HASH, with both in base64 without padding")

// parseArgon2id reads the PHC string format, in the one order that everybody writes.
func parseArgon2id(text string) (*argon2id, error) {
	parts := strings.Split(text, "$")
	if len(parts) != 6 || parts[2] != "v="+strconv.Itoa(argon2.Version) {
		return nil, errArgon
	}
	costs := strings.Split(parts[3], ",")
	if len(costs) != 3 {
		return nil, errArgon
	}
	memory, ok := cost(costs[0], "m=", maxArgonMemory)
	passes, ok2 := cost(costs[1], "t=", maxArgonTime)
	lanes, ok3 := cost(costs[2], "p=", maxArgonLanes)
	switch {
	case !ok || !ok2 || !ok3:
		return nil, fmt.Errorf("an argon2id hash may have m=1 to %d (KiB), t=1 to %d and p=1 to %d, in this order", maxArgonMemory, maxArgonTime, maxArgonLanes)
	case memory < 8*lanes:
		return nil, errors.New("an argon2id hash has m=8 at least for each of p (RFC 9106 §3.1)")
	}
	salt, err := base64.RawStdEncoding.Strict().DecodeString(parts[4])
	sum, err2 := base64.RawStdEncoding.Strict().DecodeString(parts[5])
	if err != nil || err2 != nil || strings.ContainsAny(text, "\r\n") {
		return nil, errArgon
	}
	if len(salt) < 8 || len(salt) > 64 || len(sum) < 16 || len(sum) > 64 {
		return nil, errors.New("an argon2id hash has a salt of 8 to 64 bytes and a result of 16 to 64")
	}
	return &argon2id{time: passes, memory: memory, lanes: uint8(lanes), salt: salt, sum: sum}, nil
}

// cost reads a decimal number of 1 to most, as strconv writes it.
func cost(text, prefix string, most uint64) (uint32, bool) {
	digits, ok := strings.CutPrefix(text, prefix)
	n, err := strconv.ParseUint(digits, 10, 32)
	return uint32(n), ok && err == nil && n >= 1 && n <= most && digits == strconv.FormatUint(n, 10)
}

// bcryptHash is as it is written.
type bcryptHash []byte

// matches refuses long passwords, of which bcrypt would compare the beginning only; not before it has taken its time.
func (h bcryptHash) matches(password []byte) bool {
	err := bcrypt.CompareHashAndPassword(h, password[:min(len(password), maxBcryptInput)])
	return err == nil && len(password) <= maxBcryptInput
}

func parseBcrypt(text string) (bcryptHash, error) {
	n, err := bcrypt.Cost([]byte(text))
	if err != nil || len(text) != bcryptLength || strings.Trim(text[7:], bcryptAlphabet) != "" || text[6] != '$' {
		return nil, errors.New("it begins like a bcrypt hash and is none: those have 60 characters, as in $2y$12$…")
	}
	if n > maxBcryptCost {
		return nil, fmt.Errorf("its bcrypt cost is %d; at most %d is accepted, for each try takes a processor for that long", n, maxBcryptCost)
	}
	return bcryptHash(text), nil
}

const bcryptAlphabet = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
