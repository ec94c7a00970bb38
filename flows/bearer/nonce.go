package bearer

import (
	"encoding/base64"
	"encoding/binary"
	"hash"
	"sync"
	"time"

	"github.com/doorward/doorward/internal/seal"
)

// nonceSpan is how long a nonce is the newest. It counts for one span more, so for one to two of them.
const nonceSpan = 90 * time.Second

// nonces are what a proof must hold one of: a keyed hash of the time, so that nobody can tell the next one, and all replicas
// have the same without a word to each other.
type nonces struct {
	mu   sync.Mutex
	hash hash.Hash
}

func newNonces(r *seal.Ring) *nonces { return &nonces{hash: r.Hash("dpop nonce")} }

// nonces returns those that count, the newest first; nil where none is wanted.
func (c *Checker) nonces(now time.Time) []string {
	if c.nonce == nil {
		return nil
	}
	span := now.Unix() / int64(nonceSpan/time.Second)
	return []string{c.nonce.of(span), c.nonce.of(span - 1)}
}

func (n *nonces) of(span int64) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hash.Reset()
	_ = binary.Write(n.hash, binary.BigEndian, span) // a hash never fails
	return base64.RawURLEncoding.EncodeToString(n.hash.Sum(nil))
}
