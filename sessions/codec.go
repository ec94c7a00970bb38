package sessions

import (
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/gorilla/securecookie"

	"github.com/doorward/doorward/internal/seal"
)

const purposeCookie seal.Purpose = "sessions: cookie"

var errCodec = errors.New("sessions: the value was not sealed by us under this name")

// codec is gorilla's securecookie.Codec over a key ring: AES-256-GCM, all keys open, the
// first seals. It seals bytes and nothing else, so that no foreign decoder ever sees what
// a browser sends. Unlike securecookie it has neither a size limit of 4096 bytes nor a clock:
// both belong to what is sealed.
type codec struct{ ring *seal.Ring }

var _ securecookie.Codec = codec{}

// Encode seals value, a []byte, under name: it opens under no other.
func (c codec) Encode(name string, value any) (string, error) {
	b, ok := value.([]byte)
	if !ok {
		return "", fmt.Errorf("sessions: cannot seal a %T, only []byte", value)
	}
	return base64.RawURLEncoding.EncodeToString(c.ring.Seal(purposeCookie, b, []byte(name))), nil
}

// Decode opens value into dst, a *[]byte.
func (c codec) Decode(name, value string, dst any) error {
	to, ok := dst.(*[]byte)
	if !ok {
		return fmt.Errorf("sessions: cannot open into a %T, only *[]byte", dst)
	}
	if len(value) > maxChunks*chunkSize {
		return errCodec
	}
	blob, err := base64.RawURLEncoding.Strict().DecodeString(value)
	if err != nil {
		return errCodec
	}
	b, err := c.ring.Open(purposeCookie, blob, []byte(name))
	if err != nil {
		return errCodec
	}
	*to = b
	return nil
}
