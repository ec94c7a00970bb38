package seal

import (
	"crypto/hmac"
	"crypto/sha256"
	"hash"
)

// Hash returns a keyed hash (HMAC-SHA256) whose key is drawn from the first key of the ring for
// one purpose: it names what must not be written down, a password above all, so that nobody
// without the ring can try guesses against the name. All replicas with the same first key make
// the same names; when that key is replaced, all names change. The result may be kept and used
// again after Reset, by one goroutine at a time.
func (r *Ring) Hash(purpose Purpose) hash.Hash {
	key, err := r.keys[0].derive("doorward seal 1: hash "+string(purpose), KeySize)
	if err != nil {
		panic("seal: " + err.Error()) // the lengths are constants
	}
	return hmac.New(sha256.New, key)
}
