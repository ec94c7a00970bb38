package proxy

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/doorward/doorward/internal/pages"
)

// ownEndpoints are Doorward's own: everything below the prefix, and single paths
// elsewhere. They are matched exactly by the canonical path (P012), and what is below the
// prefix without being one of them is 404 and never proxied.
type ownEndpoints struct {
	prefix  string
	paths   map[string]bool
	matcher matcher
}

// matcher is http.ServeMux: it can say beforehand whether it has a handler, so that a
// path without one gets a page of ours.
type matcher interface {
	http.Handler
	Handler(r *http.Request) (h http.Handler, pattern string)
}

func newOwnEndpoints(prefix string, paths []string, h http.Handler) (*ownEndpoints, error) {
	m, ok := h.(matcher)
	if !ok {
		mux := http.NewServeMux()
		mux.Handle("/", h)
		m = mux
	}
	o := &ownEndpoints{prefix: prefix, paths: make(map[string]bool), matcher: m}
	for _, p := range append([]string{prefix}, paths...) {
		encoded, decoded, refusal := parsePath(p)
		if refusal != "" || encoded != p || decoded != p {
			return nil, errors.Join(fmt.Errorf("%q cannot be the path of an own endpoint", p), errors.New(refusal))
		}
		if p != prefix {
			o.paths[p] = true
		}
	}
	return o, nil
}

func (o *ownEndpoints) holds(decoded string) bool {
	return o.below(decoded) || len(o.paths) > 0 && o.paths[decoded]
}

// below takes "/oauth2;x/start" for what a Java server makes of it: never proxied either.
func (o *ownEndpoints) below(decoded string) bool {
	rest, ok := strings.CutPrefix(decoded, o.prefix)
	return ok && (rest == "" || rest[0] == '/' || rest[0] == ';')
}

func (o *ownEndpoints) serve(w http.ResponseWriter, req *CanonicalRequest) error {
	req.record.Route, req.record.Outcome = "own", "own"
	if _, pattern := o.matcher.Handler(req.in); pattern == "" || req.decoded != req.Path {
		return &pages.Error{Code: codeNoRoute, Detail: "There is nothing at this address."}
	}
	o.matcher.ServeHTTP(w, req.in)
	return nil
}
