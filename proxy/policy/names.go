package policy

import (
	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
)

// Names lists the names that the expression looks for in a variable: of "form.amount" and has(form.amount)
// it is amount. Those further down in json, and those of the elements of a list, are listed for
// "json.". It may list too much; what a request computes (form[request.path]) it cannot know.
func (e *expression) Names(variable string) []string { return e.names[variable] }

func namesIn(checked *cel.Ast) map[string][]string {
	names := make(map[string][]string)
	ast.PostOrderVisit(checked.NativeRep().Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if of, name, ok := lookUp(e); ok {
			if variable := variableOf(of); variable != "" {
				names[variable] = append(names[variable], name)
			}
		}
	}))
	return names
}

// placesIn says of each name that the expression looks for where that is: "claims.address" of address. It is the bare name
// if it is looked for in several places.
func placesIn(checked *cel.Ast) map[string]string {
	places := make(map[string]string)
	ast.PostOrderVisit(checked.NativeRep().Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		of, name, ok := lookUp(e)
		if !ok {
			return
		}
		place := name
		if in := placeOf(of); in != "" {
			place = in + "." + name
		}
		if old, seen := places[name]; seen && old != place {
			place = name
		}
		places[name] = place
	}))
	return places
}

// placeOf is "claims.address" of an expression that reads just that, and "" of others.
func placeOf(e ast.Expr) string {
	if e.Kind() == ast.IdentKind {
		switch name := e.AsIdent(); name {
		case "claims", "user", "request", "form", "json":
			return name
		}
		return "" // an element of a list
	}
	of, name, ok := lookUp(e)
	if !ok || placeOf(of) == "" {
		return ""
	}
	return placeOf(of) + "." + name
}

// lookUp takes "of.name", has(of.name), of["name"] and "name" in of apart.
func lookUp(e ast.Expr) (of ast.Expr, name string, ok bool) {
	switch e.Kind() {
	case ast.SelectKind:
		return e.AsSelect().Operand(), e.AsSelect().FieldName(), true
	case ast.CallKind:
		args := e.AsCall().Args()
		switch e.AsCall().FunctionName() {
		case operators.Index:
			name, ok = literal(args[1])
			return args[0], name, ok
		case operators.In:
			name, ok = literal(args[0])
			return args[1], name, ok
		}
	}
	return nil, "", false
}

func literal(e ast.Expr) (s string, ok bool) {
	if e.Kind() == ast.LiteralKind {
		s, ok = e.AsLiteral().Value().(string)
	}
	return s, ok
}

// variableOf names what is looked into, "" if it is neither of the request's making nor named by it.
func variableOf(e ast.Expr) string {
	if e.Kind() == ast.IdentKind {
		switch name := e.AsIdent(); name {
		case "form", "json":
			return name
		case "user", "claims", "request":
			return ""
		}
		return "json." // an element of a list
	}
	of, name, ok := lookUp(e)
	if !ok {
		if e.Kind() != ast.CallKind || len(e.AsCall().Args()) == 0 {
			return ""
		}
		of, name = e.AsCall().Args()[0], "" // an element by its number
	}
	if of.Kind() == ast.IdentKind && of.AsIdent() == "request" && (name == "query" || name == "header") {
		return "request." + name
	}
	if inside := variableOf(of); inside == "json" || inside == "json." {
		return "json."
	}
	return ""
}
