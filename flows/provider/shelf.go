package provider

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/doorward/doorward/internal/seal"
	"github.com/doorward/doorward/sessions/store"
)

// sealDocument is what remembered documents are sealed for: whoever can write to a shared
// store must not be able to hand us keys of theirs as the provider's.
const sealDocument seal.Purpose = "provider document"

// shelf is the place of one document in the store.
type shelf struct {
	store store.Store // may be nil
	ring  *seal.Ring  // may be nil
	key   string
}

// copyOf is a document as it lies on the shelf.
type copyOf struct {
	At     time.Time     `json:"at"`
	MaxAge time.Duration `json:"max_age"`
	ETag   string        `json:"etag,omitempty"`
	Body   []byte        `json:"body"`
}

// shelfKey names a document of an issuer. Everything that decides where it came from is
// in the name, so that a changed configuration does not find the keys of the old one.
func shelfKey(kind string, from ...string) string {
	h := sha256.New()
	for _, s := range from {
		sum := sha256.Sum256([]byte(s))
		h.Write(sum[:])
	}
	return "provider/" + kind + "/" + hex.EncodeToString(h.Sum(nil)[:16])
}

// shelfWait bounds how long the store may take: a store that hangs must not keep us from
// asking the provider.
const shelfWait = 2 * time.Second

// take returns the copy, or nil if there is none, or none that is ours.
func (s shelf) take(ctx context.Context) (*copyOf, error) {
	if s.store == nil {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, shelfWait)
	defer cancel()
	items, err := s.store.Get(ctx, s.key)
	if err != nil || len(items) == 0 || items[0].Version == 0 {
		return nil, err
	}
	value := items[0].Value
	if s.ring != nil {
		if value, err = s.ring.Open(sealDocument, value, []byte(s.key)); err != nil {
			return nil, nil
		}
	}
	var c copyOf
	if json.Unmarshal(value, &c) != nil {
		return nil, nil
	}
	return &c, nil
}

func (s shelf) put(ctx context.Context, c *copyOf, ttl time.Duration) error {
	if s.store == nil {
		return nil
	}
	value, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if s.ring != nil {
		value = s.ring.Seal(sealDocument, value, []byte(s.key))
	}
	ctx, cancel := context.WithTimeout(ctx, shelfWait)
	defer cancel()
	return s.store.Put(ctx, s.key, value, ttl)
}

// fromShelf returns what is remembered and still of use, and whether the store could be asked.
func (d *document[T]) fromShelf(ctx context.Context) (*edition[T], bool) {
	c, err := d.shelf.take(ctx)
	if err != nil {
		d.log.Warn("the remembered "+d.name+" could not be read", "error", err)
		return nil, false
	}
	if c == nil {
		return nil, true
	}
	value, err := d.parse(c.Body)
	if err != nil {
		return nil, true
	}
	e := &edition[T]{value: value, at: c.At, maxAge: min(max(c.MaxAge, minAge), d.maxAge), etag: c.ETag, body: c.Body}
	if !d.usable(e, d.now()) || e.at.After(d.now().Add(slack)) {
		return nil, true
	}
	return e, true
}

func (d *document[T]) toShelf(ctx context.Context, e *edition[T]) {
	keep := e.maxAge + max(d.stale, 24*time.Hour)
	if err := d.shelf.put(ctx, &copyOf{At: e.at, MaxAge: e.maxAge, ETag: e.etag, Body: e.body}, keep); err != nil {
		d.log.Warn("the "+d.name+" could not be remembered", "error", err)
	}
}
