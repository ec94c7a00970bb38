package sessions

import (
	"context"
	"errors"
	"fmt"

	"github.com/doorward/doorward/sessions/store"
)

// home is where sessions live: in a store behind a ticket (stored.go), or in the cookies
// themselves (incookie.go). Every error of a home wraps store.ErrUnavailable or ErrTooLarge; a
// session that is not there (any more), or that cannot be read, is nil.
type home interface {
	// open returns the session that a request presents.
	open(ctx context.Context, p presented) (*entry, error)
	// newest is open, and follows a refresh that was made for p elsewhere.
	newest(ctx context.Context, p presented) (*entry, presented, error)
	// begin keeps a new session and returns what presents it. It sets the record's id.
	begin(ctx context.Context, s *site, rec record) (*entry, presented, error)
	// amend changes the newest record, unless it ended meanwhile: then it stays dead (P082).
	amend(ctx context.Context, p presented, change func(*record)) (*entry, presented, error)
	// end ends a session everywhere and returns it as it was.
	end(ctx context.Context, p presented) (*entry, error)
}

// presented is what a request says about its session.
type presented struct {
	site  *site
	parts [maxChunks]string // cookie values as they came
	n     int               // how many of them
	key   digest            // under which its session is cached
	moved bool              // it presents another cookie value than the request did
}

func (p *presented) values() []string { return p.parts[:p.n] }

// unavailable makes every failure of a store one that is answered with 503 (R23).
func unavailable(err error) error {
	if errors.Is(err, store.ErrUnavailable) {
		return fmt.Errorf("sessions: %w", err)
	}
	return fmt.Errorf("sessions: %w: %w", store.ErrUnavailable, err)
}
