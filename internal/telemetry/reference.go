package telemetry

import (
	"crypto/rand"
	"sync"
)

// alphabet has 32 characters and none of 0, O, 1 and I: a reference is read out over the phone.
const alphabet = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"

const referenceLength = 6

// references makes request references. They are random so that nobody learns from one how many
// requests there are, and they protect nothing. Random bytes are drawn for many requests at once:
// a system call for each would show in the cost of a request.
type references struct {
	mu   sync.Mutex
	pool [64 * referenceLength]byte
	used int
}

func newReferences() *references {
	return &references{used: len(references{}.pool)}
}

func (s *references) next() string {
	var ref [referenceLength]byte
	s.mu.Lock()
	if s.used == len(s.pool) {
		_, _ = rand.Read(s.pool[:]) // never fails: crypto/rand ends the process instead
		s.used = 0
	}
	copy(ref[:], s.pool[s.used:])
	s.used += referenceLength
	s.mu.Unlock()
	for i, b := range ref {
		ref[i] = alphabet[b%byte(len(alphabet))] // 32 divides 256: no bias
	}
	return string(ref[:])
}
