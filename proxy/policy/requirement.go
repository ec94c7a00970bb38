package policy

import (
	"context"
	"errors"
	"fmt"

	"cel.dev/cel-go/cel"
)

// Requirement is a CEL expression that a request must fulfil beside the rules: the require of a route. It has no side
// effects, is compiled once, and is safe for concurrent use.
type Requirement struct{ expression }

// NewRequirement compiles source. It must be of type bool, or of a type that only the request decides (a claim). Errors
// say where, and what is known there.
func NewRequirement(source string) (*Requirement, error) {
	e, err := compileExpression(source, cel.BoolType)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"form", "json"} {
		if e.Reads(name) {
			return nil, fmt.Errorf("%s: a body is read for approve only", name)
		}
	}
	switch {
	case e.constant && e.always:
		return nil, errors.New("the expression is true for every request, so that it asks nothing; remove it")
	case e.constant:
		return nil, errors.New("the expression is false for every request, so that it lets nobody in")
	}
	return &Requirement{e}, nil
}

// Holds reports whether in fulfils it. Whoever gets an error must take it for a no: it is a *[Missing] if the expression
// looks at something that is not there, without asking by has() whether it is.
func (q *Requirement) Holds(ctx context.Context, in *Input) (bool, error) {
	v, err := q.eval(ctx, in)
	if err != nil {
		return false, err
	}
	holds, ok := v.(bool)
	if !ok {
		return false, errors.New("the expression is neither true nor false for this request")
	}
	return holds, nil
}
