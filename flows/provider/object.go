package provider

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"
	"unicode/utf8"
)

// object is a JSON object whose members are matched by their exact names. Go's decoder
// would take "Sub" for "sub" and the last of two equal members: two readers of one token
// could then see two users.
type object map[string]json.RawMessage

const (
	maxDepth  = 32     // of nesting (P059)
	maxValues = 20_000 // members and elements of one document (P059)
)

// parseObject reads exactly one JSON object. It refuses duplicate members at any depth,
// invalid UTF-8, deep nesting and whatever follows the object. Its errors name no content.
func parseObject(b []byte) (object, error) {
	if !utf8.Valid(b) {
		return nil, errors.New("not UTF-8")
	}
	s := scanner{d: json.NewDecoder(bytes.NewReader(b))}
	s.d.UseNumber()
	if err := s.value(); err != nil {
		return nil, err
	}
	if _, err := s.d.Token(); err != io.EOF {
		return nil, errors.New("something follows the JSON value")
	}
	var o object
	if err := json.Unmarshal(b, &o); err != nil || o == nil {
		return nil, errors.New("not a JSON object")
	}
	return o, nil
}

type scanner struct {
	d             *json.Decoder
	depth, values int
}

func (s *scanner) value() error {
	t, err := s.d.Token()
	if err != nil {
		return errors.New("not JSON")
	}
	if s.values++; s.values > maxValues {
		return fmt.Errorf("more than %d values", maxValues)
	}
	open, ok := t.(json.Delim)
	if !ok {
		return nil
	}
	if s.depth++; s.depth > maxDepth {
		return fmt.Errorf("nested deeper than %d", maxDepth)
	}
	if open == '{' {
		err = s.members()
	} else {
		err = s.elements()
	}
	if err != nil {
		return err
	}
	s.depth--
	if _, err := s.d.Token(); err != nil {
		return errors.New("not JSON")
	}
	return nil
}

func (s *scanner) members() error {
	seen := make(map[string]bool)
	for s.d.More() {
		t, err := s.d.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return errors.New("not JSON")
		}
		if seen[name] {
			return fmt.Errorf("member %s stands there twice", shown(name))
		}
		seen[name] = true
		if err := s.value(); err != nil {
			return err
		}
	}
	return nil
}

func (s *scanner) elements() error {
	for s.d.More() {
		if err := s.value(); err != nil {
			return err
		}
	}
	return nil
}

// has reports whether a member is there and not null.
func (o object) has(name string) bool {
	raw, ok := o[name]
	return ok && string(raw) != "null"
}

// str returns a string member; missing and null are "" without an error.
func (o object) str(name string) (string, error) {
	if !o.has(name) {
		return "", nil
	}
	var s string
	if json.Unmarshal(o[name], &s) != nil {
		return "", fmt.Errorf("%s is not a string", name)
	}
	return s, nil
}

// text is str for what is no more than an attribute: whatever is not a string is "".
func (o object) text(name string) string {
	s, _ := o.str(name)
	return s
}

// strings returns an array of strings. Where the standard allows it, one string counts as
// an array of one.
func (o object) strings(name string, orOne bool) ([]string, error) {
	if !o.has(name) {
		return nil, nil
	}
	if raw := o[name]; orOne && raw[0] == '"' {
		s, err := o.str(name)
		return []string{s}, err
	}
	var list []*string // a null among the elements must not become ""
	if json.Unmarshal(o[name], &list) != nil {
		return nil, fmt.Errorf("%s is not an array of strings", name)
	}
	out := make([]string, len(list))
	for i, s := range list {
		if s == nil {
			return nil, fmt.Errorf("%s is not an array of strings", name)
		}
		out[i] = *s
	}
	return out, nil
}

func (o object) boolean(name string) (bool, error) {
	if !o.has(name) {
		return false, nil
	}
	var b bool
	if json.Unmarshal(o[name], &b) != nil {
		return false, fmt.Errorf("%s is not a boolean", name)
	}
	return b, nil
}

// number returns a JSON number, fractions allowed (IDT-13). A number in quotes is one
// only if orString.
func (o object) number(name string, orString bool) (n float64, ok bool, err error) {
	if !o.has(name) {
		return 0, false, nil
	}
	raw := string(o[name])
	if s, err := o.str(name); err == nil && orString {
		raw = s
	}
	n, perr := strconv.ParseFloat(raw, 64)
	if perr != nil || math.IsNaN(n) || math.IsInf(n, 0) || raw[0] != '-' && (raw[0] < '0' || raw[0] > '9') {
		return 0, false, fmt.Errorf("%s is not a number", name)
	}
	return n, true, nil
}

// date returns a NumericDate (RFC 7519 §2). Dates outside 1970 to 9999 are refused: they
// overflow somewhere.
func (o object) date(name string) (t time.Time, ok bool, err error) {
	n, ok, err := o.number(name, false)
	if err != nil || !ok {
		return time.Time{}, false, err
	}
	if n < 0 || n > 253402300799 {
		return time.Time{}, false, fmt.Errorf("%s is not a date between 1970 and 9999", name)
	}
	whole, fraction := math.Modf(n)
	return time.Unix(int64(whole), int64(fraction*1e9)), true, nil
}
