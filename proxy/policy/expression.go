package policy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
)

// Bounds of one evaluation. CEL has no loops but those over what is there, so that work grows with the
// request; a request that makes it grow beyond these is refused (S18).
const (
	maxCost    = 200_000 // in CEL's own unit, about one step each
	maxTime    = 100 * time.Millisecond
	checkEvery = 100     // steps of a loop between two looks at the clock
	maxSource  = 4 << 10 // bytes
)

// Text is a CEL expression that makes a text of a request: the binding_message of approve. It has no side
// effects, is compiled once, and is safe for concurrent use.
type Text struct{ expression }

// NewText compiles source. It must be of type string, or of a type that only the request
// decides (a member of json). Errors say where, and what is known there.
func NewText(source string) (*Text, error) {
	e, err := compileExpression(source, cel.StringType)
	if err != nil {
		return nil, err
	}
	return &Text{e}, nil
}

// Eval returns the text for in. It is an error (*[Missing]) if the expression looks at something
// that is not there, without asking by has() whether it is.
func (t *Text) Eval(ctx context.Context, in *Input) (string, error) {
	v, err := t.eval(ctx, in)
	if err != nil {
		return "", err
	}
	s, ok := v.(string)
	if !ok {
		return "", fmt.Errorf("the expression makes no text of this request, but a %T", v)
	}
	return s, nil
}

// Missing is the error of an expression that looks at a field which is not there.
type Missing struct{ Name string } // as the expression has it: "claims.address"

func (m *Missing) Error() string {
	for _, of := range [...]string{"claims.", "user."} {
		if strings.HasPrefix(m.Name, of) {
			return "there is no " + m.Name + " of this caller"
		}
	}
	return "there is no " + m.Name + " in this request"
}

// expression is what all expressions share. Those for other results than a text differ in
// the type that they are compiled for.
type expression struct {
	source  string
	program cel.Program
	reads   map[string]bool
	names   map[string][]string
	places  map[string]string

	constant, always bool // a condition that comes out alike for every request, and how
}

// Reads reports whether the expression looks at a variable, or at a field written as
// "request.query".
func (e *expression) Reads(name string) bool { return e.reads[name] }

func compileExpression(source string, want *cel.Type) (none expression, err error) {
	if strings.TrimSpace(source) == "" {
		return none, errors.New("the expression is empty")
	}
	if len(source) > maxSource {
		return none, fmt.Errorf("the expression has %d bytes; at most %d", len(source), maxSource)
	}
	env, err := newEnvironment()
	if err != nil {
		return none, err
	}
	checked, issues := env.Compile(source)
	if issues.Err() != nil {
		return none, explain(issues)
	}
	if got := checked.OutputType(); !got.IsExactType(want) && !got.IsExactType(cel.DynType) {
		return none, fmt.Errorf("the expression is of type %s; it must be %s%s", cel.FormatCELType(got), cel.FormatCELType(want), conversion(want))
	}
	program, err := env.Program(checked, cel.CostLimit(maxCost), cel.InterruptCheckFrequency(checkEvery))
	if err != nil {
		return none, err
	}
	e := expression{source: source, program: program, reads: readBy(checked), names: namesIn(checked), places: placesIn(checked)}
	if want.IsExactType(cel.BoolType) {
		e.always, e.constant = constant(env, checked)
	}
	return e, nil
}

// constant evaluates a condition while nothing is known of the request. What comes out all the same, comes out for every
// request.
func constant(env *cel.Env, checked *cel.Ast) (value, ok bool) {
	var unknown []*cel.AttributePatternType
	for _, name := range []string{"claims", "user", "request", "form", "json"} {
		unknown = append(unknown, cel.AttributePattern(name))
	}
	nothing, err := cel.PartialVars(map[string]any{}, unknown...)
	if err != nil {
		return false, false
	}
	program, err := env.Program(checked, cel.CostLimit(maxCost), cel.EvalOptions(cel.OptPartialEval))
	if err != nil {
		return false, false
	}
	v, _, err := program.Eval(nothing)
	if err != nil {
		return false, false
	}
	value, ok = v.Value().(bool)
	return value, ok
}

func conversion(want *cel.Type) string {
	if want.IsExactType(cel.StringType) {
		return "; string(…) makes one"
	}
	return ""
}

// explain makes one error of what the compiler says: each with its place, and with what is
// known where a name is not.
func explain(issues *cel.Issues) error {
	var all []string
	unknown := false
	for _, e := range issues.Errors() {
		all = append(all, fmt.Sprintf("line %d, column %d: %s", e.Location.Line(), e.Location.Column()+1, plain(e.Message)))
		unknown = unknown || strings.Contains(e.Message, "undeclared reference") || strings.Contains(e.Message, "undefined field")
		if len(all) == 3 {
			break
		}
	}
	text := strings.Join(all, "; ")
	if unknown {
		text += "; known are " + known()
	}
	return errors.New(text)
}

// plain says a syntax error without the list of all the tokens that could have stood there: it
// is the parser's, and tells an operator nothing.
func plain(message string) string {
	const syntax, end = "Syntax error: ", "'<EOF>'"
	what, ok := strings.CutPrefix(message, syntax)
	if !ok {
		return message
	}
	for _, kind := range []string{"mismatched input ", "extraneous input "} {
		token, ok := strings.CutPrefix(what, kind)
		if !ok {
			continue
		}
		// The last one: the token may be a text that holds these words, too.
		if i := strings.LastIndex(token, " expecting "); i >= 0 {
			token = token[:i]
		}
		if token == end {
			return syntax + "the expression ends too early"
		}
		return syntax + token + " cannot stand here"
	}
	if before, ok := strings.CutSuffix(what, end); ok {
		what = before + "the end"
	}
	return syntax + what
}

// readBy lists what an expression looks at. It may list too much, never too little.
func readBy(checked *cel.Ast) map[string]bool {
	reads := make(map[string]bool)
	for _, r := range checked.NativeRep().ReferenceMap() {
		reads[r.Name] = true
	}
	ast.PostOrderVisit(checked.NativeRep().Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() == ast.SelectKind && slices.Contains(fieldsOf[requestType], e.AsSelect().FieldName()) {
			reads["request."+e.AsSelect().FieldName()] = true
		}
	}))
	return reads
}

func (e *expression) place(name string) string {
	if place := e.places[name]; place != "" {
		return place
	}
	return name
}

func (e *expression) eval(ctx context.Context, in *Input) (any, error) {
	ctx, cancel := context.WithTimeout(ctx, maxTime)
	defer cancel()
	v, _, err := e.program.ContextEval(ctx, &activation{in})
	if err == nil {
		return v.Value(), nil
	}
	var missing *Missing
	if errors.As(err, &missing) {
		return nil, &Missing{e.place(missing.Name)}
	}
	// The rest may quote what the request holds, and goes to a log.
	text := err.Error()
	if name, ok := strings.CutPrefix(text, "no such key: "); ok {
		if !strings.Contains(e.source, name) {
			name = "such key" // as the request has it
		}
		return nil, &Missing{e.place(name)}
	}
	for _, known := range []string{"no such overload", "index out of bounds", "actual cost limit exceeded", "operation cancelled", "operation interrupted", "divide by zero", "return error for overflow"} {
		if strings.Contains(text, known) {
			return nil, errors.New("the expression fails on this request: " + known)
		}
	}
	return nil, errors.New("the expression fails on this request")
}
