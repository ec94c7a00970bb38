package proxy

import (
	"io"
	"sync"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/pages"
)

// roomSize is what the bodies of all requests that need an approval may take in memory at a time, in bytes (S18). One person gets
// a quarter of it, or nobody else would get any. Where max_body is large it is larger.
const roomSize = 64 << 20

// room counts the bytes of bodies in memory, from their reading to the end of the answer.
type room struct {
	size  int64
	mu    sync.Mutex
	taken int64
	by    map[identity.Key]int64
}

func newRoom(maxBody int64) *room {
	return &room{size: max(roomSize, 4*maxBody), by: make(map[identity.Key]int64)}
}

// place is one request's part of a room.
type place struct {
	room  *room
	who   identity.Key
	bytes int64
}

func (r *room) place(who *identity.Identity) *place {
	if who == nil {
		return &place{room: r}
	}
	return &place{room: r, who: who.Key()}
}

// take counts as bytes arrive and not before: whoever says that they will send much, and does not, takes nothing.
func (p *place) take(n int64) error {
	r := p.room
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.taken+n > r.size || r.by[p.who]+n > r.size/4 {
		return &pages.Error{Code: codeTooMany, RetryAfter: retryAfter, Detail: "Too many requests that need an approval are on their way at once."}
	}
	r.taken += n
	r.by[p.who] += n
	p.bytes += n
	return nil
}

// leave gives everything back.
func (p *place) leave() {
	r := p.room
	r.mu.Lock()
	defer r.mu.Unlock()
	r.taken -= p.bytes
	if r.by[p.who] -= p.bytes; r.by[p.who] <= 0 {
		delete(r.by, p.who)
	}
	p.bytes = 0
}

// counted is a body that takes its place as it is read.
type counted struct {
	io.Reader
	place *place
}

func (c counted) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	if full := c.place.take(int64(n)); full != nil {
		return n, full
	}
	return n, err
}
