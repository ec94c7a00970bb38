package seal

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
)

// ErrOpen says that a blob was not sealed by any key of this ring for this purpose and
// these associated data, or that it is malformed. It tells nobody which.
var ErrOpen = errors.New("seal: not ours")

// KeySize is the length of a key in bytes, before base64.
const KeySize = 32

// Overhead is by how many bytes a blob is longer than its plaintext.
const Overhead = headerSize + nonceSize + tagSize

const (
	version    = 1
	idSize     = 4
	headerSize = 1 + idSize // version byte, key id
	nonceSize  = 12
	tagSize    = 16
)

// Purpose separates what one key ring seals: a blob of one purpose never opens under
// another (S11, attack P076). Each package declares its own constants; a purpose is never
// computed from a request, because the ring remembers a key for each.
type Purpose string

// Ring seals with its first key and opens with all of them. It is safe for concurrent use.
//
// Nonces are random, so one key should seal at most 2^32 blobs of one purpose: a thousand
// a second for fifty days, without an end if keys are rotated now and then.
type Ring struct {
	keys []*key
}

// New makes a ring of 32-byte keys; the first seals. There must be at least one, none may
// stand twice, and none may be all zeros. The keys are copied.
func New(keys ...[]byte) (*Ring, error) {
	if len(keys) == 0 {
		return nil, errors.New("seal: no key; there must be at least one")
	}
	r := new(Ring)
	for i, material := range keys {
		if len(material) != KeySize {
			return nil, fmt.Errorf("seal: key %d has %d bytes; it must have %d", i+1, len(material), KeySize)
		}
		if subtle.ConstantTimeCompare(material, make([]byte, KeySize)) == 1 {
			return nil, fmt.Errorf("seal: key %d is all zeros; make one with: openssl rand -base64 32", i+1)
		}
		k, err := newKey(material)
		if err != nil {
			return nil, fmt.Errorf("seal: key %d: %w", i+1, err)
		}
		if r.find(k.id[:]) != nil {
			return nil, fmt.Errorf("seal: key %d stands twice; remove one", i+1)
		}
		r.keys = append(r.keys, k)
	}
	return r, nil
}

// Seal encrypts and authenticates plaintext (AES-256-GCM, random nonce) together with
// associated data that Open must be given again. The blob is raw bytes, [Overhead] longer
// than plaintext.
func (r *Ring) Seal(purpose Purpose, plaintext, associated []byte) []byte {
	k := r.keys[0]
	s := k.sealer(purpose)
	blob := make([]byte, 0, Overhead+len(plaintext))
	blob = append(blob, version)
	blob = append(blob, k.id[:]...)
	return s.aead.Seal(blob, nil, plaintext, s.bind(associated))
}

// Open reverses Seal. Every failure is ErrOpen.
func (r *Ring) Open(purpose Purpose, blob, associated []byte) ([]byte, error) {
	if len(blob) < Overhead || blob[0] != version {
		return nil, ErrOpen
	}
	k := r.find(blob[1:headerSize])
	if k == nil {
		return nil, ErrOpen
	}
	s := k.sealer(purpose)
	plaintext, err := s.aead.Open(nil, nil, blob[headerSize:], s.bind(associated))
	if err != nil {
		return nil, ErrOpen
	}
	return plaintext, nil
}

// find returns the key that a blob names, so that a foreign blob costs no decryption.
func (r *Ring) find(id []byte) *key {
	for _, k := range r.keys {
		if string(k.id[:]) == string(id) {
			return k
		}
	}
	return nil
}

// key is one key of a ring. It encrypts nothing itself: everything it does is done by keys
// derived from it.
type key struct {
	id [idSize]byte
	// derive has the material in it: a function, unlike bytes, is printed as an address by
	// every verb of fmt, however deep it lies.
	derive func(info string, size int) ([]byte, error)

	growing sync.Mutex
	sealers atomic.Pointer[map[Purpose]*sealer] // replaced, never changed: Open asks it at each request
}

func newKey(material []byte) (*key, error) {
	material = bytes.Clone(material)
	k := &key{derive: func(info string, size int) ([]byte, error) {
		return hkdf.Key(sha256.New, material, nil, info, size)
	}}
	id, err := k.derive("doorward seal 1: id", idSize)
	if err != nil {
		return nil, err
	}
	copy(k.id[:], id)
	k.sealers.Store(&map[Purpose]*sealer{})
	return k, nil
}

// sealer returns what seals one purpose, derived at the first use.
func (k *key) sealer(p Purpose) *sealer {
	if s := (*k.sealers.Load())[p]; s != nil {
		return s
	}
	k.growing.Lock()
	defer k.growing.Unlock()
	before := *k.sealers.Load()
	if s := before[p]; s != nil {
		return s
	}
	s, err := newSealer(k, p)
	if err != nil {
		panic("seal: " + err.Error()) // the lengths are constants: only a broken library gets here
	}
	after := maps.Clone(before)
	after[p] = s
	k.sealers.Store(&after)
	return s
}

// sealer is one key for one purpose.
type sealer struct {
	aead   cipher.AEAD
	prefix []byte // of the associated data; its capacity is its length
}

func newSealer(k *key, p Purpose) (*sealer, error) {
	sub, err := k.derive("doorward seal 1: purpose "+string(p), KeySize)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(sub)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	prefix := append([]byte{version}, k.id[:]...)
	prefix = binary.BigEndian.AppendUint32(prefix, uint32(len(p)))
	prefix = append(prefix, p...)
	return &sealer{aead, prefix[:len(prefix):len(prefix)]}, nil
}

// bind makes the associated data: version, key id and purpose with its length before the
// caller's, so that no two combinations of them are the same bytes.
func (s *sealer) bind(associated []byte) []byte { return append(s.prefix, associated...) }
