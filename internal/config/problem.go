package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Problem is one thing that is wrong. Text begins with the key. Line and Column count from 1; Line
// is 0 where it was not written in a file.
type Problem struct {
	Text    string
	File    string // or "environment variable X", "--set x"
	Line    int
	Column  int
	excerpt string // the line, and what underlines the place
}

// String is "file:line:column: text", with the line below it.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
	}
	if p.File != "" {
		b.WriteString(": ")
	}
	b.WriteString(p.Text)
	if p.excerpt != "" {
		b.WriteString("\n" + p.excerpt)
	}
	return b.String()
}

// Error is a configuration that cannot be used: exit status 78.
type Error struct {
	Problems []Problem
}

// Error tells all problems, each with its place.
func (e *Error) Error() string {
	parts := make([]string, 0, len(e.Problems)+1)
	for _, p := range e.Problems {
		parts = append(parts, p.String())
	}
	switch n := len(e.Problems); {
	case n >= maxProblems:
		parts = append(parts, fmt.Sprintf("the first %d problems in the configuration", n))
	case n > 1:
		parts = append(parts, fmt.Sprintf("%d problems in the configuration", n))
	}
	return strings.Join(parts, "\n")
}

// sorted puts problems into the order of the file; those of the environment and --set come last.
func sorted(problems []Problem) []Problem {
	slices.SortStableFunc(problems, func(a, b Problem) int {
		if (a.Line == 0) != (b.Line == 0) {
			return cmp.Compare(b.Line, a.Line)
		}
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return slices.Compact(problems)
}

// problem makes a problem of a place.
func (at place) problem(what about, text string) Problem {
	p := Problem{Text: text}
	if at.src == nil {
		return p
	}
	p.File, p.Line = at.src.name, at.line
	if at.line > 0 {
		line := at.src.line(at.line)
		p.Column = utf8.RuneCountInString(line[:min(at.col-1, len(line))]) + 1
		p.excerpt = at.excerpt(what)
	}
	return p
}
