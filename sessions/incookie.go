package sessions

import (
	"bytes"
	"compress/flate"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/doorward/doorward/internal/seal"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/sessions/store"
)

const (
	revokedKeys   = "sessions/revoked/"
	successorKeys = "sessions/successor/"

	// graceLife is for how long a cookie from before a refresh still leads to the session
	// after it: answers get lost, and tabs ask in parallel (R1).
	graceLife = 5 * time.Minute

	purposeSuccessor seal.Purpose = "sessions: successor"
)

// inCookie is the home of sessions in cookies: record, compressed, sealed, in up to five
// chunks. What a store would know must be known otherwise: that a session ended is a mark in
// the shared store until its absolute end (S12), and that a cookie was replaced by a refresh
// is a note there for a few minutes.
type inCookie struct {
	codec    codec
	ring     *seal.Ring
	shared   store.Store
	cache    *cache
	limits   limits
	grace    grace
	now      func() time.Time
	log      *slog.Logger
	deflater sync.Pool // of *flate.Writer, which are large
}

func (h *inCookie) open(ctx context.Context, p presented) (*entry, error) {
	e := h.unseal(p)
	if e == nil {
		return nil, nil
	}
	items, err := h.shared.Get(ctx, revokedKeys+e.rec.id.String())
	if err != nil {
		return nil, unavailable(err) // it may have ended: nobody can know
	}
	if items[0].Version != 0 || !e.rec.alive(h.now()) {
		return nil, nil
	}
	return e, nil
}

func (h *inCookie) unseal(p presented) *entry {
	text, ok := join(p.values())
	if !ok {
		return nil
	}
	var packed []byte
	if h.codec.Decode(p.site.realm, text, &packed) != nil {
		return nil
	}
	plain, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(packed)), maxRecord+1))
	if err != nil {
		return nil
	}
	rec, ok := decode(plain)
	if !ok {
		return nil
	}
	h.limits.tighten(&rec)
	rec.vouch()
	return newEntry(rec, h.cache.generation(rec.id), len(plain))
}

func (h *inCookie) newest(ctx context.Context, p presented) (*entry, presented, error) {
	items, err := h.shared.Get(ctx, successorKeys+p.key.String())
	if err != nil {
		return nil, p, unavailable(err)
	}
	if items[0].Version != 0 {
		if text, err := h.ring.Open(purposeSuccessor, items[0].Value, p.key[:]); err == nil {
			if next, err := parsed(p.site, string(text)); err == nil {
				h.grace.remember(p.key, next, h.now())
				p = next
			}
		}
	}
	e, err := h.open(ctx, p)
	return e, p, err
}

func (h *inCookie) begin(_ context.Context, s *site, rec record) (*entry, presented, error) {
	_, _ = rand.Read(rec.id[:])
	rec, err := rec.vouched()
	if err != nil {
		return nil, presented{}, err
	}
	return h.seal(s, rec, h.cache.generation(rec.id))
}

// seal makes a cookie of a record. What does not fit goes in this order: first the ID token,
// which serves as a hint at logout and as a credential on routes that ask for it; then
// nothing, for without the rest a session would not be what was proved.
func (h *inCookie) seal(s *site, rec record, as uint32) (*entry, presented, error) {
	e, p, err := h.pack(s, rec, as)
	if errors.Is(err, ErrTooLarge) && rec.who.Tokens != nil && !rec.who.Tokens.IDToken.IsZero() {
		h.log.Warn("the ID token does not fit into the cookies and is not kept: it is no hint at logout and no credential", "session", rec.id.String())
		return h.pack(s, withoutIDToken(rec), as)
	}
	return e, p, err
}

func (h *inCookie) pack(s *site, rec record, as uint32) (*entry, presented, error) {
	plain, err := rec.encode()
	if err != nil {
		return nil, presented{}, err
	}
	text, err := h.codec.Encode(s.realm, h.deflate(plain))
	if err != nil {
		return nil, presented{}, err
	}
	p, err := parsed(s, text)
	if err != nil {
		return nil, presented{}, err
	}
	e := newEntry(rec, as, len(plain))
	h.cache.put(p.key, e)
	return e, p, nil
}

// parsed cuts sealed text into what presents it.
func parsed(s *site, text string) (presented, error) {
	parts, err := split(text)
	if err != nil {
		return presented{}, err
	}
	p := presented{site: s, moved: true}
	p.n = copy(p.parts[:], parts)
	p.key = s.digest(p.values())
	return p, nil
}

// withoutIDToken returns a copy. An identity is immutable, so the copy is made by its encoding.
func withoutIDToken(rec record) record {
	plain, err := rec.encode()
	if err != nil {
		return rec
	}
	if again, ok := decode(plain); ok {
		again.who.Tokens.IDToken = secret.String{} // nobody else has seen this one yet
		again.vouch()
		return again
	}
	return rec
}

// deflate compresses; a record is bounded before and after it (S11). Tokens are base64, so
// a quarter of them is air. Whoever can watch the length of a cookie learns about what its own
// session holds and nothing of another's.
func (h *inCookie) deflate(plain []byte) []byte {
	var out bytes.Buffer
	w, ok := h.deflater.Get().(*flate.Writer)
	if !ok {
		w, _ = flate.NewWriter(nil, flate.DefaultCompression) // errs on an unknown level only
	}
	w.Reset(&out)
	_, _ = w.Write(plain) // a bytes.Buffer takes everything
	_ = w.Close()
	h.deflater.Put(w)
	return out.Bytes()
}

func (h *inCookie) amend(ctx context.Context, p presented, change func(*record)) (*entry, presented, error) {
	e, p, err := h.newest(ctx, p)
	if e == nil || err != nil {
		return nil, p, err
	}
	rec := e.rec
	change(&rec)
	next, to, err := h.seal(p.site, rec, e.as)
	if err != nil || rec.refreshes == e.rec.refreshes {
		return next, to, err
	}
	h.grace.remember(p.key, to, h.now())
	text, _ := join(to.values())
	blob := h.ring.Seal(purposeSuccessor, []byte(text), p.key[:])
	// If this fails, this replica still knows; another one would refresh once more.
	_ = h.shared.Put(ctx, successorKeys+p.key.String(), blob, graceLife)
	return next, to, nil
}

func (h *inCookie) end(ctx context.Context, p presented) (*entry, error) {
	e, _, err := h.newest(ctx, p)
	if e == nil || err != nil {
		return nil, err
	}
	err = h.shared.Put(ctx, revokedKeys+e.rec.id.String(), []byte{1}, e.rec.ends.Sub(h.now()))
	h.cache.invalidate(e.rec.id)
	if err != nil {
		return nil, unavailable(err)
	}
	return e, nil
}
