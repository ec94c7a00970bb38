package seal

import "errors"

// ErrOpen says that a blob was not sealed by any key of this ring for this purpose and
// these associated data, or that it is malformed. It tells nobody which.
var ErrOpen = errors.New("seal: not ours")

// Purpose separates what one key ring seals: a blob of one purpose never opens under
// another (S11, attack P076). Each package declares its own constants.
type Purpose string

// Ring seals with its first key and opens with all of them.
type Ring struct{}

// New makes a ring of 32-byte keys. There must be at least one.
func New(keys ...[]byte) (*Ring, error) { panic("unbuilt") }

// Seal encrypts and authenticates plaintext (AES-256-GCM, random nonce) together with
// associated data that Open must be given again. The blob is raw bytes.
func (r *Ring) Seal(purpose Purpose, plaintext, associated []byte) []byte { panic("unbuilt") }

// Open reverses Seal. Every failure is ErrOpen.
func (r *Ring) Open(purpose Purpose, blob, associated []byte) ([]byte, error) { panic("unbuilt") }

// LoadOrCreate reads keys (one base64 line each, first seals) from a file, or makes the file (0600) with
// one new random key. A file that others can read is an error.
func LoadOrCreate(path string) ([][]byte, error) { panic("unbuilt") }
