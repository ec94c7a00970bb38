package proxy

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"unicode/utf8"
)

const (
	maxDepth   = 32     // of JSON in JSON
	maxMembers = 20_000 // of all objects and lists together
)

const notJSON = "The body is not JSON that every reader takes for the same."

var errJSON = errors.New("no JSON that every reader takes for the same")

// errTwice names the member that stands twice in one object.
type errTwice struct{ name string }

func (e *errTwice) Error() string { return "a member stands twice: " + quoted(e.name) }

// parseJSON reads one JSON value strictly (RFC 8259, I-JSON): no member twice in an object, also not in another
// case, because decoders differ over which of them counts; numbers stay as they are written, so that
// what is shown is what is sent.
func parseJSON(body string) (value any, refusal string) {
	if !utf8.ValidString(body) {
		return nil, "The JSON is not UTF-8."
	}
	if !pairedSurrogates(body) {
		return nil, "The JSON holds half of a surrogate pair."
	}
	d := json.NewDecoder(strings.NewReader(body))
	d.UseNumber()
	p := &jsonReader{decoder: d}
	value, err := p.value(0)
	if err == nil {
		if _, more := d.Token(); !errors.Is(more, io.EOF) {
			err = errJSON
		}
	}
	var double *errTwice
	switch {
	case errors.As(err, &double):
		return nil, twice(double.name)
	case err != nil:
		return nil, notJSON
	}
	return value, ""
}

type jsonReader struct {
	decoder *json.Decoder
	members int
}

func (p *jsonReader) value(depth int) (any, error) {
	t, err := p.decoder.Token()
	if err != nil {
		return nil, err
	}
	if p.members++; depth > maxDepth || p.members > maxMembers {
		return nil, errJSON
	}
	switch t := t.(type) {
	case json.Delim:
		if t == '{' {
			return p.object(depth)
		}
		return p.list(depth)
	case json.Number:
		return t.String(), nil
	}
	return t, nil // a text, a boolean or null
}

func (p *jsonReader) object(depth int) (any, error) {
	object, seen := make(map[string]any), make(map[string]bool)
	for p.decoder.More() {
		t, err := p.decoder.Token()
		if err != nil {
			return nil, err
		}
		name, ok := t.(string)
		if !ok {
			return nil, errJSON
		}
		if strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return nil, errJSON // a reader in C ends a name at NUL
		}
		if folded := foldCase(name); seen[folded] {
			return nil, &errTwice{name}
		} else {
			seen[folded] = true
		}
		if object[name], err = p.value(depth + 1); err != nil {
			return nil, err
		}
	}
	_, err := p.decoder.Token()
	return object, err
}

func (p *jsonReader) list(depth int) (any, error) {
	list := []any{}
	for p.decoder.More() {
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	_, err := p.decoder.Token()
	return list, err
}

// pairedSurrogates refuses "\ud800" alone: decoders make of it whatever they like (RFC 7493 §2.1).
func pairedSurrogates(body string) bool {
	for i := 0; i+1 < len(body); i++ {
		if body[i] != '\\' {
			continue
		}
		i++ // over the escaped character, which may be a backslash
		u, ok := unicodeEscape(body[i:])
		switch {
		case !ok || u < 0xd800 || u > 0xdfff:
			continue
		case u >= 0xdc00:
			return false
		}
		if i+6 >= len(body) || body[i+5] != '\\' {
			return false
		}
		low, ok := unicodeEscape(body[i+6:])
		if !ok || low < 0xdc00 || low > 0xdfff {
			return false
		}
		i += 10
	}
	return true
}

// unicodeEscape reads "u0041".
func unicodeEscape(s string) (u rune, ok bool) {
	if len(s) < 5 || s[0] != 'u' {
		return 0, false
	}
	for i := 1; i < 5; i++ {
		if !isHex(s[i]) {
			return 0, false
		}
		u = u<<4 | rune(unhex(s[i]))
	}
	return u, true
}
