package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
)

// Held is a secret that only somebody outside has: the value of a cookie, a token. Info keeps the keys that it yields for
// different purposes apart, and is a constant of the package that declares the purpose.
type Held struct {
	Secret []byte
	Info   string
}

// SealFor encrypts twice: with a key that only the holder's secret yields, so that a stolen store and its key ring open
// nothing, and with the ring, so that a stolen secret and a stolen store open nothing either. Both layers are bound to the
// associated data.
func (r *Ring) SealFor(h Held, purpose Purpose, plaintext, associated []byte) []byte {
	return r.Seal(purpose, h.aead().Seal(nil, nil, plaintext, associated), associated)
}

// OpenFor reverses SealFor. Every failure is ErrOpen.
func (r *Ring) OpenFor(h Held, purpose Purpose, blob, associated []byte) ([]byte, error) {
	inner, err := r.Open(purpose, blob, associated)
	if err != nil {
		return nil, ErrOpen
	}
	plaintext, err := h.aead().Open(nil, nil, inner, associated)
	if err != nil {
		return nil, ErrOpen
	}
	return plaintext, nil
}

func (h Held) aead() cipher.AEAD {
	key, err := hkdf.Key(sha256.New, h.Secret, nil, h.Info, KeySize)
	if err != nil {
		panic("seal: " + err.Error()) // the lengths are constants
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		panic("seal: " + err.Error())
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic("seal: " + err.Error())
	}
	return aead
}
