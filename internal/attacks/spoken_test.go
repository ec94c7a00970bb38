package attacks

import (
	"go/ast"
	"slices"
)

// spoken says over which versions of HTTP a test speaks with what it tests. A test that calls a handler without a connection
// speaks over none.
type spoken struct{ h1, h2 bool }

func (s spoken) or(other spoken) spoken { return spoken{s.h1 || other.h1, s.h2 || other.h2} }

func (s spoken) String() string {
	switch s {
	case spoken{h1: true, h2: true}:
		return "h1, h2"
	case spoken{h1: true}:
		return "h1"
	case spoken{h2: true}:
		return "h2"
	}
	return "no connection"
}

// source is what the test files of one directory define and call. What a test speaks is read off what it calls in the end,
// and not off a word that somebody writes beside it: a table that is kept by hand is right on the day it is made.
type source struct {
	speaks map[string]spoken          // a function or method, by its own body
	calls  map[string]map[string]bool // what it names
}

func newSource() *source { return &source{map[string]spoken{}, map[string]map[string]bool{}} }

// add notes a function. Methods of one name are taken for one: too much may be found by that, nothing can be missed.
func (s *source) add(f *ast.FuncDecl) {
	name := f.Name.Name
	if s.calls[name] == nil {
		s.calls[name] = map[string]bool{}
	}
	s.speaks[name] = s.speaks[name].or(byItself(f.Body))
	ast.Inspect(f.Body, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		for _, x := range append([]ast.Expr{call.Fun}, call.Args...) { // a function may be handed on
			switch x := x.(type) {
			case *ast.Ident:
				s.calls[name][x.Name] = true
			case *ast.SelectorExpr:
				s.calls[name][x.Sel.Name] = true
			}
		}
		return true
	})
}

// of follows the calls of a function.
func (s *source) of(name string) spoken {
	var all spoken
	seen := map[string]bool{}
	var follow func(string)
	follow = func(name string) {
		if seen[name] {
			return
		}
		seen[name] = true
		all = all.or(s.speaks[name])
		for called := range s.calls[name] {
			if s.calls[called] != nil {
				follow(called)
			}
		}
	}
	follow(name)
	return all
}

// What clients of HTTP/1.1 in these tests end in.
var (
	h1Clients = []string{
		"http.ReadResponse", "http.Get", "http.Post", "http.PostForm", "http.DefaultClient", "http.DefaultTransport",
		"testnet.NewBrowser", "net.Browser", "net.Client", "net.Transport", "n.Browser", "n.Client", "server.Client",
	}
	h1Makings = []string{"http.Client", "http.Transport"} // unless it is made for HTTP/2
)

// byItself reads one body. A client of HTTP/2 writes its frames itself, or is a transport of which the protocols are chosen.
func byItself(body *ast.BlockStmt) (s spoken) {
	made := false
	ast.Inspect(body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			name := tail(n)
			s.h2 = s.h2 || name == "http2.NewFramer"
			s.h1 = s.h1 || slices.Contains(h1Clients, name)
		case *ast.CompositeLit:
			sel, ok := n.Type.(*ast.SelectorExpr)
			if !ok {
				break
			}
			made = made || slices.Contains(h1Makings, tail(sel))
			for _, e := range n.Elts {
				if kv, ok := e.(*ast.KeyValueExpr); ok && tail(sel) == "http.Transport" {
					key, _ := kv.Key.(*ast.Ident)
					s.h2 = s.h2 || key != nil && key.Name == "Protocols"
				}
			}
		}
		return true
	})
	s.h1 = s.h1 || made && !s.h2
	return s
}

// tail is the last two names of a selector: "net.Browser" of w.net.Browser.
func tail(sel *ast.SelectorExpr) string {
	switch x := sel.X.(type) {
	case *ast.Ident:
		return x.Name + "." + sel.Sel.Name
	case *ast.SelectorExpr:
		return x.Sel.Name + "." + sel.Sel.Name
	}
	return "." + sel.Sel.Name
}
