package credential

import (
	"context"
	"errors"

	"github.com/doorward/doorward/internal/identity"
)

// static is a fixed secret: what it sends is built once, at the start.
type static struct{}

func (static) ask(context.Context, *Source, *identity.Identity) (*grant, error) {
	return nil, errors.New("a fixed secret is not asked for")
}

func (static) steps(s *Source, _ *identity.Identity) ([]Step, error) {
	return []Step{{Credential: s.name, Note: "a fixed secret from the configuration"}}, nil
}

func (static) asks() bool            { return false }
func (static) individual() bool      { return false }
func (static) shared() bool          { return false }
func (static) personal(*Source) bool { return false }
