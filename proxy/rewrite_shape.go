package proxy

import (
	"fmt"
	"slices"
	"strings"
)

// shape is a PathRewrite, compiled.
type shape struct {
	from, to []piece
}

// piece is a segment of a shape: a text, a name for one segment, or for all that are left.
type piece struct {
	encoded, decoded string
	name             string // "" = a text
	rest             bool
}

func newShape(p PathRewrite) (s shape, err error) {
	if s.from, err = pieces(p.From); err != nil {
		return s, fmt.Errorf("from: %w", err)
	}
	if s.to, err = pieces(p.To); err != nil {
		return s, fmt.Errorf("to: %w", err)
	}
	for i, f := range s.from {
		if f.rest && i < len(s.from)-1 {
			return s, fmt.Errorf("from: {%s...} must be the last segment", f.name)
		}
	}
	for _, t := range s.to {
		i := slices.IndexFunc(s.from, func(f piece) bool { return t.name != "" && f.name == t.name })
		switch {
		case t.name == "":
		case i < 0:
			return s, fmt.Errorf("to: from has no {%s}", t.name)
		case s.from[i].rest != t.rest:
			return s, fmt.Errorf("to: {%s} is one segment, and {%s...} is several; from and to must say the same", t.name, t.name)
		}
	}
	return s, nil
}

// pieces reads a path with names.
func pieces(path string) (all []piece, err error) {
	if !strings.HasPrefix(path, "/") {
		return nil, fmt.Errorf("%q does not begin with a slash", path)
	}
	if path == "/" {
		return nil, nil
	}
	if strings.HasSuffix(path, "/") {
		return nil, fmt.Errorf("%q: leave the slash at the end out; one that a request has there stays", path)
	}
	for segment := range strings.SplitSeq(path[1:], "/") {
		p, err := newPiece(segment)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", path, err)
		}
		if p.name != "" && slices.ContainsFunc(all, func(other piece) bool { return other.name == p.name }) {
			return nil, fmt.Errorf("%q: {%s} stands there twice", path, p.name)
		}
		all = append(all, p)
	}
	return all, nil
}

func newPiece(segment string) (piece, error) {
	if !strings.ContainsAny(segment, "{}") {
		encoded, decoded, refusal := parsePath("/" + segment)
		if refusal != "" || strings.ContainsAny(decoded, ";%") || segment == "" {
			return piece{}, fmt.Errorf("%q is not a segment that all servers read alike", segment)
		}
		return piece{encoded: encoded[1:], decoded: decoded[1:]}, nil
	}
	name, open := strings.CutPrefix(segment, "{")
	name, closed := strings.CutSuffix(name, "}")
	name, rest := strings.CutSuffix(name, "...")
	if !open || !closed || !isName(name) {
		return piece{}, fmt.Errorf("%q: a name stands for a whole segment, as in {id}, or for all that are left, as in {rest...}", segment)
	}
	return piece{name: name, rest: rest}, nil
}

func isName(s string) bool {
	for i := range len(s) {
		if c := s[i]; !isAlphanumeric(c) && c != '_' && c != '-' {
			return false
		}
	}
	return s != ""
}

// liesIn reports whether some path can fit both the shape and a route's own.
func (s shape) liesIn(path string) bool {
	_, decoded, _ := parsePath(path)
	if decoded = strings.Trim(decoded, "/"); decoded == "" {
		return true
	}
	for i, segment := range strings.Split(decoded, "/") {
		switch {
		case i >= len(s.from):
			return false
		case s.from[i].rest:
			return true
		case s.from[i].name == "" && s.from[i].decoded != segment:
			return false
		}
	}
	return true
}

// hiddenBy reports whether whatever fits s fits an earlier shape.
func (s shape) hiddenBy(earlier shape) bool {
	for i, e := range earlier.from {
		switch {
		case e.rest:
			return true
		case i >= len(s.from) || s.from[i].rest:
			return false
		case e.name == "" && s.from[i].decoded != e.decoded: // a name's is ""
			return false
		}
	}
	return len(s.from) == len(earlier.from)
}

// apply moves the segments of a path to where the shape wants them, if they fit.
func (s *shape) apply(encoded, decoded string) (e, d string, ok bool) {
	encodedRest, decodedRest := strings.TrimSuffix(encoded, "/"), strings.TrimSuffix(decoded, "/")
	slash := encoded[len(encodedRest):]
	found := make([]piece, len(s.from)) // what the names of from stand for
	for i, f := range s.from {
		if f.rest {
			found[i], encodedRest, decodedRest = piece{encoded: encodedRest, decoded: decodedRest}, "", ""
			break
		}
		if encodedRest == "" {
			return "", "", false
		}
		found[i].encoded, encodedRest = firstSegment(encodedRest)
		found[i].decoded, decodedRest = firstSegment(decodedRest)
		if f.name == "" && found[i].decoded[1:] != f.decoded {
			return "", "", false
		}
	}
	if encodedRest != "" {
		return "", "", false
	}
	var enc, dec strings.Builder
	for _, t := range s.to {
		if t.name == "" {
			enc.WriteString("/" + t.encoded)
			dec.WriteString("/" + t.decoded)
			continue
		}
		p := found[slices.IndexFunc(s.from, func(f piece) bool { return f.name == t.name })]
		enc.WriteString(p.encoded)
		dec.WriteString(p.decoded)
	}
	if enc.Len() == 0 {
		slash = "/"
	}
	return enc.String() + slash, dec.String() + slash, true
}

// firstSegment takes the first segment off a path, with the slash in front of it.
func firstSegment(path string) (first, rest string) {
	if i := strings.IndexByte(path[1:], '/'); i >= 0 {
		return path[:1+i], path[1+i:]
	}
	return path, ""
}
